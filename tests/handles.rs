//! Named data: made by code in one session, reached from other sessions, languages, contexts and from outside, under grants of its own; what is
//! left of it when its driver dies. On real Sparks.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod harness;
mod real;

use harness::api::{API, person, session, submit, text};
use harness::livy::{Answer, Livy};
use harness::{BOUND, COLD, Gateway, Setup, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::Method;
use serde_json::{Value, json};

const ARROW: &str = "application/vnd.apache.arrow.stream";

async fn run(api: &Livy, session: &str, code: &str) -> String {
    text(api, &submit(api, session, code).await).await
}

async fn put(api: &Livy, path: &str, body: Value) -> Answer {
    api.send(api.request(Method::PUT, path).json(&body)).await
}

async fn accept(api: &Livy, path: &str, form: &str) -> Answer {
    api.send(api.request(Method::GET, path).header("accept", form)).await
}

/// The handle of that name in a context, once the gateway knows it.
async fn find(api: &Livy, context: &str, name: &str) -> Value {
    until(&format!("{name} is known"), BOUND, async || {
        let found = api.get(&format!("{API}/contexts/{context}/handles/{name}")).await;
        (found.status == 200).then(|| found.json())
    })
    .await
}

fn path(handle: &Value) -> String {
    format!("{API}/handles/{}", handle["id"].as_str().unwrap())
}

/// A context of two sessions in two languages, in which data has names.
struct Team {
    api: Livy,
    python: String,
    scala: String,
}

impl Team {
    async fn new(gateway: &Gateway) -> Self {
        let api = gateway.livy();
        api.post(&format!("{API}/contexts"), json!({"name": "team", "profile": "kept"})).await.expect(201);
        let python = session(&api, json!({"kind": "pyspark", "context": "team"})).await;
        let scala = session(&api, json!({"kind": "spark", "context": "team", "name": "scala-side"})).await;
        Self { api, python, scala }
    }

    /// Python makes it, Scala and SQL and the gateway read it.
    async fn every_session_reaches_it(&self) -> Value {
        let code = "r = sc.parallelize([('ak', 'Alaska'), ('ca', 'California')], 2)\nsrdd = ShareableRdd(r)";
        submit(&self.api, &self.python, code).await;
        assert_eq!(run(&self.api, &self.python, "print(srdd.get('ak'))").await, "{'ak': 'Alaska'}");
        let scala = run(&self.api, &self.scala, r#"println(SharedRdd("srdd").get("ak"))"#).await;
        assert!(scala.contains("Alaska"), "{scala}");
        for place in ["contexts/team", "sessions/scala-side"] {
            let code = format!("print(SharedRdd('https://host:8998/{place}', 'srdd').get('ak'))");
            assert_eq!(run(&self.api, &self.python, &code).await, "{'ak': 'Alaska'}");
        }
        // A session of the Livy door comes into the context by name.
        let livy = self.api.session(json!({"kind": "sql", "conf": {"hearth.context": "team"}})).await;
        let table = self.api.run(&livy, json!({"code": "select value from global_temp.srdd where key = 'ca'"})).await;
        assert!(table.to_string().contains("California"), "{table}");
        assert_eq!(self.api.get(&format!("{API}/contexts")).await.expect(200)["total"], 1);
        let id = livy.rsplit('/').next().unwrap();
        let handle = self.api.get(&format!("{API}/sessions/{id}/handles/srdd")).await.expect(200);
        assert_eq!(
            [&handle["kind"], &handle["state"], &handle["key"], &handle["context_name"], &handle["durable"]],
            [&json!("pairs"), &json!("ready"), &json!("string"), &json!("team"), &json!(false)],
            "{handle}"
        );
        assert!(handle["created_by_session"].is_string() && handle["created_by_statement"].is_number(), "{handle}");
        handle
    }

    async fn outsiders_reach_it(&self, handle: &Value) {
        let (api, path) = (&self.api, path(handle));
        let found = api.get(&format!("{path}/entries?key=ak&key=nowhere")).await.expect(200);
        assert_eq!(found["entries"], json!([{"key": "ak", "value": "Alaska"}]));
        let version =
            put(api, &format!("{path}/entries"), json!({"entries": {"ny": "New York"}})).await.expect(200)["version"]
                .as_i64()
                .unwrap();
        assert!(version > found["version"].as_i64().unwrap());
        let found = api.post(&format!("{path}/entries/get"), json!({"keys": ["ny"]})).await.expect(200);
        assert_eq!((&found["version"], &found["entries"][0]["value"]), (&json!(version), &json!("New York")));
        assert_eq!(api.get(&format!("{path}/count")).await.expect(200)["count"], 3);
        api.post(&format!("{path}/entries/delete"), json!({"keys": ["ca"]})).await.expect(200);
        let rows = api.get(&format!("{path}/rows?limit=1&columns=key")).await.expect(200);
        assert_eq!((rows["rows"].as_array().unwrap().len(), &rows["more"]), (1, &json!(true)), "{rows}");
        assert_eq!(rows["columns"][0]["name"], "key");
        let csv = accept(api, &format!("{path}/rows"), "text/csv").await;
        assert_eq!((csv.status, csv.text.lines().count()), (200, 3), "{csv}");
        assert_eq!(csv.header("x-hearth-handle-version"), (version + 1).to_string());
        let lines = accept(api, &format!("{path}/rows?limit=1"), "application/x-ndjson").await;
        assert_eq!(lines.text.lines().count(), 1, "{lines}");
        let arrow = api.request(Method::GET, &format!("{path}/rows")).header("accept", ARROW).send().await.unwrap();
        let bytes = arrow.bytes().await.unwrap();
        // An Arrow IPC stream begins and ends with the mark of a continued message.
        assert_eq!(bytes[..4], [0xff; 4]);
        assert_eq!(bytes[bytes.len() - 8..], [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
        let refused = accept(api, &format!("{path}/rows?columns=none"), ARROW).await;
        assert_eq!(refused.status, 400, "{refused}");
        assert_eq!(api.get(&format!("{path}/entries?kee=ak")).await.status, 400);
    }

    /// Another context's code reads it by name, through the gateway.
    async fn other_contexts_reach_it(&self) {
        let other = session(&self.api, json!({"kind": "pyspark", "profile": "kept"})).await;
        let read =
            run(&self.api, &other, "print(sorted(row.key for row in hearth.shared('team/keeper').collect()))").await;
        assert_eq!(read, "['ak', 'ny']");
        let missing = submit(&self.api, &other, "hearth.shared('team/nothing')").await;
        assert_eq!(harness::api::ended(&self.api, &missing).await["output"]["status"], "error");
        self.api.delete(&format!("{other}?wait=60")).await.expect(200);
    }

    async fn pid(&self) -> i32 {
        run(&self.api, &self.scala, "println(ProcessHandle.current.pid)").await.parse().unwrap()
    }
}

/// After kill -9 of the driver: what is durable opens again in the next application, the rest is lost and says why.
async fn the_driver_dies(team: &Team, lost: &Value, durable: &Value) {
    let api = &team.api;
    // Whom it is granted to is kept, as the name and the version are.
    let grants = format!("{}/grants", path(durable));
    api.post(&grants, json!({"level": "read", "user": "bob"})).await.expect(201);
    kill(Pid::from_raw(team.pid().await), Signal::SIGKILL).unwrap();
    let gone = until("the handle is lost", BOUND, async || {
        let handle = api.get(&path(lost)).await.expect(200);
        (handle["state"] == "lost").then_some(handle)
    })
    .await;
    assert!(gone["reason"].as_str().unwrap().contains("driver has ended"), "{gone}");
    let answer = api.get(&format!("{}/entries?key=ak", path(lost))).await;
    let detail = answer.expect(410)["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("is lost since 2") && detail.contains("the driver was killed"), "{answer}");
    let answer = api.get(&format!("{}/entries?key=ak", path(durable))).await;
    let detail = answer.expect(409)["detail"].as_str().unwrap().to_owned();
    assert!(["ended at 2", "the driver was killed", "restart"].iter().all(|part| detail.contains(part)), "{answer}");
    let context = lost["context"].as_str().unwrap();
    let ended = api.get(&format!("{API}/contexts/{context}")).await.expect(200);
    assert_eq!((&ended["state"], &ended["attempt"]), (&json!("ended"), &json!(1)), "{ended}");

    api.post_text(&format!("{API}/contexts/{context}/restart"), "").await.expect(202);
    ready(api, context, 2).await;
    let found = api.get(&format!("{}/entries?key=ny", path(durable))).await.expect(200);
    assert_eq!(found["entries"], json!([{"key": "ny", "value": "New York"}]));
    let again = find(api, "team", "keeper").await;
    assert_eq!(
        (&again["id"], &again["owner"], &again["version"]),
        (&durable["id"], &durable["owner"], &durable["version"])
    );
    let all = api.get(&format!("{API}/contexts/team/handles")).await.expect(200);
    assert_eq!(all["total"], 2, "the lost one is listed, too: {all}");
}

async fn ready(api: &Livy, context: &str, attempt: i32) {
    until("the context is ready again", COLD, async || {
        let now = api.get(&format!("{API}/contexts/{context}?wait=30")).await.expect(200);
        (now["state"] == "ready" && now["attempt"] == attempt).then_some(())
    })
    .await;
}

/// A restart while the driver lives: its sessions end and say who did it.
async fn it_begins_again(team: &Team, durable: &Value) {
    let (api, context) = (&team.api, durable["context"].as_str().unwrap());
    let last = session(api, json!({"kind": "sql", "context": "team"})).await;
    api.post_text(&format!("{API}/contexts/team/restart?wait=60"), "").await.expect(202);
    ready(api, context, 3).await;
    let ended = api.get(&last).await.expect(200);
    assert_eq!(ended["state"], "dead");
    assert!(ended["cause"].as_str().unwrap().contains("restarted by"), "{ended}");
    assert!(ended["ended_by"]["user"].is_string(), "{ended}");
    assert_eq!(api.get(&format!("{}/count", path(durable))).await.expect(200)["count"], 2);
}

/// Bob may read one handle and nothing else.
async fn a_reader_needs_no_more(gateway: &Gateway, handle: &Value) {
    let owner = person(gateway, handle["owner"].as_str().unwrap()).await;
    let bob = person(gateway, "bob").await;
    let path = path(handle);
    until("the driver is connected", BOUND, async || {
        (owner.get(&format!("{path}/count")).await.status == 200).then_some(())
    })
    .await;
    // By what was granted while another driver held it.
    let refused = owner.post(&format!("{path}/grants"), json!({"level": "attach", "user": "bob"})).await.expect(400);
    assert!(refused["detail"].as_str().unwrap().contains("read, write, manage"), "{refused}");
    let grants = owner.get(&format!("{path}/grants")).await.expect(200);
    let grant = &grants["items"][0];
    assert_eq!(
        (&grants["total"], &grant["user"], &grant["level"]),
        (&json!(1), &json!("bob"), &json!("read")),
        "{grants}"
    );
    let context = handle["context"].as_str().unwrap();
    let found = bob.get(&format!("{API}/contexts/team/handles/keeper")).await.expect(200);
    assert_eq!(found["id"], handle["id"]);
    assert_eq!(bob.get(&format!("{path}/entries?key=ak")).await.expect(200)["entries"][0]["value"], "Alaska");
    assert_eq!(accept(&bob, &format!("{path}/rows"), "text/csv").await.text.lines().count(), 3);
    assert_eq!(bob.get(&format!("{API}/handles")).await.expect(200)["total"], 1);
    bob.get(&format!("{API}/contexts/{context}")).await.expect(404);
    bob.post(&format!("{API}/sessions"), json!({"kind": "sql", "context": "team"})).await.expect(404);
    put(&bob, &format!("{path}/entries"), json!({"entries": {"x": "y"}})).await.expect(403);
    bob.delete(&path).await.expect(403);
    owner.delete(&format!("{path}/grants/{}", grant["id"].as_str().unwrap())).await.expect(200);
    until("what was revoked is closed", BOUND, async || {
        (bob.get(&format!("{path}/entries?key=ak")).await.status == 404).then_some(())
    })
    .await;
    let mut db = gateway.database().connect().await;
    let reads: i64 = sqlx::query_scalar(
        "select count(*) from audit_event where event = 'read' and actor = 'bob' and resource_kind = 'handle' and outcome = 'done'",
    )
    .fetch_one(&mut db)
    .await
    .unwrap();
    assert_eq!(reads, 2, "each read by another than the owner");
    let last = until("who read it last is known", BOUND, async || {
        let last = owner.get(&path).await.expect(200)["last_read_by"].clone();
        (last == "bob").then_some(last)
    });
    last.await;
    owner.delete(&path).await.expect(200);
    owner.get(&path).await.expect(404);
}

#[tokio::test]
async fn data_has_a_name_beyond_its_session() {
    let folder = tempfile::tempdir().unwrap();
    let kept = format!(
        "[profiles.kept]\nspark_home = {:?}\nhandle_store = \"file://{}\"",
        real::spark_4(),
        folder.path().display()
    );
    let mut gateway = Setup::new().toml(&kept).start().await;
    let team = Team::new(&gateway).await;
    let lost = team.every_session_reaches_it().await;
    team.outsiders_reach_it(&lost).await;
    run(
        &team.api,
        &team.python,
        "k = ShareableRdd(sc.parallelize([('ak', 'Alaska')]), 'keeper', durable=True)\nprint(k.version)",
    )
    .await;
    let keeper = find(&team.api, "team", "keeper").await;
    assert_eq!((&keeper["durable"], &keeper["durable_version"]), (&json!(true), &json!(1)), "{keeper}");
    let put = put(&team.api, &format!("{}/entries", path(&keeper)), json!({"entries": {"ny": "New York"}})).await;
    let put = put.expect(200)["version"].clone();
    let durable = until("the put is durable", BOUND, async || {
        let handle = find(&team.api, "team", "keeper").await;
        (handle["durable_version"] == put && handle["version"] == put).then_some(handle)
    })
    .await;
    team.other_contexts_reach_it().await;
    the_driver_dies(&team, &lost, &durable).await;
    it_begins_again(&team, &durable).await;
    // The same driver, and a gateway to which people have to show who they are.
    gateway.terminate().await;
    gateway.set("auth.schemes", "[\"token\"]");
    gateway.set("auth.groups", "none");
    gateway.set("launch.launcher", "/nonexistent/launcher.sock");
    for profile in ["default", "spark4", "kept"] {
        gateway.set(&format!("profiles.{profile}.run_as"), "user");
    }
    gateway.restart().await;
    a_reader_needs_no_more(&gateway, &durable).await;
    gateway.end().await;
}

#[tokio::test]
async fn sessions_of_one_person_share_a_context_that_ends_when_idle() {
    let mine = format!(
        "[profiles.mine]\nspark_home = {:?}\nshare = \"user\"\ncontext_idle_timeout = \"4s\"",
        real::spark_35()
    );
    let gateway = Setup::new().toml(&mine).start().await;
    let api = gateway.livy();
    let make = || session(&api, json!({"kind": "pyspark", "profile": "mine"}));
    let (first, second) = tokio::join!(make(), make());
    let context = api.get(&first).await.expect(200)["context"].clone();
    assert_eq!(api.get(&second).await.expect(200)["context"], context);
    run(&api, &first, "hearth.share(spark.range(7), 'numbers')\nprint(1)").await;
    assert_eq!(run(&api, &second, "print(hearth.shared('numbers').count())").await, "7");
    let context = context.as_str().unwrap();
    let handle = find(&api, context, "numbers").await;
    let refused = api.get(&format!("{}/entries?key=1", path(&handle))).await;
    assert!(refused.expect(400)["detail"].as_str().unwrap().contains("key"), "{refused}");
    // A statement that takes longer than the clock is waited for.
    run(&api, &first, "import time\ntime.sleep(9)\nprint(1)").await;
    for session in [&first, &second] {
        api.delete(&format!("{session}?wait=60")).await.expect(200);
    }
    let ended = until("the context ends by its clock", BOUND, async || {
        let now = api.get(&format!("{API}/contexts/{context}")).await.expect(200);
        (now["state"] == "ended").then_some(now)
    })
    .await;
    assert!(ended["cause"].as_str().unwrap().contains("idle timeout of the context"), "{ended}");
    gateway.end().await;
}
