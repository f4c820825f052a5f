//! One `spark-submit` of a jar or a Python file.
//!
//! A batch stands in the same line for a launch as contexts do, runs under `hearth child`, outlives the gateway, and ends with the
//! true exit status of its program. Its row is the truth; [`reconcile`] brings what runs in line with it.

pub mod reconcile;
pub mod service;
mod store;
mod watch;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::access::resource::Kind as Thing;
use crate::access::{Owned, Refused, Shareable};
use crate::context::By;
use crate::context::launch::files::{self, Local};
use crate::context::launch::resources::{Invalid, Resources};
use crate::id::{BatchId, LivyId};
use crate::kind::{Classify, Kind};
use crate::time::Timestamp;

/// Arguments of one batch at most.
const MOST_ARGS: usize = 1000;
/// The longest argument, bytes: Linux takes 128 KiB for one.
const LONGEST_ARG: usize = 100 * 1024;
/// All arguments together, bytes.
const ALL_ARGS: usize = 1024 * 1024;

/// Where a batch is in its life, in Livy's words. It only moves down this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// In line for a launch.
    Waiting,
    /// Launched; Spark is not up yet.
    Starting,
    /// Runs.
    Running,
    /// Told to end.
    ShuttingDown,
    /// Over: its program ended with status 0.
    Success,
    /// Over: it failed, or could not be started; the cause says why.
    Dead,
    /// Over: it was told to end.
    Killed,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 7] =
        [Self::Waiting, Self::Starting, Self::Running, Self::ShuttingDown, Self::Success, Self::Dead, Self::Killed];

    /// The word in the database and on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::ShuttingDown => "shutting_down",
            Self::Success => "success",
            Self::Dead => "dead",
            Self::Killed => "killed",
        }
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Success | Self::Dead | Self::Killed)
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == text)
    }
}

/// What is to be run, kept to be shown again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Request {
    /// The jar or Python file: an absolute path or a URL.
    pub file: String,
    /// Arguments of the program. Everybody on the machine can read them while it runs.
    pub args: Vec<String>,
    /// Main class of a jar whose manifest names none.
    pub class_name: Option<String>,
    /// What it asks of Spark.
    pub resources: Resources,
    /// `proxyUser` or `doAs`, as asked for; without a scheme it changes nothing.
    pub proxy_user: Option<String>,
    /// Lines that tell what of the request changes nothing, and why; they stand in its log.
    pub notices: Vec<String>,
}

impl Request {
    /// Checks what can be checked without Spark, makes the name of the file plain, and gives the file when it is this machine's.
    ///
    /// # Errors
    /// Says which field is wrong and what it should be.
    fn check(&mut self) -> Result<Vec<Local>, Invalid> {
        if self.file.is_empty() {
            return Err(Invalid("file is required: the path or URL of a jar or a Python file".to_owned()));
        }
        if self.args.len() > MOST_ARGS || self.args.iter().map(String::len).sum::<usize>() > ALL_ARGS {
            return Err(Invalid(format!("args: at most {MOST_ARGS}, of {ALL_ARGS} bytes together")));
        }
        if self.args.iter().any(|a| a.len() > LONGEST_ARG || a.contains('\0')) {
            return Err(Invalid(format!("args: each at most {LONGEST_ARG} bytes, without NUL characters")));
        }
        let is_class = |c: &str| {
            c.len() <= 500
                && c.starts_with(|f: char| f.is_alphabetic() || matches!(f, '_' | '$'))
                && c.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '$' | '.'))
        };
        if self.class_name.as_deref().is_some_and(|c| !is_class(c)) {
            return Err(Invalid("className: not the name of a class".to_owned()));
        }
        let mut local = Vec::new();
        self.file = files::name("file", &self.file, &mut local)?;
        Ok(local)
    }
}

/// A batch, as its row says.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Its id.
    pub id: BatchId,
    /// The id that Livy's clients know.
    pub livy_id: LivyId,
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
    /// The profile it is launched from.
    pub profile: String,
    /// Where it is in its life.
    pub state: State,
    /// Why it ended, unless in success.
    pub cause: Option<String>,
    /// Who ended it.
    pub ended_by: Option<By>,
    /// What is to be run.
    pub request: Request,
    /// The host that launches it.
    pub host: String,
    /// Folder of its launch on its host.
    pub launch_dir: String,
    /// The cluster's id of its application.
    pub cluster_id: Option<String>,
    /// Where its Spark UI is.
    pub ui_url: Option<String>,
    /// Exit status of its program.
    pub exit_code: Option<i32>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it was launched.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Whether the Livy door shows it no longer.
    pub deleted: bool,
    /// The last lines of its log, at most [`crate::context::live::TAIL`].
    pub tail: Vec<String>,
}

impl Shareable for Batch {
    fn owned(&self) -> Owned<'_> {
        let via = self.via.as_deref();
        Owned::new(Thing::Batch, self.id.0, &self.tenant, &self.owner, via, &self.run_as, &self.profile)
    }
}

/// A batch with what is derived: what doors show.
#[derive(Debug, Clone)]
pub struct View {
    /// The row.
    pub batch: Batch,
    /// Why it waits: its place in the line for a launch.
    pub waits: Option<Arc<str>>,
}

impl Shareable for View {
    fn owned(&self) -> Owned<'_> {
        self.batch.owned()
    }
}

/// What a new batch is to be.
#[derive(Debug, Clone, Default)]
pub struct NewBatch {
    /// Name, unique in the tenant among the living.
    pub name: Option<String>,
    /// Profile; `default` when none is named.
    pub profile: Option<String>,
    /// What is to be run.
    pub request: Request,
}

/// What can go wrong with batches.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Missing, or not to be seen.
    #[error("batch {0} not found")]
    NotFound(String),
    /// Not allowed; what and why.
    #[error("{0}")]
    Denied(String),
    /// Its grants could not be read.
    #[error(transparent)]
    Grants(#[from] crate::access::grant::Error),
    /// A living batch of the tenant has the name.
    #[error("a batch named {name:?} is alive already: batch {livy_id}")]
    NameTaken {
        /// The name.
        name: String,
        /// Who has it.
        livy_id: LivyId,
    },
    /// A name that cannot be one.
    #[error("{0:?} cannot be a name: use 1 to 128 visible characters, not digits alone")]
    BadName(String),
    /// The request cannot be run.
    #[error(transparent)]
    BadRequest(#[from] Invalid),
    /// The profile, or the line for a launch.
    #[error(transparent)]
    Launch(#[from] crate::context::Error),
    /// The `Idempotency-Key`.
    #[error(transparent)]
    Key(#[from] crate::store::idempotency::Error),
    /// The database.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    /// A row that should not exist.
    #[error("the row of batch {0} makes no sense")]
    Inconsistent(BatchId),
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

impl Classify for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::NotFound(_) => Kind::NotFound,
            Self::Denied(_) => Kind::Denied,
            Self::Grants(e) => e.kind(),
            Self::NameTaken { .. } => Kind::Conflict,
            Self::BadName(_) | Self::BadRequest(_) => Kind::Invalid,
            Self::Launch(e) => e.kind(),
            Self::Key(e) => e.kind(),
            Self::Store(e) => e.kind(),
            Self::Inconsistent(_) => Kind::Internal,
        }
    }
}
