//! The bounds of handles, against an agent made of this test: what would cost an agent its connection or the gateway its memory goes no further,
//! nobody takes the room of everybody, and what is in use does not end.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test fails by panicking"
)]

mod harness;

use std::convert::Infallible;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream;
use harness::agent::{Agent, Application};
use harness::api::API;
use harness::livy::{Answer, Livy};
use harness::{BOUND, Gateway, Setup, until};
use reqwest::{Body, Method};
use serde_json::{Value, json};
use sqlx::PgConnection;
use tokio::task::JoinHandle;
use uuid::Uuid;

const CSV: &str = "text/csv";

/// A context of the local user, whose agent is this test, with pairs of whole numbers in it.
struct Fake {
    gateway: Gateway,
    api: Livy,
    application: Application,
    session: Uuid,
    /// The path of the pairs.
    handle: String,
}

impl Fake {
    async fn new(setup: Setup) -> (Self, Agent) {
        let gateway = setup.start().await;
        let api = gateway.livy();
        let me = api.get(&format!("{API}/login")).await.expect(200)["user"].as_str().unwrap().to_owned();
        let application = Application::new(&gateway, &me, &me, "default").await;
        let session = application.session(&mut gateway.database().connect().await, &me, 0).await;
        let mut agent = application.dial(0, json!({})).await;
        agent.told("open_session").await;
        let mut fake = Self { gateway, api, application, session, handle: String::new() };
        fake.handle = fake.share(&mut agent, json!({})).await;
        (fake, agent)
    }

    /// Has the agent say that a handle is there; its path, once the gateway knows that version.
    async fn share(&self, agent: &mut Agent, change: Value) -> String {
        let said = handle(change);
        agent.say("handle", Some(self.session), said.clone()).await;
        let named = format!("{API}/contexts/{}/handles/{}", self.application.context, said["name"].as_str().unwrap());
        let found = until("the handle is known", BOUND, async || {
            let found = self.api.get(&named).await;
            (found.status == 200 && found.json()["version"] == said["version"]).then(|| found.json())
        })
        .await;
        format!("{API}/handles/{}", found["id"].as_str().unwrap())
    }

    /// Asks for something while the test goes on.
    fn ask(&self, method: Method, rest: &str, accept: &str) -> JoinHandle<reqwest::Response> {
        let request = self.api.request(method, &format!("{}{rest}", self.handle)).header("accept", accept);
        tokio::spawn(async move { request.send().await.unwrap() })
    }

    async fn send(&self, method: Method, rest: &str, body: impl Into<Body>) -> Answer {
        let request = self.api.request(method, &format!("{}{rest}", self.handle));
        self.api.send(request.header("content-type", "application/json").body(body)).await
    }

    async fn again(&self, agent: Agent) -> Agent {
        let seq = agent.seq;
        drop(agent);
        self.application.dial(seq, json!({ self.session.to_string(): -1 })).await
    }

    async fn database(&self) -> PgConnection {
        self.gateway.database().connect().await
    }
}

fn handle(change: Value) -> Value {
    let mut said = json!({"name": "squares", "kind": "pairs", "version": 1, "state": "ready", "reason": null, "key": "long",
                          "partitions": 2, "columns": [{"name": "key", "type": "bigint", "class": "number"}],
                          "storage": "MEMORY_AND_DISK", "ttl_ms": null, "durable": null});
    said.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    said
}

fn version() -> (&'static str, String) {
    ("x-hearth-handle-version", "1".to_owned())
}

/// Bytes without end.
fn endless() -> Body {
    Body::wrap_stream(stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from(vec![b'x'; 1 << 16]))))
}

