//! A Spark application that people work in: launch, link, log, end.
//!
//! A context is a named place for Spark work, owned by a principal and run as one identity. It has at most one live
//! application at a time; several sessions can live in it. The rows are the truth: what runs is brought in line with them by
//! [`reconcile`], and the agent in the driver by [`driver`]. This module knows nothing of sessions or statements; it
//! hands what agents send to a [`driver::Sink`] and tells it when a context ends.

pub mod activity;
mod anew;
pub mod application;
pub mod clock;
pub mod driver;
pub mod ending;
mod idle;
pub mod launch;
pub mod lease;
pub mod live;
pub mod log;
pub mod reconcile;
mod restart;
pub mod service;
pub mod share;
mod stop;
pub mod store;
pub mod watch;

use serde::{Deserialize, Serialize};

use crate::access::resource::Kind as Thing;
use crate::access::{Owned, Refused, Shareable};
use crate::id::{ApplicationId, ContextId, GatewayId};
use crate::kind::{Classify, Kind};
use crate::store::constraint;
use crate::time::{Span, Timestamp};

pub use ending::{By, Ending};
pub use share::Share;

use launch::resources::Resources;

/// Where a context is in its life. It only moves down this list, but for `Ready`, which may be skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// In line for a launch.
    Waiting,
    /// Launched, not yet ready for code.
    Starting,
    /// Ready for code.
    Ready,
    /// Told to end.
    Stopping,
    /// Over; its cause says why.
    Ended,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Waiting, Self::Starting, Self::Ready, Self::Stopping, Self::Ended];

    /// The word in the database and on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Stopping => "stopping",
            Self::Ended => "ended",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == text)
    }
}

/// A context, as its row says.
#[derive(Debug, Clone)]
pub struct Context {
    /// Its id.
    pub id: ContextId,
    /// The tenant it lives in.
    pub tenant: String,
    /// Who owns it.
    pub owner: String,
    /// The proxy that spoke for the owner.
    pub via: Option<String>,
    /// The identity of its application on the cluster.
    pub run_as: String,
    /// Its name, unique in the tenant among the living.
    pub name: Option<String>,
    /// The profile it is made from.
    pub profile: String,
    /// Whether it lives on after its last session (`context`) or ends with it (`session`).
    pub outlives_sessions: bool,
    /// Whose sessions find it without naming it.
    pub share: Share,
    /// Time without work after which it ends; zero: never.
    pub idle: Span,
    /// Where it is in its life.
    pub state: State,
    /// Why it ended.
    pub cause: Option<String>,
    /// Who or what ended it.
    pub ended_by: Option<By>,
    /// What it asks of Spark.
    pub request: Resources,
    /// The host that launches it.
    pub host: String,
    /// Raised by every take-over.
    pub epoch: i64,
    /// The gateway that holds it.
    pub held_by: Option<GatewayId>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it was first ready.
    pub ready_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Its newest launch.
    pub application: Option<Application>,
}

/// One launch of a context.
#[derive(Debug, Clone)]
pub struct Application {
    /// Its id.
    pub id: ApplicationId,
    /// The cluster's id of it.
    pub cluster_id: Option<String>,
    /// Where the Spark UI is.
    pub ui_url: Option<String>,
    /// Spark's version.
    pub spark_version: Option<String>,
    /// Which launch of the context it is, from 1.
    pub attempt: i32,
    /// Whether it is over.
    pub is_over: bool,
    /// Folder of the launch on its host.
    pub launch_dir: String,
    /// Log lines so far.
    pub log_lines: i64,
}

impl Context {
    /// What it is called: its name, else its id.
    #[must_use]
    pub fn called(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.id.to_string())
    }

    /// Why nothing new can begin in it, which is told to whoever wants that.
    #[must_use]
    pub fn refusal(&self) -> Error {
        let (called, cause) = (self.called(), self.cause.as_deref());
        match self.state {
            State::Ended if self.outlives_sessions => Error::Ended(called, ending::told(self.ended_at, cause)),
            State::Ended => Error::Gone(called, ending::told(self.ended_at, cause)),
            State::Stopping => Error::Over(called, ending::told_early(cause)),
            state => Error::Over(called, state.as_str().to_owned()),
        }
    }
}

impl Shareable for Context {
    fn owned(&self) -> Owned<'_> {
        let via = self.via.as_deref();
        Owned::new(Thing::Context, self.id.0, &self.tenant, &self.owner, via, &self.run_as, &self.profile)
    }
}

/// What a new context is to be.
#[derive(Debug, Clone, Default)]
pub struct NewContext {
    /// Name, unique in the tenant among the living.
    pub name: Option<String>,
    /// Profile; `default` when none is named.
    pub profile: Option<String>,
    /// Whether it lives on after its last session.
    pub outlives_sessions: bool,
    /// Time without work after which it ends; without it what the profile says.
    pub idle: Option<Span>,
    /// What it asks of Spark.
    pub request: Resources,
}

