//! The SQL of applications: the launches of contexts.

use sqlx::PgConnection;
use uuid::Uuid;

use super::launch::follow::Position;
use crate::id::{ApplicationId, ContextId};

/// What the link needs of an application's row.
pub(in crate::context) struct LinkRow {
    pub context_id: ContextId,
    pub token_hash: Vec<u8>,
    pub received: i64,
    pub over: bool,
}

/// The row behind an agent's token.
pub(in crate::context) async fn load_for_link(
    db: &mut PgConnection,
    id: ApplicationId,
) -> Result<Option<LinkRow>, sqlx::Error> {
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
pub(in crate::context) async fn claim_incarnation(
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
pub(in crate::context) async fn set_application_facts(
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

/// Forgets an application whose program was never started and whose agent never dialled.
pub(in crate::context) async fn forget_unstarted(db: &mut PgConnection, id: ApplicationId) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from application where application_id = $1 and incarnation is null", id.0).execute(db).await?;
    Ok(())
}

/// Ends an application.
pub(in crate::context) async fn end_application(
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
pub(in crate::context) async fn load_log_position(
    db: &mut PgConnection,
    id: ApplicationId,
) -> Result<Position, sqlx::Error> {
    sqlx::query_as!(
        Position,
        "select stdout_offset as stdout, stderr_offset as stderr, log_lines as lines from application where application_id = $1",
        id.0
    )
    .fetch_one(db)
    .await
}

/// Records how far an application's log has been copied, in the transaction that wrote the lines; false when it was not at `from`.
pub(in crate::context) async fn move_log_position(
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

/// Whether a context's newest application began longer ago than this and is not ready.
pub(in crate::context) async fn is_starting_too_long(
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
pub(in crate::context) async fn newest_application(
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
