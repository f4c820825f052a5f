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

    /// Keeps what could not be written, but for what is known better by now.
    fn put_back(&self, read: Vec<(HandleId, (String, Timestamp))>) {
        for (id, read) in read {
            self.0.entry(id).or_insert(read);
        }
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
            && let Err(e) = write(&handles, &read).await
        {
            debug!(error = %e, "Who read handles last could not be written now");
            handles.reads().put_back(read);
        }
        if last {
            return;
        }
    }
}

async fn write(handles: &Service, read: &[(HandleId, (String, Timestamp))]) -> Result<(), sqlx::Error> {
    let ids: Vec<_> = read.iter().map(|(id, _)| id.0).collect();
    let (by, at): (Vec<_>, Vec<_>) = read.iter().map(|(_, read)| read.clone()).unzip();
    let mut db = handles.contexts().pool().acquire().await?;
    store::set_last_read(&mut db, &ids, &by, &at).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_written_is_kept_unless_it_is_known_better() {
        let (reads, [one, other]) = (Reads::default(), [(); 2].map(|()| HandleId::generate()));
        reads.note(one, "ann");
        reads.note(other, "ann");
        let taken = reads.take();
        assert_eq!((taken.len(), reads.take().len()), (2, 0));
        reads.note(one, "bob");
        reads.put_back(taken);
        let by: std::collections::HashMap<_, _> = reads.take().into_iter().map(|(id, (by, _))| (id, by)).collect();
        assert_eq!(by, [(one, "bob".to_owned()), (other, "ann".to_owned())].into());
    }
}
