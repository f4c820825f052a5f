-- expand: who may do what beside the owner, and a sample of decisions to try new policies against.

-- One row for each grant ever given. A grantee has at most one that is not revoked on a thing; a new one revokes it.
create table access_grant (
    grant_id           uuid primary key
  , tenant             text not null
  , resource_kind      text not null check (resource_kind in ('context', 'session', 'batch'))
  , resource_id        uuid not null
  , level              text not null check (level in ('view', 'attach', 'manage'))
  , grantee_kind       text not null check (grantee_kind in ('user', 'group'))
  , grantee            text not null
  , identity_confirmed boolean not null
  , created_by         text not null
  , created_via        text
  , created_at         timestamptz not null default now()
  , expires_at         timestamptz
  , revoked_at         timestamptz
  , revoked_by         text
  , revoked_via        text
);
create unique index access_grant_one_per_grantee on access_grant (resource_kind, resource_id, grantee_kind, grantee)
    where revoked_at is null;
create index access_grant_by_grantee on access_grant (tenant, grantee_kind, grantee, resource_kind) where revoked_at is null;

-- The newest of each sort of decision; bounded by who writes it. question: what was asked, with all that policies may look at.
create table access_decision (
    digest     bytea primary key
  , question   jsonb not null
  , allowed    boolean not null
  , policies   text[] not null
  , decided_at timestamptz not null default now()
);
create index access_decision_age on access_decision (decided_at);
