//! What dies and what does not: the promise of a statement, with real processes killed under it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test fails by panicking"
)]

mod harness;

use std::cell::Cell;
use std::collections::HashSet;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use harness::livy::Livy;
use harness::{BOUND, Gateway, Setup, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

/// The driver's JVM, by what its shim has written down.
fn driver(gateway: &Gateway) -> Pid {
    let launches = std::fs::read_dir(gateway.home().join("launch")).unwrap();
    let record =
        launches.map(|l| l.unwrap().path().join("process.json")).find(|f| f.is_file()).expect("a driver was launched");
    let record: Value = serde_json::from_slice(&std::fs::read(record).unwrap()).unwrap();
    Pid::from_raw(i32::try_from(record["program"]["pid"].as_i64().unwrap()).unwrap())
}

async fn statement(gateway: &Gateway, path: &str) -> Value {
    gateway.livy().get(path).await.expect(200)
}

async fn running(gateway: &Gateway, path: &str) {
    until("the statement runs", BOUND, async || (statement(gateway, path).await["state"] == "running").then_some(()))
        .await;
}

/// The gateway dies by `kill -9` while a statement prints, another waits, and comes back: the same session answers, the whole
/// output is there, and a counter in a file shows that nothing ran twice. Then the driver dies.
#[tokio::test]
async fn a_killed_gateway_loses_nothing_and_a_killed_driver_says_why() {
    let mut gateway = Setup::new().start().await;
    let livy = gateway.livy();
    let session = livy.session(json!({ "kind": "pyspark" })).await;
    let ran = gateway.home().join("ran");
    let code = format!(
        "import time\nwith open('{}', 'a') as f: f.write('x')\nfor i in range(30):\n    print('line', i)\n    time.sleep(0.1)\n'end'",
        ran.display()
    );
    let path = format!("{session}/statements/0");
    livy.post(&format!("{session}/statements"), json!({ "code": code })).await.expect(201);
    livy.post(&format!("{session}/statements"), json!({ "code": "6 * 7" })).await.expect(201);
    running(&gateway, &path).await;

    gateway.kill().await;
    gateway.restart().await;
    let livy = gateway.livy();
    let began = Instant::now();
    let first = livy.get(&format!("{path}?wait=60")).await.expect(200);
    let lines: String = (0..30).map(|i| format!("line {i}\n")).collect();
    assert_eq!(first["output"]["data"]["text/plain"], format!("{lines}'end'"), "{first}");
    let second = livy.get(&format!("{session}/statements/1?wait=60")).await.expect(200);
    assert_eq!(second["output"]["data"]["text/plain"], "42", "{second}");
    assert_eq!(std::fs::read_to_string(&ran).unwrap(), "x", "the statement ran once");
    assert!(began.elapsed() < BOUND);
    assert_eq!(livy.text(&session, "i").await, "29", "the session kept its variables");

    // Its driver dies while what it has said cannot be stored yet.
    let (storing, said) = ("new.received <> old.received", gateway.log().len());
    refusing(&gateway, "application", storing, "53100").await;
    let code = "import time\nprint('begun', flush=True)\nsc.parallelize([0, 600], 2).foreach(time.sleep)";
    livy.post(&format!("{session}/statements"), json!({ "code": code })).await.expect(201);
    waits(&gateway, said).await;
    // Progress is shown as it is heard: what was printed before has been heard, too.
    until("half of the job is done", BOUND, async || {
        (statement(&gateway, &format!("{session}/statements/3")).await["progress"] == 0.5).then_some(())
    })
    .await;
    let killed = Instant::now();
    kill(driver(&gateway), Signal::SIGKILL).unwrap();
    taking(&gateway, "application").await;
    let dead = until("the session is dead", BOUND, async || {
        let now = livy.get(&session).await.expect(200);
        (now["state"] == "dead").then_some(now)
    })
    .await;
    // Five seconds are asked for; a machine busy with other tests may need longer.
    assert!(killed.elapsed() < Duration::from_secs(50), "{:?}", killed.elapsed());
    assert!(dead["log"].as_array().unwrap().iter().any(|l| l.as_str().unwrap().contains("SIGKILL")), "{dead}");
    let lost = livy.get(&format!("{session}/statements/3")).await.expect(200);
    assert_eq!(lost["state"], "available");
    assert_eq!(lost["output"]["status"], "error");
    assert!(lost["output"]["evalue"].as_str().unwrap().contains("SIGKILL"), "{lost}");
    let kept = livy.get(&path).await.expect(200);
    assert_eq!(kept["output"], first["output"], "results outlive the driver");
    let own = livy.get("/api/v1/sessions?all=true").await.expect(200)["items"][0]["id"].as_str().unwrap().to_owned();
    let last = livy.get(&format!("/api/v1/sessions/{own}/statements/3/output")).await.expect(200);
    assert_eq!(last["items"][0]["text"], "begun\n", "what it had said is kept: {last}");
    gateway.end().await;
}

/// SIGTERM leaves the driver to the gateway that comes next; what it printed meanwhile, log included, is there.
#[tokio::test]
async fn a_drained_gateway_leaves_its_drivers() {
    let mut gateway = Setup::new().start().await;
    let livy = gateway.livy();
    let session = livy.session(json!({ "kind": "spark" })).await;
    let code = "for (i <- 1 to 50) { println(s\"part $i\"); Thread.sleep(100) }";
    livy.post(&format!("{session}/statements"), json!({ "code": code })).await.expect(201);
    running(&gateway, &format!("{session}/statements/0")).await;
    let before = driver(&gateway);
    // Who waits is answered with what is known, and does not hold the gateway up.
    let (statement, other) = (format!("{session}/statements/0?wait=120"), format!("{session}/statements?wait=120"));
    let waits = [
        tokio::spawn(async move { livy.get(&statement).await }),
        tokio::spawn({
            let livy = gateway.livy();
            async move { livy.post(&other, json!({"code": "1"})).await }
        }),
    ];
    running(&gateway, &format!("{session}/statements/0")).await;
    until("the second one is taken", BOUND, async || {
        (gateway.livy().get(&format!("{session}/statements/1")).await.status == 200).then_some(())
    })
    .await;
    assert!(gateway.terminate().await.success());
    for wait in waits {
        let told = wait.await.unwrap();
        assert!(matches!(told.status, 200 | 201), "{told}");
    }
    assert_eq!(driver(&gateway), before, "the driver lives on");
    gateway.restart().await;
    let done = gateway.livy().get(&format!("{session}/statements/0?wait=60")).await.expect(200);
    let text: String = (1..=50).map(|i| format!("part {i}\n")).collect();
    assert_eq!(done["output"]["data"]["text/plain"].as_str().unwrap().trim_end(), text.trim_end(), "{done}");
    assert_eq!(driver(&gateway), before);
    gateway.end().await;
}

/// Sends statements without a pause until told to end; the names of those that were taken, each with its path.
async fn sends_statements(livy: &Livy, session: &str, writer: usize, end: &Cell<bool>) -> Vec<(String, String)> {
    let mut taken = Vec::new();
    for turn in 0.. {
        if end.get() {
            break;
        }
        let name = format!("{writer}-{turn}");
        let code = format!("ran.append('{name}'); '{name}'");
        let answer = livy.post(&format!("{session}/statements?wait=1"), json!({ "code": code })).await;
        match answer.status {
            201 => taken.push((name, answer.header("location").to_owned())),
            503 => assert!(!answer.header("retry-after").is_empty(), "{answer}"),
            _ => panic!("{answer}"),
        }
        let read = livy.get(session).await;
        assert!(matches!(read.status, 200 | 503), "{read}");
    }
    taken
}

/// Twenty seconds without Postgres: every statement is refused with when to come back, and afterwards they are taken again.
async fn goes_away_and_comes_back(gateway: &Gateway, session: &str) {
    let livy = gateway.livy();
    let statements = format!("{session}/statements");
    until("the load has begun", BOUND, async || {
        let total = livy.get(&statements).await.expect(200)["total_statements"].as_i64();
        total.filter(|total| *total > 6)
    })
    .await;
    gateway.postgres().stop();
    let stopped = Instant::now();
    let mut refused = 0;
    // The long statement ends while nothing can be written.
    while stopped.elapsed() < Duration::from_secs(20) {
        let answer = livy.post(&statements, json!({ "code": "ran.append('refused')" })).await;
        assert_eq!(answer.status, 503, "{answer}");
        assert!(!answer.header("retry-after").is_empty(), "{answer}");
        refused += 1;
    }
    assert!(refused > 2, "an answer takes {:?}", stopped.elapsed() / refused);
    gateway.postgres().start();
    let again = until("statements are taken again", BOUND, async || {
        let answer = livy.post(&statements, json!({ "code": "'again'" })).await;
        (answer.status == 201).then(|| answer.header("location").to_owned())
    })
    .await;
    let again = livy.get(&format!("{again}?wait=60")).await.expect(200);
    assert_eq!(again["output"]["data"]["text/plain"], "'again'");
}

/// Postgres goes away for twenty seconds while statements come and run: 503 with Retry-After, then everything goes on, nothing that
/// was taken is lost and nothing runs twice.
#[tokio::test]
async fn without_postgres_it_says_so_and_then_goes_on() {
    let gateway = Setup::new().own_postgres().start().await;
    let livy = gateway.livy();
    let session = livy.session(json!({ "kind": "pyspark" })).await;
    livy.text(&session, "import time; ran = []; 'ready'").await;
    let code = "for i in range(40):\n    print('tick', i)\n    time.sleep(0.05)\n'over'";
    livy.post(&format!("{session}/statements"), json!({ "code": code })).await.expect(201);
    running(&gateway, &format!("{session}/statements/1")).await;
    let end = Cell::new(false);
    let load = join_all((0..4).map(|writer| sends_statements(&livy, &session, writer, &end)));
    let outage = async {
        goes_away_and_comes_back(&gateway, &session).await;
        end.set(true);
    };
    let (taken, ()) = tokio::join!(load, outage);
    let long = livy.get(&format!("{session}/statements/1?wait=60")).await.expect(200);
    let ticks: String = (0..40).map(|i| format!("tick {i}\n")).collect();
    assert_eq!(long["output"]["data"]["text/plain"], format!("{ticks}'over'"), "{long}");
    let taken = taken.concat();
    for (name, path) in &taken {
        let done = livy.get(&format!("{path}?wait=60")).await.expect(200);
        assert_eq!(done["output"]["data"]["text/plain"], format!("'{name}'"), "{done}");
    }
    let ran = livy.run(&session, json!({ "code": "%json ran" })).await;
    let ran: Vec<String> = serde_json::from_value(ran["output"]["data"]["application/json"].clone()).unwrap();
    let once: HashSet<&String> = ran.iter().collect();
    assert_eq!(once.len(), ran.len(), "nothing ran twice: {ran:?}");
    assert!(taken.iter().all(|(name, _)| once.contains(name)) && !ran.iter().any(|name| name == "refused"), "{ran:?}");
    gateway.end().await;
}

/// The gateway died between choosing what to launch and launching it: nothing ran, so it is launched by the one that comes next.
#[tokio::test]
async fn a_launch_that_was_cut_off_is_made_again() {
    const CONTEXT: &str = "0193e2f0-0000-7000-8000-000000000001";
    const BATCH: &str = "0193e2f0-0000-7000-8000-000000000002";
    let mut gateway = Setup::new().start().await;
    gateway.kill().await;
    let noted = |name| std::fs::read_to_string(gateway.home().join(name)).unwrap().trim().to_owned();
    let (host, former) = (noted("host"), noted("gateway"));
    let owner = nix::unistd::User::from_uid(nix::unistd::Uid::effective()).unwrap().unwrap().name;
    let (launches, program) = (gateway.home().join("launch"), gateway.home().join("once.py"));
    std::fs::write(&program, "print('it ran')").unwrap();
    // As things stand then: a context with an application and a folder that says nothing yet, a batch without any.
    std::fs::create_dir_all(launches.join(CONTEXT)).unwrap();
    let request = json!({ "file": program });
    let rows = format!(
        "insert into context (context_id, tenant, owner, run_as, profile, state, request, host, held_by, next_session)
              values ('{CONTEXT}', 'default', '{owner}', '{owner}', 'default', 'starting', '{{}}', '{host}', '{former}', 2);
         insert into application (application_id, context_id, attempt, host, token_hash, launch_dir)
              values ('{CONTEXT}', '{CONTEXT}', 1, '{host}', '', '{launches}/{CONTEXT}');
         insert into session (session_id, context_id, number, tenant, owner, run_as, kind, state, request)
              values ('{CONTEXT}', '{CONTEXT}', 1, 'default', '{owner}', '{owner}', 'sql', 'starting', '{{}}');
         insert into batch (batch_id, tenant, owner, run_as, profile, state, request, host, launch_dir, started_at)
              values ('{BATCH}', 'default', '{owner}', '{owner}', 'default', 'starting', '{request}', '{host}'
                    , '{launches}/{BATCH}', now() - interval '1 hour')",
        launches = launches.display(),
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(rows)).execute(&mut gateway.database().connect().await).await.unwrap();

    gateway.restart().await;
    let livy = gateway.livy();
    assert_eq!(livy.idle("/sessions/0").await["kind"], "sql");
    let batch = until("the batch is over", BOUND, async || {
        let batch = livy.get(&format!("/api/v1/batches/{BATCH}?wait=30")).await.expect(200);
        batch["ended_at"].is_string().then_some(batch)
    })
    .await;
    assert_eq!(batch["state"], "success", "{batch}");
    let log = livy.get("/batches/0/log?size=-1").await.expect(200);
    assert_eq!(log["log"].as_array().unwrap().iter().filter(|line| *line == "it ran").count(), 1, "{log}");
    gateway.end().await;
}

/// Makes the database refuse an update of rows of `table` for which `when` holds, as if by itself, until it is told to again.
async fn refusing(gateway: &Gateway, table: &str, when: &str, code: &str) {
    let sql = format!(
        "create or replace function refuse() returns trigger language plpgsql as
             $$ begin raise exception 'refused by the test' using errcode = '{code}'; end $$;
         create trigger refuse before update on {table} for each row when ({when}) execute function refuse()"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut gateway.database().connect().await).await.unwrap();
}

/// Waits until the gateway says that it cannot store what an agent said; `since` is where its log was before.
async fn waits(gateway: &Gateway, since: usize) {
    let said = async || gateway.log()[since..].contains("Output waits for the database").then_some(());
    until("the gateway waits with what the agent said", BOUND, said).await;
}

async fn taking(gateway: &Gateway, table: &str) {
    let sql = format!("drop trigger refuse on {table}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut gateway.database().connect().await).await.unwrap();
}

/// What an agent says is acknowledged once it is stored, or can never be: a full disk is waited for, a value that is too large is told.
/// And a session that has ended in its driver stays ended, though the row does not say so yet.
#[tokio::test]
async fn what_cannot_be_stored_now_is_stored_later() {
    let mut gateway = Setup::new().start().await;
    let livy = gateway.livy();
    let context = livy.post("/api/v1/contexts", json!({"name": "shared"})).await.expect(201);
    let create = async |name: &str| {
        let body = json!({"context": context["id"], "kind": "pyspark", "name": name});
        let made = livy.post("/api/v1/sessions", body).await.expect(201);
        (format!("/sessions/{}", made["livy_id"]), format!("/api/v1/sessions/{}", made["id"].as_str().unwrap()))
    };
    // Deleted before its driver has ever heard of it.
    let (early, by_id) = create("early").await;
    livy.delete(&early).await.expect(200);
    let (session, own) = create("late").await;
    livy.idle(&session).await;
    assert_eq!(livy.get(&by_id).await.expect(200)["state"], "dead", "the agent ends what it never had");

    refusing(&gateway, "statement", "new.completed_at is not null", "53100").await;
    livy.post(&format!("{session}/statements"), json!({"code": "6 * 7"})).await.expect(201);
    waits(&gateway, 0).await;
    taking(&gateway, "statement").await;
    let first = livy.get(&format!("{session}/statements/0?wait=60")).await.expect(200);
    assert_eq!(first["output"]["data"]["text/plain"], "42", "{first}");

    refusing(&gateway, "statement", "octet_length(new.output) > 2000", "54000").await;
    let large = livy.run(&session, json!({"code": "'x' * 5000"})).await;
    assert_eq!(large["output"]["ename"], "ResultRefused", "{large}");
    taking(&gateway, "statement").await;
    assert_eq!(livy.text(&session, "'it goes on'").await, "'it goes on'");

    // The end of a session is said and not stored, and the gateway dies. Its row asks for it again: it is not opened anew.
    let ran = gateway.home().join("ran");
    livy.post(&format!("{session}/statements"), json!({"code": "import time; time.sleep(600)"})).await.expect(201);
    livy.post(&format!("{session}/statements"), json!({"code": format!("open('{}', 'w')", ran.display())})).await;
    running(&gateway, &format!("{session}/statements/3")).await;
    refusing(&gateway, "session", "new.state = 'dead'", "53100").await;
    let before = gateway.log().len();
    livy.delete(&format!("{own}?wait=0")).await.expect(202);
    waits(&gateway, before).await;
    gateway.kill().await;
    taking(&gateway, "session").await;
    let back = "update session set state = 'idle' where name = 'late'";
    sqlx::query(back).execute(&mut gateway.database().connect().await).await.unwrap();
    gateway.restart().await;
    let livy = gateway.livy();
    let dead = async || (livy.get(&own).await.expect(200)["state"] == "dead").then_some(());
    until("the session is dead", BOUND, dead).await;
    let waited = livy.get(&format!("{own}/statements/4")).await.expect(200);
    assert_eq!(waited["output"]["ename"], "SessionEnded", "{waited}");
    assert!(!ran.exists(), "what waited in it did not run");
    gateway.end().await;
}
