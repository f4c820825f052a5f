//! The SQL of contexts and applications.

use std::time::Duration;

use sqlx::PgConnection;
use uuid::Uuid;

use super::launch::resources::Resources;
use super::{Application, By, Context, Ending, Error, Share, State};
use crate::access::service::Reach;
use crate::id::{ApplicationId, ContextId, GatewayId};
use crate::identity::Principal;
use crate::store::{Page, Range};
use crate::time::{Span, Timestamp};

struct Row {
    context_id: ContextId,
    tenant: String,
    owner: String,
    via: Option<String>,
    run_as: String,
    name: Option<String>,
    profile: String,
    share: String,
    shared_with: Option<String>,
    idle_ms: i64,
    state: String,
    cause: Option<String>,
    ended_by: Option<sqlx::types::Json<By>>,
    request: sqlx::types::Json<Resources>,
    host: String,
    epoch: i64,
    held_by: Option<GatewayId>,
    created_at: Timestamp,
    ready_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    application_id: Option<ApplicationId>,
    cluster_id: Option<String>,
    ui_url: Option<String>,
    spark_version: Option<String>,
    launch_dir: Option<String>,
    log_lines: Option<i64>,
    attempt: Option<i32>,
    application_over: bool,
}

impl TryFrom<Row> for Context {
    type Error = Error;

    fn try_from(r: Row) -> Result<Self, Error> {
        let state = State::parse(&r.state).ok_or(Error::Inconsistent(r.context_id))?;
        let application = match (r.application_id, r.launch_dir) {
            (Some(id), Some(launch_dir)) => Some(Application {
                id,
                cluster_id: r.cluster_id,
                ui_url: r.ui_url,
                spark_version: r.spark_version,
                launch_dir,
                log_lines: r.log_lines.unwrap_or(0),
                attempt: r.attempt.unwrap_or(1),
                is_over: r.application_over,
            }),
            _ => None,
        };
        let share = Share::of_row(r.shared_with.as_deref(), &r.owner).ok_or(Error::Inconsistent(r.context_id))?;
        Ok(Self {
            id: r.context_id,
            tenant: r.tenant,
            owner: r.owner,
            via: r.via,
            run_as: r.run_as,
            name: r.name,
            profile: r.profile,
            outlives_sessions: r.share == "context",
            share,
            idle: Span(Duration::from_millis(u64::try_from(r.idle_ms).unwrap_or(0))),
            state,
            cause: r.cause,
            ended_by: r.ended_by.map(|by| by.0),
            request: r.request.0,
            host: r.host,
            epoch: r.epoch,
            held_by: r.held_by,
            created_at: r.created_at,
            ready_at: r.ready_at,
            ended_at: r.ended_at,
            application,
        })
    }
}

/// Writes a new context, in line for its launch.
pub(super) async fn insert_context(db: &mut PgConnection, c: &Context) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into context (context_id, tenant, owner, via, run_as, name, profile, share, state, request, host, held_by,
                              lease_until, shared_with, idle_ms)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, now() + interval '15 seconds', $13, $14)",
        c.id.0,
        c.tenant,
        c.owner,
        c.via,
        c.run_as,
        c.name,
        c.profile,
        if c.outlives_sessions { "context" } else { "session" },
        c.state.as_str(),
        sqlx::types::Json(&c.request) as _,
        c.host,
        c.held_by.map(|g| g.0),
        c.share.as_str(),
        c.idle.as_millis()
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Locks a living context's row until the transaction ends, and says which gateway holds it; none: it is over.
///
/// It comes before the lock of any application, session or statement of the context, so that no two transactions wait for each other.
pub async fn lock_context(db: &mut PgConnection, id: ContextId) -> Result<Option<Option<GatewayId>>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select held_by as "held_by: _" from context where context_id = $1 and ended_at is null for no key update"#,
        id.0
    )
    .fetch_optional(db)
    .await
}

