//! Who did what, and who can prove it afterwards.
//!
//! An [`Entry`] is written in the transaction of the action that it tells of, so neither exists without the other: where the audit cannot be
//! written nothing is done (`audit.required`). Afterwards the [`seal`]er gives each a place in the chain of this gateway's incarnation, signs the
//! head and writes it to a file. [`verify`] finds what was changed, removed, or cut off the end.
//!
//! - [`event`]: the one catalogue of everything that is recorded
//! - [`chain`]: what is hashed, and how; [`key`]: who signs
//! - [`refusals`]: credentials that are refused, which anybody can make many of
//! - [`trail`]: reading; [`prune`]: the end of what is old

pub mod chain;
pub mod event;
pub mod key;
pub mod prune;
pub mod refusals;
pub mod seal;
mod store;
pub mod trail;
pub mod verify;

use serde::Deserialize;
use sqlx::PgConnection;
use tracing::{error, warn};

use crate::id::GatewayId;
use crate::identity::Principal;

pub use event::Event;
pub use store::Columns;

/// The section `audit`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Whether what cannot be recorded is refused.
    pub required: bool,
}

/// What is recorded.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    /// What happened.
    pub event: Event,
    /// Whether it was refused.
    pub refused: bool,
    /// Who did it, for whom, and where the request came from.
    pub who: &'a Principal,
    /// On what: its kind and its id.
    pub on: Option<(&'static str, String)>,
    /// The policies that decided.
    pub policies: &'a [String],
    /// What else is worth knowing; never a secret, never code or output.
    pub detail: Option<String>,
}

/// Longest detail that is kept, characters.
const LONGEST: usize = 1_000;

impl<'a> Entry<'a> {
    /// Something that was done.
    #[must_use]
    pub fn done(event: Event, who: &'a Principal) -> Self {
        Self { event, refused: false, who, on: None, policies: &[], detail: None }
    }

    /// Something that was refused.
    #[must_use]
    pub fn refused(event: Event, who: &'a Principal) -> Self {
        Self { refused: true, ..Self::done(event, who) }
    }

    /// On what.
    #[must_use]
    pub fn on(self, kind: &'static str, id: impl ToString) -> Self {
        Self { on: Some((kind, id.to_string())), ..self }
    }

    /// By which policies.
    #[must_use]
    pub fn by(self, policies: &'a [String]) -> Self {
        Self { policies, ..self }
    }

    /// What else is worth knowing.
    #[must_use]
    pub fn with(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into().chars().take(LONGEST).collect()), ..self }
    }
}

/// Writes entries. Cheap to clone.
#[derive(Debug, Clone, Copy)]
pub struct Audit {
    gateway: GatewayId,
    required: bool,
}

impl Audit {
    /// The audit of one incarnation of a gateway.
    #[must_use]
    pub fn new(gateway: GatewayId, config: &Config) -> Self {
        Self { gateway, required: config.required }
    }

    /// Whether what cannot be recorded is not done.
    #[must_use]
    pub fn is_required(&self) -> bool {
        self.required
    }

    /// An entry as its row has it, for who writes both the action and the entry by one query: only where the audit is required.
    #[must_use]
    pub fn columns(&self, entry: Entry<'_>) -> Columns {
        Columns::of(self.gateway, entry)
    }

    /// Writes an entry in the transaction of the action that it tells of.
    ///
    /// # Errors
    /// The database's: then the action must not be done. Without `audit.required` a failure is told in the log alone.
    pub async fn record(&self, db: &mut PgConnection, entry: Entry<'_>) -> Result<(), sqlx::Error> {
        let (event, row) = (entry.event.as_str(), self.columns(entry));
        if self.required {
            return store::insert(db, &row).await.map_err(|e| match crate::store::Error::from(e) {
                crate::store::Error::Failed(e) => {
                    error!(error = %e, event, "The audit cannot be written: nothing is done");
                    crate::store::Error::Unaudited(e).into_sqlx()
                }
                other => other.into_sqlx(),
            });
        }
        // A failed statement would spoil the whole transaction but for the savepoint.
        let mut savepoint = sqlx::Connection::begin(db).await?;
        match store::insert(&mut savepoint, &row).await {
            Ok(()) => savepoint.commit().await,
            Err(e) => {
                warn!(error = %e, event, "An event could not be recorded");
                savepoint.rollback().await
            }
        }
    }
}
