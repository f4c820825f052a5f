//! Starting Spark applications.

pub mod archive;
pub mod bundle;
pub mod cause;
pub mod child;
mod compile;
mod conf;
mod draft;
pub mod environment;
pub mod files;
pub mod folder;
pub mod follow;
pub mod java_command;
pub mod line;
pub mod process;
pub mod properties;
pub mod resources;
pub mod spark_home;
pub mod start;
pub mod submit;
pub mod sweep;
pub mod table;
pub mod tail;

use std::collections::BTreeMap;

use serde::Deserialize;

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
    /// OS user of drivers when the gateway runs as root; empty: root.
    pub user: String,
    /// Log lines kept for each application.
    pub log_lines: i64,
    /// How long launch folders of ended applications stay.
    pub keep_folders: Span,
    /// Jar of the agent made beforehand; empty: compiled on site.
    pub agent_jar: String,
    /// Whether class data archives are made.
    pub class_archive: bool,
}

/// A named template of a context.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Folder of a Spark distribution; empty: found.
    #[serde(default)]
    pub spark_home: String,
    /// Spark master.
    #[serde(default = "Profile::default_master")]
    pub master: String,
    /// Python of the sessions; empty: found.
    #[serde(default)]
    pub python: String,
    /// Driver memory of a request that names none.
    #[serde(default = "Profile::default_driver_memory")]
    pub driver_memory: String,
    /// Options of the driver's JVM.
    #[serde(default)]
    pub java_options: String,
    /// Spark conf of every application.
    #[serde(default)]
    pub conf: BTreeMap<String, String>,
    /// Whether an owner may let others run code in what runs as the owner.
    #[serde(default)]
    pub share_identity: bool,
}

impl Profile {
    fn default_master() -> String {
        "local[*]".to_owned()
    }
    fn default_driver_memory() -> String {
        "1g".to_owned()
    }
}
