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
/// In which /proc counts a second of a processor.
const TICKS: f64 = 100.0;

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
        report.put(what, Unit::MiB, self.column, self.resident()?.into_iter().collect());
        Ok(())
    }

    /// MiB that its process holds now.
    pub fn resident(&self) -> anyhow::Result<Option<f64>> {
        let Some(pid) = self.pid else { return Ok(None) };
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let kib =
            status.lines().find_map(|l| l.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<f64>().ok());
        Ok(kib.map(|k| k / 1024.0))
    }

    /// Seconds of a processor that its process has taken so far, those of the processes that it has started left out.
    pub fn busy(&self) -> anyhow::Result<Option<f64>> {
        let Some(pid) = self.pid else { return Ok(None) };
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The program's name, in brackets, may have blanks; the state follows it, and user and system time are the 12th and 13th from there.
        let fields = stat.rsplit_once(") ").map(|(_, fields)| fields.split(' ').skip(11).take(2));
        let ticks: Option<f64> = fields.and_then(|f| f.map(|ticks| ticks.parse::<f64>().ok()).sum());
        Ok(ticks.map(|t| t / TICKS))
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
