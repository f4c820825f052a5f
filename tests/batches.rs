//! Batches on real Sparks: how they end, what is seen of it, and what dies with what.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod harness;
mod real;

use std::fs;
use std::path::{Path, PathBuf};

use harness::livy::Livy;
use harness::{BOUND, COLD, Gateway, Setup, until};
use serde_json::{Value, json};

const BATCHES: &str = "/api/v1/batches";

/// Counts with Spark and prints its arguments.
const COUNTS: &str = "
import sys
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
print('rows', spark.range(10).count(), sys.argv[1:])
spark.stop()
";

/// Fails in a way that a person can understand.
const FAILS: &str = "
print('about to fail', flush=True)
raise ValueError('there is no such table')
";

/// Starts a process of its own, says a line longer than any log keeps, then a numbered line every tenth of a second, and ends when its file appears.
const TALKS: &str = "
import os, subprocess, sys, time
child = subprocess.Popen(['sleep', '3600'])
print('child', child.pid, flush=True)
print('long', 'x' * 1000000, flush=True)
number = 0
while not os.path.exists(sys.argv[1]):
    print('line', number, flush=True)
    number += 1
    time.sleep(0.1)
print('last', number, flush=True)
";

fn script(gateway: &Gateway, name: &str, text: &str) -> PathBuf {
    let path = gateway.home().join(name);
    fs::write(&path, text).unwrap();
    path
}

async fn create(api: &Livy, body: Value) -> String {
    let made = api.post(BATCHES, body).await;
    let batch = made.expect(201);
    assert!(matches!(batch["state"].as_str(), Some("waiting" | "starting")), "{batch}");
    made.header("location").to_owned()
}

/// The batch once it is over.
async fn over(api: &Livy, path: &str) -> Value {
    until(&format!("{path} is over"), COLD, async || {
        let batch = api.get(&format!("{path}?wait=30")).await.expect(200);
        batch["ended_at"].is_string().then_some(batch)
    })
    .await
}

/// Every line that it has printed.
async fn lines(api: &Livy, path: &str) -> Vec<String> {
    let log = api.get(&format!("{path}/log?from=0&size=10000")).await.expect(200);
    assert_eq!(log["total"].as_u64().unwrap(), log["lines"].as_array().unwrap().len() as u64);
    log["lines"].as_array().unwrap().iter().map(|l| l.as_str().unwrap().to_owned()).collect()
}

async fn until_printed(api: &Livy, path: &str, text: &str) -> String {
    until(&format!("{path} prints {text}"), COLD, async || {
        let found = lines(api, path).await.into_iter().find(|l| l.starts_with(text));
        let batch = api.get(path).await.expect(200);
        assert!(found.is_some() || batch["ended_at"].is_null(), "{batch}");
        found
    })
    .await
}

fn lives(pid: &str) -> bool {
    Path::new("/proc").join(pid).exists()
}

#[tokio::test]
async fn they_end_as_their_programs_do_on_both_sparks() {
    let gateway = Setup::new().start().await;
    let api = gateway.livy();
    let counts = script(&gateway, "counts.py", COUNTS);
    let fails = script(&gateway, "fails.py", FAILS);
    for profile in ["default", "spark4"] {
        let good = json!({"file": format!("file:{}", counts.display()), "args": ["a b", "--master"], "profile": profile, "name": "good"});
        let good = create(&api, good).await;
        let bad = create(&api, json!({"file": fails, "profile": profile})).await;
        let batch = over(&api, &good).await;
        assert_eq!((&batch["state"], &batch["exit_code"]), (&json!("success"), &json!(0)), "{batch}");
        assert_eq!((&batch["cause"], &batch["file"]), (&Value::Null, &json!(counts)), "{batch}");
        assert!(lines(&api, &good).await.contains(&"rows 10 ['a b', '--master']".to_owned()), "{batch}");

        // A jar whose class needs to be named: Spark carries the Scala compiler.
        let spark = if profile == "default" { real::spark_35() } else { real::spark_4() };
        let jars = fs::read_dir(spark.join("jars")).unwrap().map(|j| j.unwrap().path());
        let is_compiler = |j: &PathBuf| j.file_name().unwrap().to_str().unwrap().starts_with("scala-compiler");
        let jar = json!({"file": jars.into_iter().find(is_compiler), "class_name": "scala.tools.nsc.Main",
                         "args": ["-version"], "profile": profile});
        let jar = create(&api, jar).await;

        let batch = over(&api, &bad).await;
        assert_eq!((&batch["state"], &batch["exit_code"]), (&json!("dead"), &json!(1)), "{batch}");
        let cause = batch["cause"].as_str().unwrap();
        assert!(cause.contains("exit code 1") && cause.contains("there is no such table"), "{cause}");
        assert!(lines(&api, &bad).await.contains(&"about to fail".to_owned()));

        assert_eq!(over(&api, &jar).await["state"], "success");
        assert!(lines(&api, &jar).await.iter().any(|l| l.starts_with("Scala compiler version")), "{profile}");
    }
    gateway.end().await;
}

