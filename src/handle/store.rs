//! The SQL of handles.

use serde_json::value::RawValue;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Error, Handle, Kind, State};
use crate::access::service::Reach;
use crate::context::driver::wire::handle::Used;
use crate::id::{ContextId, HandleId, SessionId};
use crate::identity::Principal;
use crate::store::{Page, Range};
use crate::time::Timestamp;

struct Row {
    handle_id: HandleId,
    context_id: ContextId,
    context_name: Option<String>,
    context_owner: String,
    context_via: Option<String>,
    context_ended_at: Option<Timestamp>,
    context_cause: Option<String>,
    context_restarts: bool,
    profile: String,
    name: String,
    tenant: String,
    owner: String,
    via: Option<String>,
    run_as: String,
    kind: String,
    share_id: Option<Uuid>,
    version: i64,
    state: String,
    reason: Option<String>,
    columns: Option<Vec<u8>>,
    key_type: Option<String>,
    partitions: i32,
    storage: String,
    ttl_ms: Option<i64>,
    durable_path: Option<String>,
    durable_version: Option<i64>,
    memory_bytes: i64,
    disk_bytes: i64,
    cached_fraction: f64,
    session_id: Option<SessionId>,
    statement: Option<i32>,
    last_used_at: Option<Timestamp>,
    last_read_by: Option<String>,
    last_read_at: Option<Timestamp>,
    created_at: Timestamp,
    updated_at: Timestamp,
    expires_at: Option<Timestamp>,
}

impl TryFrom<Row> for Handle {
    type Error = Error;

    fn try_from(r: Row) -> Result<Self, Error> {
        let inconsistent = || Error::Inconsistent(r.handle_id);
        Ok(Self {
            kind: Kind::parse(&r.kind).ok_or_else(inconsistent)?,
            state: State::parse(&r.state).ok_or_else(inconsistent)?,
            columns: r.columns.and_then(|c| serde_json::from_slice::<Box<RawValue>>(&c).ok()),
            id: r.handle_id,
            context_id: r.context_id,
            context_name: r.context_name,
            context_owner: r.context_owner,
            context_via: r.context_via,
            context_ended_at: r.context_ended_at,
            context_cause: r.context_cause,
            context_restarts: r.context_restarts,
            profile: r.profile,
            name: r.name,
            tenant: r.tenant,
            owner: r.owner,
            via: r.via,
            run_as: r.run_as,
            share_id: r.share_id,
            version: r.version,
            reason: r.reason,
            key_type: r.key_type,
            partitions: r.partitions,
            storage: r.storage,
            ttl_ms: r.ttl_ms,
            durable_path: r.durable_path,
            durable_version: r.durable_version,
            memory_bytes: r.memory_bytes,
            disk_bytes: r.disk_bytes,
            cached_fraction: r.cached_fraction,
            session_id: r.session_id,
            statement: r.statement,
            last_used_at: r.last_used_at,
            last_read_by: r.last_read_by,
            last_read_at: r.last_read_at,
            created_at: r.created_at,
            updated_at: r.updated_at,
            expires_at: r.expires_at,
        })
    }
}

/// A handle by its id.
pub(super) async fn load_handle(db: &mut PgConnection, id: HandleId) -> Result<Option<Handle>, Error> {
    let row = sqlx::query_as!(
        Row,
        r#"select h.handle_id as "handle_id: _", h.context_id as "context_id: _", c.name as context_name, c.owner as context_owner
                , c.via as context_via, c.ended_at as context_ended_at, c.cause as context_cause
                , (c.share = 'context') as "context_restarts!", c.profile, h.name, h.tenant, h.owner, h.via
                , h.run_as, h.kind, h.share_id, h.version, h.state, h.reason, h.columns, h.key_type, h.partitions, h.storage, h.ttl_ms
                , h.durable_path, h.durable_version, h.memory_bytes, h.disk_bytes, h.cached_fraction, h.session_id as "session_id: _", h.statement
                , h.last_used_at, h.last_read_by, h.last_read_at, h.created_at, h.updated_at, h.expires_at
             from handle h join context c using (context_id) where h.handle_id = $1"#,
        id.0
    )
    .fetch_optional(db)
    .await?;
    row.map(Handle::try_from).transpose()
}

