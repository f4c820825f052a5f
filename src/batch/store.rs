//! The SQL of batches.

use std::path::Path;

use sqlx::PgConnection;
use sqlx::types::Json;

use super::watch::Facts;
use super::{Batch, Error, Request, State};
use crate::access::service::Reach;
use crate::context::launch::follow::Position;
use crate::context::launch::line::below;
use crate::context::{By, Ending};
use crate::id::{BatchId, LivyId};
use crate::identity::Principal;
use crate::store::{Page, Range};
use crate::time::{Span, Timestamp};

struct Row {
    batch_id: BatchId,
    livy_id: i32,
    tenant: String,
    owner: String,
    via: Option<String>,
    run_as: String,
    name: Option<String>,
    profile: String,
    state: String,
    cause: Option<String>,
    ended_by: Option<Json<By>>,
    request: Json<Request>,
    host: String,
    launch_dir: Option<String>,
    cluster_id: Option<String>,
    ui_url: Option<String>,
    exit_code: Option<i32>,
    created_at: Timestamp,
    started_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    deleted: bool,
    tail: Vec<Vec<u8>>,
}

impl TryFrom<Row> for Batch {
    type Error = Error;

    fn try_from(r: Row) -> Result<Self, Error> {
        Ok(Self {
            state: State::parse(&r.state).ok_or(Error::Inconsistent(r.batch_id))?,
            id: r.batch_id,
            livy_id: r.livy_id,
            tenant: r.tenant,
            owner: r.owner,
            via: r.via,
            run_as: r.run_as,
            name: r.name,
            profile: r.profile,
            cause: r.cause,
            ended_by: r.ended_by.map(|by| by.0),
            request: r.request.0,
            host: r.host,
            launch_dir: r.launch_dir.ok_or(Error::Inconsistent(r.batch_id))?,
            cluster_id: r.cluster_id,
            ui_url: r.ui_url,
            exit_code: r.exit_code,
            created_at: r.created_at,
            started_at: r.started_at,
            ended_at: r.ended_at,
            deleted: r.deleted,
            tail: r.tail.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect(),
        })
    }
}

/// What a new row holds; the database gives the rest.
pub(super) struct New<'a> {
    pub id: BatchId,
    pub who: &'a Principal,
    pub run_as: &'a str,
    pub name: Option<&'a str>,
    pub profile: &'a str,
    pub request: &'a Request,
    pub host: &'a str,
    pub launch_dir: &'a str,
}

/// Writes a new batch, in line for its launch.
pub(super) async fn insert_batch(db: &mut PgConnection, b: New<'_>) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into batch (batch_id, tenant, owner, via, run_as, name, profile, state, request, host, launch_dir)
         values ($1, $2, $3, $4, $10, $5, $6, 'waiting', $7, $8, $9)",
        b.id.0,
        &*b.who.tenant,
        &*b.who.user,
        b.who.via.as_deref(),
        b.name,
        b.profile,
        Json(b.request) as _,
        b.host,
        b.launch_dir,
        b.run_as
    )
    .execute(db)
    .await?;
    Ok(())
}

/// A batch by its id.
pub(super) async fn load_batch(db: &mut PgConnection, id: BatchId) -> Result<Option<Batch>, Error> {
    let row = sqlx::query_as!(
        Row,
        r#"select batch_id as "batch_id: _", livy_id, tenant, owner, via, run_as, name, profile, state, cause
                , ended_by as "ended_by: _", request as "request: _", host, launch_dir, cluster_id, ui_url, exit_code, created_at, started_at, ended_at
                , (deleted_at is not null) as "deleted!"
                , array(select substring(line from 1 for 2048) from (select number, line from log_line where source_id = batch_id
                                           order by number desc limit 10) as newest order by number) as "tail!"
             from batch where batch_id = $1"#,
        id.0
    )
    .fetch_optional(db)
    .await?;
    row.map(Batch::try_from).transpose()
}

/// The id of the batch that Livy's clients know by this number.
pub(super) async fn find_by_livy_id(db: &mut PgConnection, id: LivyId) -> Result<Option<BatchId>, sqlx::Error> {
    let id = sqlx::query_scalar!("select batch_id from batch where livy_id = $1", id).fetch_optional(db).await?;
    Ok(id.map(BatchId::from))
}

/// The ids of the tenant's batch of that name: a living one, else the newest.
pub(super) async fn find_by_name(
    db: &mut PgConnection,
    tenant: &str,
    name: &str,
) -> Result<Option<(BatchId, LivyId)>, sqlx::Error> {
    let row = sqlx::query!(
        "select batch_id, livy_id from batch where tenant = $1 and name = $2
          order by (ended_at is null) desc, livy_id desc limit 1",
        tenant,
        name
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|r| (r.batch_id.into(), r.livy_id)))
}

