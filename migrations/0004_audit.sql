-- expand: who did what. Events are written in the action's own transaction; a seal gives each its place in the chain of a gateway's
-- incarnation. Nothing here is ever changed; only a prune with a signed checkpoint removes what is old.

create table audit_event (
    event_id      bigint generated always as identity primary key
  , at            timestamptz not null default clock_timestamp()
  , gateway       uuid not null
  , event         text not null
  , outcome       text not null check (outcome in ('done', 'refused'))
  , tenant        text not null
  , actor         text not null
  , on_behalf_of  text
  , scheme        text not null
  , address       text
  , request       text
  , resource_kind text
  , resource_id   text
  , policies      text[] not null
  , detail        text
);
create index audit_event_at on audit_event (at);
create index audit_event_by_actor on audit_event (tenant, actor, event_id);

-- hash = SHA-256 of the hash before, the place, and the event as written in src/audit/chain.rs.
create table audit_seal (
    gateway  uuid not null
  , place    bigint not null
  , event_id bigint not null unique
  , hash     bytea not null
  , primary key (gateway, place)
);

-- The newest head of each chain, signed; written to a file of the gateway too, which the database cannot cut.
create table audit_head (
    gateway    uuid primary key
  , place      bigint not null
  , hash       bytea not null
  , public_key bytea not null
  , signature  bytea not null
  , signed_at  timestamptz not null default now()
);

-- Where a chain begins whose older part was pruned: what the last removed place was, signed by who pruned.
create table audit_checkpoint (
    gateway    uuid not null
  , place      bigint not null
  , hash       bytea not null
  , public_key bytea not null
  , signature  bytea not null
  , pruned_at  timestamptz not null default now()
  , primary key (gateway, place)
);

create function audit_is_append_only() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' and current_setting('hearth.audit_prune', true) = 'on' then
        return old;
    end if;
    raise exception 'the audit is append only' using errcode = 'restrict_violation';
end
$$;
create trigger audit_event_append_only before update or delete on audit_event
    for each row execute function audit_is_append_only();
create trigger audit_seal_append_only before update or delete on audit_seal
    for each row execute function audit_is_append_only();
create trigger audit_checkpoint_append_only before update or delete on audit_checkpoint
    for each row execute function audit_is_append_only();
