//! Logs, as every resource that has one shows it.

use serde::Serialize;
use utoipa::ToSchema;

use crate::context::log::LogPage;

/// Lines of a log.
#[derive(Debug, Serialize, ToSchema)]
pub struct Log {
    /// Number of the first line given, counted from the oldest that is kept.
    #[schema(minimum = 0)]
    from: i64,
    /// How many lines are kept.
    #[schema(minimum = 0)]
    total: i64,
    /// The lines, without their ends.
    lines: Vec<String>,
}

impl From<LogPage> for Log {
    fn from(page: LogPage) -> Self {
        Self { from: page.from, total: page.total, lines: page.lines }
    }
}
