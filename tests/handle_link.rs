//! The gateway's side of handles against an agent made of this test: what agents say is checked, questions outlive a connection, streams are
//! relayed with back-pressure and end with either side.

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
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use harness::agent::{Agent, Application};
use harness::api::API;
use harness::livy::Livy;
use harness::{BOUND, Gateway, Setup, until};
use reqwest::{Body, Method};
use serde_json::{Value, json};
use uuid::Uuid;

/// A context whose agent is this test, with a session of Ann's in it.
struct Fake {
    gateway: Gateway,
    api: Livy,
    application: Application,
    session: Uuid,
    /// A session of another context.
    foreign: Uuid,
}

impl Fake {
    async fn new() -> Self {
        let gateway = Setup::new().start().await;
        let mut db = gateway.database().connect().await;
        let [application, other] = [
            Application::new(&gateway, "carl", "carl", "default").await,
            Application::new(&gateway, "carl", "carl", "default").await,
        ];
        let (session, foreign) = (application.session(&mut db, "ann", 0).await, other.session(&mut db, "ann", 0).await);
        let api = gateway.livy();
        Self { gateway, api, application, session, foreign }
    }

    fn rows(&self, handle: &str, form: &str) -> tokio::task::JoinHandle<reqwest::Response> {
        let request = self.api.request(Method::GET, &format!("{handle}/rows")).header("accept", form);
        tokio::spawn(async move { request.send().await.unwrap() })
    }
}

fn states() -> Value {
    json!({"name": "states", "kind": "pairs", "version": 1, "state": "ready", "reason": null, "key": "string", "partitions": 2,
           "columns": [{"name": "key", "type": "string", "class": "text"}], "storage": "MEMORY_AND_DISK", "ttl_ms": null, "durable": null})
}

fn with(change: Value) -> Value {
    let mut body = states();
    body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    body
}

/// What makes no sense, or is not the context's, is passed over; the handle is of whose session made it.
async fn only_what_is_its_own(fake: &Fake, agent: &mut Agent) -> String {
    assert_eq!(agent.told("welcome").await["epoch"], 1);
    let context = json!({"id": fake.application.context, "name": null});
    assert_eq!(agent.told("handles").await, json!({"context": context, "store": null, "durable": []}));
    agent.told("open_session").await;
    for (session, body) in [
        (Some(fake.session), with(json!({"name": "a-b"}))),
        (Some(fake.session), with(json!({"name": "a\u{0}"}))),
        (Some(fake.session), with(json!({"name": "a", "kind": "table"}))),
        (Some(fake.session), with(json!({"name": "b", "version": 0}))),
        (Some(fake.session), with(json!({"name": "c", "columns": "x"}))),
        (Some(fake.session), with(json!({"name": "d", "durable": {"path": "file:///etc", "version": 1}}))),
        (Some(fake.foreign), with(json!({"name": "e"}))),
        (Some(Uuid::now_v7()), with(json!({"name": "f"}))),
        (Some(fake.session), json!({"name": "g"})),
        (Some(fake.session), with(json!({"owner": "eve", "tenant": "other"}))),
        (None, with(json!({"version": 3, "key": "string", "reason": "x\u{0}y"}))),
        (None, with(json!({"version": 2, "state": "lost"}))),
    ] {
        agent.say("handle", session, body).await;
    }
    let list = format!("{API}/contexts/{}/handles", fake.application.context);
    let found = until("the last version is known", BOUND, async || {
        let found = fake.api.get(&list).await.expect(200);
        (found["items"][0]["version"] == 3).then_some(found)
    })
    .await;
    let handle = &found["items"][0];
    assert_eq!(
        (&found["total"], &handle["owner"], &handle["tenant"]),
        (&json!(1), &json!("ann"), &json!("default")),
        "{found}"
    );
    assert_eq!((&handle["state"], &handle["created_by_session"]), (&json!("ready"), &json!(fake.session)), "{found}");
    let mut db = fake.gateway.database().connect().await;
    // Whoever runs the gateway without a scheme reaches the data of their own contexts alone.
    let me: String = std::env::var("USER").ok().filter(|u| !u.is_empty()).unwrap_or_else(|| "root".to_owned());
    let local = fake.api.get(&format!("{API}/login")).await.expect(200)["user"].as_str().map_or(me, str::to_owned);
    sqlx::query("update context set owner = $1").bind(local).execute(&mut db).await.unwrap();
    format!("{API}/handles/{}", handle["id"].as_str().unwrap())
}

