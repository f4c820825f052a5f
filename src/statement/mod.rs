//! One piece of code sent to a session, and its output.
//!
//! The promise: once a submit has answered, the statement is not lost whatever dies, and it never runs twice. Its row is the truth;
//! `submit` takes it in, [`sink`] writes what the agent says of it, [`service`] gives it out. A statement that was waiting or running when
//! its driver died ends `available` with an error output that says so, and is not run again.

mod at_once;
mod ending;
pub mod live;
mod said;
pub mod service;
pub mod sink;
pub mod store;
mod submit;

use serde_json::value::RawValue;
use std::sync::Arc;

use crate::id::SessionId;
use crate::kind::{Classify, Kind as ErrorKind};
use crate::session::Kind;
use crate::time::Timestamp;

/// Where a statement is in its life, in Livy's words. A failed statement is `Available` with an error in its output:
/// Zeppelin and dbt poll for ever on any other end. It only moves down this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// In line in its session.
    Waiting,
    /// Being run.
    Running,
    /// Told to stop.
    Cancelling,
    /// Ended, with an output.
    Available,
    /// Ended by a cancel.
    Cancelled,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Waiting, Self::Running, Self::Cancelling, Self::Available, Self::Cancelled];

    /// The word in the database and on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Cancelling => "cancelling",
            Self::Available => "available",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Available | Self::Cancelled)
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == text)
    }
}

/// JSON text, kept byte for byte as it came.
pub type Raw = Arc<RawValue>;

/// A statement, as its row says.
#[derive(Debug, Clone)]
pub struct Statement {
    /// The session it was sent to.
    pub session_id: SessionId,
    /// Its number there, from 0.
    pub number: i32,
    /// Which interpreter runs it.
    pub kind: Kind,
    /// Its code: a JSON string literal.
    pub code: Raw,
    /// Where it is in its life.
    pub state: State,
    /// 0 to 1.
    pub progress: f64,
    /// Livy's output object, once it has ended.
    pub output: Option<Raw>,
    /// Name, type and class of each column of the result: a JSON array.
    pub columns: Option<Raw>,
    /// What was cut: a JSON object.
    pub truncated: Option<Raw>,
    /// The interpreter's own time, microseconds.
    pub ran_us: Option<i64>,
    /// When it was taken.
    pub created_at: Timestamp,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
}

/// A piece of output, as it came.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// The statement it belongs to.
    pub number: i32,
    /// The agent's number of it; rises.
    pub seq: i64,
    /// `stdout` or `stderr`.
    pub stream: String,
    /// Its text: a JSON string literal.
    pub text: Raw,
}

/// What can go wrong with statements.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such statement.
    #[error("statement {0} not found")]
    NotFound(i32),
    /// The session does not take code.
    #[error(transparent)]
    NotAlive(crate::session::Error),
    /// A shared session needs to be told the kind.
    #[error("this session has no kind of its own: name one (spark, pyspark, sql) with the statement")]
    KindMissing,
    /// A kind that this version does not run.
    #[error("statements of kind {0} are not offered yet; use spark, pyspark or sql")]
    NotOffered(Kind),
    /// The code is no text.
    #[error("code must be a text")]
    BadCode,
    /// The session's line is full.
    #[error("{0} statements wait in this session already, which is the limit (session.waiting); wait for some to end")]
    LineFull(i64),
    /// The code in the session's line is too large together.
    #[error(
        "{waiting} bytes of code wait in this session already, and with this statement it would be more than the limit of {limit} \
         (session.waiting_bytes); wait for some to end"
    )]
    LineLarge {
        /// Bytes that wait.
        waiting: i64,
        /// Bytes that may.
        limit: i64,
    },
    /// Its session.
    #[error(transparent)]
    Session(#[from] crate::session::Error),
    /// The `Idempotency-Key`.
    #[error(transparent)]
    Key(#[from] crate::store::idempotency::Error),
    /// The database.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    /// A row that should not exist.
    #[error("the row of statement {0} makes no sense")]
    Inconsistent(i32),
}

impl From<sqlx::Error> for Error {
    fn from(e: sqlx::Error) -> Self {
        Self::Store(e.into())
    }
}

impl Error {
    /// The error of the database below; anything else is a row that makes no sense.
    pub(crate) fn into_sqlx(self) -> sqlx::Error {
        match self {
            Self::Store(e) => e.into_sqlx(),
            other => sqlx::Error::Decode(Box::new(other)),
        }
    }
}

impl Classify for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound(_) => ErrorKind::NotFound,
            Self::KindMissing | Self::NotOffered(_) | Self::BadCode => ErrorKind::Invalid,
            Self::LineFull(_) | Self::LineLarge { .. } => {
                ErrorKind::TooMany { retry_after: std::time::Duration::from_secs(1) }
            }
            Self::NotAlive(e) | Self::Session(e) => e.kind(),
            Self::Key(e) => e.kind(),
            Self::Store(e) => e.kind(),
            Self::Inconsistent(_) => ErrorKind::Internal,
        }
    }
}
