//! One interactive workspace in a context: its own `SparkSession` and its own interpreters, one per kind.
//!
//! What Livy calls a session is a context with one session in it. A session's row says where it is in its life; whether it is
//! *busy* is derived from its statements and never stored.

mod completion;
pub mod expire;
pub mod kind;
pub mod live;
pub mod service;
pub mod store;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::access::resource::Kind as Thing;
use crate::access::{Owned, Refused, Shareable};
use crate::context::clock::{Clock, Deadline};
use crate::context::launch::resources::Resources;
use crate::context::live::Facts;
use crate::context::{By, ending};
use crate::id::{ContextId, LivyId, SessionId};
use crate::kind::{Classify, Kind as ErrorKind};
use crate::time::{Span, Timestamp};

pub use kind::Kind;

/// The section `session`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// End after this time without activity; zero: never.
    pub idle_timeout: Span,
    /// End this long after the beginning; zero: never.
    pub ttl: Span,
    /// Statements that may wait.
    pub waiting: i64,
    /// Bytes of code that may wait; one statement always may.
    pub waiting_bytes: i64,
    /// Rows of one result.
    pub max_rows: u32,
    /// Bytes of text of one statement.
    pub max_output: u64,
    /// How long ended sessions stay on the Livy door.
    pub retain: Span,
}

/// Where a session is in its life, in Livy's words (its clients take no others).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Its context or its interpreter is not ready yet. Statements are taken and wait.
    Starting,
    /// Ready for code.
    Idle,
    /// Runs code. Derived, never stored.
    Busy,
    /// Told to end.
    ShuttingDown,
    /// Over.
    Dead,
    /// Over, ended from outside.
    Killed,
    /// Over, it could not be started.
    Error,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 7] =
        [Self::Starting, Self::Idle, Self::Busy, Self::ShuttingDown, Self::Dead, Self::Killed, Self::Error];

    /// The word in the database and on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Idle => "idle",
            Self::Busy => "busy",
            Self::ShuttingDown => "shutting_down",
            Self::Dead => "dead",
            Self::Killed => "killed",
            Self::Error => "error",
        }
    }

    /// Whether statements are taken.
    #[must_use]
    pub fn takes_statements(self) -> bool {
        matches!(self, Self::Starting | Self::Idle | Self::Busy)
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == text)
    }
}

/// What the request said, kept to be shown again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Request {
    /// What it asks of Spark.
    pub resources: Resources,
    /// `ttl`, as written.
    pub ttl: Option<String>,
    /// `idleTimeout`, as written.
    pub idle_timeout: Option<String>,
    /// `proxyUser` or `doAs`, as asked for; without a scheme it changes nothing.
    pub proxy_user: Option<String>,
    /// Lines that tell what of the request changes nothing, and why; they stand in its log.
    pub notices: Vec<String>,
}

/// A session, as its row says.
#[derive(Debug, Clone)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// The id that Livy's clients know.
    pub livy_id: LivyId,
    /// The context it lives in.
    pub context_id: ContextId,
    /// Who owns that.
    pub context_owner: String,
    /// The profile that is made from.
    pub profile: String,
    /// Its number in the context.
    pub number: i32,
    /// The tenant it lives in.
    pub tenant: String,
    /// Who owns it.
    pub owner: String,
    /// The proxy that spoke for the owner.
    pub via: Option<String>,
    /// The identity its code has on the cluster.
    pub run_as: String,
    /// Its name, unique in the tenant among the living.
    pub name: Option<String>,
    /// Its kind.
    pub kind: Kind,
    /// Where it is in its life; never [`State::Busy`].
    pub state: State,
    /// Why it ended.
    pub cause: Option<String>,
    /// Who or what ended it.
    pub ended_by: Option<By>,
    /// What the request said.
    pub request: Request,
    /// Silence of its client after which it ends; zero: never.
    pub heartbeat: Span,
    /// Time without activity after which it ends; zero: never.
    pub idle: Span,
    /// Age at which it ends; zero: never.
    pub ttl: Span,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// Last activity that was written.
    pub last_active_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Whether the Livy door shows it no longer.
    pub deleted: bool,
}

impl Session {
    /// When the nearest of its clocks strikes if nothing happens, but for that of the heartbeat, which begins anew with each call on it.
    /// `active`: its last activity; `context`: the deadline of its context.
    fn deadline(&self, active: Timestamp, is_busy: bool, context: Option<Deadline>) -> Option<Deadline> {
        if !self.state.takes_statements() {
            return None;
        }
        // What has not begun is not idle.
        let is_idle = !is_busy && self.state != State::Starting;
        let idle = is_idle.then(|| Deadline::of(Clock::Idle, active, self.idle)).flatten();
        let ttl = Deadline::of(Clock::Ttl, self.created_at, self.ttl);
        let context = context.filter(|_| !is_busy);
        [idle, ttl, context].into_iter().flatten().min_by_key(|deadline| deadline.at)
    }