/// The context's handle of that name: the living one, else the newest that was lost.
pub(super) async fn find_by_name(
    db: &mut PgConnection,
    context: ContextId,
    name: &str,
) -> Result<Option<HandleId>, sqlx::Error> {
    let id = sqlx::query_scalar!(
        "select handle_id from handle where context_id = $1 and name = $2 and state <> 'gone'
          order by (ended_at is null) desc, created_at desc limit 1",
        context.0,
        name
    )
    .fetch_optional(db)
    .await?;
    Ok(id.map(HandleId::from))
}

/// Bytes of a handle's columns beyond which a list leaves them out.
pub(super) const SHORT_COLUMNS: usize = 4096;

/// The handles within the caller's reach, newest first, of one context or of all. Whose a handle is plays no part: whoever may attach to its
/// context sees it, and its owner who may not does not.
pub(super) async fn list_handles(
    db: &mut PgConnection,
    who: &Principal,
    reach: &Reach,
    context: Option<ContextId>,
    range: Range,
) -> Result<Page<Handle>, Error> {
    let context = context.map(|c| c.0);
    let rows = sqlx::query_as!(
        Row,
        r#"select h.handle_id as "handle_id: _", h.context_id as "context_id: _", c.name as context_name, c.owner as context_owner
                , c.via as context_via, c.ended_at as context_ended_at, c.cause as context_cause
                , (c.share = 'context') as "context_restarts!", c.profile, h.name, h.tenant, h.owner, h.via
                , h.run_as, h.kind, h.share_id, h.version, h.state, h.reason
                , case when octet_length(h.columns) <= $11 then h.columns end as columns, h.key_type, h.partitions, h.storage, h.ttl_ms
                , h.durable_path, h.durable_version, h.memory_bytes, h.disk_bytes, h.cached_fraction, h.session_id as "session_id: _", h.statement
                , h.last_used_at, h.last_read_by, h.last_read_at, h.created_at, h.updated_at, h.expires_at
             from handle h join context c using (context_id)
            where h.state <> 'gone' and ($10::uuid is null or h.context_id = $10) and ($3 or h.tenant = $1)
              and ($4 or c.owner = $2 or ($5 and c.via = $2) or h.handle_id = any($6) or h.context_id = any($7))
            order by h.created_at desc, h.handle_id offset $8 limit $9"#,
        &*who.tenant,
        &*who.user,
        reach.anywhere,
        reach.everybody,
        reach.as_proxy,
        &reach.shared,
        &reach.attachable,
        range.from,
        range.size,
        context,
        i32::try_from(SHORT_COLUMNS).unwrap_or(i32::MAX)
    )
    .fetch_all(&mut *db)
    .await?;
    let total = sqlx::query_scalar!(
        r#"select count(*) as "count!" from handle h join context c using (context_id)
            where h.state <> 'gone' and ($8::uuid is null or h.context_id = $8) and ($3 or h.tenant = $1)
              and ($4 or c.owner = $2 or ($5 and c.via = $2) or h.handle_id = any($6) or h.context_id = any($7))"#,
        &*who.tenant,
        &*who.user,
        reach.anywhere,
        reach.everybody,
        reach.as_proxy,
        &reach.shared,
        &reach.attachable,
        context
    )
    .fetch_one(db)
    .await?;
    Ok(Page { rows: rows.into_iter().map(Handle::try_from).collect::<Result<_, _>>()?, total })
}

/// Those of the contexts that have handles to be listed; of one alone where one is named.
pub(super) async fn with_handles(
    db: &mut PgConnection,
    contexts: &[Uuid],
    only: Option<ContextId>,
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "select distinct context_id from handle
          where context_id = any($1) and state <> 'gone' and ($2::uuid is null or context_id = $2)",
        contexts,
        only.map(|c| c.0)
    )
    .fetch_all(db)
    .await
}

