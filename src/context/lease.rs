//! The SQL of leases: which gateway holds a context, and the epoch that fences a former holder off.

use sqlx::PgConnection;

use crate::id::{ApplicationId, ContextId, GatewayId};

/// Takes the context for this gateway: a new epoch, whatever the lease says (the agent has dialled here).
pub(super) async fn take_over(db: &mut PgConnection, id: ContextId, me: GatewayId) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        "update context set epoch = epoch + 1, held_by = $2, lease_until = now() + interval '15 seconds'
          where context_id = $1 and ended_at is null returning epoch",
        id.0,
        me.0
    )
    .fetch_optional(db)
    .await
}

/// Renews the leases that this gateway holds.
pub(super) async fn renew_leases(db: &mut PgConnection, me: GatewayId) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "update context set lease_until = now() + interval '15 seconds' where held_by = $1 and ended_at is null",
        me.0
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

/// Takes contexts of this host whose holder's lease has run out; the epoch rises, so the old holder's writes fail.
pub(super) async fn take_lapsed(
    db: &mut PgConnection,
    host: &str,
    me: GatewayId,
) -> Result<Vec<ContextId>, sqlx::Error> {
    let ids = sqlx::query_scalar!(
        "update context set epoch = epoch + 1, held_by = $2, lease_until = now() + interval '15 seconds'
          where host = $1 and ended_at is null and held_by is distinct from $2 and lease_until < now()
         returning context_id",
        host,
        me.0
    )
    .fetch_all(db)
    .await?;
    Ok(ids.into_iter().map(ContextId::from).collect())
}

/// Takes what a dead gateway held, before its leases run out.
pub(super) async fn take_from(
    db: &mut PgConnection,
    former: GatewayId,
    me: GatewayId,
) -> Result<Vec<ContextId>, sqlx::Error> {
    let ids = sqlx::query_scalar!(
        "update context set epoch = epoch + 1, held_by = $2, lease_until = now() + interval '15 seconds'
          where held_by = $1 and ended_at is null returning context_id",
        former.0,
        me.0
    )
    .fetch_all(db)
    .await?;
    Ok(ids.into_iter().map(ContextId::from).collect())
}

/// Lets a context go that nobody looks after here: the next gateway of its host takes it at once.
pub(super) async fn let_go(db: &mut PgConnection, id: ContextId, me: GatewayId) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update context set held_by = null, lease_until = '-infinity' where context_id = $1 and held_by = $2",
        id.0,
        me.0
    )
    .execute(db)
    .await?;
    Ok(())
}

/// As [`hold_epoch`], and counts what an agent has said up to `seq` as received, in one way to the database and back.
pub(super) async fn receive(
    db: &mut PgConnection,
    id: ContextId,
    epoch: i64,
    application: ApplicationId,
    seq: i64,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "with held as (select context_id from context where context_id = $1 and epoch = $2 for share)
         update application a set received = $4 from held where a.application_id = $3 and a.context_id = held.context_id",
        id.0,
        epoch,
        application.0,
        seq
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Holds the context at this epoch until the transaction ends; false: another gateway has it.
///
/// Every write on behalf of a link comes after this, so that a take-over waits for it or it fails.
pub(super) async fn hold_epoch(db: &mut PgConnection, id: ContextId, epoch: i64) -> Result<bool, sqlx::Error> {
    let held = sqlx::query_scalar!(
        r#"select 1 as "one!" from context where context_id = $1 and epoch = $2 for share"#,
        id.0,
        epoch
    )
    .fetch_optional(db)
    .await?;
    Ok(held.is_some())
}
