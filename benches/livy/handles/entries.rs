//! Entries of a key-value handle: by key over HTTP, the same answer by statements, and by key again when many puts have made many versions.

use std::time::Instant;

use anyhow::ensure;
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::{number, path, text};
use crate::Plan;
use crate::client::{Livy, Manner};
use crate::report::{Report, Unit};
use crate::work::{Target, WARM, ms};

const ENTRIES: usize = 100_000;
/// Puts before the second and the third time that an entry is got. All are one by one, so each makes a version.
const FEW: usize = 10;
const MANY: usize = 10_000;
/// Statements that collect, each of which takes long: as many at most.
const COLLECTS: usize = 20;
/// An entry that nothing is put to, whose answer is the same throughout.
const KEY: &str = "k50000";
const VALUE: &str = "value 50000";

/// Values of a key, as they are asked for over HTTP.
#[derive(Deserialize)]
struct Entries {
    version: usize,
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    value: String,
}

/// What a put has led to.
#[derive(Deserialize)]
struct Changed {
    version: usize,
}

/// In a session of Python that has nothing yet.
pub async fn measure(plan: &Plan, target: &Target, session: i64, report: &mut Report) -> anyhow::Result<()> {
    let livy = &target.livy;
    let code = format!(
        "r = sc.parallelize([('k%d' % i, 'value %d' % i) for i in range({ENTRIES})])\n\
         srdd = ShareableRdd(r, 'bench_entries', force=True)"
    );
    livy.run(session, &code, Manner::Wait).await?;
    let path = path(livy, session, "bench_entries").await?;
    let get = format!("GET of an entry by key, of {ENTRIES} entries");
    let of_key = || by_key(plan, livy, &path, KEY, VALUE);
    target.memory("memory, before entries are got", report)?;

    let (took, first) = of_key().await?;
    report.put(&get, Unit::Ms, target.column, took);
    let code = format!("srdd.get('{KEY}')['{KEY}']");
    let took = by_statement(livy, session, &code, plan.rounds).await?;
    report.put("the same by the statement `srdd.get(key)`, `?wait`", Unit::Ms, target.column, took);
    let code = format!("[v for k, v in r.collect() if k == '{KEY}'][0]");
    let took = by_statement(livy, session, &code, plan.rounds.min(COLLECTS)).await?;
    report.put("the same by a statement that collects the RDD, `?wait`", Unit::Ms, target.column, took);

    let mut took = Vec::with_capacity(FEW);
    let mut put = first;
    for i in 0..FEW {
        let entries = json!({ "entries": { format!("k{i}"): format!("put {i}") } });
        let at = Instant::now();
        put = livy.must::<Changed>(Method::PUT, &format!("{path}/entries"), Some(entries)).await?.version;
        took.push(ms(at.elapsed()));
    }
    report.put("PUT of an entry", Unit::Ms, target.column, took);
    let (took, version) = of_key().await?;
    ensure!(version == first + FEW && version == put, "version {version} after {FEW} puts to {first}, the last {put}");
    report.put(&format!("{get}, after {FEW} puts"), Unit::Ms, target.column, took);

    let code = format!(
        "import time\nat = time.perf_counter()\n\
         for i in range({FEW}, {MANY}): _ = srdd.put({{'k%d' % i: 'put %d' % i}})\n\
         print((time.perf_counter() - at) * 1e3 / ({MANY} - {FEW}))"
    );
    let one = number(&livy.run(session, &code, Manner::Wait).await?)?;
    report.put(
        &format!("`srdd.put({{key: value}})` in the session, one of {MANY}"),
        Unit::Ms,
        target.column,
        vec![one],
    );
    let (took, version) = of_key().await?;
    ensure!(version == first + MANY, "version {version} after {MANY} puts to {first}");
    report.put(&format!("{get}, after {MANY} puts"), Unit::Ms, target.column, took);
    let last = MANY - 1;
    let (took, _) = by_key(plan, livy, &path, &format!("k{last}"), &format!("put {last}")).await?;
    report.put("the same of an entry that was put", Unit::Ms, target.column, took);
    target.memory("memory, after entries were got", report)
}

/// Milliseconds of each GET of an entry, the warm-up before it uncounted; and the version that was read last.
async fn by_key(plan: &Plan, livy: &Livy, path: &str, key: &str, value: &str) -> anyhow::Result<(Vec<f64>, usize)> {
    let path = format!("{path}/entries?key={key}");
    let mut took = Vec::with_capacity(plan.rounds);
    let mut version = 0;
    for round in 0..WARM + plan.rounds {
        let at = Instant::now();
        let found: Entries = livy.must(Method::GET, &path, None).await?;
        if round >= WARM {
            took.push(ms(at.elapsed()));
        }
        ensure!(found.entries.iter().map(|e| e.value.as_str()).eq([value]), "{path} does not answer {value}");
        version = found.version;
    }
    Ok((took, version))
}

/// Milliseconds of each of these statements, which find the value of the key.
async fn by_statement(livy: &Livy, session: i64, code: &str, rounds: usize) -> anyhow::Result<Vec<f64>> {
    let mut took = Vec::with_capacity(rounds);
    for round in 0..=rounds {
        let at = Instant::now();
        let statement = livy.run(session, code, Manner::Wait).await?;
        if round > 0 {
            took.push(ms(at.elapsed()));
        }
        let text = text(&statement)?;
        ensure!(text.trim_matches('\'') == VALUE, "{code}: {text}");
    }
    Ok(took)
}