/// What an agent says of a handle's columns.
#[derive(Clone, Copy)]
pub(super) enum Columns<'a> {
    /// Nothing: they are as they were.
    Unsaid,
    /// JSON.
    Are(&'a str),
    /// More than is kept.
    TooMany,
}

impl<'a> Columns<'a> {
    fn bytes(self) -> Option<&'a [u8]> {
        match self {
            Self::Are(json) => Some(json.as_bytes()),
            Self::Unsaid | Self::TooMany => None,
        }
    }
}

/// What an agent says of a handle, checked.
pub(super) struct Told<'a> {
    pub name: &'a str,
    pub kind: Kind,
    pub share_id: Option<Uuid>,
    pub version: i64,
    pub state: State,
    pub reason: Option<&'a str>,
    pub columns: Columns<'a>,
    pub key_type: Option<&'a str>,
    pub partitions: i32,
    pub storage: &'a str,
    pub ttl_ms: Option<i64>,
    /// Whether its time to live begins now: it was shared. Agents of before do not say which version was.
    pub begins_to_live: bool,
    pub durable_path: Option<&'a str>,
    pub durable_version: Option<i64>,
}

/// Writes the newest version of a living handle; false: there is none of that name. An older version changes nothing.
pub(super) async fn update_handle(
    db: &mut PgConnection,
    context: ContextId,
    told: &Told<'_>,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "with known as (select handle_id, version from handle where context_id = $1 and name = $2 and ended_at is null for update)
            , changed as (
              update handle h set kind = $3, version = $4, state = $5, reason = $6, columns = case when $14 or $5 = 'gone' then null else coalesce($7, h.columns) end
                   , key_type = coalesce($8, h.key_type), partitions = greatest($9, 0), storage = $10, ttl_ms = $11
                   , durable_path = $12, durable_version = $13, updated_at = now()
                   , expires_at = case when $16 then now() + $11::bigint * interval '1 millisecond' else h.expires_at end
                   , ended_at = case when $5 = 'gone' then now() end, share_id = coalesce($15, h.share_id)
                from known k where h.handle_id = k.handle_id and k.version <= $4)
         select handle_id from known",
        context.0,
        told.name,
        told.kind.as_str(),
        told.version,
        told.state.as_str(),
        told.reason,
        told.columns.bytes(),
        told.key_type,
        told.partitions,
        told.storage,
        told.ttl_ms,
        told.durable_path,
        told.durable_version,
        matches!(told.columns, Columns::TooMany),
        told.share_id,
        told.begins_to_live
    )
    .fetch_optional(db)
    .await?;
    Ok(done.is_some())
}

/// Who owns a session of a context; none when it is not one of the context.
pub(super) async fn owner_of_session(
    db: &mut PgConnection,
    context: ContextId,
    session: SessionId,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!("select owner from session where context_id = $1 and session_id = $2", context.0, session.0)
        .fetch_optional(db)
        .await
}

/// Ends the living handle whose name `sharer` has given to other data, unless it is theirs.
pub(super) async fn end_of_others(
    db: &mut PgConnection,
    context: ContextId,
    told: &Told<'_>,
    sharer: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update handle set state = 'gone', reason = 'its name was given to other data by ' || $3, ended_at = now(), updated_at = now()
          where context_id = $1 and name = $2 and ended_at is null and owner <> $3 and version <= $4",
        context.0,
        told.name,
        sharer,
        told.version
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Writes a new handle, of the session's owner, else of the context's. False when the session is not one of the context.
pub(super) async fn insert_handle(
    db: &mut PgConnection,
    context: ContextId,
    session: Option<SessionId>,
    statement: Option<i32>,
    told: &Told<'_>,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "insert into handle (handle_id, context_id, name, tenant, owner, via, run_as, kind, version, state, reason, columns, key_type
                            , partitions, storage, ttl_ms, durable_path, durable_version, session_id, statement, share_id, expires_at)
         select $1, c.context_id, $3, c.tenant, coalesce(s.owner, c.owner), case when s.session_id is null then c.via else s.via end
              , c.run_as, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $16, s.session_id, $14, $17
              , now() + $12::bigint * interval '1 millisecond'
           from context c left join session s on s.context_id = c.context_id and s.session_id = $15
          where c.context_id = $2 and ($15::uuid is null or s.session_id is not null)",
        HandleId::generate().0,
        context.0,
        told.name,
        told.kind.as_str(),
        told.version,
        told.state.as_str(),
        told.reason,
        told.columns.bytes(),
        told.key_type,
        told.partitions.max(0),
        told.storage,
        told.ttl_ms,
        told.durable_path,
        statement,
        session.map(|s| s.0),
        told.durable_version,
        told.share_id
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// How many handles of a context live.
pub(super) async fn count_living(db: &mut PgConnection, context: ContextId) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from handle where context_id = $1 and ended_at is null"#,
        context.0
    )
    .fetch_one(db)
    .await
}

