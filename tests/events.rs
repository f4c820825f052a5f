//! A session's events as a stream: nothing is missed, nothing comes twice, and the end is told.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod harness;

use std::collections::VecDeque;

use futures_util::StreamExt as _;
use harness::api::{API, session};
use harness::livy::Livy;
use harness::{BOUND, COLD, Setup, until};
use reqwest::{Method, Response};
use serde_json::{Value, json};

const SESSIONS: &str = "/api/v1/sessions";

/// An event as it came.
#[derive(Debug, Clone)]
struct Event {
    name: String,
    id: Option<String>,
    data: Value,
}

/// Reads a stream of events.
struct Reader {
    body: futures_util::stream::BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    text: String,
    events: VecDeque<Event>,
}

impl Reader {
    fn new(response: Response) -> Self {
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { body: response.bytes_stream().boxed(), text: String::new(), events: VecDeque::new() }
    }

    async fn open(api: &Livy, path: &str, last: Option<&str>) -> Self {
        let mut request = api.request(Method::GET, &format!("{path}/events"));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        Self::new(request.send().await.unwrap())
    }

    /// The next event; none once the stream has ended.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            let read = tokio::time::timeout(COLD, self.body.next()).await.expect("an event comes");
            self.text.push_str(std::str::from_utf8(&read?.unwrap()).unwrap());
            while let Some(end) = self.text.find("\n\n") {
                let block: String = self.text.drain(..end + 2).collect();
                self.events.extend(parse(&block));
            }
        }
    }

    async fn until(&mut self, name: &str, wanted: impl Fn(&Value) -> bool) -> Vec<Event> {
        let mut seen = Vec::new();
        loop {
            let event = self.next().await.unwrap_or_else(|| panic!("the stream ended before {name}: {seen:?}"));
            let found = event.name == name && wanted(&event.data);
            seen.push(event);
            if found {
                return seen;
            }
        }
    }
}

/// A block of lines; a comment that keeps the stream alive is none.
fn parse(block: &str) -> Option<Event> {
    let field =
        |name: &str| -> Vec<&str> { block.lines().filter_map(|l| l.strip_prefix(name)?.strip_prefix(": ")).collect() };
    let data = field("data").join("\n");
    let data = (!data.is_empty()).then(|| serde_json::from_str(&data).unwrap())?;
    let id = field("id").first().map(|id| (*id).to_owned());
    Some(Event { name: field("event").concat(), id, data })
}

fn printed(events: &[Event]) -> String {
    let output = events.iter().filter(|e| e.name == "output");
    output.map(|e| e.data["text"].as_str().unwrap()).collect()
}

fn lines(range: std::ops::Range<u32>) -> String {
    range.map(|n| format!("line {n}\n")).collect()
}

const TALKS: &str = "import time
for n in range(40):
    print('line', n)
    time.sleep(0.05)";

