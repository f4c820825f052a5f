//! Tries policies against what was decided before they are taken up.

use sqlx::PgConnection;

use super::engine::{Engine, Question, Verdict};
use super::policy::Policies;
use super::sample::MOST_KEPT;
use super::store;
use crate::time::Timestamp;

/// What other policies would have done.
#[derive(Debug)]
pub struct Trial {
    /// Decisions that were asked again.
    pub tried: usize,
    /// Those of a gateway of another version, which this one does not understand.
    pub unknown: usize,
    /// Those that would have come out otherwise, newest first.
    pub changes: Vec<Change>,
}

/// A decision that would have come out otherwise.
#[derive(Debug)]
pub struct Change {
    /// What was asked.
    pub question: Question<'static>,
    /// When it was decided.
    pub decided_at: Timestamp,
    /// By which policies.
    pub policies: Vec<String>,
    /// What it would have been, `allowed` being what it was not.
    pub verdict: Verdict,
}

/// Asks what was decided again, of those who belong to `tenant` or of everybody, by these policies.
///
/// # Errors
/// The database's.
pub async fn run(db: &mut PgConnection, policies: Policies, tenant: Option<&str>) -> Result<Trial, sqlx::Error> {
    let engine = Engine::new(policies);
    let mut trial = Trial { tried: 0, unknown: 0, changes: Vec::new() };
    for row in store::load_decisions(db, tenant, MOST_KEPT).await? {
        let Ok(question) = serde_json::from_value::<Question<'static>>(row.question) else {
            trial.unknown += 1;
            continue;
        };
        trial.tried += 1;
        let verdict = engine.evaluate(&question);
        if verdict.allowed != row.allowed {
            let (decided_at, policies) = (row.decided_at, row.policies);
            trial.changes.push(Change { question, decided_at, policies, verdict });
        }
        // Thousands of questions take long enough for others to notice.
        tokio::task::consume_budget().await;
    }
    Ok(trial)
}
