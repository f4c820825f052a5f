//! Starting Spark applications.

mod admission;
pub mod archive;
pub mod bundle;
pub mod cause;
pub mod child;
mod compile;
mod conf;
pub mod conf_policy;
mod draft;
pub mod enter;
pub mod environment;
pub mod files;
pub mod folder;
pub mod follow;
pub mod java_command;
pub mod launcher;
pub mod line;
pub mod process;
pub mod properties;
pub mod redact;
pub mod resources;
pub mod run_as;
pub mod spark_home;
pub mod start;
pub mod submit;
pub mod sweep;
pub mod table;
pub mod tail;
mod variables;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use tokio_util::sync::CancellationToken;

pub use self::admission::{Admission, Admitted, Error as NotAdmitted};
use self::conf_policy::Unknown;
use self::launcher::rules::Users;
use self::run_as::RunAs;
use crate::context::share::Share;
use crate::id::GatewayId;
use crate::time::Span;

/// The section `launch`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Applications that may be starting at once.
    pub concurrency: usize,
    /// Contexts and batches alive at once on this host; 0: by memory.
    pub contexts: usize,
    /// How many may wait in line.
    pub queue: usize,
    /// After this time without an answer a start is given up.
    pub start_timeout: Span,
    /// How long a driver lives without a gateway.
    pub orphan_timeout: Span,
    /// OS user that the gateway becomes when it is started as root, leaving the launcher behind; empty: it stays root.
    pub gateway_user: String,
    /// Socket of a launcher that runs by itself; empty: none.
    pub launcher: String,
    /// Which OS users drivers may run as.
    pub users: Users,
    /// Log lines kept for each application.
    pub log_lines: i64,
    /// How long launch folders of ended applications stay.
    pub keep_folders: Span,
    /// Jar of the agent made beforehand; empty: compiled on site.
    pub agent_jar: String,
    /// Whether class data archives are made.
    pub class_archive: bool,
}

/// Which gateway launches, and where.
#[derive(Debug, Clone)]
pub struct Site {
    /// This incarnation of the gateway.
    pub gateway: GatewayId,
    /// The name of the machine, by which what was launched on it is found again.
    pub host: String,
    /// Where the launch folders of the gateway's state folder lie.
    pub launches: PathBuf,
    /// Cancelled when the gateway stops: whoever waits is answered then.
    pub stopping: CancellationToken,
}

/// A named template of a context.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Profile {
    /// Folder of a Spark distribution; empty: found.
    pub spark_home: String,
    /// Spark master.
    pub master: String,
    /// Python of the sessions; empty: found.
    pub python: String,
    /// Driver memory of a request that names none.
    pub driver_memory: String,
    /// Options of the driver's JVM.
    pub java_options: String,
    /// Spark conf of every application.
    pub conf: BTreeMap<String, String>,
    /// As whom drivers run.
    pub run_as: RunAs,
    /// Where files of this machine may lie that a request names; empty: anywhere without a scheme, else nowhere.
    pub file_roots: Vec<PathBuf>,
    /// What becomes of conf keys that `policies/spark-conf.toml` does not know.
    pub unknown_conf: Unknown,
    /// Conf keys that requests may set though their class forbids it.
    pub allowed_conf: Vec<String>,
    /// Whether an owner may let others run code in what runs as the owner.
    pub share_identity: bool,
    /// What becomes of sessions that name no context.
    pub share: Share,
    /// Time without work after which a context that outlives its sessions ends; zero: never.
    pub context_idle_timeout: Span,
    /// Address of the folder where durable handles are written; empty: there are none.
    pub handle_store: String,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            spark_home: String::new(),
            master: "local[*]".to_owned(),
            python: String::new(),
            driver_memory: "1g".to_owned(),
            java_options: String::new(),
            conf: BTreeMap::new(),
            run_as: RunAs::default(),
            file_roots: Vec::new(),
            unknown_conf: Unknown::default(),
            allowed_conf: Vec::new(),
            share_identity: false,
            share: Share::default(),
            context_idle_timeout: Span(Duration::from_secs(3600)),
            handle_store: String::new(),
        }
    }
}