/// Bytes of the columns of a context's handles, but for those of the living one of that name.
pub(super) async fn sum_columns(db: &mut PgConnection, context: ContextId, but: &str) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select coalesce(sum(octet_length(columns)), 0) as "sum!" from handle
            where context_id = $1 and not (name = $2 and ended_at is null)"#,
        context.0,
        but
    )
    .fetch_one(db)
    .await
}

/// Forgets the handles of a context that ended first, but for the newest `keep`.
pub(super) async fn trim_ended(db: &mut PgConnection, context: ContextId, keep: i64) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from handle where handle_id in (select handle_id from handle where context_id = $1 and ended_at is not null
          order by ended_at desc, handle_id offset $2)",
        context.0,
        keep
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Writes memory and use of handles.
pub(super) async fn set_usage(db: &mut PgConnection, context: ContextId, used: &[Used]) -> Result<(), sqlx::Error> {
    let names: Vec<String> = used.iter().map(|u| u.name.clone()).collect();
    let memory: Vec<i64> = used.iter().map(|u| u.memory_bytes.max(0)).collect();
    let disk: Vec<i64> = used.iter().map(|u| u.disk_bytes.max(0)).collect();
    let cached: Vec<f64> = used.iter().map(|u| u.cached_fraction.clamp(0.0, 1.0)).collect();
    let at = |u: &Used| u.last_used_at.and_then(chrono::DateTime::from_timestamp_millis);
    let at: Vec<Timestamp> =
        used.iter().map(|u| at(u).unwrap_or_default().clamp(Timestamp::UNIX_EPOCH, crate::time::now())).collect();
    sqlx::query!(
        "update handle h set memory_bytes = u.memory, disk_bytes = u.disk, cached_fraction = u.cached
              , last_used_at = nullif(u.at, 'epoch'::timestamptz)
           from unnest($2::text[], $3::bigint[], $4::bigint[], $5::double precision[], $6::timestamptz[])
             as u(name, memory, disk, cached, at)
          where h.context_id = $1 and h.name = u.name and h.ended_at is null",
        context.0,
        &names,
        &memory,
        &disk,
        &cached,
        &at
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Writes who read handles last. Their contexts are locked first and in order, as by what agents say, which locks a context before its handles.
pub(super) async fn set_last_read(
    db: &mut PgConnection,
    ids: &[Uuid],
    by: &[String],
    at: &[Timestamp],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "with locked as (
           select context_id from context where context_id in (select context_id from handle where handle_id = any($1))
            order by context_id for no key update)
         update handle h set last_read_by = r.by, last_read_at = r.at
           from unnest($1::uuid[], $2::text[], $3::timestamptz[]) as r(id, by, at), locked
          where h.handle_id = r.id and h.context_id = locked.context_id",
        ids,
        by,
        at
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Takes the name of a handle away for good.
pub(super) async fn end_handle(db: &mut PgConnection, id: HandleId, reason: &str) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update handle set state = 'gone', reason = $2, columns = null, ended_at = coalesce(ended_at, now()), updated_at = now()
          where handle_id = $1 and state <> 'gone'",
        id.0,
        reason
    )
    .execute(db)
    .await?;
    Ok(())
}