#[tokio::test]
async fn what_cannot_be_run_is_refused_at_once() {
    let gateway = Setup::new().start().await;
    let api = gateway.livy();
    let file = script(&gateway, "counts.py", COUNTS);
    for (body, word) in [
        (json!({"file": ""}), "file"),
        (json!({"file": "relative.py"}), "absolute"),
        (json!({"file": "/no/such/file.py"}), "does not exist"),
        (json!({"file": gateway.home()}), "not a file"),
        (json!({"file": "--conf"}), "file"),
        (json!({"file": file, "args": ["a\u{0}b"]}), "NUL"),
        (json!({"file": file, "class_name": "-x"}), "class"),
        (json!({"file": file, "resources": {"py_files": ["/no/such.zip"]}}), "/no/such.zip"),
        (json!({"file": file, "profile": "nowhere"}), "nowhere"),
        (json!({"file": file, "name": "7"}), "name"),
    ] {
        let answer = api.post(BATCHES, body.clone()).await;
        let detail = answer.expect(400)["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(word), "{body}: {detail}");
    }
    assert_eq!(api.get(&format!("{BATCHES}?all=true")).await.expect(200)["total"], 0, "nothing is left of them");
    gateway.end().await;
}

#[tokio::test]
async fn a_kill_ends_all_that_a_batch_started() {
    let gateway = Setup::new().set("launch.concurrency", "1").start().await;
    let api = gateway.livy();
    let talks = script(&gateway, "talks.py", TALKS);
    let stop = gateway.home().join("stop");
    let path = create(&api, json!({"file": talks, "args": [stop], "name": "talker"})).await;
    let taken = api.post(BATCHES, json!({"file": talks, "name": "talker"})).await;
    assert!(taken.expect(409)["detail"].as_str().unwrap().contains("talker"), "{taken}");

    // Only one may be starting, so the next one waits and says why; it can be told to end without ever having run.
    let second = create(&api, json!({"file": talks, "args": [stop]})).await;
    let waits = until("the second waits", BOUND, async || {
        api.get(&second).await.expect(200)["waits"].as_str().map(str::to_owned)
    })
    .await;
    assert!(waits.contains("place 1 of 1") && waits.contains("launch.concurrency"), "{waits}");
    let never = api.delete(&second).await.expect(200);
    assert_eq!((&never["state"], &never["started_at"]), (&json!("killed"), &Value::Null), "{never}");

    let child = until_printed(&api, &path, "child ").await.split_once(' ').unwrap().1.to_owned();
    assert!(lives(&child));
    api.delete(&path).await;
    let batch = over(&api, &path).await;
    assert_eq!(batch["state"], "killed");
    assert!(batch["cause"].as_str().unwrap().starts_with("it was deleted by "), "{batch}");
    until("its child is gone", BOUND, async || (!lives(&child)).then_some(())).await;
    api.delete(&path).await.expect(200);
    gateway.end().await;
}

#[tokio::test]
async fn nothing_is_lost_while_no_gateway_runs() {
    let mut gateway = Setup::new().start().await;
    let talks = script(&gateway, "talks.py", TALKS);
    let (stop, fails) = (gateway.home().join("stop"), script(&gateway, "fails.py", FAILS));
    let api = gateway.livy();
    let path = create(&api, json!({"file": talks, "args": [stop]})).await;
    until_printed(&api, &path, "line 5").await;
    let failing = create(&api, json!({"file": fails})).await;
    until("the second is launched", BOUND, async || {
        (api.get(&failing).await.expect(200)["state"] != "waiting").then_some(())
    })
    .await;
    gateway.kill().await;

    // It talks on, and ends, while nobody listens.
    let folder = fs::read_dir(gateway.home().join("launch")).unwrap();
    let id = path.rsplit('/').next().unwrap();
    let folder = folder.map(|f| f.unwrap().path()).find(|f| f.ends_with(id)).unwrap();
    let printed = || fs::read_to_string(folder.join("stdout")).unwrap().lines().count();
    let before = printed();
    until("it talks on", BOUND, async || (printed() > before + 10).then_some(())).await;
    fs::write(&stop, "").unwrap();
    until("it ends", BOUND, async || folder.join("exit.json").exists().then_some(())).await;

    gateway.restart().await;
    let api = gateway.livy();
    let batch = over(&api, &path).await;
    assert_eq!((&batch["state"], &batch["exit_code"]), (&json!("success"), &json!(0)), "{batch}");
    let numbers: Vec<usize> =
        lines(&api, &path).await.iter().filter_map(|l| l.strip_prefix("line ")?.parse().ok()).collect();
    assert!(numbers.iter().copied().eq(0..numbers.len()) && numbers.len() > before, "each line once: {numbers:?}");
    let long = lines(&api, &path).await.into_iter().find(|l| l.starts_with("long ")).unwrap();
    assert!(long.len() < 100_000 && long.contains("cut by Hearth"), "{} bytes", long.len());
    let batch = over(&api, &failing).await;
    assert_eq!(batch["state"], "dead", "{batch}");
    let starts = lines(&api, &failing).await.iter().filter(|l| *l == "about to fail").count();
    assert_eq!(starts, 1, "it ran once");

    // Ctrl-C ends what runs: the harness looks for what is left.
    let last = create(&api, json!({"file": talks, "args": [gateway.home().join("never")]})).await;
    until_printed(&api, &last, "line 1").await;
    gateway.end().await;
}