fn refused(answer: &Answer, status: u16, why: &str) {
    let detail = answer.expect(status)["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains(why), "{answer}");
}

/// One such key would cost the context its link as often as it is sent.
#[tokio::test]
async fn what_an_agent_cannot_read_does_not_reach_it() {
    let (fake, mut agent) = Fake::new(Setup::new()).await;
    let deep = format!("{}1{}", "[".repeat(1001), "]".repeat(1001));
    for (key, why) in [
        (deep.clone(), "64 levels"),
        ("9".repeat(1001), "1000 digits"),
        (format!("[{{\"{}\": 1}}]", "n".repeat(50_001)), "10000 bytes"),
    ] {
        let keys = format!("{{\"keys\": [1, {key}]}}");
        refused(&fake.send(Method::POST, "/entries/get", keys.clone()).await, 400, why);
        refused(&fake.send(Method::POST, "/entries/delete", keys).await, 400, why);
        let key_of = format!("{{\"entries\": [[{key}, 1]]}}");
        refused(&fake.send(Method::PUT, "/entries", key_of).await, 400, "the key of entries[0]");
        let value_of = format!("{{\"entries\": {{\"a\": 1, \"b\": {key}}}}}");
        refused(&fake.send(Method::PUT, "/entries", value_of).await, 400, "the value of entries[1]");
    }
    for key in [deep.clone(), "9".repeat(1001)] {
        let answer = fake.api.get(&format!("{}/entries?key={key}", fake.handle)).await;
        refused(&answer, 400, "keys[0]");
    }
    // What an agent says is told to those that come after it.
    let columns =
        json!([{"name": "a", "type": "int", "more": serde_json::from_str::<Value>(&deep[931..1072]).unwrap()}]);
    agent.say("handle", Some(fake.session), handle(json!({"name": "deep", "columns": columns}))).await;
    fake.share(&mut agent, json!({"version": 2})).await;
    assert_eq!(fake.api.get(&format!("{API}/handles")).await.expect(200)["total"], 1);
    // The first that the agent hears of all this.
    let asked = fake.ask(Method::GET, "/entries?key=2", "*/*");
    assert_eq!(agent.told("handle_request").await["keys"], json!([2]));
    asked.abort();
    fake.gateway.end().await;
}

/// Whatever it is: what breaks the connection whenever it is asked is not asked for ever.
#[tokio::test]
async fn a_question_that_breaks_the_connection_is_given_up() {
    let (fake, mut agent) = Fake::new(Setup::new()).await;
    let asked = fake.ask(Method::GET, "/count", "*/*");
    let first = agent.told("handle_request").await;
    for _ in 0..2 {
        agent = fake.again(agent).await;
        assert_eq!(agent.told("handle_request").await, first);
    }
    agent = fake.again(agent).await;
    let answer = asked.await.unwrap();
    assert!(matches!(answer.status().as_u16(), 503 | 504), "{answer:?}");
    let asked = fake.ask(Method::GET, "/count", "*/*");
    let next = agent.told("handle_request").await;
    assert_ne!(next["request"], first["request"]);
    let result = json!({"version": 1, "count": 3});
    agent.say("handle_answer", None, json!({"request": next["request"], "error": null, "result": result})).await;
    assert_eq!(asked.await.unwrap().status(), 200);
    fake.gateway.end().await;
}

/// A body costs its bytes, and nothing more before it is known that its sender may have it read.
#[tokio::test]
async fn a_body_of_millions_costs_its_bytes() {
    let (fake, _agent) = Fake::new(Setup::new()).await;
    let nobodys = format!("{API}/handles/{}/entries", Uuid::now_v7());
    for (method, rest) in [(Method::POST, "/get"), (Method::POST, "/delete"), (Method::PUT, "")] {
        let request = fake.api.request(method, &format!("{nobodys}{rest}")).header("content-type", "application/json");
        fake.api.send(request.body("{\"keys\": [")).await.expect(404);
    }
    let list = |item: &str| vec![item; (15 << 20) / (item.len() + 1)].join(",");
    let many = "more than 100000";
    let keys = format!("{{\"keys\": [{}]}}", list("1"));
    refused(&fake.send(Method::POST, "/entries/get", keys.clone()).await, 400, many);
    refused(&fake.send(Method::POST, "/entries/delete", keys).await, 400, many);
    refused(&fake.send(Method::PUT, "/entries", format!("{{\"entries\": [{}]}}", list("[1,1]"))).await, 400, many);
    refused(&fake.send(Method::PUT, "/entries", format!("{{\"entries\": {{{}}}}}", list("\"\":1"))).await, 400, many);
    let long = format!("{{\"keys\": [\"{}\"]}}", "x".repeat(9 << 20));
    fake.send(Method::POST, "/entries/get", long).await.expect(413);
    for (path, body) in [
        ("batches", format!("{{\"file\": \"/a.py\", \"args\": [{}]}}", list("\"\""))),
        ("contexts", format!("{{\"resources\": {{\"jars\": [{}]}}}}", list("\"\""))),
        ("sessions", format!("{{\"resources\": {{\"conf\": {{{}}}}}}}", list("\"a\":\"\""))),
    ] {
        refused(&fake.api.post_text(&format!("{API}/{path}"), body).await, 400, "more than 1000");
    }
    let peak = peak(fake.gateway.pid());
    assert!(peak < 300 << 20, "{} MiB at most", peak >> 20);
    fake.gateway.end().await;
}

fn peak(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// Whoever holds four streams of a context gets no more of it, and a reader that leaves gives its place back and tells the agent.
#[tokio::test]
async fn one_person_does_not_take_every_stream() {
    let (fake, mut agent) = Fake::new(Setup::new()).await;
    let mut asked = Vec::new();
    for _ in 0..4 {
        let reader = fake.ask(Method::GET, "/rows", CSV);
        asked.push((reader, agent.told("open_stream").await["stream"].clone()));
    }
    let answer =
        fake.api.send(fake.api.request(Method::GET, &format!("{}/rows", fake.handle)).header("accept", CSV)).await;
    refused(&answer, 429, "one person");
    assert!(!answer.header("retry-after").is_empty());
    // Code of a context of a service account is somebody else, and finds a place.
    let etl = Application::new(&fake.gateway, "etl", "etl", "default").await;
    let grant = json!({"level": "read", "user": "etl"});
    fake.api.post(&format!("{}/grants", fake.handle), grant).await.expect(201);
    let others = etl.request(Method::GET, &format!("/driver/handles/{}/squares", fake.application.context));
    let others = tokio::spawn(async move { others.send().await.unwrap() });
    let stream = agent.told("open_stream").await["stream"].clone();
    assert_eq!(fake.application.bring(&stream, version(), "key\n").await, Some(204));
    assert_eq!(others.await.unwrap().text().await.unwrap(), "key\n");
    for (reader, stream) in asked {
        reader.abort();
        assert_eq!(agent.told("cancel_request").await["request"], stream, "it had not begun");
        assert_eq!(fake.application.bring(&stream, version(), "late").await, Some(410));
    }
    let reader = fake.ask(Method::GET, "/rows", CSV);
    let stream = agent.told("open_stream").await["stream"].clone();
    assert_eq!(fake.application.bring(&stream, version(), "key\n").await, Some(204));
    assert_eq!(reader.await.unwrap().text().await.unwrap(), "key\n");
    fake.gateway.end().await;
}

/// A reader that takes nothing loses its place, though it never leaves.
#[tokio::test]
async fn a_stalled_reader_is_broken_off() {
    let (fake, mut agent) = Fake::new(Setup::new().set("http.limits.stalled_reader", "1s")).await;
    let reader = fake.ask(Method::GET, "/rows", CSV);
    let stream = agent.told("open_stream").await["stream"].clone();
    let stalled = async {
        let brought = fake.application.bring(&stream, version(), endless());
        let (brought, held) = tokio::join!(brought, async { reader.await.unwrap() });
        assert_ne!(brought, Some(204));
        held
    };
    let held = tokio::time::timeout(BOUND, stalled).await.expect("the agent is told");
    assert!(held.bytes().await.is_err(), "the reader must not take it for the whole");
    fake.gateway.end().await;
}

/// What an agent says of columns is bounded for each handle and for all: whoever lists them reads them all.
#[tokio::test]
async fn columns_do_not_fill_the_catalogue() {
    let (fake, mut agent) = Fake::new(Setup::new()).await;
    let columns = |bytes: usize| json!([{"name": "x".repeat(bytes), "type": "int", "class": "number"}]);
    let shown = async |path: &str| {
        let one = fake.api.get(path).await.expect(200);
        let id = &one["id"];
        let list = fake.api.get(&format!("{API}/handles?size=1000")).await.expect(200);
        let listed = list["items"].as_array().unwrap().iter().find(|h| &h["id"] == id).unwrap()["columns"].clone();
        (one["columns"].is_array(), listed.is_array(), one["reason"].clone())
    };
    let wide = fake.share(&mut agent, json!({"name": "wide", "columns": columns(5000)})).await;
    assert_eq!(shown(&wide).await, (true, false, Value::Null), "a list leaves long ones out");
    fake.share(&mut agent, json!({"name": "wide", "version": 2, "columns": columns(70_000)})).await;
    assert_eq!(shown(&wide).await, (false, false, json!("its columns are too many to be shown")));
    fake.share(&mut agent, json!({"name": "wide", "version": 3, "columns": null})).await;
    fake.share(&mut agent, json!({"name": "wide", "version": 4, "columns": columns(50)})).await;
    assert_eq!(shown(&wide).await, (true, true, Value::Null));
    for n in 0..150 {
        agent
            .say("handle", Some(fake.session), handle(json!({"name": format!("h{n}"), "columns": columns(60_000)})))
            .await;
    }
    let last = fake.share(&mut agent, json!({"name": "last", "columns": columns(60_000)})).await;
    assert!(!shown(&last).await.0);
    let narrow = fake.share(&mut agent, json!({"name": "narrow", "columns": columns(50)})).await;
    assert_eq!(shown(&narrow).await, (true, true, Value::Null), "short ones always have room");
    let sum = "select sum(octet_length(columns)) from handle";
    let sum: i64 = sqlx::query_scalar(sum).fetch_one(&mut fake.database().await).await.unwrap();
    assert!(((7 << 20)..=(8 << 20) + 4096).contains(&sum), "{sum} bytes of columns");
    fake.gateway.end().await;
}

/// The clock of a context stands while something is asked of its handles, however long that takes.
#[tokio::test]
async fn a_context_that_is_asked_does_not_end_by_its_clock() {
    let (fake, mut agent) = Fake::new(Setup::new()).await;
    let path = format!("{}/entries", fake.handle);
    let put = fake.api.request(Method::PUT, &path).json(&json!({"entries": [[1, 1]]}));
    let put = tokio::spawn(async move { put.send().await.unwrap() });
    let asked = agent.told("handle_request").await;
    let mut db = fake.database().await;
    let ago = "update session set created_at = now() - interval '1 hour', last_active_at = now() - interval '1 hour'";
    sqlx::query(ago).execute(&mut db).await.unwrap();
    let idle = "update context set ready_at = now() - interval '1 hour', idle_ms = 3000";
    sqlx::query(idle).execute(&mut db).await.unwrap();
    let began = Instant::now();
    let mut row = async || -> (String, Option<f64>) {
        let age = "select state, extract(epoch from now() - last_active_at)::float8 from context";
        sqlx::query_as(age).fetch_one(&mut db).await.unwrap()
    };
    until("its use is noted for longer than its clock runs", BOUND, async || {
        let (state, age) = row().await;
        assert_eq!(state, "ready", "after {:?}", began.elapsed());
        (began.elapsed() > Duration::from_secs(7) && age.is_some_and(|age| age < 3.0)).then_some(())
    })
    .await;
    let result = json!({"request": asked["request"], "error": null, "result": {"version": 2}});
    agent.say("handle_answer", None, result).await;
    assert_eq!(put.await.unwrap().status(), 200);
    let ended = Instant::now();
    until("it ends by its clock", BOUND, async || (row().await.0 != "ready").then_some(())).await;
    assert!(ended.elapsed() > Duration::from_secs(2), "its time begins with the end of what was asked");
    fake.gateway.end().await;
}

/// Odd requests get a clear answer, and the agent hears nothing of them.
#[tokio::test]
async fn odd_requests_are_answered_by_the_gateway() {
    let (fake, mut agent) = Fake::new(Setup::new()).await;
    let get = async |rest: &str, accept: &str| {
        let request = fake.api.request(Method::GET, &format!("{}{rest}", fake.handle)).header("accept", accept);
        fake.api.send(request).await
    };
    refused(&get("/rows", "image/png").await, 406, "text/csv");
    refused(&get("/rows?limit=-1", CSV).await, 400, "negative");
    refused(&get("/rows?limit=3000000000", CSV).await, 400, "2147483647");
    refused(&get("/rows?limit=10001", "*/*").await, 400, "10000");
    refused(&get("/rows?columns=a,b,a", CSV).await, 400, "twice");
    refused(&get("/entries", "*/*").await, 400, "key");
    refused(&get(&format!("/entries?key={}", "9".repeat(60_000)), "*/*").await, 400, "keys[0]");
    refused(&get(&format!("/entries?key=1{}", "&key=2".repeat(1000)), "*/*").await, 400, "1 to 1000");
    for (method, rest) in [(Method::POST, "/entries/get"), (Method::POST, "/entries/delete"), (Method::PUT, "/entries")]
    {
        for body in ["", "{}", "[]", "null", "{\"keys\": []}", "{\"entries\": []}", "{\"keys\": {}, \"entries\": 1}"] {
            fake.send(method.clone(), rest, body).await.expect(400);
        }
    }
    // A client that leaves within its body has asked for nothing.
    let half = stream::iter([Ok(Bytes::from("{\"entries\": [[1, 1]")), Err(std::io::Error::other("it leaves"))]);
    let put = fake.api.request(Method::PUT, &format!("{}/entries", fake.handle));
    let put = put.header("content-type", "application/json").body(Body::wrap_stream(half));
    assert!(put.send().await.is_err());
    let asked = fake.ask(Method::GET, "/entries?key=7", "*/*");
    assert_eq!(agent.told("handle_request").await["keys"], json!([7]), "the first that it hears");
    asked.abort();
    // HEAD is answered as GET is, and ends what it began.
    let head = fake.ask(Method::HEAD, "/rows", CSV);
    let stream = agent.told("open_stream").await["stream"].clone();
    let brought = fake.application.bring(&stream, version(), endless());
    let (brought, head) = tokio::time::timeout(BOUND, async { tokio::join!(brought, head) }).await.expect("it ends");
    let head = head.unwrap();
    assert_eq!((head.status().as_u16(), &head.headers()["x-hearth-handle-version"]), (200, &"1".parse().unwrap()));
    assert_ne!(brought, Some(204));
    fake.gateway.end().await;
}

/// While the database is away nothing is read, for it could not be written down; a gateway that stops does not wait for those who read.
#[tokio::test]
async fn a_database_that_is_away_and_a_gateway_that_stops() {
    let (mut fake, mut agent) = Fake::new(Setup::new().own_postgres()).await;
    let reader = fake.ask(Method::GET, "/rows", CSV);
    let stream = agent.told("open_stream").await["stream"].clone();
    let request = fake.application.request(Method::POST, &format!("/driver/streams/{}", stream.as_str().unwrap()));
    let brought = tokio::spawn(request.header(version().0, version().1).body(endless()).send());
    let held = reader.await.unwrap();
    fake.gateway.postgres().stop();
    for rest in ["/count", "/entries?key=1", "/rows"] {
        let answer = fake.api.get(&format!("{}{rest}", fake.handle)).await;
        assert_eq!(answer.status, 503, "{answer}");
        assert!(!answer.header("retry-after").is_empty(), "{answer}");
    }
    fake.gateway.postgres().start();
    let began = Instant::now();
    assert!(fake.gateway.terminate().await.success());
    assert!(began.elapsed() < Duration::from_secs(30), "it took {:?}", began.elapsed());
    assert!(held.bytes().await.is_err(), "the reader must not take it for the whole");
    assert!(!brought.await.unwrap().is_ok_and(|answer| answer.status().is_success()));
    fake.gateway.restart().await;
    fake.gateway.end().await;
}
