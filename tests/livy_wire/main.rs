//! Every exchange recorded from a real Livy has the same shape from Hearth.
//!
//! Compared are the status, `Content-Type`, `Allow` and `Location`, the key sets and JSON types of the body, and the text of
//! `msg`, of MIME types, of the headers of tables and SQL results, and of `ename`. What differs stands in [`differences`] with the reason
//! and the client it was checked against; a difference that is not there fails the test, and so does one that no longer exists.
//!
//! A few Spark applications stand for the twenty of the recordings: sessions that were broken by one statement each (`alone`)
//! share one here, which is part of the proof.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "../harness/mod.rs"]
mod harness;

mod differences;
mod recording;
mod replay;
mod shape;

use std::path::Path;

use harness::{BOUND, COLD, Setup, python, until};
use replay::Replay;
use serde_json::json;

#[tokio::test]
async fn every_recorded_exchange_has_the_same_shape() {
    // The recorded Python had matplotlib.
    let python = python("tests-science", &[&["matplotlib==3.10.7"]]).await;
    let gateway = Setup::new().set("profiles.default.python", &python.to_string_lossy()).start().await;
    let mut replay = Replay::new(gateway.livy());
    for name in ["sessions-empty", "batches-empty"] {
        replay.play(name).await;
    }
    life_of_a_session(&mut replay).await;
    refused_requests(&mut replay).await;
    ended_sessions(&mut replay).await;
    batches(&mut replay, &gateway.home()).await;
    scala(&mut replay).await;
    other_languages(&mut replay).await;
    gateway.end().await;

    let (found, unplayed) = replay.verdict();
    let unplayed: Vec<_> = unplayed.into_iter().filter(|name| !differences::is_exempt(name)).collect();
    assert!(unplayed.is_empty(), "recordings that nothing plays: {unplayed:?}");
    differences::check(&found);
}

/// The recorded session 0, from its creation to its end.
async fn life_of_a_session(replay: &mut Replay) {
    let created = replay.play("session-create").await;
    let session = created.header("location").to_owned();
    replay.stands_for(&session, "/sessions/0");
    for name in ["session-starting", "session-state-starting", "statements-empty"] {
        replay.play(name).await;
    }
    replay.livy.idle(&session).await;
    for name in ["session-state-idle", "session-idle", "session-by-name", "sessions-one", "sessions-from-size"] {
        replay.play(name).await;
    }
    replay.play("statement-post").await;
    replay.livy.get(&format!("{session}/statements/0?wait=60")).await;
    replay.play("statement-get").await;

    let long = replay.recording("statement-running").body["code"].clone();
    replay.livy.post(&format!("{session}/statements"), json!({"code": long})).await.expect(201);
    let running = format!("{session}/statements/1");
    let livy = replay.livy.clone();
    let runs = async || (livy.get(&running).await.json()["state"] == "running").then_some(());
    until("the statement runs", BOUND, runs).await;
    for name in ["statement-running", "session-busy", "statement-post-waiting", "statement-waiting"] {
        replay.play(name).await;
    }
    replay.play("statement-cancel-waiting").await;
    replay.livy.get(&format!("{session}/statements/2?wait=60")).await;
    replay.play("statement-cancelled-waiting").await;
    replay.play("statement-cancel-running").await;
    let cancelling = livy.get(&running).await;
    // The end may be quicker than the look.
    let seen =
        if cancelling.json()["state"] == "cancelling" { "statement-cancelling" } else { "statement-cancelled-running" };
    replay.compare(seen, &cancelling);
    livy.get(&format!("{running}?wait=60")).await;
    replay.play("statement-cancelled-running").await;
    livy.idle(&session).await;
    for name in [
        "statement-cancel-again",
        "statement-cancel-unknown",
        "statement-unknown",
        "statements",
        "statements-desc",
        "statements-from-size",
        "log",
        "log-from",
        "error-unknown-path",
    ] {
        replay.play(name).await;
    }
    // The agent gives no words rather than late ones, and compilers and interpreters are slow at first.
    let path = format!("{session}/completion");
    for name in ["completion", "completion-pyspark"] {
        let request = replay.recording(name).request.body.clone().unwrap();
        let warm = async || {
            let words = livy.post(&path, request.clone()).await.expect(200);
            words["candidates"].as_array().is_some_and(|words| !words.is_empty()).then_some(())
        };
        until("the interpreter is warm", BOUND, warm).await;
        replay.play(name).await;
    }
    for name in ["session-delete", "session-deleted-get", "session-deleted-delete"] {
        replay.play(name).await;
    }
}

async fn refused_requests(replay: &mut Replay) {
    for name in [
        "error-empty-body",
        "error-from-not-a-number",
        "error-malformed-json",
        "error-method",
        "error-numeric-name",
        "error-session-name-unknown",
        "error-session-unknown",
        "error-unknown-field",
        "error-unknown-kind",
        "error-wrong-type",
    ] {
        replay.play(name).await;
    }
}

/// The recorded sessions 2 and 3. Nothing needs them to be idle before they end.
async fn ended_sessions(replay: &mut Replay) {
    // A second session named as the first was; it stands for several later on.
    let wire = replay.livy.post("/sessions", json!({"kind": "spark", "name": "wire", "driverMemory": "1g"})).await;
    wire.expect(201);
    replay.stands_for(wire.header("location"), "/sessions/1");
    replay.play("session-duplicate-name").await;
    for (recorded, end, names) in [
        ("/sessions/2", "session-stop", &["session-stopped-get", "session-stopped-statements"][..]),
        ("/sessions/3", "session-interrupt", &["session-interrupted-get"][..]),
    ] {
        let created = replay.livy.post("/sessions", json!({"kind": "spark"})).await;
        replay.stands_for(created.header("location"), recorded);
        replay.play(end).await;
        for name in names {
            replay.play(name).await;
        }
    }
    // Livy refuses a statement while the session starts.
    replay.stands_for(wire.header("location"), "/sessions/0");
    replay.play("statement-while-starting").await;
}

