//! Logs and metrics.
//!
//! Log rules: identifiers stand in the message and in the fields; one error is logged once, at the door or the task that ends it;
//! user code, results, tokens and conf values are never logged.

pub mod metrics;

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

/// Writes logs to standard error: text, coloured on a terminal alone, or one JSON object a line.
pub fn init(filter: &str, json: bool) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(colours);
    // A second call (several gateways in one test process) keeps the first subscriber.
    let _ = if json { builder.json().try_init() } else { builder.with_target(false).try_init() };
}