/// A question that was not answered before the connection broke is asked again on the next one.
async fn questions_outlive_a_connection(fake: &Fake, handle: &str, mut agent: Agent) -> Agent {
    let (api, path) = (fake.gateway.livy(), format!("{handle}/entries?key=ak"));
    let asked = tokio::spawn(async move { api.get(&path).await });
    let request = agent.told("handle_request").await;
    assert_eq!((&request["op"], &request["name"], &request["keys"]), (&json!("get"), &json!("states"), &json!(["ak"])));
    let seq = agent.seq;
    drop(agent);
    let mut agent = fake.application.dial(seq, json!({ fake.session.to_string(): -1 })).await;
    let again = agent.told("handle_request").await;
    assert_eq!(again, request);
    let answer = json!({"request": Uuid::now_v7(), "error": null, "result": {"version": 3, "entries": []}});
    agent.say("handle_answer", None, answer).await;
    let result = json!({"version": 3, "entries": [{"key": "ak", "value": 9_007_199_254_740_993_i64}]});
    agent.say("handle_answer", None, json!({"request": request["request"], "error": null, "result": result})).await;
    let answer = asked.await.unwrap();
    assert_eq!(answer.expect(200), result);

    let (api, path) = (fake.gateway.livy(), format!("{handle}/count"));
    let asked = tokio::spawn(async move { api.get(&path).await });
    let request = agent.told("handle_request").await;
    asked.abort();
    assert_eq!(agent.told("cancel_request").await["request"], request["request"], "its client has left");
    agent
}

/// A repeat under the same key is the same question, however often it comes, and another body is another request.
async fn a_repeat_is_the_same_question(fake: &Fake, handle: &str, agent: &mut Agent) {
    let change = |method: Method, path: &str, key: &str, body: Value| {
        let request = fake.api.request(method, path).header("idempotency-key", key).json(&body);
        tokio::spawn(async move { request.send().await.unwrap() })
    };
    let entries = format!("{handle}/entries");
    let put = |key: &str, value: &str| change(Method::PUT, &entries, key, json!({"entries": {"ak": value}}));
    let first = put("k1", "Alaska");
    let asked = agent.told("handle_request").await;
    assert_eq!((&asked["op"], &asked["entries"]), (&json!("put"), &json!([["ak", "Alaska"]])));
    first.abort();
    assert_eq!(agent.told("cancel_request").await["request"], asked["request"], "its client has left");
    // Two repeats at once: both get the one answer.
    let (second, third) = (put("k1", "Alaska"), put("k1", "Alaska"));
    assert_eq!(agent.told("handle_request").await, asked);
    assert_eq!(agent.told("handle_request").await, asked);
    let answer = json!({"request": asked["request"], "error": null, "result": {"version": 7}});
    agent.say("handle_answer", None, answer).await;
    for repeat in [second, third] {
        assert_eq!(
            repeat.await.unwrap().json::<Value>().await.unwrap(),
            json!({"version": 7, "durable": false, "durable_version": null, "reason": null})
        );
    }
    let refused = put("k1", "another").await.unwrap();
    assert_eq!(refused.status(), 422);
    let other = put("k2", "Alaska");
    let next = agent.told("handle_request").await;
    assert_ne!(next["request"], asked["request"], "the refused one did not come, and this is another");
    agent
        .say("handle_answer", None, json!({"request": next["request"], "error": null, "result": {"version": 8}}))
        .await;
    assert_eq!(other.await.unwrap().status(), 200);
    // The same key of another route is another request.
    let delete = || change(Method::POST, &format!("{handle}/entries/delete"), "k1", json!({"keys": ["ak"]}));
    let mut ids = Vec::new();
    for _ in 0..2 {
        let deleted = delete();
        let asked = agent.told("handle_request").await;
        assert_eq!(asked["op"], "delete");
        let answer = json!({"request": asked["request"], "error": null, "result": {"version": 9}});
        agent.say("handle_answer", None, answer).await;
        assert_eq!(deleted.await.unwrap().status(), 200);
        ids.push(asked["request"].clone());
    }
    assert!(ids[0] == ids[1] && ids[0] != asked["request"], "{ids:?}");
    let mut db = fake.gateway.database().connect().await;
    let noted: i64 =
        sqlx::query_scalar("select count(*) from audit_event where event in ('handle.put', 'handle.deleted')")
            .fetch_one(&mut db)
            .await
            .unwrap();
    assert_eq!(noted, 3, "a repeat is not written down again");
}

/// What was not asked is told apart from what was asked and not answered.
async fn nobody_knows_what_was_not_answered(fake: &Fake, handle: &str, mut agent: Agent) {
    let put = || {
        let request = fake.api.request(Method::PUT, &format!("{handle}/entries")).json(&json!({"entries": {"a": 1}}));
        tokio::spawn(async move { request.send().await.unwrap() })
    };
    let asked = put();
    agent.told("handle_request").await;
    let mut db = fake.gateway.database().connect().await;
    fake.application.end(&mut db).await;
    // This gateway's host is to end it.
    sqlx::query("update context set state = 'stopping', host = $2 where context_id = $1")
        .bind(fake.application.context)
        .bind(nix::unistd::gethostname().unwrap().to_str().unwrap())
        .execute(&mut db)
        .await
        .unwrap();
    let answer = asked.await.unwrap();
    assert_eq!(answer.status(), 504);
    let problem: Value = answer.json().await.unwrap();
    assert!(
        problem["code"] == "unanswered" && problem["detail"].as_str().unwrap().contains("may have done it"),
        "{problem}"
    );
}

