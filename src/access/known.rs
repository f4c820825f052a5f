//! Grants as this gateway knows them: kept for a second at most, dropped when any gateway tells of a change.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use sqlx::PgPool;
use tokio::time::Instant;
use uuid::Uuid;

use super::grant::{Error, Grant};
use super::store;

/// How long grants are believed.
const FRESH: Duration = Duration::from_secs(1);
/// Things whose grants are kept at most; then all are forgotten.
const MOST_KEPT: usize = 10_000;

/// The grants on things, by the thing's id.
#[derive(Debug)]
pub(super) struct Known {
    pool: PgPool,
    kept: DashMap<Uuid, (Instant, Arc<[Grant]>)>,
    /// Counts what was forgotten: what was read before must not be kept after.
    changes: AtomicU64,
}

impl Known {
    pub fn new(pool: PgPool) -> Self {
        Self { pool, kept: DashMap::new(), changes: AtomicU64::new(0) }
    }

    /// The grants in force on each of the things.
    pub async fn of(&self, things: &[Uuid]) -> Result<HashMap<Uuid, Arc<[Grant]>>, Error> {
        let mut known = HashMap::with_capacity(things.len());
        let mut missing = Vec::new();
        for id in things {
            match self.kept.get(id).filter(|kept| kept.0.elapsed() < FRESH) {
                Some(kept) => drop(known.insert(*id, kept.1.clone())),
                None => missing.push(*id),
            }
        }
        if missing.is_empty() {
            return Ok(known);
        }
        let changes = self.changes.load(Ordering::Acquire);
        // Before the question, so that nothing is believed for longer than it is true.
        let asked = Instant::now();
        let mut db = self.pool.acquire().await?;
        let mut found: HashMap<Uuid, Vec<Grant>> = HashMap::new();
        for grant in store::grants_on(&mut db, &missing).await? {
            found.entry(grant.on).or_default().push(grant);
        }
        drop(db);
        if self.kept.len() + missing.len() > MOST_KEPT {
            self.kept.clear();
        }
        for id in missing {
            let grants: Arc<[Grant]> = found.remove(&id).unwrap_or_default().into();
            self.kept.insert(id, (asked, grants.clone()));
            // Looked at after it is kept: a change either sees it there, or is seen here.
            if self.changes.load(Ordering::Acquire) != changes {
                self.kept.remove(&id);
            }
            known.insert(id, grants);
        }
        Ok(known)
    }

    /// Forgets the grants on a thing; on everything when none is named.
    pub fn forget(&self, thing: Option<Uuid>) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        match thing {
            Some(id) => drop(self.kept.remove(&id)),
            None => self.kept.clear(),
        }
    }
}
