//! Named data in a context: DataFrames, RDDs, key-value RDDs and small values that every session of the context reaches, and that others
//! reach through the gateway under grants of their own.
//!
//! The data lives in the driver and its executors; here is the catalogue of it. [`sink`] writes what agents say of their handles, [`requests`]
//! asks them, [`streams`] relays rows from a driver to a reader without keeping them, [`service`] decides and puts these together.

mod answers;
pub mod durable;
pub mod expire;
mod fit;
mod kept;
mod pace;
pub mod reads;
pub mod requests;
mod rooms;
mod said;
pub mod service;
pub mod sink;
pub mod store;
pub mod streams;

use std::time::Duration;

use serde_json::value::RawValue;
use uuid::Uuid;

use crate::access::resource::Kind as Thing;
use crate::access::{Owned, Refused, Shareable};
use crate::context::driver::wire::handle::Failure;
use crate::id::{ContextId, HandleId, SessionId};
use crate::kind::{Classify, Kind as ErrorKind};
use crate::time::Timestamp;

/// What a handle names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A DataFrame.
    Dataframe,
    /// An RDD.
    Rdd,
    /// A key-value RDD, partitioned by key.
    Pairs,
    /// A small value.
    Value,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Dataframe, Self::Rdd, Self::Pairs, Self::Value];

    /// The word in the database, on the link and in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dataframe => "dataframe",
            Self::Rdd => "rdd",
            Self::Pairs => "pairs",
            Self::Value => "value",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.as_str() == text)
    }
}

/// Whether a handle can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It can.
    Ready,
    /// Its data is lost; the reason says why.
    Lost,
    /// Its name was taken away.
    Gone,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Ready, Self::Lost, Self::Gone];

    /// The word in the database, on the link and in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Lost => "lost",
            Self::Gone => "gone",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == text)
    }
}

/// A handle, as its row and that of its context say.
#[derive(Debug, Clone)]
pub struct Handle {
    /// Its id.
    pub id: HandleId,
    /// The context it lives in.
    pub context_id: ContextId,
    /// The name of that.
    pub context_name: Option<String>,
    /// Who owns that.
    pub context_owner: String,
    /// The proxy that spoke for them.
    pub context_via: Option<String>,
    /// When that ended.
    pub context_ended_at: Option<Timestamp>,
    /// Why.
    pub context_cause: Option<String>,
    /// Whether that can begin again.
    pub context_restarts: bool,
    /// The profile it is made from.
    pub profile: String,
    /// Its name in the context.
    pub name: String,
    /// The tenant it lives in.
    pub tenant: String,
    /// Who owns it: whose session made it.
    pub owner: String,
    /// The proxy that spoke for them.
    pub via: Option<String>,
    /// The identity of its context on the cluster.
    pub run_as: String,
    /// What it names.
    pub kind: Kind,
    /// By which its agent knows that the name stands for these data and not for another's; agents of before name none.
    pub share_id: Option<Uuid>,
    /// Its newest version.
    pub version: i64,
    /// Whether it can be read.
    pub state: State,
    /// Why it is lost or gone.
    pub reason: Option<String>,
    /// Name, type and class of each column: a JSON array.
    pub columns: Option<Box<RawValue>>,
    /// Type of the keys of pairs.
    pub key_type: Option<String>,
    /// Partitions.
    pub partitions: i32,
    /// Spark's storage level.
    pub storage: String,
    /// Its time to live, ms.
    pub ttl_ms: Option<i64>,
    /// Where it is written, too.
    pub durable_path: Option<String>,
    /// The version that is written there.
    pub durable_version: Option<i64>,
    /// Bytes in memory.
    pub memory_bytes: i64,
    /// Bytes on disks.
    pub disk_bytes: i64,
    /// 0 to 1.
    pub cached_fraction: f64,
    /// The session that made it.
    pub session_id: Option<SessionId>,
    /// The statement there.
    pub statement: Option<i32>,
    /// When code last used it.
    pub last_used_at: Option<Timestamp>,
    /// Who last read it through the gateway.
    pub last_read_by: Option<String>,
    /// When.
    pub last_read_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its newest version came.
    pub updated_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
}

impl Shareable for Handle {
    fn owned(&self) -> Owned<'_> {
        let (via, run_as, profile) = (self.via.as_deref(), &self.run_as, &self.profile);
        let of = |kind, id, owner, via| Owned::new(kind, id, &self.tenant, owner, via, run_as, profile);
        let context = of(Thing::Context, self.context_id.0, self.context_owner.as_str(), self.context_via.as_deref());
        Owned { within: Some(Box::new(context)), ..of(Thing::Handle, self.id.0, self.owner.as_str(), via) }
    }
}

