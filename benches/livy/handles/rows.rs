//! Rows of a large handle as an Arrow stream, and what the gateway takes for that; beside it the same rows made to Arrow by the JVM and left
//! there, and fetched by Python in the driver.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::json;

use super::{number, path, text};
use crate::client::{Livy, Manner};
use crate::report::{Report, Unit};
use crate::work::Target;
use crate::{Plan, knob};

/// The type of an Arrow IPC stream.
const ARROW: &str = "application/vnd.apache.arrow.stream";
/// Memory of the driver: `toPandas()` of all these rows needs it, the stream does with the shipped 1 GiB.
pub const MEMORY: &str = "6g";
/// Where the frame is kept.
const STORAGE: &str = "MEMORY_AND_DISK";
/// Rows of a partition. A driver has a few whole partitions of a stream in its memory.
const PARTITION: usize = 250_000;
/// How often everything is read, once more before it that is not counted.
const READS: usize = 3;
/// How often the gateway's memory is looked at meanwhile.
const LOOKED: Duration = Duration::from_millis(20);

/// One stream, as its reader and the gateway's process saw it.
struct Streamed {
    bytes: u64,
    seconds: f64,
    /// Seconds of a processor that the gateway took.
    busy: Option<f64>,
    /// The most MiB that the gateway held.
    most: f64,
}

/// In a session of Python that has nothing yet.
pub async fn measure(plan: &Plan, target: &Target, session: i64, report: &mut Report) -> anyhow::Result<()> {
    let (livy, rows) = (&target.livy, plan.rows);
    let partitions = rows.div_ceil(PARTITION).max(1);
    let code = format!(
        "from pyspark.sql import functions as F\n\
         rows = spark.range(0, {rows}, 1, {partitions}).select('id', (F.col('id') / 7).alias('share'), \
         F.concat(F.lit('row '), (F.col('id') % 1000).cast('string')).alias('label'))\n\
         hearth.share(rows, 'bench_rows', storage='{STORAGE}', force=True)"
    );
    livy.run(session, &code, Manner::Wait).await?;
    let path = format!("{}/rows", path(livy, session, "bench_rows").await?);
    let what = format!("Arrow of {rows} rows ({STORAGE}, {partitions} partitions)");
    let put = |report: &mut Report, what: &str, unit, numbers| report.put(what, unit, target.column, numbers);

    target.memory("memory, before the stream", report)?;
    let mut streams = Vec::with_capacity(READS);
    for read in 0..=READS {
        let streamed = stream(target, &path).await?;
        if read > 0 {
            streams.push(streamed);
        }
    }
    let bytes = streams.iter().map(|s| s.bytes).max().unwrap_or_default() as f64;
    let of = |number: fn(&Streamed) -> f64| streams.iter().map(number).collect::<Vec<f64>>();
    put(report, &format!("{what}: streamed over HTTP"), Unit::MbPerSecond, of(|s| s.bytes as f64 / 1e6 / s.seconds));
    put(report, &format!("{what}: size"), Unit::Mb, vec![bytes / 1e6]);
    let most = of(|s| s.most).into_iter().fold(0.0, f64::max);
    put(report, "memory, the most while it streams", Unit::MiB, vec![most]);
    let busy = streams.iter().filter_map(|s| Some(s.bytes as f64 / 1e6 / s.busy.filter(|b| *b > 0.0)?)).collect();
    put(report, "relayed in a second of a processor that the gateway takes", Unit::MbPerSecond, busy);

    let made = "rows = hearth.shared('bench_rows')\nn = rows._jdf.toArrowBatchRdd().count()";
    let took = within(livy, session, made).await?;
    put(report, &format!("{what}: made in the JVM and left there"), Unit::MbPerSecond, rates(bytes, &took));
    if !find_pandas(livy, session).await? {
        eprintln!(
            "the driver's Python has no pandas and pyarrow, and BENCH_PANDAS names none for it: toPandas() is not measured"
        );
        return Ok(());
    }
    let fetched = format!("rows = hearth.shared('bench_rows')\nassert len(rows.toPandas()) == {rows}");
    let took = within(livy, session, &fetched).await?;
    put(report, &format!("{what}: fetched by `toPandas()` in the driver"), Unit::MbPerSecond, rates(bytes, &took));
    let to_pandas: f64 = took.iter().sum();
    let streamed: f64 = streams.iter().map(|s| s.seconds).sum();
    put(report, &format!("{what}: rate over HTTP ÷ rate of `toPandas()`"), Unit::Ratio, vec![to_pandas / streamed]);
    Ok(())
}

/// Reads it all and keeps nothing.
async fn stream(target: &Target, path: &str) -> anyhow::Result<Streamed> {
    let busy = target.busy()?;
    let at = Instant::now();
    let read = async {
        let mut answer = target.livy.open(path, ARROW).await?;
        let mut bytes = 0;
        while let Some(piece) = answer.chunk().await.with_context(|| path.to_owned())? {
            bytes += piece.len() as u64;
        }
        anyhow::Ok((bytes, at.elapsed().as_secs_f64()))
    };
    let mut read = std::pin::pin!(read);
    let mut most: f64 = 0.0;
    let (bytes, seconds) = loop {
        tokio::select! {
            read = &mut read => break read?,
            () = tokio::time::sleep(LOOKED) => most = most.max(target.resident()?.unwrap_or_default()),
        }
    };
    let busy = target.busy()?.zip(busy).map(|(after, before)| after - before);
    Ok(Streamed { bytes, seconds, busy, most })
}

/// Seconds that this code of Python takes in the driver, itself alone.
async fn within(livy: &Livy, session: i64, code: &str) -> anyhow::Result<Vec<f64>> {
    let timed = format!("import time\nat = time.perf_counter()\n{code}\nprint(time.perf_counter() - at)");
    let mut took = Vec::with_capacity(READS);
    for read in 0..=READS {
        let seconds = number(&livy.run(session, &timed, Manner::Wait).await?)?;
        if read > 0 {
            took.push(seconds);
        }
    }
    Ok(took)
}

/// The rate of the stream's bytes in each of these times.
fn rates(bytes: f64, took: &[f64]) -> Vec<f64> {
    took.iter().map(|seconds| bytes / 1e6 / seconds).collect()
}

/// Whether the driver's Python has what `toPandas()` needs, if need be from the folder that is named for it: in this session alone, for what
/// other parts measure is Python as it is.
async fn find_pandas(livy: &Livy, session: i64) -> anyhow::Result<bool> {
    let folder = json!(knob("BENCH_PANDAS").unwrap_or_default());
    let code = format!(
        "import importlib.util, sys\nsys.path.append({folder})\n\
         try:\n    import pandas, pyarrow\n    found = True\nexcept ImportError:\n    found = False\n\
         for key in ['enabled', 'fallback.enabled']: spark.conf.set('spark.sql.execution.arrow.pyspark.' + key, str(key == 'enabled'))\n\
         print(found)"
    );
    let statement = livy.run(session, &code, Manner::Wait).await?;
    let text = text(&statement)?;
    ensure!(["True", "False"].contains(&text), "{text}");
    Ok(text == "True")
}
