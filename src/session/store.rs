//! The SQL of sessions.

use sqlx::PgConnection;
use sqlx::types::Json;
use std::time::Duration;

use super::{Error, Kind, Request, Session, State};
use crate::access::service::Reach;
use crate::context::{By, Ending};
use crate::id::{ContextId, LivyId, SessionId};
use crate::identity::Principal;
use crate::store::{Page, Range};
use crate::time::{Span, Timestamp};

struct Row {
    session_id: SessionId,
    livy_id: i32,
    context_id: ContextId,
    context_owner: String,
    profile: String,
    number: i32,
    tenant: String,
    owner: String,
    via: Option<String>,
    run_as: String,
    name: Option<String>,
    kind: String,
    state: String,
    cause: Option<String>,
    ended_by: Option<Json<By>>,
    request: Json<Request>,
    heartbeat_ms: i64,
    idle_ms: i64,
    ttl_ms: i64,
    created_at: Timestamp,
    last_active_at: Timestamp,
    ended_at: Option<Timestamp>,
    deleted: bool,
}

fn span(ms: i64) -> Span {
    Span(Duration::from_millis(u64::try_from(ms).unwrap_or(0)))
}

impl TryFrom<Row> for Session {
    type Error = Error;

    fn try_from(r: Row) -> Result<Self, Error> {
        let inconsistent = || Error::Inconsistent(r.session_id);
        Ok(Self {
            kind: r.kind.parse().map_err(|_| inconsistent())?,
            state: State::parse(&r.state).ok_or_else(inconsistent)?,
            id: r.session_id,
            livy_id: r.livy_id,
            context_id: r.context_id,
            context_owner: r.context_owner,
            profile: r.profile,
            number: r.number,
            tenant: r.tenant,
            owner: r.owner,
            via: r.via,
            run_as: r.run_as,
            name: r.name,
            cause: r.cause,
            ended_by: r.ended_by.map(|by| by.0),
            request: r.request.0,
            heartbeat: span(r.heartbeat_ms),
            idle: span(r.idle_ms),
            ttl: span(r.ttl_ms),
            created_at: r.created_at,
            last_active_at: r.last_active_at,
            ended_at: r.ended_at,
            deleted: r.deleted,
        })
    }
}

/// What a new row holds; the database gives the rest.
pub(super) struct New<'a> {
    pub id: SessionId,
    pub context_id: ContextId,
    pub number: i32,
    pub who: &'a Principal,
    pub run_as: &'a str,
    pub name: Option<&'a str>,
    pub kind: Kind,
    pub request: &'a Request,
    pub heartbeat: Span,
    pub idle: Span,
    pub ttl: Span,
}

/// Writes a new session.
pub(super) async fn insert_session(db: &mut PgConnection, s: New<'_>) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into session (session_id, context_id, number, tenant, owner, via, run_as, name, kind, state, request
                             , heartbeat_ms, idle_ms, ttl_ms)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'starting', $10, $11, $12, $13)",
        s.id.0,
        s.context_id.0,
        s.number,
        &*s.who.tenant,
        &*s.who.user,
        s.who.via.as_deref(),
        s.run_as,
        s.name,
        s.kind.as_str(),
        Json(s.request) as _,
        s.heartbeat.as_millis(),
        s.idle.as_millis(),
        s.ttl.as_millis()
    )
    .execute(db)
    .await?;
    Ok(())
}

/// A session by its id.
pub async fn load_session(db: &mut PgConnection, id: SessionId) -> Result<Option<Session>, Error> {
    let row = sqlx::query_as!(
        Row,
        r#"select s.session_id as "session_id: _", s.livy_id, s.context_id as "context_id: _", c.owner as context_owner, c.profile
                , s.number, s.tenant, s.owner, s.via, s.run_as, s.name, s.kind, s.state, s.cause, s.ended_by as "ended_by: _"
                , s.request as "request: _"
                , s.heartbeat_ms, s.idle_ms, s.ttl_ms, s.created_at, s.last_active_at, s.ended_at
                , (s.deleted_at is not null) as "deleted!"
             from session s join context c using (context_id) where s.session_id = $1"#,
        id.0
    )
    .fetch_optional(db)
    .await?;
    row.map(Session::try_from).transpose()
}

