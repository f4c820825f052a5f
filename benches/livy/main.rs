//! Measures Hearth, and beside it any other server that speaks Livy's REST API, on the same work in the same run.
//!
//! It starts a gateway of its own on an empty state folder (whatever `HEARTH__` variables say), and takes the floor from a bare
//! spark-shell and pyspark that no gateway stands before. It only reports: a Markdown table on standard output and in
//! `target/bench.md`. What it reads from the environment:
//!
//! | variable | meaning |
//! |---|---|
//! | `SPARK_HOME`, `PYSPARK_PYTHON` | the Spark of the floor; the gateway's default profile uses the same |
//! | `PEER_URL` | another server, measured on the same work |
//! | `PEER_PID` | its process, when its memory shall be measured too |
//! | `BENCH_ONLY` | some of `start,cold,roundtrip,reads,results,handles,burst,doors`; all when unset |
//! | `BENCH_COLD` | cold sessions of each kind: 5 |
//! | `BENCH_ROUNDS` | statements of each kind and manner, and reads of an entry by key: 200 |
//! | `BENCH_SECONDS` | how long reads last: 10 |
//! | `BENCH_CREATES` | creates at once: 100 |
//! | `BENCH_ROWS` | rows of the handle that is streamed: 10000000 |
//! | `BENCH_PANDAS` | a folder with pandas and pyarrow, for `toPandas()` where the driver's Python has none |

mod client;
mod doors;
mod floor;
mod gateway;
mod handles;
#[path = "../../tests/harness/mod.rs"]
mod harness;
mod load;
mod negotiate;
mod report;
mod work;

use anyhow::Context as _;

use crate::client::Livy;
use crate::gateway::Gateway;
use crate::report::{Column, Report};
use crate::work::Target;

/// What can be measured by itself.
const PARTS: [&str; 8] = ["start", "cold", "roundtrip", "reads", "results", "handles", "burst", "doors"];

/// How much of everything.
pub struct Plan {
    parts: Vec<String>,
    cold: usize,
    rounds: usize,
    seconds: u64,
    creates: usize,
    rows: usize,
}

impl Plan {
    fn read() -> anyhow::Result<Self> {
        let number =
            |name, default| knob(name).map_or(Ok(default), |v| v.parse().with_context(|| format!("{name}={v}")));
        let parts: Vec<String> = match knob("BENCH_ONLY") {
            Some(only) => only.split(',').map(|p| p.trim().to_owned()).collect(),
            None => PARTS.map(str::to_owned).to_vec(),
        };
        if let Some(unknown) = parts.iter().find(|p| !PARTS.contains(&p.as_str())) {
            anyhow::bail!("BENCH_ONLY knows {}, not {unknown}", PARTS.join(", "));
        }
        Ok(Self {
            parts,
            cold: number("BENCH_COLD", 5)?,
            rounds: number("BENCH_ROUNDS", 200)?,
            seconds: number("BENCH_SECONDS", 10)? as u64,
            creates: number("BENCH_CREATES", 100)?,
            rows: number("BENCH_ROWS", 10_000_000)?,
        })
    }

    fn has(&self, part: &str) -> bool {
        self.parts.iter().any(|p| p == part)
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark is told what to do by its environment")]
fn knob(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|v| !v.is_empty())
}

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    // `cargo test --benches` runs a benchmark as a test; there is nothing to measure then.
    if std::env::args().any(|a| a == "--test") {
        return Ok(());
    }
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, what, authority, seconds] = arguments.as_slice()
        && what == negotiate::ARGUMENT
    {
        return negotiate::run(authority, seconds);
    }
    harness::livy::use_aws_lc();
    let plan = Plan::read()?;
    let mut report = Report::default();
    if plan.has("roundtrip") {
        floor::measure(&plan, &mut report).await?;
    }
    if let Some(url) = knob("PEER_URL") {
        let pid = knob("PEER_PID").map(|p| p.parse()).transpose().context("PEER_PID")?;
        measure(&plan, &Target { column: Column::Peer, livy: Livy::new(&url)?, pid }, &mut report).await?;
    }
    let gateway = Gateway::start(&plan, &mut report).await?;
    let target = Target { column: Column::Hearth, livy: Livy::new(&gateway.url)?, pid: Some(gateway.pid()) };
    let measured = measure(&plan, &target, &mut report).await;
    gateway.stop(measured.is_err()).await?;
    measured?;
    if plan.has("doors") {
        doors::measure(&plan, &mut report).await?;
    }
    report.write()
}

async fn measure(plan: &Plan, target: &Target, report: &mut Report) -> anyhow::Result<()> {
    target.memory("memory, idle", report)?;
    if plan.has("cold") {
        work::cold::measure(plan, target, report).await?;
    }
    if plan.has("roundtrip") {
        work::roundtrip::measure(plan, target, report).await?;
    }
    if plan.has("results") {
        work::results::measure(plan, target, report).await?;
    }
    if plan.has("reads") {
        work::reads::measure(plan, target, report).await?;
    }
    if plan.has("handles") && target.column == Column::Hearth {
        handles::measure(plan, target, report).await?;
    }
    if plan.has("burst") {
        work::burst::measure(plan, target, report).await?;
    }
    target.memory("memory, at the end", report)
}
