//! When contexts were last in use from outside of their sessions: noted in memory, and written before their clocks are looked at.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::PgConnection;
use tokio::time::Instant;
use uuid::Uuid;

use crate::id::ContextId;

/// What is noted here and not written yet. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Activity(Arc<Mutex<Noted>>);

#[derive(Debug, Default)]
struct Noted {
    /// When each was last in use.
    last: HashMap<ContextId, Instant>,
    /// How much is under way in each.
    busy: HashMap<ContextId, usize>,
}

/// Something that is under way in a context, until this is dropped.
#[derive(Debug)]
pub struct Busy(Activity, ContextId);

impl Drop for Busy {
    fn drop(&mut self) {
        let mut noted = self.0.noted();
        if let Some(count) = noted.busy.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                noted.busy.remove(&self.1);
            }
        }
        noted.last.insert(self.1, Instant::now());
    }
}

impl Activity {
    /// Something begins in a context, which is in use until it ends.
    #[must_use]
    pub fn begin(&self, context: ContextId) -> Busy {
        *self.noted().busy.entry(context).or_default() += 1;
        Busy(self.clone(), context)
    }

    /// Whether a context is in use, or was since this was last written.
    #[must_use]
    pub fn is_noted(&self, context: ContextId) -> bool {
        let noted = self.noted();
        noted.busy.contains_key(&context) || noted.last.contains_key(&context)
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be written: the contexts, and how long ago each was in use.
    fn take(&self) -> HashMap<ContextId, Instant> {
        let mut noted = self.noted();
        let mut last = std::mem::take(&mut noted.last);
        last.extend(noted.busy.keys().map(|context| (*context, Instant::now())));
        last
    }

    fn put_back(&self, last: HashMap<ContextId, Instant>) {
        let mut noted = self.noted();
        for (context, at) in last {
            let newest = noted.last.entry(context).or_insert(at);
            *newest = at.max(*newest);
        }
    }

    /// Writes it, by the clock of the database. What cannot be written now is kept.
    ///
    /// # Errors
    /// The database's.
    pub async fn write(&self, db: &mut PgConnection) -> Result<(), sqlx::Error> {
        let last = self.take();
        if last.is_empty() {
            return Ok(());
        }
        let written = set_last_active(db, &last).await;
        if written.is_err() {
            self.put_back(last);
        }
        written
    }
}

/// Rows are locked in order, as wherever several are.
async fn set_last_active(db: &mut PgConnection, last: &HashMap<ContextId, Instant>) -> Result<(), sqlx::Error> {
    let ids: Vec<Uuid> = last.keys().map(|context| context.0).collect();
    let ago: Vec<i64> = last.values().map(|at| millis(at.elapsed())).collect();
    sqlx::query!(
        "with locked as (select context_id from context where context_id = any($1) order by context_id for no key update)
         update context c set last_active_at = greatest(c.last_active_at, now() - t.ago * interval '1 millisecond')
           from unnest($1::uuid[], $2::bigint[]) as t(id, ago) join locked on locked.context_id = t.id
          where c.context_id = t.id",
        &ids,
        &ago
    )
    .execute(db)
    .await?;
    Ok(())
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_under_way_is_in_use_until_it_ends() {
        let (activity, context) = (Activity::default(), ContextId::from(Uuid::now_v7()));
        let (one, other) = (activity.begin(context), activity.begin(context));
        let began = Instant::now();
        assert!(activity.take()[&context] >= began);
        assert!(activity.is_noted(context));
        drop(one);
        let ended = Instant::now();
        assert!(activity.take()[&context] >= ended, "the other goes on");
        drop(other);
        let ended = Instant::now();
        assert!(activity.take()[&context] <= ended);
        assert_eq!(activity.take(), HashMap::new(), "it was taken, and nothing is under way");
        assert!(!activity.is_noted(context));
    }

    #[test]
    fn what_could_not_be_written_is_not_lost_and_not_older_than_what_is() {
        let (activity, context) = (Activity::default(), ContextId::from(Uuid::now_v7()));
        drop(activity.begin(context));
        let old = activity.take();
        activity.put_back(old.clone());
        assert_eq!(activity.take(), old);
        let later = Instant::now();
        drop(activity.begin(context));
        activity.put_back(old);
        assert!(activity.take()[&context] >= later);
    }
}
