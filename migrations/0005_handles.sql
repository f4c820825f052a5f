-- expand: handles (named data in contexts) and grants on them; contexts that begin again, end by a clock of their own, and are found by whom
-- they are shared with. A gateway of before goes on: it asks for none of this.

-- One living handle of a name per context. columns: the JSON array exactly as the agent sent it. share_id: by which its agent knows that the
-- name stands for these data and not for another's; agents of before name none.
create table handle (
    handle_id       uuid primary key
  , context_id      uuid not null references context
  , name            text not null
  , tenant          text not null
  , owner           text not null
  , via             text
  , run_as          text not null
  , kind            text not null check (kind in ('dataframe', 'rdd', 'pairs', 'value'))
  , version         bigint not null
  , state           text not null check (state in ('ready', 'lost', 'gone'))
  , reason          text
  , columns         bytea
  , key_type        text
  , partitions      integer not null
  , storage         text not null
  , ttl_ms          bigint
  , durable_path    text
  , memory_bytes    bigint not null default 0
  , disk_bytes      bigint not null default 0
  , cached_fraction double precision not null default 0
  , session_id      uuid references session
  , statement       integer
  , last_used_at    timestamptz
  , last_read_by    text
  , last_read_at    timestamptz
  , created_at      timestamptz not null default now()
  , updated_at      timestamptz not null default now()
  , expires_at      timestamptz
  , ended_at        timestamptz
  , share_id        uuid
);
create unique index handle_name_per_context on handle (context_id, name) where ended_at is null;
create index handle_by_context on handle (context_id, created_at);
create index handle_by_expiry on handle (expires_at) where ended_at is null and expires_at is not null;
create index handle_by_owner on handle (tenant, owner, created_at desc);

alter table access_grant drop constraint access_grant_resource_kind_check;
alter table access_grant add constraint access_grant_resource_kind_check
    check (resource_kind in ('context', 'session', 'batch', 'handle'));
alter table access_grant drop constraint access_grant_level_check;
alter table access_grant add constraint access_grant_level_check
    check (level in ('view', 'attach', 'manage', 'read', 'write'));

-- restarting: its application is being ended so that the next one begins. idle_ms: time without work after which it ends; 0: never.
-- shared_with: whose sessions find it without naming it; of a group or everybody, the owner is no user.
alter table context add column restarting boolean not null default false;
alter table context add column idle_ms bigint not null default 0;
alter table context add column last_active_at timestamptz;
alter table context add column shared_with text check (shared_with in ('user', 'group', 'service'));
create unique index context_shared on context (tenant, owner, profile)
    where shared_with is not null and state not in ('stopping', 'ended');
