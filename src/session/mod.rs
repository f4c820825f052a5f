//! An interactive workspace in a context.

use serde::Deserialize;

use crate::time::Span;

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
    /// Rows of one result.
    pub max_rows: u32,
    /// Bytes of text of one statement.
    pub max_output: u64,
    /// How long ended sessions stay on the Livy door.
    pub retain: Span,
}