/// The id of the session that Livy's clients know by this number.
pub(super) async fn find_by_livy_id(db: &mut PgConnection, id: LivyId) -> Result<Option<SessionId>, sqlx::Error> {
    let id = sqlx::query_scalar!("select session_id from session where livy_id = $1", id).fetch_optional(db).await?;
    Ok(id.map(SessionId::from))
}

/// The id of the tenant's session of that name: a living one, else the newest.
pub(super) async fn find_by_name(
    db: &mut PgConnection,
    tenant: &str,
    name: &str,
) -> Result<Option<(SessionId, LivyId)>, sqlx::Error> {
    let row = sqlx::query!(
        "select session_id, livy_id from session where tenant = $1 and name = $2
          order by (ended_at is null) desc, livy_id desc limit 1",
        tenant,
        name
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|r| (r.session_id.into(), r.livy_id)))
}

/// The sessions within the caller's reach by Livy's id; those deleted or ended before `ended_after` only when `all`.
pub(super) async fn list_sessions(
    db: &mut PgConnection,
    who: &Principal,
    reach: &Reach,
    range: Range,
    all: bool,
    retain: Span,
) -> Result<Page<Session>, Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"select s.session_id as "session_id: _", s.livy_id, s.context_id as "context_id: _", c.owner as context_owner, c.profile
                , s.number, s.tenant, s.owner, s.via, s.run_as, s.name, s.kind, s.state, s.cause, s.ended_by as "ended_by: _"
                , s.request as "request: _"
                , s.heartbeat_ms, s.idle_ms, s.ttl_ms, s.created_at, s.last_active_at, s.ended_at
                , (s.deleted_at is not null) as "deleted!"
             from session s join context c using (context_id)
            where ($3 or s.tenant = $1) and ($4 or s.owner = $2 or ($5 and s.via = $2) or s.session_id = any($6))
              and ($7 or (s.deleted_at is null
                          and (s.ended_at is null or s.ended_at > now() - $8::bigint * interval '1 millisecond')))
            order by s.livy_id offset $9 limit $10"#,
        &*who.tenant,
        &*who.user,
        reach.anywhere,
        reach.everybody,
        reach.as_proxy,
        &reach.shared,
        all,
        retain.as_millis(),
        range.from,
        range.size
    )
    .fetch_all(&mut *db)
    .await?;
    let total = sqlx::query_scalar!(
        r#"select count(*) as "count!" from session
            where ($3 or tenant = $1) and ($4 or owner = $2 or ($5 and via = $2) or session_id = any($6))
              and ($7 or (deleted_at is null
                          and (ended_at is null or ended_at > now() - $8::bigint * interval '1 millisecond')))"#,
        &*who.tenant,
        &*who.user,
        reach.anywhere,
        reach.everybody,
        reach.as_proxy,
        &reach.shared,
        all,
        retain.as_millis()
    )
    .fetch_one(db)
    .await?;
    Ok(Page { rows: rows.into_iter().map(Session::try_from).collect::<Result<_, _>>()?, total })
}

/// The sessions of a context that have not ended, by number.
pub async fn living_in(db: &mut PgConnection, context: ContextId) -> Result<Vec<Session>, Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"select s.session_id as "session_id: _", s.livy_id, s.context_id as "context_id: _", c.owner as context_owner, c.profile
                , s.number, s.tenant, s.owner, s.via, s.run_as, s.name, s.kind, s.state, s.cause, s.ended_by as "ended_by: _"
                , s.request as "request: _"
                , s.heartbeat_ms, s.idle_ms, s.ttl_ms, s.created_at, s.last_active_at, s.ended_at
                , (s.deleted_at is not null) as "deleted!"
             from session s join context c using (context_id) where s.context_id = $1 and s.ended_at is null order by s.number"#,
        context.0
    )
    .fetch_all(db)
    .await?;
    rows.into_iter().map(Session::try_from).collect()
}

