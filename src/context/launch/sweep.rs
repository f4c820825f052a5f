//! Removes what is no longer needed: launch folders of ended applications and batches, idempotency keys older than a day,
//! logins and API tokens that were over long ago.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sqlx::PgPool;
use tracing::{debug, warn};
use uuid::Uuid;

use super::folder::Folder;
use super::start::Starter;
use crate::identity::login;
use crate::life::Life;
use crate::store::{self, idempotency};

const EVERY: Duration = Duration::from_secs(300);

/// Sweeps until the gateway stops.
pub async fn run(pool: PgPool, starter: Starter, keep: Duration, life: Life) {
    let stopping = life.stopping();
    loop {
        if let Err(e) = pass(&pool, &starter, keep).await {
            warn!(error = %e, "Old launch folders could not be removed now");
        }
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn pass(pool: &PgPool, starter: &Starter, keep: Duration) -> Result<(), store::Error> {
    let mut db = pool.acquire().await?;
    idempotency::forget_old(&mut db).await?;
    login::forget_old(pool).await?;
    for (id, path) in old_folders(starter.home(), keep) {
        let lives = sqlx::query_scalar!(
            r#"select exists (select 1 from application where application_id = $1 and ended_at is null)
                   or exists (select 1 from batch where batch_id = $1 and ended_at is null) as "lives!""#,
            id
        )
        .fetch_one(&mut *db)
        .await?;
        if !lives {
            match starter.remove(&Folder::at(path)).await {
                Ok(()) => debug!(launch = %id, "A launch folder is removed"),
                Err(e) => warn!(launch = %id, error = %e, "A launch folder cannot be removed"),
            }
        }
    }
    Ok(())
}

/// Folders in which nothing has changed for so long.
fn old_folders(home: &Path, keep: Duration) -> Vec<(Uuid, PathBuf)> {
    let Ok(entries) = std::fs::read_dir(Folder::all(home)) else { return Vec::new() };
    let limit = SystemTime::now().checked_sub(keep);
    entries
        .filter_map(Result::ok)
        .filter(|e| e.metadata().and_then(|m| m.modified()).is_ok_and(|at| limit.is_some_and(|limit| at < limit)))
        .filter_map(|e| Some((e.file_name().to_str()?.parse().ok()?, e.path())))
        .collect()
}
