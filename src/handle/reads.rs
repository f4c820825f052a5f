//! Who read which handle last: kept in memory and written every few seconds, so that a read costs no commit.

use std::time::Duration;

use dashmap::DashMap;
use tracing::debug;

use super::service::Service;
use super::store;
use crate::id::HandleId;
use crate::life::Life;
use crate::time::Timestamp;

/// Between two writes.
const EVERY: Duration = Duration::from_secs(2);

/// The newest reads that are not written yet.
#[derive(Debug, Default)]
pub struct Reads(DashMap<HandleId, (String, Timestamp)>);

impl Reads {
    /// Somebody reads a handle now.
    pub fn note(&self, id: HandleId, by: &str) {
        self.0.insert(id, (by.to_owned(), crate::time::now()));
    }

    fn take(&self) -> Vec<(HandleId, (String, Timestamp))> {
        let ids: Vec<HandleId> = self.0.iter().map(|read| *read.key()).collect();
        ids.into_iter().filter_map(|id| self.0.remove(&id)).collect()
    }
}

/// Writes reads down for as long as the gateway lives.
pub async fn run(handles: Service, life: Life) {
    let stopping = life.stopping();
    loop {
        let last = tokio::select! {
            () = stopping.cancelled() => true,
            () = tokio::time::sleep(EVERY) => false,
        };
        let read = handles.reads().take();
        if !read.is_empty()
            && let Err(e) = write(&handles, read).await
        {
            debug!(error = %e, "Who read handles last could not be written");
        }
        if last {
            return;
        }
    }
}

async fn write(handles: &Service, read: Vec<(HandleId, (String, Timestamp))>) -> Result<(), sqlx::Error> {
    let ids: Vec<_> = read.iter().map(|(id, _)| id.0).collect();
    let (by, at): (Vec<_>, Vec<_>) = read.into_iter().map(|(_, read)| read).unzip();
    let mut db = handles.contexts().pool().acquire().await?;
    store::set_last_read(&mut db, &ids, &by, &at).await
}