#[tokio::test]
async fn a_reader_sees_everything_once() {
    let gateway = Setup::new().start().await;
    let api = gateway.livy();
    let created = api.post(SESSIONS, json!({"kind": "pyspark"})).await;
    created.expect(201);
    let path = created.header("location").to_owned();

    // From the first moment: the session starts, becomes idle, runs.
    let mut reader = Reader::open(&api, &path, None).await;
    let first = reader.next().await.unwrap();
    assert_eq!((first.name.as_str(), &first.data["session"]["state"]), ("snapshot", &json!("starting")));
    assert_eq!(first.data["statements"], json!([]));
    reader.until("session", |s| s["state"] == "idle").await;
    let made = api.post(&format!("{path}/statements"), json!({ "code": TALKS })).await.expect(201);
    assert_eq!(made["number"], 0);
    let seen = reader.until("statement", |s| s["state"] == "available").await;
    assert_eq!(printed(&seen), lines(0..40));
    let states: Vec<_> = seen.iter().filter(|e| e.name == "statement").map(|e| e.data["state"].clone()).collect();
    assert_eq!(states, ["waiting", "running", "available"]);
    assert!(seen.iter().any(|e| e.name == "session" && e.data["state"] == "busy"));
    let outputs: Vec<_> = seen.iter().filter(|e| e.name == "output").collect();
    assert!(outputs.len() > 3, "output came as it was printed: {} pieces", outputs.len());
    assert!(outputs.iter().all(|e| e.id.as_deref() == Some(e.data["seq"].to_string().as_str())));

    // One who comes back gets what it has not seen, from the database.
    let middle = outputs[outputs.len() / 2].id.clone().unwrap();
    let after: String = outputs[outputs.len() / 2 + 1..].iter().map(|e| e.data["text"].as_str().unwrap()).collect();
    let mut back = Reader::open(&api, &path, Some(&middle)).await;
    let snapshot = back.next().await.unwrap();
    assert_eq!(snapshot.data["statements"][0]["state"], "available");
    let mut text = String::new();
    while text.len() < after.len() {
        text.push_str(&printed(&[back.next().await.unwrap()]));
    }
    assert_eq!(text, after);

    // One who comes within a statement gets its output so far, and goes on with the rest.
    api.post(&format!("{path}/statements"), json!({ "code": TALKS })).await.expect(201);
    reader.until("output", |o| o["statement"] == 1).await;
    let mut late = Reader::open(&api, &path, None).await;
    let seen = late.until("statement", |s| s["number"] == 1 && s["state"] == "available").await;
    assert_eq!(printed(&seen), lines(0..40));

    // Jobs of Spark show their progress.
    let code = "spark.sparkContext.parallelize(range(8), 8).map(lambda n: __import__('time').sleep(0.3) or n).sum()";
    api.post(&format!("{path}/statements"), json!({ "code": code })).await.expect(201);
    let seen = late.until("statement", |s| s["number"] == 2 && s["state"] == "available").await;
    let progress = seen.iter().find(|e| e.name == "progress").expect("progress is told");
    assert_eq!(progress.data["statement"], 2);
    assert!(progress.data["progress"].is_object(), "{progress:?}");

    // The end is told to all, and ends the streams; whoever comes back after it is told to stay away.
    api.delete(&path).await;
    for reader in [&mut reader, &mut back, &mut late] {
        let last = reader.until("end", |_| true).await.pop().unwrap();
        assert_eq!((last.id.as_deref(), &last.data["state"]), (Some("end"), &json!("dead")));
        assert!(reader.next().await.is_none());
    }
    let again = api.request(Method::GET, &format!("{path}/events")).header("last-event-id", "end");
    assert_eq!(api.send(again).await.status, 204);
    let mut over = Reader::open(&api, &path, None).await;
    let names: Vec<_> = [over.next().await.unwrap().name, over.next().await.unwrap().name].into();
    assert_eq!(names, ["snapshot", "end"]);
    gateway.end().await;
}

#[tokio::test]
async fn a_slow_reader_is_told_and_loses_nothing() {
    let gateway = Setup::new().start().await;
    let api = gateway.livy();
    let created = api.post(SESSIONS, json!({"kind": "pyspark"})).await;
    let path = created.header("location").to_owned();
    until("the session is idle", COLD, async || {
        (api.get(&format!("{path}?wait=30")).await.expect(200)["state"] == "idle").then_some(())
    })
    .await;
    let mut slow = Reader::open(&api, &path, None).await;
    assert_eq!(slow.next().await.unwrap().name, "snapshot");
    // Statements whose results together are far more than connections and memory hold, while the reader does not read.
    let big = "'x' * 60000";
    let mut numbers = Vec::new();
    for turn in 0..700 {
        let code = if turn == 350 { "print('in the middle')" } else { big };
        let made = api.post(&format!("{path}/statements"), json!({ "code": code })).await.expect(201);
        numbers.push(made["number"].as_i64().unwrap());
    }
    let last = format!("{path}/statements/{}", numbers[numbers.len() - 1]);
    until("all have run", COLD, async || {
        (api.get(&format!("{last}?wait=30")).await.expect(200)["state"] == "available").then_some(())
    })
    .await;

    let mut seen = slow.until("missed", |_| true).await;
    assert!(seen.last().unwrap().data["events"].as_u64().unwrap() > 0);
    // A fresh snapshot follows; on a slow machine before all have run, and then the rest.
    seen.append(&mut slow.until("snapshot", |_| true).await);
    let newest = |event: &Event| match event.name.as_str() {
        "snapshot" => {
            let statements = event.data["statements"].as_array().unwrap();
            assert!(statements.len() <= 100, "a snapshot is bounded");
            statements.last().unwrap()["number"].clone()
        }
        "statement" if event.data["state"] == "available" => event.data["number"].clone(),
        _ => Value::Null,
    };
    while newest(seen.last().unwrap()) != numbers[numbers.len() - 1] {
        seen.push(slow.next().await.unwrap());
    }
    // What was printed while it did not listen is replayed, once.
    let mut text = printed(&seen);
    let marker = api.post(&format!("{path}/statements"), json!({"code": "print('marker')"})).await.expect(201);
    let rest = slow.until("statement", |s| s["number"] == marker["number"] && s["state"] == "available").await;
    text.push_str(&printed(&rest));
    assert_eq!(text, "in the middle\nmarker\n");
    drop(slow);
    tokio::time::timeout(BOUND, gateway.end()).await.expect("streams do not hold a gateway up");
}

