//! Commits what agents say, in order, and only then lets it be acknowledged.
//!
//! Chunks of output are joined for some tens of milliseconds; what somebody waits for (a statement's end) is written at once,
//! together with all that came before it. While the database is away nothing is acknowledged and nothing is lost: the agent keeps it.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::door::Door;
use super::wire::Envelope;
use super::{AfterCommit, AtOnce, Hold};
use crate::context::lease;
use crate::id::{ApplicationId, ContextId};

/// How long output may wait for company.
const JOIN: Duration = Duration::from_millis(20);
/// Pauses between tries while the database takes nothing.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Envelopes in one transaction at most.
const BATCH: usize = 256;

/// Commits for one link.
pub(super) struct Committer {
    pub door: Door,
    pub application: ApplicationId,
    pub context: ContextId,
    pub epoch: i64,
    /// Cancelled when the gateway stops.
    pub stopping: CancellationToken,
}

/// The link has lost its context: another gateway has it or will have it, or it is over.
pub(super) struct Fenced;

impl Committer {
    /// Commits what arrives until the link closes; sends the last committed number after each transaction.
    pub async fn run(self, mut arriving: mpsc::Receiver<Envelope>, committed: mpsc::Sender<i64>) {
        while let Some(first) = arriving.recv().await {
            let batch = gather(first, &mut arriving).await;
            let Some(last) = batch.last().map(|e| e.seq) else { continue };
            if self.commit(&batch, last).await.is_err() {
                return;
            }
            // When the connection is gone nobody is to be told; what it has brought is committed none the less.
            let _ = committed.send(last).await;
        }
    }

    /// Tries until the transaction has committed or the link is fenced off. A batch of which the database refuses a value is written
    /// message by message.
    async fn commit(&self, batch: &[Envelope], last: i64) -> Result<(), Fenced> {
        let mut pause = FIRST_PAUSE;
        let reason = loop {
            match self.write(batch, last).await {
                Ok(held) => return held,
                Err(e) => {
                    if let Some(reason) = self.weigh(e, &mut pause).await? {
                        break reason;
                    }
                }
            }
        };
        if let [envelope] = batch {
            return self.refuse(envelope, &reason).await;
        }
        for envelope in batch {
            Box::pin(self.commit(std::slice::from_ref(envelope), envelope.seq)).await?;
        }
        Ok(())
    }

    /// Says why the database will never take a value, or pauses before the next try: any other error may pass (a disk that is full now, a
    /// password that is being changed), and until then the agent keeps what it said.
    async fn weigh(&self, e: sqlx::Error, pause: &mut Duration) -> Result<Option<String>, Fenced> {
        let e = match crate::store::Error::from(e) {
            crate::store::Error::Refused(reason) => return Ok(Some(reason)),
            e => e,
        };
        let cause = std::error::Error::source(&e).map(ToString::to_string);
        warn!(context.id = %self.context, error = %e, cause, "Output waits for the database");
        tokio::select! {
            () = tokio::time::sleep(*pause) => {}
            // The gateway that comes next gets it from the agent.
            () = self.stopping.cancelled() => return Err(Fenced),
        }
        *pause = (*pause * 2).min(LONGEST_PAUSE);
        Ok(None)
    }

    async fn write(&self, batch: &[Envelope], last: i64) -> Result<Result<(), Fenced>, sqlx::Error> {
        let began = Instant::now();
        let hold = Hold { context: self.context, epoch: self.epoch, application: self.application, seq: last };
        match self.door.sink.apply_at_once(&self.door.pool, hold, batch).await? {
            AtOnce::NotSo => {}
            AtOnce::Fenced => return Ok(Err(Fenced)),
            AtOnce::Written(after) => {
                self.door.metrics.committed(batch.len(), began.elapsed());
                run(after);
                return Ok(Ok(()));
            }
        }
        let mut tx = self.door.pool.begin().await?;
        if !lease::receive(&mut tx, self.context, self.epoch, self.application, last).await? {
            return Ok(Err(Fenced));
        }
        let after = self.door.sink.apply(&mut tx, self.context, batch).await?;
        tx.commit().await?;
        self.door.metrics.committed(batch.len(), began.elapsed());
        run(after);
        Ok(Ok(()))
    }

    /// One envelope that the database will never take: told to its statement, logged, acknowledged.
    async fn refuse(&self, envelope: &Envelope, reason: &str) -> Result<(), Fenced> {
        error!(context.id = %self.context, kind = envelope.kind, reason, "The database refuses a message of the agent");
        let (mut pause, mut tells) = (FIRST_PAUSE, true);
        loop {
            match self.write_refusal(envelope, reason, tells).await {
                Ok(held) => return held,
                Err(e) => {
                    if let Some(reason) = self.weigh(e, &mut pause).await? {
                        error!(context.id = %self.context, reason, "A refused message cannot be told to its statement");
                        tells = false;
                    }
                }
            }
        }
    }

    async fn write_refusal(
        &self,
        envelope: &Envelope,
        reason: &str,
        tells: bool,
    ) -> Result<Result<(), Fenced>, sqlx::Error> {
        let mut tx = self.door.pool.begin().await?;
        if !lease::receive(&mut tx, self.context, self.epoch, self.application, envelope.seq).await? {
            return Ok(Err(Fenced));
        }
        let after = match tells {
            true => self.door.sink.refuse(&mut tx, self.context, envelope, reason).await?,
            false => AfterCommit::new(),
        };
        tx.commit().await?;
        run(after);
        Ok(Ok(()))
    }
}

/// Runs what was to be done after a commit.
pub(in crate::context) fn run(after: AfterCommit) {
    for effect in after {
        effect();
    }
}

/// Whether somebody may be waiting for it. That a session is busy its statements tell; only agents of before say it.
fn is_urgent(envelope: &Envelope) -> bool {
    match envelope.kind.as_str() {
        "statement_done" | "context_state" | "completion" => true,
        "session_state" => !envelope.body.as_deref().is_some_and(|body| body.get().contains("\"busy\"")),
        _ => false,
    }
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