/// Locks the living sessions of a context until the transaction ends, in the order of their ids.
pub async fn lock_living(db: &mut PgConnection, context: ContextId) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "select session_id from session where context_id = $1 and ended_at is null order by session_id for no key update",
        context.0
    )
    .fetch_all(db)
    .await?;
    Ok(())
}

/// Kind and name of the first session of a context.
pub async fn first_of(
    db: &mut PgConnection,
    context: ContextId,
) -> Result<Option<(String, Option<String>)>, sqlx::Error> {
    let row = sqlx::query!("select kind, name from session where context_id = $1 order by number limit 1", context.0);
    Ok(row.fetch_optional(db).await?.map(|row| (row.kind, row.name)))
}

/// Moves a living session of a context to another state; false when it is over or not of this context.
pub async fn set_state(
    db: &mut PgConnection,
    context: ContextId,
    id: SessionId,
    state: State,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update session set state = $3 where session_id = $2 and context_id = $1 and ended_at is null
            and (state <> 'shutting_down' or $3 <> 'idle')",
        context.0,
        id.0,
        state.as_str()
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Marks a session as told to end, and why; false when it was told before, or is over.
pub(super) async fn mark_ending(db: &mut PgConnection, id: SessionId, ending: &Ending) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update session set state = 'shutting_down', cause = $2, ended_by = $3
          where session_id = $1 and ended_at is null and cause is null",
        id.0,
        ending.cause,
        ending.by.as_ref().map(Json) as _
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Hides a session from the Livy door.
pub(super) async fn mark_deleted(db: &mut PgConnection, id: SessionId) -> Result<(), sqlx::Error> {
    sqlx::query!("update session set deleted_at = coalesce(deleted_at, now()) where session_id = $1", id.0)
        .execute(db)
        .await?;
    Ok(())
}

/// How a session has ended.
pub struct Ended {
    /// Why, and by whom.
    pub ending: Ending,
    /// When.
    pub at: Timestamp,
}

/// Ends one session; how it was told to end before stays. None when it was over.
pub async fn end_session(db: &mut PgConnection, id: SessionId, ending: &Ending) -> Result<Option<Ended>, sqlx::Error> {
    let row = sqlx::query!(
        r#"update session set state = 'dead', cause = coalesce(cause, $2), ended_at = now()
                , ended_by = case when cause is null then $3 else ended_by end
            where session_id = $1 and ended_at is null
           returning cause as "cause!", ended_by as "by: Json<By>", ended_at as "at!""#,
        id.0,
        ending.cause,
        ending.by.as_ref().map(Json) as _
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| Ended { ending: Ending { cause: row.cause, by: row.by.map(|by| by.0) }, at: row.at }))
}

/// Writes the last activity of sessions.
pub(super) async fn set_last_active(
    db: &mut PgConnection,
    ids: &[uuid::Uuid],
    at: &[Timestamp],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "with locked as (select session_id from session where session_id = any($1) order by session_id for no key update)
         update session set last_active_at = greatest(last_active_at, t.at)
           from unnest($1::uuid[], $2::timestamptz[]) as t(id, at) join locked on locked.session_id = t.id
          where session.session_id = t.id",
        ids,
        at
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Those of the sessions in which a statement has not ended.
pub(super) async fn busy_among(db: &mut PgConnection, ids: &[uuid::Uuid]) -> Result<Vec<uuid::Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "select distinct session_id from statement where session_id = any($1) and completed_at is null",
        ids
    )
    .fetch_all(db)
    .await
}
