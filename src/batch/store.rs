//! The SQL of batches.

use sqlx::PgConnection;
use sqlx::types::Json;

use super::{Batch, Error, Request, State};
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
            request: r.request.0,
            host: r.host,
            launch_dir: r.launch_dir,
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
    pub name: Option<&'a str>,
    pub profile: &'a str,
    pub request: &'a Request,
    pub host: &'a str,
}

/// Writes a new batch, in line for its launch.
pub(super) async fn insert_batch(db: &mut PgConnection, b: New<'_>) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into batch (batch_id, tenant, owner, via, run_as, name, profile, state, request, host)
         values ($1, $2, $3, $4, $3, $5, $6, 'waiting', $7, $8)",
        b.id.0,
        &*b.who.tenant,
        &*b.who.user,
        b.who.via.as_deref(),
        b.name,
        b.profile,
        Json(b.request) as _,
        b.host
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
                , request as "request: _", host, launch_dir, cluster_id, ui_url, exit_code, created_at, started_at, ended_at
                , (deleted_at is not null) as "deleted!"
                , array(select line from (select number, line from log_line where source_id = batch_id
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

/// The caller's batches by Livy's id; those deleted, or ended longer than `retain` ago, only when `all`.
pub(super) async fn list_batches(
    db: &mut PgConnection,
    who: &Principal,
    range: Range,
    all: bool,
    retain: Span,
) -> Result<Page<Batch>, Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"select batch_id as "batch_id: _", livy_id, tenant, owner, via, run_as, name, profile, state, cause
                , request as "request: _", host, launch_dir, cluster_id, ui_url, exit_code, created_at, started_at, ended_at
                , (deleted_at is not null) as "deleted!"
                , array(select line from (select number, line from log_line where source_id = batch_id
                                           order by number desc limit 10) as newest order by number) as "tail!"
             from batch
            where tenant = $1 and owner = $2
              and ($5 or (deleted_at is null
                          and (ended_at is null or ended_at > now() - $6::bigint * interval '1 millisecond')))
            order by livy_id offset $3 limit $4"#,
        &*who.tenant,
        &*who.user,
        range.from,
        range.size,
        all,
        retain.as_millis()
    )
    .fetch_all(&mut *db)
    .await?;
    let total = sqlx::query_scalar!(
        r#"select count(*) as "count!" from batch
            where tenant = $1 and owner = $2
              and ($3 or (deleted_at is null
                          and (ended_at is null or ended_at > now() - $4::bigint * interval '1 millisecond')))"#,
        &*who.tenant,
        &*who.user,
        all,
        retain.as_millis()
    )
    .fetch_one(db)
    .await?;
    Ok(Page { rows: rows.into_iter().map(Batch::try_from).collect::<Result<_, _>>()?, total })
}

/// Marks a living batch as told to end, and why. One that still stands in line is over at once. False when it was over or ending.
pub(super) async fn mark_ending(db: &mut PgConnection, id: BatchId, cause: &str) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update batch set cause = $2
              , state = case state when 'waiting' then 'killed' else 'shutting_down' end
              , ended_at = case state when 'waiting' then now() end
          where batch_id = $1 and ended_at is null and state <> 'shutting_down'",
        id.0,
        cause
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