/// The batches within the caller's reach by Livy's id; those deleted, or ended longer than `retain` ago, only when `all`.
pub(super) async fn list_batches(
    db: &mut PgConnection,
    who: &Principal,
    reach: &Reach,
    range: Range,
    all: bool,
    retain: Span,
) -> Result<Page<Batch>, Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"select batch_id as "batch_id: _", livy_id, tenant, owner, via, run_as, name, profile, state, cause
                , ended_by as "ended_by: _", request as "request: _", host, launch_dir, cluster_id, ui_url, exit_code, created_at, started_at, ended_at
                , (deleted_at is not null) as "deleted!"
                , array(select substring(line from 1 for 2048) from (select number, line from log_line where source_id = batch_id
                                           order by number desc limit 10) as newest order by number) as "tail!"
             from batch
            where ($3 or tenant = $1) and ($4 or owner = $2 or ($5 and via = $2) or batch_id = any($6))
              and ($7 or (deleted_at is null
                          and (ended_at is null or ended_at > now() - $8::bigint * interval '1 millisecond')))
            order by livy_id offset $9 limit $10"#,
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
        r#"select count(*) as "count!" from batch
            where ($3 or tenant = $1) and ($4 or owner = $2 or ($5 and via = $2) or batch_id = any($6))
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
    Ok(Page { rows: rows.into_iter().map(Batch::try_from).collect::<Result<_, _>>()?, total })
}

/// Marks a living batch as told to end, and why. One that still stands in line is over at once. False when it was over or ending.
pub(super) async fn mark_ending(db: &mut PgConnection, id: BatchId, ending: &Ending) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update batch set cause = $2, ended_by = $3
              , state = case state when 'waiting' then 'killed' else 'shutting_down' end
              , ended_at = case state when 'waiting' then now() end
          where batch_id = $1 and ended_at is null and state <> 'shutting_down'",
        id.0,
        ending.cause,
        ending.by.as_ref().map(Json) as _
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Hides a batch from the Livy door.
pub(super) async fn mark_deleted(db: &mut PgConnection, id: BatchId) -> Result<(), sqlx::Error> {
    sqlx::query!("update batch set deleted_at = coalesce(deleted_at, now()) where batch_id = $1", id.0)
        .execute(db)
        .await?;
    Ok(())
}

/// The living batches whose launch folders lie in `launches`, oldest first.
pub(super) async fn living_in(db: &mut PgConnection, host: &str, launches: &Path) -> Result<Vec<Batch>, Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"select batch_id as "batch_id: _", livy_id, tenant, owner, via, run_as, name, profile, state, cause
                , ended_by as "ended_by: _", request as "request: _", host, launch_dir, cluster_id, ui_url, exit_code, created_at, started_at, ended_at
                , (deleted_at is not null) as "deleted!", '{}'::bytea[] as "tail!"
             from batch where host = $1 and ended_at is null and starts_with(launch_dir, $2) order by created_at, batch_id"#,
        host,
        below(launches)
    )
    .fetch_all(db)
    .await?;
    rows.into_iter().map(Batch::try_from).collect()
}

/// Moves a batch from one state to another; false when it was not in the first.
pub(super) async fn move_state(
    db: &mut PgConnection,
    id: BatchId,
    from: State,
    to: State,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update batch set state = $3, started_at = case $3 when 'starting' then now() when 'waiting' then null else started_at end
          where batch_id = $1 and state = $2",
        id.0,
        from.as_str(),
        to.as_str()
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Writes what a batch's log tells of its application.
pub(super) async fn learn(db: &mut PgConnection, id: BatchId, facts: &Facts) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update batch set cluster_id = coalesce(cluster_id, $2), ui_url = coalesce(ui_url, $3)
              , state = case when $4 and state = 'starting' then 'running' else state end
          where batch_id = $1",
        id.0,
        facts.cluster_id,
        facts.ui_port.map(|port| format!("http://127.0.0.1:{port}")),
        facts.is_up
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Ends a batch: one that was told to end is killed, and its cause stays. False when it was over.
pub(super) async fn end_batch(
    db: &mut PgConnection,
    id: BatchId,
    state: State,
    cause: Option<&str>,
    exit_code: Option<i32>,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update batch set state = case state when 'shutting_down' then 'killed' else $2 end
              , cause = coalesce(cause, $3), exit_code = $4, ended_at = now()
          where batch_id = $1 and ended_at is null",
        id.0,
        state.as_str(),
        cause,
        exit_code
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Reads how far a batch's log has been copied.
pub(super) async fn load_log_position(db: &mut PgConnection, id: BatchId) -> Result<Position, sqlx::Error> {
    sqlx::query_as!(
        Position,
        "select stdout_offset as stdout, stderr_offset as stderr, log_lines as lines from batch where batch_id = $1",
        id.0
    )
    .fetch_one(db)
    .await
}

/// Records how far a batch's log has been copied, in the transaction that wrote the lines; false when it was not at `from`.
pub(super) async fn move_log_position(
    db: &mut PgConnection,
    id: BatchId,
    from: Position,
    to: Position,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update batch set stdout_offset = $5, stderr_offset = $6, log_lines = $7
          where batch_id = $1 and stdout_offset = $2 and stderr_offset = $3 and log_lines = $4",
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

/// Where a batch is in its life.
pub(super) async fn load_state(db: &mut PgConnection, id: BatchId) -> Result<Option<State>, sqlx::Error> {
    let state = sqlx::query_scalar!("select state from batch where batch_id = $1", id.0).fetch_optional(db).await?;
    Ok(state.as_deref().and_then(State::parse))
}