/// A context with its newest application.
pub async fn load_context(db: &mut PgConnection, id: ContextId) -> Result<Option<Context>, Error> {
    let row = sqlx::query_as!(
        Row,
        r#"select c.context_id as "context_id: _", c.tenant, c.owner, c.via, c.run_as, c.name, c.profile, c.share, c.shared_with
                , c.idle_ms, c.state, c.cause
                , c.ended_by as "ended_by: _"
                , c.request as "request: _", c.host, c.epoch, c.held_by as "held_by: _", c.created_at, c.ready_at, c.ended_at
                , a.application_id as "application_id?: _", a.cluster_id, a.ui_url, a.spark_version, a.launch_dir as "launch_dir?"
                , a.log_lines as "log_lines?", a.attempt as "attempt?", (a.ended_at is not null) as "application_over!"
             from context c
             left join application a on a.context_id = c.context_id
                  and a.attempt = (select max(attempt) from application where context_id = c.context_id)
            where c.context_id = $1"#,
        id.0
    )
    .fetch_optional(db)
    .await?;
    row.map(Context::try_from).transpose()
}

/// Those of the contexts that there are, each with its newest application.
pub(super) async fn load_contexts(db: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Context>, Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"select c.context_id as "context_id: _", c.tenant, c.owner, c.via, c.run_as, c.name, c.profile, c.share, c.shared_with
                , c.idle_ms, c.state, c.cause
                , c.ended_by as "ended_by: _"
                , c.request as "request: _", c.host, c.epoch, c.held_by as "held_by: _", c.created_at, c.ready_at, c.ended_at
                , a.application_id as "application_id?: _", a.cluster_id, a.ui_url, a.spark_version, a.launch_dir as "launch_dir?"
                , a.log_lines as "log_lines?", a.attempt as "attempt?", (a.ended_at is not null) as "application_over!"
             from context c
             left join application a on a.context_id = c.context_id
                  and a.attempt = (select max(attempt) from application where context_id = c.context_id)
            where c.context_id = any($1)"#,
        ids
    )
    .fetch_all(db)
    .await?;
    rows.into_iter().map(Context::try_from).collect()
}

/// The id of the tenant's context of that name: a living one, else the newest.
pub(super) async fn find_by_name(db: &mut PgConnection, tenant: &str, name: &str) -> Result<Option<ContextId>, Error> {
    let id = sqlx::query_scalar!(
        "select context_id from context where tenant = $1 and name = $2
          order by (ended_at is null) desc, created_at desc limit 1",
        tenant,
        name
    )
    .fetch_optional(db)
    .await?;
    Ok(id.map(ContextId::from))
}

/// The contexts within the caller's reach, newest first.
pub(super) async fn list_contexts(
    db: &mut PgConnection,
    who: &Principal,
    reach: &Reach,
    range: Range,
) -> Result<Page<Context>, Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"select c.context_id as "context_id: _", c.tenant, c.owner, c.via, c.run_as, c.name, c.profile, c.share, c.shared_with
                , c.idle_ms, c.state, c.cause
                , c.ended_by as "ended_by: _"
                , c.request as "request: _", c.host, c.epoch, c.held_by as "held_by: _", c.created_at, c.ready_at, c.ended_at
                , a.application_id as "application_id?: _", a.cluster_id, a.ui_url, a.spark_version, a.launch_dir as "launch_dir?"
                , a.log_lines as "log_lines?", a.attempt as "attempt?", (a.ended_at is not null) as "application_over!"
             from context c
             left join application a on a.context_id = c.context_id
                  and a.attempt = (select max(attempt) from application where context_id = c.context_id)
            where ($3 or c.tenant = $1) and ($4 or c.owner = $2 or ($5 and c.via = $2) or c.context_id = any($6))
            order by c.created_at desc, c.context_id offset $7 limit $8"#,
        &*who.tenant,
        &*who.user,
        reach.anywhere,
        reach.everybody,
        reach.as_proxy,
        &reach.shared,
        range.from,
        range.size
    )
    .fetch_all(&mut *db)
    .await?;
    let total = sqlx::query_scalar!(
        r#"select count(*) as "count!" from context
            where ($3 or tenant = $1) and ($4 or owner = $2 or ($5 and via = $2) or context_id = any($6))"#,
        &*who.tenant,
        &*who.user,
        reach.anywhere,
        reach.everybody,
        reach.as_proxy,
        &reach.shared
    )
    .fetch_one(db)
    .await?;
    Ok(Page { rows: rows.into_iter().map(Context::try_from).collect::<Result<_, _>>()?, total })
}

