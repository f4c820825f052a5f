//! The SQL of what outlives an application: which handles wait for the next one, and for how long.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::id::ContextId;

/// The application of a context has ended: what is durable waits for the next, if there can be one, as it is written; the rest is lost.
pub(super) async fn lose_all(db: &mut PgConnection, context: ContextId, reason: &str) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "with living as (
           select h.handle_id, h.durable_path is not null and c.share <> 'session' as waits
             from handle h join context c using (context_id) where h.context_id = $1 and h.ended_at is null)
         update handle h set state = case when l.waits then 'ready' else 'lost' end
              , reason = case when not l.waits and durable_path is not null
                              then $2 || '; it was written, but its context ended with its session and does not begin again'
                              when not l.waits then $2
                              when durable_version < version
                              then 'its versions after ' || durable_version || ' were not written yet, and are lost: ' || $2 end
              , version = case when l.waits then coalesce(durable_version, version) else version end
              , ended_at = case when not l.waits then now() end
              , memory_bytes = 0, disk_bytes = 0, cached_fraction = 0, updated_at = now()
           from living l where h.handle_id = l.handle_id",
        context.0,
        reason
    )
    .execute(db)
    .await?;
    Ok(())
}

/// A durable handle, as the next application is told.
pub(super) struct Durable {
    pub name: String,
    pub kind: String,
    pub version: i64,
    pub path: String,
    pub columns: Option<Vec<u8>>,
    pub key_type: Option<String>,
    pub storage: String,
    pub ttl_ms: Option<i64>,
    /// What is left of that, ms.
    pub left_ms: Option<i64>,
    pub owner: String,
    pub share_id: Option<Uuid>,
}

/// The durable handles of a context whose time is not over.
pub(super) async fn durable_in(db: &mut PgConnection, context: ContextId) -> Result<Vec<Durable>, sqlx::Error> {
    sqlx::query_as!(
        Durable,
        r#"select name, kind, version, durable_path as "path!", columns, key_type, storage, ttl_ms
                , ceil(extract(epoch from expires_at - now()) * 1000)::bigint as left_ms, owner, share_id
             from handle
            where context_id = $1 and ended_at is null and durable_path is not null and (expires_at is null or expires_at > now())
            order by name"#,
        context.0
    )
    .fetch_all(db)
    .await
}

/// Whether a context ends with its session, so that no other application follows its one.
pub(super) async fn ends_with_session(db: &mut PgConnection, context: ContextId) -> Result<bool, sqlx::Error> {
    let ends =
        sqlx::query_scalar!(r#"select share = 'session' as "ends!" from context where context_id = $1"#, context.0);
    Ok(ends.fetch_optional(db).await?.unwrap_or_default())
}

/// The profile of a context.
pub(super) async fn profile_of(db: &mut PgConnection, context: ContextId) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!("select profile from context where context_id = $1", context.0).fetch_optional(db).await
}

/// Ends the handles whose time to live has been over for so long that their drivers, if there are any, would have said so; how many. Contexts
/// are locked first, as by what agents say; one that is being written to is looked at the next time.
pub(super) async fn expire(db: &mut PgConnection) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "with due as (
           select handle_id, context_id from handle where ended_at is null and expires_at < now() - interval '10 seconds' limit 1000)
            , locked as (
           select context_id from context where context_id in (select context_id from due)
            order by context_id for no key update skip locked)
         update handle h set state = 'gone', reason = 'its time to live of ' || round(h.ttl_ms / 1000.0, 1) || ' s is over', columns = null
              , ended_at = now(), updated_at = now()
           from due d join locked using (context_id)
          where h.handle_id = d.handle_id and h.ended_at is null and h.expires_at < now() - interval '10 seconds'"
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}
