-- expand: logins can be listed and ended by others than their owner; what is known of groups that nobody can be asked for again.
-- kept_groups: those of `groups` that the scheme itself told and no directory tells anew. null: a row of before, whose groups all stay.

alter table login
    add column login_id    uuid not null default gen_random_uuid()
  , add column kept_groups text[]
  , add column address     text
  , add column ended_by    text;
create unique index login_by_id on login (login_id);
create index login_by_owner on login (tenant, owner, created_at);

-- scheme: how the owner had shown who they are when the token was made.
alter table api_token
    add column scheme      text
  , add column kept_groups text[]
  , add column revoked_by  text;