    /// Why no code can be run in it while it is in this state, which is told to whoever sends some.
    #[must_use]
    pub fn refusal(&self, state: State) -> Error {
        match state {
            state if is_over(state) => Error::Over(self.livy_id, ending::told(self.ended_at, self.cause.as_deref())),
            State::ShuttingDown => Error::NotAlive(self.livy_id, ending::told_early(self.cause.as_deref())),
            state => Error::NotAlive(self.livy_id, state.as_str().to_owned()),
        }
    }
}

impl Shareable for Session {
    fn owned(&self) -> Owned<'_> {
        let via = self.via.as_deref();
        Owned::new(Thing::Session, self.id.0, &self.tenant, &self.owner, via, &self.run_as, &self.profile)
    }
}

/// A session with what is derived: what doors show.
#[derive(Debug, Clone)]
pub struct View {
    /// The row.
    pub session: Arc<Session>,
    /// The state to show.
    pub state: State,
    /// Facts of its context.
    pub facts: Arc<Facts>,
    /// Last lines of its context's log.
    pub tail: Vec<Arc<str>>,
    /// When the nearest clock ends it if nothing happens.
    pub ends: Option<Deadline>,
}

impl Shareable for View {
    fn owned(&self) -> Owned<'_> {
        self.session.owned()
    }
}

/// What a new session is to be.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Its kind.
    pub kind: Kind,
    /// Name, unique in the tenant among the living.
    pub name: Option<String>,
    /// An existing context, by name or id; none: one of its own, which ends with it.
    pub context: Option<String>,
    /// Profile of its own context.
    pub profile: Option<String>,
    /// What the request said.
    pub request: Request,
    /// Heartbeat, seconds; 0: none.
    pub heartbeat_seconds: u32,
}

/// What can go wrong with sessions.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Missing, or not to be seen.
    #[error("Session '{0}' not found.")]
    NotFound(String),
    /// Not allowed; what and why.
    #[error("{0}")]
    Denied(String),
    /// Its grants could not be read.
    #[error(transparent)]
    Grants(#[from] crate::access::grant::Error),
    /// A living session of the tenant has the name.
    #[error("a session named {name:?} is alive already: session {livy_id}")]
    NameTaken {
        /// The name.
        name: String,
        /// Who has it.
        livy_id: LivyId,
    },
    /// A name that cannot be one.
    #[error("{0:?} cannot be a name: use 1 to 128 visible characters, not digits alone")]
    BadName(String),
    /// A time that cannot be read.
    #[error("{field}: {source}")]
    BadTime {
        /// The field.
        field: &'static str,
        /// Why.
        source: crate::time::BadSpan,
    },
    /// A kind that this version does not run.
    #[error("sessions of kind {0} are not offered yet: there is no R interpreter; use spark, pyspark, sql or shared")]
    NotOffered(Kind),
    /// It is ending, or not yet there.
    #[error("session {0} is {1}")]
    NotAlive(LivyId, String),
    /// It is over.
    #[error("session {0} {1}")]
    Over(LivyId, String),
    /// Its driver is not connected now.
    #[error("the driver of session {0} is not connected now; try again")]
    Away(LivyId),
    /// Its context.
    #[error(transparent)]
    Context(#[from] crate::context::Error),
    /// The `Idempotency-Key`.
    #[error(transparent)]
    Key(#[from] crate::store::idempotency::Error),
    /// The database.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    /// A row that should not exist.
    #[error("the row of session {0} makes no sense")]
    Inconsistent(SessionId),
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
            Self::Denied(_) => ErrorKind::Denied,
            Self::Grants(e) => e.kind(),
            Self::NameTaken { .. } | Self::NotAlive(..) => ErrorKind::Conflict,
            Self::Over(..) => ErrorKind::Gone,
            Self::BadName(_) | Self::BadTime { .. } | Self::NotOffered(_) => ErrorKind::Invalid,
            Self::Away(_) => ErrorKind::Unavailable { retry_after: std::time::Duration::from_secs(1) },
            Self::Context(e) => e.kind(),
            Self::Key(e) => e.kind(),
            Self::Store(e) => e.kind(),
            Self::Inconsistent(_) => ErrorKind::Internal,
        }
    }
}

/// Whether a session in this state is over.
#[must_use]
pub fn is_over(state: State) -> bool {
    matches!(state, State::Dead | State::Killed | State::Error)
}
