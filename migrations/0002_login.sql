-- expand: logins (what a cookie stands for) and API tokens. Secrets are kept as SHA-256 alone.

create table login (
    secret_hash  bytea primary key
  , tenant       text not null
  , owner        text not null
  , groups       text[] not null
  , scheme       text not null
  , created_at   timestamptz not null default now()
  , last_used_at timestamptz
  , expires_at   timestamptz not null
  , ended_at     timestamptz
);
create index login_over on login (expires_at);

create table api_token (
    token_id     uuid primary key
  , tenant       text not null
  , owner        text not null
  , groups       text[] not null
  , name         text not null
  , scope        text not null check (scope in ('view', 'attach', 'manage'))
  , secret_hash  bytea not null unique
  , made_by      text not null
  , created_at   timestamptz not null default now()
  , last_used_at timestamptz
  , expires_at   timestamptz not null
  , revoked_at   timestamptz
);
create index api_token_by_owner on api_token (tenant, owner, created_at);
create unique index api_token_name on api_token (tenant, owner, name) where revoked_at is null;