async fn an_agent_that_is_away_was_not_asked(fake: &Fake, handle: &str) {
    let away = until("the link is gone", BOUND, async || {
        let request = fake.api.request(Method::PUT, &format!("{handle}/entries")).json(&json!({"entries": {"a": 1}}));
        let answer = fake.api.send(request.timeout(Duration::from_secs(1))).await;
        (answer.status == 503).then_some(answer)
    })
    .await;
    assert!(!away.header("retry-after").is_empty(), "{away}");
}

async fn streams_end_with_either_side(fake: &Fake, handle: &str, agent: &mut Agent) {
    let version = || ("x-hearth-handle-version", "3".to_owned());
    // The whole of it.
    let reader = fake.rows(handle, "text/csv");
    let asked = agent.told("open_stream").await;
    assert_eq!((&asked["name"], &asked["format"]), (&json!("states"), &json!("csv")));
    let stranger = fake.api.request(Method::POST, &format!("/driver/streams/{}", asked["stream"].as_str().unwrap()));
    let stranger = stranger.bearer_auth("no").header("x-hearth-application", fake.application.id.to_string()).body("x");
    assert_eq!(fake.api.send(stranger).await.status, 401);
    assert_eq!(fake.application.bring(&asked["stream"], version(), "key\nak\n").await, Some(204));
    let answer = reader.await.unwrap();
    assert_eq!(answer.headers()["x-hearth-handle-version"], "3");
    assert_eq!(answer.text().await.unwrap(), "key\nak\n");
    assert_eq!(fake.application.bring(&asked["stream"], version(), "once more").await, Some(410));

    // None, and why.
    let reader = fake.rows(handle, "text/csv");
    let asked = agent.told("open_stream").await;
    let why = STANDARD.encode(json!({"code": "bad_columns", "message": "there is no column x"}).to_string());
    fake.application.bring(&asked["stream"], ("x-hearth-error", why), "").await;
    let refused = reader.await.unwrap();
    assert_eq!(refused.status(), 400);
    assert!(refused.text().await.unwrap().contains("no column x"));

    // It breaks off: the reader must not take it for the whole.
    let reader = fake.rows(handle, "text/csv");
    let asked = agent.told("open_stream").await;
    let (breaks, broke) = tokio::sync::oneshot::channel::<()>();
    let first = stream::iter([Ok(Bytes::from("key\n"))]);
    let then = stream::once(async move {
        let _ = broke.await;
        Err(io::Error::other("the driver died"))
    });
    let brought = fake.application.bring(&asked["stream"], version(), Body::wrap_stream(first.chain(then)));
    let read = async {
        let answer = reader.await.unwrap();
        drop(breaks);
        assert!(answer.text().await.is_err());
    };
    assert_eq!(tokio::join!(brought, read).0, None);

    // A reader that does not read holds the driver back; one that leaves ends its work.
    let reader = fake.rows(handle, "application/vnd.apache.arrow.stream");
    let asked = agent.told("open_stream").await;
    let sent = Arc::new(AtomicUsize::new(0));
    let count = sent.clone();
    let endless = stream::repeat_with(move || {
        count.fetch_add(1 << 16, Ordering::Relaxed);
        Ok::<_, Infallible>(Bytes::from(vec![b'x'; 1 << 16]))
    });
    let brought = fake.application.bring(&asked["stream"], version(), Body::wrap_stream(endless));
    let held = async {
        let answer = reader.await.unwrap();
        let mut last = (0, Instant::now());
        until("the driver is held back", BOUND, async || {
            let now = sent.load(Ordering::Relaxed);
            if now != last.0 {
                last = (now, Instant::now());
            }
            (now > 0 && last.1.elapsed() > Duration::from_secs(1)).then_some(())
        })
        .await;
        drop(answer);
    };
    let (ended, ()) = tokio::time::timeout(BOUND, async { tokio::join!(brought, held) }).await.expect("it ends");
    assert_ne!(ended, Some(204));
    assert!(sent.load(Ordering::Relaxed) < 64 << 20, "{} bytes for nobody", sent.load(Ordering::Relaxed));
}

#[tokio::test]
async fn an_agent_is_heard_asked_and_relayed() {
    let fake = Fake::new().await;
    let mut agent = fake.application.dial(0, json!({})).await;
    let handle = only_what_is_its_own(&fake, &mut agent).await;
    let mut agent = questions_outlive_a_connection(&fake, &handle, agent).await;
    a_repeat_is_the_same_question(&fake, &handle, &mut agent).await;
    streams_end_with_either_side(&fake, &handle, &mut agent).await;
    let seq = agent.seq;
    drop(agent);
    an_agent_that_is_away_was_not_asked(&fake, &handle).await;
    let mut agent = fake.application.dial(seq, json!({})).await;
    agent.told("handles").await;
    nobody_knows_what_was_not_answered(&fake, &handle, agent).await;
    fake.gateway.end().await;
}
