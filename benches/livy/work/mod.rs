//! The work that every server is given alike.

pub mod burst;
pub mod cold;
pub mod reads;
pub mod results;
pub mod roundtrip;

use std::time::Duration;

use crate::client::{Livy, Manner};
use crate::report::{Column, Report, Unit};

/// The kinds that are measured.
pub const KINDS: [&str; 3] = ["spark", "pyspark", "sql"];
/// Statements that are run before any is counted.
pub const WARM: usize = 20;

/// A server, and how to look at its memory.
pub struct Target {
    /// Its place in the table.
    pub column: Column,
    /// Its door.
    pub livy: Livy,
    /// Its process, when known.
    pub pid: Option<u32>,
}

impl Target {
    /// Enters the memory that its process holds now.
    pub fn memory(&self, what: &str, report: &mut Report) -> anyhow::Result<()> {
        let Some(pid) = self.pid else { return Ok(()) };
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let kib =
            status.lines().find_map(|l| l.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<f64>().ok());
        report.put(what, Unit::MiB, self.column, kib.map(|k| k / 1024.0).into_iter().collect());
        Ok(())
    }
}

/// The trivial statement of a kind.
pub fn trivial(kind: &str) -> &'static str {
    if kind == "sql" { "select 1+1" } else { "1+1" }
}

/// What the table calls a cold session of this kind.
pub fn cold(kind: &str) -> String {
    format!("cold {kind} session, POST to idle (floor: its shell to `1+1`)")
}

/// What the table calls a trivial statement in a warm session of this kind.
pub fn round_trip(kind: &str, manner: Manner) -> String {
    let how = match manner {
        Manner::Wait => "by `?wait`",
        Manner::Poll => "by polling each 5 ms",
    };
    format!("`{}` in {kind}, {how}", trivial(kind))
}

/// Milliseconds.
pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