/// A clock's warning, and what is known of it beside the stream.
async fn warned(api: &Livy, path: &str, reader: &mut Reader, clock: &str) -> String {
    let told = reader.until("ending", |_| true).await.pop().unwrap();
    assert_eq!(told.data["clock"], clock, "{told:?}");
    assert!(told.data["reason"].as_str().unwrap().contains("nothing runs in "), "{told:?}");
    let at = told.data["at"].as_str().unwrap().to_owned();
    assert_eq!(api.get(path).await.expect(200)["ends_at"], at, "who does not listen sees it too");
    // One who comes late sees it in the snapshot.
    let mut late = Reader::open(api, path, None).await;
    assert_eq!(late.next().await.unwrap().data["session"]["ends_at"], at);
    at
}

#[tokio::test]
async fn a_clock_warns_before_it_strikes_and_never_while_a_statement_runs() {
    let gateway = Setup::new().start().await;
    let api = gateway.livy();
    let made = api.post(&format!("{API}/contexts?wait=60"), json!({"name": "brief", "idle_timeout": "10s"})).await;
    made.expect(201);
    let context = made.header("location").to_owned();

    // The session's own clock, half of its time before.
    let path = session(&api, json!({"kind": "pyspark", "context": "brief", "idle_timeout": "8s"})).await;
    let mut reader = Reader::open(&api, &path, None).await;
    let first = warned(&api, &path, &mut reader, "idle").await;
    assert!(api.get(&context).await.expect(200)["ends_at"].as_str().unwrap() > first.as_str());
    // What runs for longer than both clocks give stops both, and moves the deadline.
    let code = json!({"code": "import time\ntime.sleep(11)"});
    api.post(&format!("{path}/statements"), code).await.expect(201);
    reader.until("statement", |s| s["state"] == "running").await;
    assert_eq!(api.get(&path).await.expect(200)["ends_at"], Value::Null);
    let moved = async || api.get(&context).await.expect(200)["ends_at"].is_null().then_some(());
    until("the context's clock stands still", BOUND, moved).await;
    let second = warned(&api, &path, &mut reader, "idle").await;
    assert!(second > first, "{second} is a new deadline");
    let seen = reader.until("end", |_| true).await;
    assert!(!seen.iter().any(|e| e.name == "ending"), "once for each deadline: {seen:?}");
    let end = &seen.last().unwrap().data;
    assert_eq!((&end["ended_by"]["clock"], &end["ended_by"]["user"]), (&json!("idle"), &Value::Null), "{end}");
    assert_eq!(end["cause"], "nothing ran in it for 8 s (idle timeout)");
    assert!(end["ended_at"].as_str().unwrap() >= second.as_str() && end["ends_at"].is_null(), "{end}");

    // The context's clock reaches each of its sessions.
    let path = session(&api, json!({"kind": "sql", "context": "brief", "idle_timeout": "0s"})).await;
    let mut reader = Reader::open(&api, &path, None).await;
    let at = warned(&api, &path, &mut reader, "context_idle").await;
    let end = reader.until("end", |_| true).await.pop().unwrap().data;
    assert_eq!(end["ended_by"]["clock"], "context_idle", "{end}");
    // Its sessions are over before its driver is.
    let over = async || Some(api.get(&context).await.expect(200)).filter(|c| c["state"] == "ended");
    let ended = until("the context ends", BOUND, over).await;
    assert_eq!(ended["ended_by"]["clock"], "context_idle", "{ended}");
    assert!(ended["ended_at"].as_str().unwrap() >= at.as_str(), "{ended}");
    let why = "nothing ran in it for 10 s (idle timeout of the context)";
    assert_eq!(
        (&ended["cause"], &end["cause"]),
        (&json!(why), &json!(format!("its context ended: {why}"))),
        "{ended} {end}"
    );
    gateway.end().await;
}

#[tokio::test]
async fn age_warns_too_and_waits_for_nothing() {
    let gateway = Setup::new().start().await;
    let api = gateway.livy();
    api.post(&format!("{API}/contexts?wait=60"), json!({"name": "long"})).await.expect(201);
    let path = session(&api, json!({"kind": "pyspark", "context": "long", "ttl": "20s"})).await;
    let mut reader = Reader::open(&api, &path, None).await;
    api.post(&format!("{path}/statements"), json!({"code": "import time\ntime.sleep(600)"})).await.expect(201);
    let told = reader.until("ending", |_| true).await.pop().unwrap().data;
    assert_eq!(told["clock"], "ttl", "{told}");
    assert!(told["reason"].as_str().unwrap().contains("its ttl is 20 s"), "{told}");
    let end = reader.until("end", |_| true).await.pop().unwrap().data;
    assert_eq!((&end["state"], &end["ended_by"]["clock"]), (&json!("dead"), &json!("ttl")), "{end}");
    assert_eq!(end["cause"], "it reached its age limit (ttl) of 20 s");
    let statement = api.get(&format!("{path}/statements/0")).await.expect(200);
    assert_eq!(statement["state"], "cancelled", "{statement}");
    gateway.end().await;
}
