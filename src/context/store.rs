//! The SQL of contexts and applications.

use sqlx::PgConnection;
use uuid::Uuid;

use super::launch::follow::Position;
use super::launch::resources::Resources;
use super::{Application, Context, Error, State};
use crate::id::{ApplicationId, ContextId, GatewayId};
use crate::identity::Principal;
use crate::store::{Page, Range};
use crate::time::Timestamp;

struct Row {
    context_id: ContextId,
    tenant: String,
    owner: String,
    via: Option<String>,
    run_as: String,
    name: Option<String>,
    profile: String,
    share: String,
    state: String,
    cause: Option<String>,
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
            }),
            _ => None,
        };
        Ok(Self {
            id: r.context_id,
            tenant: r.tenant,
            owner: r.owner,
            via: r.via,
            run_as: r.run_as,
            name: r.name,
            profile: r.profile,
            outlives_sessions: r.share == "context",
            state,
            cause: r.cause,
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
                              lease_until)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, now() + interval '15 seconds')",
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
        c.held_by.map(|g| g.0)
    )
    .execute(db)
    .await?;
    Ok(())
}

/// A context with its newest application.
pub async fn load_context(db: &mut PgConnection, id: ContextId) -> Result<Option<Context>, Error> {
    let row = sqlx::query_as!(
        Row,
        r#"select c.context_id as "context_id: _", c.tenant, c.owner, c.via, c.run_as, c.name, c.profile, c.share, c.state, c.cause
                , c.request as "request: _", c.host, c.epoch, c.held_by as "held_by: _", c.created_at, c.ready_at, c.ended_at
                , a.application_id as "application_id?: _", a.cluster_id, a.ui_url, a.spark_version, a.launch_dir as "launch_dir?"
                , a.log_lines as "log_lines?"
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

/// The id of the tenant's living context of that name.
pub(super) async fn find_living(db: &mut PgConnection, tenant: &str, name: &str) -> Result<Option<ContextId>, Error> {
    let id = sqlx::query_scalar!(
        "select context_id from context where tenant = $1 and name = $2 and ended_at is null",
        tenant,
        name
    )
    .fetch_optional(db)
    .await?;
    Ok(id.map(ContextId::from))
}

/// The contexts that the caller owns, newest first.
pub(super) async fn list_contexts(
    db: &mut PgConnection,
    who: &Principal,
    range: Range,
) -> Result<Page<Context>, Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"select c.context_id as "context_id: _", c.tenant, c.owner, c.via, c.run_as, c.name, c.profile, c.share, c.state, c.cause
                , c.request as "request: _", c.host, c.epoch, c.held_by as "held_by: _", c.created_at, c.ready_at, c.ended_at
                , a.application_id as "application_id?: _", a.cluster_id, a.ui_url, a.spark_version, a.launch_dir as "launch_dir?"
                , a.log_lines as "log_lines?"
             from context c
             left join application a on a.context_id = c.context_id
                  and a.attempt = (select max(attempt) from application where context_id = c.context_id)
            where c.tenant = $1 and c.owner = $2
            order by c.created_at desc, c.context_id offset $3 limit $4"#,
        &*who.tenant,
        &*who.user,
        range.from,
        range.size
    )
    .fetch_all(&mut *db)
    .await?;
    let total = sqlx::query_scalar!(
        r#"select count(*) as "count!" from context where tenant = $1 and owner = $2"#,
        &*who.tenant,
        &*who.user
    )
    .fetch_one(db)
    .await?;
    Ok(Page { rows: rows.into_iter().map(Context::try_from).collect::<Result<_, _>>()?, total })
}

/// Living contexts of a host, oldest first.
pub(super) async fn living_on(db: &mut PgConnection, host: &str) -> Result<Vec<Context>, Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"select c.context_id as "context_id: _", c.tenant, c.owner, c.via, c.run_as, c.name, c.profile, c.share, c.state, c.cause
                , c.request as "request: _", c.host, c.epoch, c.held_by as "held_by: _", c.created_at, c.ready_at, c.ended_at
                , a.application_id as "application_id?: _", a.cluster_id, a.ui_url, a.spark_version, a.launch_dir as "launch_dir?"
                , a.log_lines as "log_lines?"
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

/// How many contexts and batches wait in line on a host.
pub async fn count_waiting(db: &mut PgConnection, host: &str) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select (select count(*) from context where host = $1 and state = 'waiting' and ended_at is null)
                + (select count(*) from batch where host = $1 and state = 'waiting' and ended_at is null) as "count!""#,
        host
    )
    .fetch_one(db)
    .await
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
pub(super) async fn mark_stopping(db: &mut PgConnection, id: ContextId, cause: &str) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update context set state = 'stopping', cause = $2 where context_id = $1 and state not in ('stopping', 'ended')",
        id.0,
        cause
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

/// What the link needs of an application's row.
pub(super) struct LinkRow {
    pub context_id: ContextId,
    pub token_hash: Vec<u8>,
    pub received: i64,
    pub over: bool,
}

/// The row behind an agent's token.
pub(super) async fn load_for_link(db: &mut PgConnection, id: ApplicationId) -> Result<Option<LinkRow>, sqlx::Error> {
    sqlx::query_as!(
        LinkRow,
        r#"select context_id as "context_id: _", token_hash, received, (ended_at is not null) as "over!"
             from application where application_id = $1"#,
        id.0
    )
    .fetch_optional(db)
    .await
}

