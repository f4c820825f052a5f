//! Follows the program of a batch: learns from its log what Spark tells nobody else, and writes its true end.

use std::collections::VecDeque;

use sqlx::PgConnection;
use tracing::info;
use uuid::Uuid;

use super::service::Service;
use super::{State, store};
use crate::context::launch::cause;
use crate::context::launch::follow::{Followed, Position};
use crate::context::launch::process::Status;
use crate::context::log::Stream;
use crate::id::BatchId;

/// A batch of this gateway, as [`crate::context::launch::follow::run`] follows it.
pub(super) struct Watched {
    batches: Service,
    id: BatchId,
}

impl Watched {
    pub(super) fn new(batches: Service, id: BatchId) -> Self {
        Self { batches, id }
    }
}

impl Followed for Watched {
    fn source(&self) -> Uuid {
        self.id.0
    }

    async fn load(&self, db: &mut PgConnection) -> Result<Position, sqlx::Error> {
        store::load_log_position(db, self.id).await
    }

    async fn save(
        &self,
        db: &mut PgConnection,
        from: Position,
        to: Position,
        lines: &[(Stream, String)],
    ) -> Result<bool, sqlx::Error> {
        let facts = Facts::of(lines.iter().map(|(_, line)| line.as_str()));
        if facts != Facts::default() {
            store::learn(db, self.id, &facts).await?;
        }
        store::move_log_position(db, self.id, from, to).await
    }

    fn saved(&self, lines: &[(Stream, String)]) {
        if Facts::of(lines.iter().map(|(_, line)| line.as_str())).is_up {
            self.batches.wake();
        }
    }

    async fn ended(&self, status: &Status, log: &VecDeque<String>) -> Result<(), sqlx::Error> {
        let exit_code = if let Status::Ended(exit) = status { exit.code } else { None };
        let (state, cause) = match exit_code {
            Some(0) => (State::Success, None),
            _ => (State::Dead, Some(cause::of(status, None, log))),
        };
        let mut db = self.batches.contexts().pool().acquire().await?;
        store::end_batch(&mut db, self.id, state, cause.as_deref(), exit_code).await?;
        info!(batch.id = %self.id, exit_code, "Batch {} is over", self.id);
        self.batches.wake();
        // There is room in the line.
        self.batches.contexts().wake();
        Ok(())
    }
}

/// What lines of Spark's log tell of its application.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// The cluster's id of it.
    pub cluster_id: Option<String>,
    /// The port of its Spark UI.
    pub ui_port: Option<u16>,
    /// Whether it has passed its start.
    pub is_up: bool,
}

impl Facts {
    fn of<'a>(lines: impl Iterator<Item = &'a str>) -> Self {
        let mut facts = Self::default();
        for line in lines {
            // StandaloneSchedulerBackend and, on YARN, the Client.
            for said in ["Connected to Spark cluster with app ID ", "Submitted application "] {
                let id = line.split_once(said).and_then(|(_, rest)| rest.split_whitespace().next());
                if let Some(id) = id.filter(|id| is_cluster_id(id)) {
                    facts.cluster_id = Some(id.to_owned());
                }
            }
            if let Some((_, rest)) = line.split_once("Successfully started service 'SparkUI' on port ") {
                facts.ui_port = rest.trim_end_matches('.').parse().ok();
            }
            facts.is_up |= line.contains("BlockManager: Initialized BlockManager");
        }
        facts.is_up |= facts.cluster_id.is_some();
        facts
    }
}

/// `app-20261123190922-0000` of a standalone cluster, `application_1700000000000_0001` of YARN.
fn is_cluster_id(text: &str) -> bool {
    let parts: Vec<&str> = text.split(['-', '_']).collect();
    let is_number = |part: &&str| !part.is_empty() && part.len() <= 20 && part.bytes().all(|b| b.is_ascii_digit());
    matches!(parts.as_slice(), ["app" | "application", date, number] if is_number(date) && is_number(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_stand_in_sparks_own_lines() {
        let lines = [
            "26/11/23 19:09:24 INFO SparkContext: Submitted application: ok.py",
            "26/11/23 19:09:26 INFO Utils: Successfully started service 'SparkUI' on port 40401.",
            "26/11/23 19:09:26 INFO StandaloneSchedulerBackend: Connected to Spark cluster with app ID app-20261123190926-0003",
        ];
        let facts = Facts::of(lines.into_iter());
        assert_eq!(facts.cluster_id.as_deref(), Some("app-20261123190926-0003"));
        assert_eq!((facts.ui_port, facts.is_up), (Some(40401), true));
        assert_eq!(Facts::of(lines.into_iter().take(1)), Facts::default());
        assert_eq!(Facts::of(std::iter::once("Connected to Spark cluster with app ID <b>")), Facts::default());
        let local =
            "26/11/23 19:09:26 INFO BlockManager: Initialized BlockManager: BlockManagerId(driver, 127.0.0.1, 1, None)";
        assert!(Facts::of(std::iter::once(local)).is_up);
    }
}