/// Living contexts of a host, oldest first.
pub(super) async fn living_on(db: &mut PgConnection, host: &str) -> Result<Vec<Context>, Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"select c.context_id as "context_id: _", c.tenant, c.owner, c.via, c.run_as, c.name, c.profile, c.share, c.shared_with
                , c.idle_ms, c.state, c.cause
                , c.ended_by as "ended_by: _"
                , c.request as "request: _", c.host, c.epoch, c.held_by as "held_by: _", c.created_at, c.ready_at, c.ended_at
                , a.application_id as "application_id?: _", a.cluster_id, a.ui_url, a.spark_version, a.launch_dir as "launch_dir?"
                , a.log_lines as "log_lines?", a.attempt as "attempt?", (a.ended_at is not null) as "application_over!"
             from context c
             left join application a on a.context_id = c.context_id
                  and a.attempt = (select max(attempt) from application where context_id = c.context_id)
            where c.host = $1 and c.ended_at is null
            order by c.created_at, c.context_id"#,
        host
    )
    .fetch_all(db)
    .await?;
    rows.into_iter().map(Context::try_from).collect()
}

/// Moves a context from one state to another; false when it was not in the first.
pub(super) async fn move_state(
    db: &mut PgConnection,
    id: ContextId,
    from: State,
    to: State,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update context set state = $3, ready_at = case when $3 = 'ready' then now() else ready_at end
          where context_id = $1 and state = $2",
        id.0,
        from.as_str(),
        to.as_str()
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Marks a living context as told to end; false when it is over or ending already.
pub async fn mark_stopping(db: &mut PgConnection, id: ContextId, ending: &Ending) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update context set state = 'stopping', cause = $2, ended_by = $3
          where context_id = $1 and state not in ('stopping', 'ended')",
        id.0,
        ending.cause,
        ending.by.as_ref().map(sqlx::types::Json) as _
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// As [`mark_stopping`], also for a context whose application only makes room for the next: it ends instead of beginning again.
pub(super) async fn mark_ending(db: &mut PgConnection, id: ContextId, ending: &Ending) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update context set state = 'stopping', cause = $2, ended_by = $3, restarting = false
          where context_id = $1 and (state not in ('stopping', 'ended') or (state = 'stopping' and restarting))",
        id.0,
        ending.cause,
        ending.by.as_ref().map(sqlx::types::Json) as _
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends a context for good. A cause given when it was told to end stays. False when it was over already.
pub(super) async fn end_context(db: &mut PgConnection, id: ContextId, cause: &str) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update context set state = 'ended', cause = coalesce(cause, $2), ended_at = now(), held_by = null,
                            lease_until = '-infinity', epoch = epoch + 1
          where context_id = $1 and ended_at is null",
        id.0,
        cause
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The next number of a session in a context, while the context takes sessions.
pub async fn take_session_number(db: &mut PgConnection, id: ContextId) -> Result<Option<i32>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"update context set next_session = next_session + 1
            where context_id = $1 and state not in ('stopping', 'ended') returning next_session - 1 as "number!""#,
        id.0
    )
    .fetch_optional(db)
    .await
}

/// How a context that is over has ended.
pub(super) async fn load_ending(db: &mut PgConnection, id: ContextId) -> Result<Ending, sqlx::Error> {
    let row = sqlx::query!(
        r#"select coalesce(cause, 'it ended') as "cause!", ended_by as "ended_by: sqlx::types::Json<By>"
             from context where context_id = $1"#,
        id.0
    )
    .fetch_one(db)
    .await?;
    Ok(Ending { cause: row.cause, by: row.ended_by.map(|by| by.0) })
}

/// How a context ends that was told to; none when it was not, or is over.
pub async fn told_ending(db: &mut PgConnection, id: ContextId) -> Result<Option<Ending>, sqlx::Error> {
    let row = sqlx::query!(
        r#"select coalesce(cause, 'it ended') as "cause!", ended_by as "ended_by: sqlx::types::Json<By>"
             from context where context_id = $1 and state = 'stopping'"#,
        id.0
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| Ending { cause: row.cause, by: row.ended_by.map(|by| by.0) }))
}

/// Whether a context that ends with its sessions has none left but such as end now.
pub(super) async fn is_deserted(db: &mut PgConnection, id: ContextId) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select share = 'session'
              and not exists (select 1 from session s where s.context_id = c.context_id and s.ended_at is null
                                 and s.state <> 'shutting_down') as "deserted!"
             from context c where context_id = $1"#,
        id.0
    )
    .fetch_one(db)
    .await
}