/// Remembers the first incarnation of an application; false when another is known.
pub(super) async fn claim_incarnation(
    db: &mut PgConnection,
    id: ApplicationId,
    incarnation: Uuid,
    spark: Option<&str>,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update application set incarnation = $2, spark_version = coalesce($3, spark_version)
          where application_id = $1 and ended_at is null and coalesce(incarnation, $2) = $2",
        id.0,
        incarnation,
        spark
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Records that the agent's messages up to `seq` are committed in this transaction.
pub(super) async fn set_received(db: &mut PgConnection, id: ApplicationId, seq: i64) -> Result<(), sqlx::Error> {
    sqlx::query!("update application set received = $2 where application_id = $1", id.0, seq).execute(db).await?;
    Ok(())
}

/// Writes a new launch of a context that is `starting`; false when it no longer is (it was told to end meanwhile).
pub(in crate::context) async fn insert_application(
    db: &mut PgConnection,
    id: ApplicationId,
    context: ContextId,
    host: &str,
    token_hash: &[u8],
    launch_dir: &str,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "with wanted as (select context_id from context where context_id = $2 and state = 'starting' for update)
         insert into application (application_id, context_id, attempt, host, token_hash, launch_dir)
         select $1, context_id, (select coalesce(max(attempt), 0) + 1 from application where context_id = $2), $3, $4, $5
           from wanted",
        id.0,
        context.0,
        host,
        token_hash,
        launch_dir
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// What the agent said of its application.
pub(super) async fn set_application_facts(
    db: &mut PgConnection,
    id: ApplicationId,
    cluster_id: Option<&str>,
    ui_url: Option<&str>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update application set cluster_id = coalesce($2, cluster_id), ui_url = coalesce($3, ui_url) where application_id = $1",
        id.0,
        cluster_id,
        ui_url
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Ends an application.
pub(super) async fn end_application(
    db: &mut PgConnection,
    id: ApplicationId,
    exit_code: Option<i32>,
    cause: &str,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update application set ended_at = now(), exit_code = $2, cause = $3 where application_id = $1 and ended_at is null",
        id.0,
        exit_code,
        cause
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Reads how far an application's log has been copied.
pub(super) async fn load_log_position(db: &mut PgConnection, id: ApplicationId) -> Result<Position, sqlx::Error> {
    sqlx::query_as!(
        Position,
        "select stdout_offset as stdout, stderr_offset as stderr, log_lines as lines from application where application_id = $1",
        id.0
    )
    .fetch_one(db)
    .await
}

/// Records how far an application's log has been copied, in the transaction that wrote the lines; false when it was not at `from`.
pub(super) async fn move_log_position(
    db: &mut PgConnection,
    id: ApplicationId,
    from: Position,
    to: Position,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update application set stdout_offset = $5, stderr_offset = $6, log_lines = $7
          where application_id = $1 and stdout_offset = $2 and stderr_offset = $3 and log_lines = $4",
        id.0,
        from.stdout,
        from.stderr,
        from.lines,
        to.stdout,
        to.stderr,
        to.lines
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Why a context ended.
pub(super) async fn load_cause(db: &mut PgConnection, id: ContextId) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!("select cause from context where context_id = $1", id.0).fetch_one(db).await
}

/// Whether a context's newest application began longer ago than this and is not ready.
pub(super) async fn is_starting_too_long(
    db: &mut PgConnection,
    id: ContextId,
    limit_ms: i64,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (select 1 from application where context_id = $1 and ended_at is null
                           and started_at < now() - $2::bigint * interval '1 millisecond') as "too_long!""#,
        id.0,
        limit_ms
    )
    .fetch_one(db)
    .await
}

/// The newest launch of a context.
pub(super) async fn newest_application(
    db: &mut PgConnection,
    id: ContextId,
) -> Result<Option<ApplicationId>, sqlx::Error> {
    let id = sqlx::query_scalar!(
        "select application_id from application where context_id = $1 order by attempt desc limit 1",
        id.0
    )
    .fetch_optional(db)
    .await?;
    Ok(id.map(ApplicationId::from))
}

/// Whether no agent of this context has ever dialled.
pub async fn was_never_linked(db: &mut PgConnection, id: ContextId) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select not exists (select 1 from application where context_id = $1 and incarnation is not null) as "never!""#,
        id.0
    )
    .fetch_one(db)
    .await
}

/// What doors show of a context beside its row.
pub struct Shown {
    /// The context.
    pub context_id: ContextId,
    /// Its newest launch.
    pub application_id: ApplicationId,
    /// The cluster's id of it.
    pub cluster_id: Option<String>,
    /// Where its Spark UI is.
    pub ui_url: Option<String>,
}

/// What doors show of contexts beside their rows; nothing of those that were never launched.
pub async fn shown_of(db: &mut PgConnection, contexts: &[Uuid]) -> Result<Vec<Shown>, sqlx::Error> {
    sqlx::query_as!(
        Shown,
        r#"select distinct on (context_id) context_id as "context_id: _", application_id as "application_id: _", cluster_id, ui_url
             from application where context_id = any($1) order by context_id, attempt desc"#,
        contexts
    )
    .fetch_all(db)
    .await
}

/// Whether a context that ends with its sessions has none left.
pub(super) async fn is_deserted(db: &mut PgConnection, id: ContextId) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select share = 'session'
              and not exists (select 1 from session s where s.context_id = c.context_id and s.ended_at is null) as "deserted!"
             from context c where context_id = $1"#,
        id.0
    )
    .fetch_one(db)
    .await
}
