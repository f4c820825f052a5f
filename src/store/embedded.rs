//! The Postgres server that Hearth makes and runs itself when no database is configured.

use serde::Deserialize;

/// The section `postgres`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Folder with the server's programs; empty: found.
    pub bin: String,
    /// OS user of the server when Hearth runs as root.
    pub user: String,
}
