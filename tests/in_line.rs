//! What is taken, shown, ended and repeated before anything runs: the line for a launch is full, so no Spark is started.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod harness;

use harness::livy::{Answer, Livy};
use harness::{BOUND, Gateway, Setup, until};
use nix::sys::stat::Mode;
use reqwest::Method;
use serde_json::{Value, json};

/// A gateway whose only place is taken, by a context of another gateway on this machine.
async fn full(setup: Setup) -> Gateway {
    let gateway = setup.set("launch.contexts", "1").start().await;
    let host = std::fs::read_to_string(gateway.home().join("host")).unwrap();
    let mut db = gateway.database().connect().await;
    sqlx::query(
        "insert into context (context_id, tenant, owner, run_as, profile, state, request, host, held_by, lease_until)
         values (gen_random_uuid(), 'other', 'other', 'other', 'default', 'starting', '{}', $1, gen_random_uuid(), 'infinity')",
    )
    .bind(host.trim())
    .execute(&mut db)
    .await
    .unwrap();
    gateway
}

async fn keyed(livy: &Livy, path: &str, key: &str, body: Value) -> Answer {
    livy.send(livy.request(Method::POST, path).header("idempotency-key", key).json(&body)).await
}

#[tokio::test]
async fn statements_of_a_session_that_never_ran() {
    let gateway = full(Setup::new().set("session.waiting_bytes", "40000000")).await;
    let livy = gateway.livy();
    let session = livy.post("/sessions", json!({"kind": "pyspark"})).await.header("location").to_owned();
    let statements = format!("{session}/statements");

    // What is too large together waits no longer in memory or answers, but is there.
    let large = "x".repeat(10 << 20);
    for id in 0..3 {
        assert_eq!(livy.post(&statements, json!({ "code": large })).await.expect(201)["id"], id);
    }
    let refused = livy.post(&statements, json!({ "code": large })).await;
    assert!(refused.expect(429)["msg"].as_str().unwrap().contains("session.waiting_bytes"), "{refused}");
    let page = livy.get(&statements).await.expect(200);
    let ids: Vec<&Value> = page["statements"].as_array().unwrap().iter().map(|s| &s["id"]).collect();
    assert_eq!((ids, &page["total_statements"]), (vec![&json!(1), &json!(2)], &json!(3)), "the newest that fit");
    let own = format!("/api/v1/sessions/{}/statements", id_of(&livy).await);
    let first = livy.get(&own).await;
    assert_eq!(first.expect(200)["items"].as_array().unwrap().len(), 2);
    assert!(first.header("link").contains("from=2&"), "the next page begins behind them: {}", first.header("link"));
    assert_eq!(livy.get(&format!("{statements}/0")).await.expect(200)["code"].as_str().unwrap().len(), large.len());

    // No agent can have it, so a cancel ends it at once.
    livy.post(&format!("{statements}/1/cancel"), json!({})).await.expect(200);
    assert_eq!(livy.get(&format!("{statements}/1")).await.expect(200)["state"], "cancelled");

    // Its end ends what waits; what was taken under a key is told again, what is new is refused.
    let taken = keyed(&livy, &statements, "once", json!({"code": "1"})).await.expect(201);
    assert_eq!(livy.post(&format!("{session}/stop"), json!({})).await.status, 204);
    assert_eq!(livy.get(&session).await.expect(200)["state"], "dead");
    let again = keyed(&livy, &statements, "once", json!({"code": "1"})).await.expect(201);
    assert_eq!((&again["id"], &again["state"]), (&taken["id"], &json!("available")), "{again}");
    assert!(again["output"]["evalue"].as_str().unwrap().contains("did not run"), "{again}");
    assert_eq!(keyed(&livy, &statements, "twice", json!({"code": "1"})).await.status, 500);
    gateway.end().await;
}

async fn id_of(livy: &Livy) -> String {
    livy.get("/api/v1/sessions").await.expect(200)["items"][0]["id"].as_str().unwrap().to_owned()
}

/// Submits and the end of their session race: whatever was taken ends.
#[tokio::test]
async fn what_is_taken_while_its_session_ends_ends_too() {
    let gateway = full(Setup::new()).await;
    let livy = gateway.livy();
    let session = livy.post("/sessions", json!({"kind": "sql"})).await.header("location").to_owned();
    let statements = format!("{session}/statements");
    let submit = async || {
        let mut taken = Vec::new();
        loop {
            let answer = livy.post(&statements, json!({"code": "select 1"})).await;
            if answer.status != 201 {
                return taken;
            }
            taken.push(answer.json()["id"].clone());
        }
    };
    let stop = async || {
        until("some are taken", BOUND, async || {
            (livy.get(&statements).await.expect(200)["total_statements"].as_i64() > Some(20)).then_some(())
        })
        .await;
        livy.post(&format!("{session}/stop"), json!({})).await;
    };
    let (taken, ()) = tokio::join!(futures_util::future::join_all((0..8).map(|_| submit())), stop());
    for id in taken.into_iter().flatten() {
        let statement = livy.get(&format!("{statements}/{id}")).await.expect(200);
        let ended = (&statement["state"], &statement["output"]["ename"]);
        assert_eq!(ended, (&json!("available"), &json!("SessionEnded")), "{statement}");
    }
    gateway.end().await;
}

/// A pipe that nobody writes to is opened by nobody, and holds nobody up.
#[tokio::test]
async fn a_pipe_is_refused_at_once() {
    let gateway = full(Setup::new()).await;
    let livy = gateway.livy();
    let pipe = gateway.home().join("pipe.py");
    nix::unistd::mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    for (path, body) in [
        ("/batches", json!({ "file": pipe })),
        ("/sessions", json!({"kind": "spark", "jars": [pipe]})),
        ("/api/v1/contexts", json!({"resources": {"py_files": [pipe]}})),
    ] {
        let refused = livy.post(path, body).await;
        refused.expect(400);
        assert!(refused.text.contains("is not a file"), "{path}: {refused}");
    }
    gateway.end().await;
}

/// A batch of a state folder that nobody serves any more holds no place.
#[tokio::test]
async fn the_dead_hold_no_place() {
    let gateway = Setup::new().set("launch.contexts", "1").start().await;
    let livy = gateway.livy();
    let host = std::fs::read_to_string(gateway.home().join("host")).unwrap();
    let mut db = gateway.database().connect().await;
    for state in ["waiting", "running"] {
        sqlx::query(
            "insert into batch (batch_id, tenant, owner, run_as, profile, state, request, host, launch_dir, created_at)
             values (gen_random_uuid(), 'other', 'other', 'other', 'default', $1, '{}', $2, '/gone/launch/x', '-infinity')",
        )
        .bind(state)
        .bind(host.trim())
        .execute(&mut db)
        .await
        .unwrap();
    }
    let file = gateway.home().join("mine.py");
    std::fs::write(&file, "print('mine')").unwrap();
    let batch = livy.post("/batches", json!({ "file": file })).await.expect(201);
    until("it is launched", BOUND, async || {
        (livy.get(&format!("/batches/{}", batch["id"])).await.expect(200)["state"] != "waiting").then_some(())
    })
    .await;
    gateway.end().await;
}
