//! A sample of what was decided, kept to try new policies against before they are taken up.
//!
//! Of decisions that differ in nothing but which object they are about, the newest is kept. Writing goes on beside the decisions: what cannot be
//! written is left out, and nobody waits for it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::value::{RawValue, to_raw_value};
use sqlx::PgPool;
use tracing::debug;
use uuid::Uuid;

use super::engine::{Question, Verdict};
use super::resource::Facts;
use super::{Access, store};
use crate::life::Life;

/// Decisions that may wait to be written; further ones are left out until they are.
const MOST_WAITING: usize = 1_000;
/// Decisions kept in the database; older ones go.
pub const MOST_KEPT: i64 = 10_000;
/// Between two writes.
const PAUSE: Duration = Duration::from_secs(2);

/// A decision as it is kept.
#[derive(Debug)]
pub(super) struct Decided {
    /// The sort of the question: all of it but the object's id.
    pub digest: [u8; 32],
    /// The question, as JSON.
    pub question: Box<RawValue>,
    /// What was decided.
    pub allowed: bool,
    /// By which policies.
    pub policies: Vec<String>,
}

/// Decisions that wait to be written.
#[derive(Debug, Default)]
pub(super) struct Sample(Mutex<HashMap<[u8; 32], Decided>>);

impl Sample {
    /// Keeps a decision, in place of the last one of its sort.
    pub fn add(&self, question: &Question<'_>, verdict: &Verdict) {
        let digest = sort(question);
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= MOST_WAITING && !waiting.contains_key(&digest) {
            return;
        }
        let Ok(question) = to_raw_value(question) else { return };
        let policies = verdict.policies.clone();
        waiting.insert(digest, Decided { digest, question, allowed: verdict.allowed, policies });
    }

    fn take(&self) -> Vec<Decided> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.drain().map(|(_, decided)| decided).collect()
    }
}

fn sort(question: &Question<'_>) -> [u8; 32] {
    let mut general = question.clone();
    if let Facts::Owned(owned) = &mut general.on {
        owned.id = Uuid::nil();
    }
    general.digest()
}

/// Writes the sample down for as long as the gateway lives.
pub async fn run(access: Access, pool: PgPool, life: Life) {
    let stopping = life.stopping();
    loop {
        let last = tokio::select! {
            () = stopping.cancelled() => true,
            () = tokio::time::sleep(PAUSE) => false,
        };
        let decided = access.sample().take();
        if !decided.is_empty()
            && let Err(e) = write(&pool, &decided).await
        {
            debug!(error = %e, "Decisions are left out of the sample");
        }
        if last {
            return;
        }
    }
}

async fn write(pool: &PgPool, decided: &[Decided]) -> Result<(), sqlx::Error> {
    let mut tx = pool.begin().await?;
    store::keep_decisions(&mut tx, decided).await?;
    store::trim_decisions(&mut tx, MOST_KEPT).await?;
    tx.commit().await
}
