//! Commits what agents say, in order, and only then lets it be acknowledged.
//!
//! Chunks of output are joined for some tens of milliseconds; what somebody waits for (a statement's end) is written at once,
//! together with all that came before it. While the database is away nothing is acknowledged and nothing is lost: the agent keeps it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{error, warn};

use super::door::Door;
use super::wire::Envelope;
use super::{AfterCommit, Sink};
use crate::context::{application, lease};
use crate::id::{ApplicationId, ContextId};

/// How long output may wait for company.
const JOIN: Duration = Duration::from_millis(20);
/// Envelopes in one transaction at most.
const BATCH: usize = 256;

/// Commits for one link.
pub(super) struct Committer {
    pub door: Door,
    pub application: ApplicationId,
    pub context: ContextId,
    pub epoch: i64,
}

/// The link has lost its context: another gateway has it, or it is over.
pub(super) struct Fenced;

impl Committer {
    /// Commits what arrives until the link closes; sends the last committed number after each transaction.
    pub async fn run(self, mut arriving: mpsc::Receiver<Envelope>, committed: mpsc::Sender<i64>) {
        while let Some(first) = arriving.recv().await {
            let batch = gather(first, &mut arriving).await;
            let Some(last) = batch.last().map(|e| e.seq) else { continue };
            if self.commit(&batch, last).await.is_err() || committed.send(last).await.is_err() {
                return;
            }
        }
    }

    /// Tries until the database answers, or the link is fenced off.
    async fn commit(&self, batch: &[Envelope], last: i64) -> Result<(), Fenced> {
        let mut pause = Duration::from_millis(50);
        loop {
            match self.write(batch, last).await {
                Ok(held) => return held,
                Err(e) => match crate::store::Error::from(e) {
                    crate::store::Error::Away(e) => {
                        warn!(context.id = %self.context, error = %e, "Output waits for the database");
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(Duration::from_secs(1));
                    }
                    refused if batch.len() == 1 => return self.refuse(batch, &refused, last).await,
                    _ => {
                        for envelope in batch {
                            Box::pin(self.commit(std::slice::from_ref(envelope), envelope.seq)).await?;
                        }
                        return Ok(());
                    }
                },
            }
        }
    }

    async fn write(&self, batch: &[Envelope], last: i64) -> Result<Result<(), Fenced>, sqlx::Error> {
        let began = Instant::now();
        let mut tx = self.door.pool.begin().await?;
        if !lease::hold_epoch(&mut tx, self.context, self.epoch).await? {
            return Ok(Err(Fenced));
        }
        let after = self.door.sink.apply(&mut tx, self.context, batch).await?;
        application::set_received(&mut tx, self.application, last).await?;
        tx.commit().await?;
        self.door.metrics.committed(batch.len(), began.elapsed());
        run(after);
        Ok(Ok(()))
    }

    /// One envelope that the database will never take: told to its statement, logged, acknowledged.
    async fn refuse(&self, batch: &[Envelope], reason: &crate::store::Error, last: i64) -> Result<(), Fenced> {
        let sink: &Arc<dyn Sink> = &self.door.sink;
        let reason = reason.to_string();
        for envelope in batch {
            error!(context.id = %self.context, kind = envelope.kind, reason, "The database refuses a message of the agent");
            let told = async {
                let mut tx = self.door.pool.begin().await?;
                if !lease::hold_epoch(&mut tx, self.context, self.epoch).await? {
                    return Ok(Err(Fenced));
                }
                let after = sink.refuse(&mut tx, self.context, envelope, &reason).await?;
                application::set_received(&mut tx, self.application, last).await?;
                tx.commit().await?;
                run(after);
                Ok::<_, sqlx::Error>(Ok(()))
            };
            match told.await {
                Ok(held) => held?,
                Err(e) => {
                    error!(context.id = %self.context, error = %e, "A refused message could not be told to its statement")
                }
            }
        }
        Ok(())
    }
}

/// Runs what was to be done after a commit.
pub(in crate::context) fn run(after: AfterCommit) {
    for effect in after {
        effect();
    }
}

fn is_urgent(envelope: &Envelope) -> bool {
    matches!(envelope.kind.as_str(), "statement_done" | "context_state" | "completion")
        || (envelope.kind == "session_state" && !envelope.body.as_deref().is_some_and(|b| b.get().contains("\"busy\"")))
}

async fn gather(first: Envelope, arriving: &mut mpsc::Receiver<Envelope>) -> Vec<Envelope> {
    let until = Instant::now() + JOIN;
    let mut urgent = is_urgent(&first);
    let mut batch = vec![first];
    while batch.len() < BATCH {
        let next = if urgent {
            arriving.try_recv().ok()
        } else {
            tokio::time::timeout_at(until, arriving.recv()).await.ok().flatten()
        };
        let Some(next) = next else { break };
        urgent |= is_urgent(&next);
        batch.push(next);
    }
    batch
}