/// What can go wrong with contexts.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Missing, or not to be seen.
    #[error("context {0} not found")]
    NotFound(String),
    /// Not allowed; what and why.
    #[error("{0}")]
    Denied(String),
    /// Its grants could not be read.
    #[error(transparent)]
    Grants(#[from] crate::access::grant::Error),
    /// A living context of the tenant has the name.
    #[error("a context named {0:?} is alive already; choose another name or stop that one")]
    NameTaken(String),
    /// A name that cannot be one.
    #[error("{0:?} cannot be a name: use 1 to 128 visible characters, not digits alone")]
    BadName(String),
    /// No such profile.
    #[error("there is no profile {name:?}; there are: {known}")]
    NoProfile {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// The request asks Spark for something that cannot be.
    #[error(transparent)]
    BadRequest(#[from] launch::resources::Invalid),
    /// There is nobody to run as.
    #[error(transparent)]
    NobodyToRunAs(#[from] launch::launcher::rules::Refused),
    /// The launcher.
    #[error(transparent)]
    Launcher(#[from] launch::launcher::Error),
    /// The line for launches is full.
    #[error("{0} applications wait in line already, which is the limit (launch.queue); try again later")]
    LineFull(i64),
    /// The gateway stops, and ends what it has launched.
    #[error("Hearth is being stopped and begins nothing new; try again when it is back")]
    Stopping,
    /// It ends with its session.
    #[error(
        "context {0} was made for one session and ends with it: make a new session, or a context of its own for several"
    )]
    EndsWithSessions(ContextId),
    /// It would run as another than it has.
    #[error(
        "context {id} ran as {was}, and what is made from the profile {profile} runs as {now} now: make a new context instead"
    )]
    OtherIdentity {
        /// The context.
        id: ContextId,
        /// As whom it ran.
        was: String,
        /// Its profile.
        profile: String,
        /// As whom it would run.
        now: String,
    },
    /// Another session made the context that they share at this moment.
    #[error("the context that your sessions live in was made at the same moment; try again")]
    SharedMeanwhile,
    /// The one that the sessions share is ending, and comes back after that.
    #[error(
        "the context that your sessions live in is just ending, and holds durable handles: try again in some seconds, and it comes back with them"
    )]
    SharedEnding,
    /// There is a newer one for the same sessions.
    #[error("another context has taken its place, in which those sessions live now: stop that one first")]
    SharedByAnother,
    /// It is ending, or where it cannot be asked for this.
    #[error("context {0} is {1}")]
    Over(String, String),
    /// It is over, and can begin again.
    #[error("context {0} {1}; restart it (POST /api/v1/contexts/ID/restart), or make another")]
    Ended(String, String),
    /// It is over for good.
    #[error("context {0} {1}")]
    Gone(String, String),
    /// The `Idempotency-Key`.
    #[error(transparent)]
    Key(#[from] crate::store::idempotency::Error),
    /// The database.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    /// A row that should not exist.
    #[error("the row of context {0} makes no sense")]
    Inconsistent(ContextId),
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

impl From<launch::NotAdmitted> for Error {
    fn from(e: launch::NotAdmitted) -> Self {
        match e {
            launch::NotAdmitted::User(e) => e.into(),
            launch::NotAdmitted::Request(e) => e.into(),
            launch::NotAdmitted::Launcher(e) => e.into(),
        }
    }
}

impl Error {
    /// A refusal, with the name that the caller used.
    #[must_use]
    pub fn refused(refused: Refused, called: impl ToString) -> Self {
        match refused {
            Refused::NotFound => Self::NotFound(called.to_string()),
            Refused::Denied(why) => Self::Denied(why),
            Refused::Grants(e) => Self::Grants(e),
        }
    }

    /// What the database says of a row that is to live: another may have its name or its place.
    fn taken(e: sqlx::Error, wanted: &Context) -> Self {
        match (constraint(&e), &wanted.name) {
            (Some("context_name_per_tenant"), Some(name)) => Self::NameTaken(name.clone()),
            (Some("context_shared"), _) => Self::SharedMeanwhile,
            _ => e.into(),
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
    fn kind(&self) -> Kind {
        match self {
            Self::NotFound(_) => Kind::NotFound,
            Self::Denied(_) | Self::NobodyToRunAs(_) | Self::Launcher(launch::launcher::Error::Refused(_)) => {
                Kind::Denied
            }
            Self::Launcher(_) => Kind::Unavailable { retry_after: std::time::Duration::from_secs(10) },
            Self::Grants(e) => e.kind(),
            Self::NameTaken(_)
            | Self::Over(..)
            | Self::Ended(..)
            | Self::EndsWithSessions(_)
            | Self::OtherIdentity { .. }
            | Self::SharedMeanwhile
            | Self::SharedByAnother => Kind::Conflict,
            Self::Gone(..) => Kind::Gone,
            Self::BadName(_) | Self::NoProfile { .. } | Self::BadRequest(_) => Kind::Invalid,
            Self::LineFull(_) => Kind::TooMany { retry_after: std::time::Duration::from_secs(10) },
            Self::Stopping | Self::SharedEnding => Kind::Unavailable { retry_after: crate::store::RETRY_AFTER },
            Self::Key(e) => e.kind(),
            Self::Store(e) => e.kind(),
            Self::Inconsistent(_) => Kind::Internal,
        }
    }
}

/// Checks a name of a context, session or batch.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let length = name.chars().count();
    (1..=128).contains(&length)
        && !name.chars().any(|c| c.is_control() || matches!(c, '/' | '?' | '#'))
        && !name.bytes().all(|b| b.is_ascii_digit())
        && name.trim() == name
}