/// What can go wrong with handles.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Missing, or not to be seen.
    #[error("handle {0} not found")]
    NotFound(String),
    /// Not allowed; what and why.
    #[error("{0}")]
    Denied(String),
    /// Its grants could not be read.
    #[error(transparent)]
    Grants(#[from] crate::access::grant::Error),
    /// Its data is lost, or its name was taken away; when and why.
    #[error("handle {name} is {state}{at}: {reason}")]
    Over {
        /// Its name.
        name: String,
        /// `lost` or `gone`.
        state: &'static str,
        /// Since when, as the message says it.
        at: String,
        /// Why.
        reason: String,
    },
    /// Its context is over; it is durable.
    #[error(
        "the context of handle {0} {1}; restart it (POST /api/v1/contexts/ID/restart) to read what is durable of the handle"
    )]
    ContextOver(String, String),
    /// Its context is over for good.
    #[error("the context of handle {0} {1}")]
    ContextGone(String, String),
    /// What was asked cannot be.
    #[error("{0}")]
    Invalid(String),
    /// The driver could not do it.
    #[error("the driver of handle {name} says: {message}")]
    Failed {
        /// Its name.
        name: String,
        /// What it says.
        message: String,
    },
    /// What was put died with its driver before it was written.
    #[error(
        "version {version} of handle {name} was made, but was not written before it was lost: {why}; look at the handle's version, and do it again"
    )]
    Unwritten {
        /// Its name.
        name: String,
        /// The version that had the change.
        version: i64,
        /// Why it is lost.
        why: String,
    },
    /// Too large.
    #[error("keys and values of {0} bytes are more than one request may have: {1}; send them in parts")]
    TooLarge(usize, usize),
    /// The driver is not connected to this gateway now: nothing was begun.
    #[error("the driver of handle {0} does not answer now; try again")]
    Away(String),
    /// The driver was asked, and nobody knows what has come of it.
    #[error(
        "the driver of handle {0} was asked and has not answered, so it may have done it or not; a repeat under the same Idempotency-Key \
         does nothing twice"
    )]
    Unanswered(String),
    /// Too much at once.
    #[error("{0} are under way already, which is the limit; try again soon")]
    Busy(&'static str),
    /// The `Idempotency-Key`.
    #[error(transparent)]
    Key(#[from] crate::store::idempotency::Error),
    /// A context that is named.
    #[error(transparent)]
    Context(#[from] crate::context::Error),
    /// A session that is named.
    #[error(transparent)]
    Session(#[from] crate::session::Error),
    /// The database.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    /// A row that should not exist.
    #[error("the row of handle {0} makes no sense")]
    Inconsistent(HandleId),
}

impl From<Refused> for Error {
    /// Of a whole list, which nobody named.
    fn from(refused: Refused) -> Self {
        Self::refused(refused, "")
    }
}

impl From<sqlx::Error> for Error {
    fn from(e: sqlx::Error) -> Self {
        Self::Store(e.into())
    }
}

impl Error {
    fn refused(refused: Refused, called: &str) -> Self {
        match refused {
            Refused::NotFound => Self::NotFound(called.to_owned()),
            Refused::Denied(why) => Self::Denied(why),
            Refused::Grants(e) => Self::Grants(e),
        }
    }

    /// What an agent says of a request on a handle, as its caller is told.
    fn said(name: &str, failure: Failure) -> Self {
        let (name, message) = (name.to_owned(), failure.message.chars().take(LONGEST_REASON).collect());
        let at = String::new();
        match failure.code.as_str() {
            "not_found" => Self::Over { name, state: State::Gone.as_str(), at, reason: message },
            "lost" => Self::Over { name, state: State::Lost.as_str(), at, reason: message },
            "not_pairs" | "bad_key" | "bad_value" | "bad_columns" => Self::Invalid(message),
            "cancelled" => Self::Away(name),
            _ => Self::Failed { name, message },
        }
    }
}

impl Classify for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound(_) => ErrorKind::NotFound,
            Self::Denied(_) => ErrorKind::Denied,
            Self::Grants(e) => e.kind(),
            Self::Over { .. } | Self::ContextGone(..) => ErrorKind::Gone,
            Self::ContextOver(..) | Self::Failed { .. } | Self::Unwritten { .. } => ErrorKind::Conflict,
            Self::Invalid(_) => ErrorKind::Invalid,
            Self::TooLarge(..) => ErrorKind::TooLarge,
            Self::Unanswered(_) => ErrorKind::Unanswered,
            Self::Key(e) => e.kind(),
            Self::Away(_) => ErrorKind::Unavailable { retry_after: Duration::from_secs(2) },
            Self::Busy(_) => ErrorKind::TooMany { retry_after: Duration::from_secs(1) },
            Self::Context(e) => e.kind(),
            Self::Session(e) => e.kind(),
            Self::Store(e) => e.kind(),
            Self::Inconsistent(_) => ErrorKind::Internal,
        }
    }
}

/// Characters of a reason.
const LONGEST_REASON: usize = 2000;

/// Checks the name of a handle: SQL says `global_temp.NAME`.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let mut letters = name.bytes();
    name.len() <= 128
        && letters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == b'_')
        && letters.all(|c| c.is_ascii_alphanumeric() || c == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_that_sql_takes() {
        for name in ["a", "_", "srdd", "A1_b", &"x".repeat(128)] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "1a", "a-b", "a.b", "ä", "a b", "a\0", &"x".repeat(129)] {
            assert!(!is_name(name), "{name}");
        }
    }
}