/// The recorded batches 0, which ends well, and 1, which fails.
async fn batches(replay: &mut Replay, home: &Path) {
    let programs = [
        ("batch-create", "trivial.py", "import sys\nprint('arguments', sys.argv[1:])\n", "/batches/0"),
        ("batch-create-bad", "fail.py", "raise SystemExit('this batch fails on purpose')\n", "/batches/1"),
    ];
    for (name, file, code, recorded) in programs {
        let file = home.join(file);
        std::fs::write(&file, code).unwrap();
        let mut body = replay.recording(name).request.body.clone().unwrap();
        body["file"] = json!(file);
        let created = replay.play_with(name, Some(body)).await;
        replay.stands_for(created.header("location"), recorded);
    }
    replay.play("batch-starting").await;
    for batch in ["/batches/0", "/batches/1"] {
        let path = format!("{}?wait=60", replay.path(batch));
        let livy = replay.livy.clone();
        let over = async || {
            let state = livy.get(&path).await.json()["state"].clone();
            ["success", "dead"].contains(&state.as_str().unwrap_or_default()).then_some(())
        };
        until("the batch ends", COLD, over).await;
    }
    for name in [
        "batch-success",
        "batch-dead",
        "batch-state",
        "batch-log",
        "batches",
        "batch-no-file",
        "batch-local-file",
        "batch-delete",
        "batch-unknown",
    ] {
        replay.play(name).await;
    }
}

/// What was sent to sessions of kind spark: 4, and 8, 9, 11 and 12, each of which was spent on one statement.
async fn scala(replay: &mut Replay) {
    let session = replay.path("/sessions/1");
    replay.livy.idle(&session).await;
    for name in replay.statements_of(4) {
        let kind = match name.as_str() {
            "statement-spark-asks-pyspark" => "pyspark",
            "statement-spark-asks-sql" => "sql",
            _ => "spark",
        };
        replay.run(&name, &session, kind).await;
    }
    for spent in [8, 9, 12, 11] {
        replay.stands_for(&session, &format!("/sessions/{spent}"));
        for name in replay.statements_of(spent) {
            replay.run(&name, &session, "spark").await;
        }
        let state = match spent {
            8 => "statement-spark-alone-table-dataframe-then-state",
            9 => "statement-spark-alone-json-dataframe-then-state",
            12 => "statement-spark-alone-out-of-memory-then-state",
            _ => "statement-spark-alone-stop-context-then-state",
        };
        replay.play(state).await;
    }
    replay.livy.delete(&session).await;
}

/// What was sent to Python and SQL sessions, all of it to one shared session here, and last what ends the driver.
async fn other_languages(replay: &mut Replay) {
    let created = replay.play("session-create-shared").await;
    let session = created.header("location").to_owned();
    replay.stands_for(&session, "/sessions/20");
    replay.livy.idle(&session).await;
    replay.play("session-shared-idle").await;
    for (name, kind) in
        [("statement-shared-spark", "spark"), ("statement-shared-pyspark", "pyspark"), ("statement-shared-sql", "sql")]
    {
        replay.run(name, &session, kind).await;
    }
    for name in ["statement-shared-no-kind", "statement-shared-cobol"] {
        replay.play(name).await;
    }
    for (recorded, kind) in [(6, "sql"), (5, "pyspark")] {
        for name in replay.statements_of(recorded) {
            replay.run(&name, &session, kind).await;
        }
    }
    for name in replay.statements_of(7) {
        let code = replay.recording(&name).body["code"].clone();
        let answer = replay.livy.post(&format!("{session}/statements"), json!({"code": code, "kind": "sparkr"})).await;
        replay.compare(&name, &answer);
    }
    for (spent, state) in [
        (13, "statement-pyspark-alone-json-not-serialisable-then-state"),
        (14, "statement-pyspark-alone-json-dataframe-then-state"),
        (15, "statement-pyspark-alone-bare-magic-then-state"),
        (16, "statement-pyspark-alone-table-mixed-types-then-state"),
        (17, "statement-pyspark-alone-table-map-value-then-state"),
        (18, "statement-pyspark-alone-table-nested-mixed-then-state"),
        (19, "statement-pyspark-alone-os-exit-then-state"),
    ] {
        replay.stands_for(&session, &format!("/sessions/{spent}"));
        for name in replay.statements_of(spent) {
            replay.run(&name, &session, "pyspark").await;
        }
        replay.play(state).await;
    }
    driver_exits(replay, &session).await;
    replay.livy.delete(&session).await;
}

/// The recorded session 10: code that ends its own driver.
async fn driver_exits(replay: &mut Replay, session: &str) {
    replay.stands_for(session, "/sessions/10");
    replay.livy.run(session, json!({"code": "sys.exit(3)", "kind": "spark"})).await;
    replay.livy.get(&format!("{session}?wait=60")).await;
    for name in [
        "statement-spark-alone-exit",
        "statement-spark-alone-exit-then-state",
        "statement-spark-alone-exit-then-statement",
    ] {
        replay.play(name).await;
    }
}
