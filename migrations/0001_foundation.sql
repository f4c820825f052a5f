-- expand: the first tables.
-- Every row that a person owns carries tenant, owner, via (the proxy that spoke for them) and run_as from here on.

create table context (
    context_id   uuid primary key
  , tenant       text not null
  , owner        text not null
  , via          text
  , run_as       text not null
  , name         text
  , profile      text not null
  , share        text not null default 'session' check (share in ('session', 'context'))
  , state        text not null check (state in ('waiting', 'starting', 'ready', 'stopping', 'ended'))
  , cause        text
  , request      jsonb not null
  , host         text not null
  , epoch        bigint not null default 0
  , held_by      uuid
  , lease_until  timestamptz not null default '-infinity'
  , next_session integer not null default 1
  , created_at   timestamptz not null default now()
  , ready_at     timestamptz
  , ended_at     timestamptz
);
create unique index context_name_per_tenant on context (tenant, name) where name is not null and ended_at is null;
create index context_living on context (host, created_at) where ended_at is null;
create index context_by_owner on context (tenant, owner, created_at desc);

-- One launch of a context. received = the last of the agent's messages that is committed here.
create table application (
    application_id uuid primary key
  , context_id     uuid not null references context
  , attempt        integer not null
  , host           text not null
  , token_hash     bytea not null
  , launch_dir     text not null
  , incarnation    uuid
  , received       bigint not null default 0
  , cluster_id     text
  , ui_url         text
  , spark_version  text
  , stdout_offset  bigint not null default 0
  , stderr_offset  bigint not null default 0
  , log_lines      bigint not null default 0
  , exit_code      integer
  , cause          text
  , started_at     timestamptz not null default now()
  , ended_at       timestamptz
  , unique (context_id, attempt)
);
create index application_living on application (host) where ended_at is null;

-- deleted_at: gone from the Livy door (its clients expect 404 after DELETE); the own API keeps showing the row.
create sequence session_livy_id as integer minvalue 0 start 0 no cycle;
create table session (
    session_id     uuid primary key
  , livy_id        integer not null unique default nextval('session_livy_id')
  , context_id     uuid not null references context
  , number         integer not null
  , tenant         text not null
  , owner          text not null
  , via            text
  , run_as         text not null
  , name           text
  , kind           text not null check (kind in ('spark', 'pyspark', 'sparkr', 'sql', 'shared'))
  , state          text not null
                   check (state in ('starting', 'idle', 'busy', 'shutting_down', 'dead', 'killed', 'error'))
  , cause          text
  , request        jsonb not null
  , next_statement integer not null default 0
  , heartbeat_ms   bigint not null default 0
  , idle_ms        bigint not null default 0
  , ttl_ms         bigint not null default 0
  , last_active_at timestamptz not null default now()
  , created_at     timestamptz not null default now()
  , ended_at       timestamptz
  , deleted_at     timestamptz
  , unique (context_id, number)
);
create unique index session_name_per_tenant on session (tenant, name) where name is not null and ended_at is null;
create index session_living on session (context_id) where ended_at is null;
create index session_by_owner on session (tenant, owner, livy_id);

-- code: the JSON string literal exactly as the client sent it. output: the JSON object exactly as the agent sent it.
create table statement (
    session_id   uuid not null references session
  , number       integer not null
  , tenant       text not null
  , owner        text not null
  , via          text
  , run_as       text not null
  , kind         text not null
  , code         bytea not null
  , state        text not null check (state in ('waiting', 'running', 'available', 'cancelling', 'cancelled'))
  , progress     double precision not null default 0
  , output       bytea
  , columns      bytea
  , truncated    bytea
  , ran_us       bigint
  , chunk_bytes  bigint not null default 0
  , created_at   timestamptz not null default now()
  , started_at   timestamptz
  , completed_at timestamptz
  , primary key (session_id, number)
  , constraint statement_ends_with_a_time check ((state in ('available', 'cancelled')) = (completed_at is not null))
);
create index statement_unfinished on statement (session_id, number) where completed_at is null;

-- Output as it came; seq is the agent's own number, so a repeat cannot be stored twice.
create table statement_chunk (
    session_id uuid not null
  , number     integer not null
  , seq        bigint not null
  , stream     text not null check (stream in ('stdout', 'stderr'))
  , text       bytea not null
  , primary key (session_id, number, seq)
  , foreign key (session_id, number) references statement
);

create sequence batch_livy_id as integer minvalue 0 start 0 no cycle;
create table batch (
    batch_id      uuid primary key
  , livy_id       integer not null unique default nextval('batch_livy_id')
  , tenant        text not null
  , owner         text not null
  , via           text
  , run_as        text not null
  , name          text
  , profile       text not null
  , state         text not null
                  check (state in ('waiting', 'starting', 'running', 'shutting_down', 'success', 'dead', 'killed'))
  , cause         text
  , request       jsonb not null
  , host          text not null
  , launch_dir    text
  , cluster_id    text
  , ui_url        text
  , exit_code     integer
  , stdout_offset bigint not null default 0
  , stderr_offset bigint not null default 0
  , log_lines     bigint not null default 0
  , created_at    timestamptz not null default now()
  , started_at    timestamptz
  , ended_at      timestamptz
  , deleted_at    timestamptz
);
create unique index batch_name_per_tenant on batch (tenant, name) where name is not null and ended_at is null;
create index batch_living on batch (host, created_at) where ended_at is null;
create index batch_by_owner on batch (tenant, owner, livy_id);

-- What a launched process printed; source_id is the application's or the batch's id, number counts from 0.
create table log_line (
    source_id uuid not null
  , number    bigint not null
  , stream    text not null check (stream in ('stdout', 'stderr'))
  , line      bytea not null
  , primary key (source_id, number)
);

-- Idempotency-Key: written in the transaction that creates the resource it names.
create table idempotency (
    tenant     text not null
  , principal  text not null
  , route      text not null
  , key        text not null
  , body_hash  bytea not null
  , resource   text not null
  , created_at timestamptz not null default now()
  , primary key (tenant, principal, route, key)
);
create index idempotency_age on idempotency (created_at);
