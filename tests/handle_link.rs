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
use futures_util::{SinkExt, StreamExt, stream};
use harness::api::API;
use harness::livy::Livy;
use harness::{BOUND, Gateway, Setup, until};
use reqwest::{Body, Method};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use uuid::Uuid;

const TOKEN: &str = "the token of an application";

/// A context whose agent is this test, with a session of Ann's in it.
struct Fake {
    gateway: Gateway,
    api: Livy,
    context: Uuid,
    session: Uuid,
    /// A session of another context.
    foreign: Uuid,
    application: Uuid,
    incarnation: Uuid,
}

impl Fake {
    async fn new() -> Self {
        let gateway = Setup::new().start().await;
        let [context, session, foreign, application, incarnation] = [(); 5].map(|()| Uuid::now_v7());
        let mut db = gateway.database().connect().await;
        for (context, session) in [(context, session), (Uuid::now_v7(), foreign)] {
            sqlx::query(
                "insert into context (context_id, tenant, owner, run_as, profile, share, state, request, host, ready_at)
                 values ($1, 'default', 'carl', 'carl', 'default', 'context', 'ready', '{}', 'elsewhere', now())",
            )
            .bind(context)
            .execute(&mut db)
            .await
            .unwrap();
            sqlx::query(
                "insert into session (session_id, context_id, number, tenant, owner, run_as, kind, state, request)
                 values ($1, $2, 0, 'default', 'ann', 'carl', 'spark', 'idle', '{}')",
            )
            .bind(session)
            .bind(context)
            .execute(&mut db)
            .await
            .unwrap();
        }
        sqlx::query(
            "insert into application (application_id, context_id, attempt, host, token_hash, launch_dir)
             values ($1, $2, 1, 'elsewhere', $3, '/nowhere')",
        )
        .bind(application)
        .bind(context)
        .bind(Sha256::digest(TOKEN).to_vec())
        .execute(&mut db)
        .await
        .unwrap();
        let api = gateway.livy();
        Self { gateway, api, context, session, foreign, application, incarnation }
    }

    /// Dials, as an agent that has sent `seq` messages and knows these sessions.
    async fn dial(&self, seq: i64, sessions: Value) -> Agent {
        let url = self.gateway.url().replace("http://", "ws://");
        let mut request = format!("{url}/driver/link").into_client_request().unwrap();
        request.headers_mut().insert("authorization", format!("Bearer {TOKEN}").parse().unwrap());
        request.headers_mut().insert("x-hearth-application", self.application.to_string().parse().unwrap());
        let (mut socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
        let hello = json!({"protocol": 1, "application": self.application, "incarnation": self.incarnation, "first": seq + 1,
                           "sessions": sessions});
        let hello = json!({"seq": 0, "epoch": 0, "type": "hello", "body": hello});
        socket.send(Message::text(hello.to_string())).await.unwrap();
        let (say, mut said) = mpsc::channel::<String>(16);
        let (tell, told) = mpsc::channel::<Value>(64);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    text = said.recv() => match text {
                        Some(text) => socket.send(Message::text(text)).await.unwrap(),
                        None => return,
                    },
                    message = socket.next() => {
                        let Some(Ok(Message::Text(text))) = message else { return };
                        let message: Value = serde_json::from_str(&text).unwrap();
                        match message["type"].as_str().unwrap() {
                            "ping" => {
                                let pong = json!({"seq": 0, "epoch": 0, "type": "pong", "body": {}});
                                if socket.send(Message::text(pong.to_string())).await.is_err() { return }
                            }
                            "ack" | "pong" => {}
                            _ => tell.send(message).await.unwrap(),
                        }
                    }
                }
            }
        });
        Agent { say, told, seq }
    }

    /// Brings a stream, as the agent does.
    async fn bring(&self, stream: &Value, head: (&'static str, String), body: impl Into<Body>) -> Option<u16> {
        let request = self.api.request(Method::POST, &format!("/driver/streams/{}", stream.as_str().unwrap()));
        let request = request.bearer_auth(TOKEN).header("x-hearth-application", self.application.to_string());
        request.header(head.0, head.1).body(body).send().await.ok().map(|answer| answer.status().as_u16())
    }

    fn rows(&self, handle: &str, form: &str) -> tokio::task::JoinHandle<reqwest::Response> {
        let request = self.api.request(Method::GET, &format!("{handle}/rows")).header("accept", form);
        tokio::spawn(async move { request.send().await.unwrap() })
    }
}

struct Agent {
    say: mpsc::Sender<String>,
    told: mpsc::Receiver<Value>,
    seq: i64,
}

impl Agent {
    async fn say(&mut self, kind: &str, session: Option<Uuid>, body: Value) {
        self.seq += 1;
        let said = json!({"seq": self.seq, "epoch": 1, "session": session, "statement": session.map(|_| 0), "type": kind, "body": body});
        self.say.send(said.to_string()).await.unwrap();
    }

    /// The next message of a sort.
    async fn told(&mut self, kind: &str) -> Value {
        let next = async {
            loop {
                let message = self.told.recv().await.expect("the link lives");
                if message["type"] == kind {
                    return message["body"].clone();
                }
            }
        };
        tokio::time::timeout(BOUND, next).await.unwrap_or_else(|_| panic!("no {kind} came"))
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
    assert_eq!(agent.told("handles").await, json!({"store": null, "durable": []}));
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
    let list = format!("{API}/contexts/{}/handles", fake.context);
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
    let mut agent = fake.dial(seq, json!({ fake.session.to_string(): -1 })).await;
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

async fn streams_end_with_either_side(fake: &Fake, handle: &str, agent: &mut Agent) {
    let version = || ("x-hearth-handle-version", "3".to_owned());
    // The whole of it.
    let reader = fake.rows(handle, "text/csv");
    let asked = agent.told("open_stream").await;
    assert_eq!((&asked["name"], &asked["format"]), (&json!("states"), &json!("csv")));
    let stranger = fake.api.request(Method::POST, &format!("/driver/streams/{}", asked["stream"].as_str().unwrap()));
    let stranger = stranger.bearer_auth("no").header("x-hearth-application", fake.application.to_string()).body("x");
    assert_eq!(fake.api.send(stranger).await.status, 401);
    assert_eq!(fake.bring(&asked["stream"], version(), "key\nak\n").await, Some(204));
    let answer = reader.await.unwrap();
    assert_eq!(answer.headers()["x-hearth-handle-version"], "3");
    assert_eq!(answer.text().await.unwrap(), "key\nak\n");
    assert_eq!(fake.bring(&asked["stream"], version(), "once more").await, Some(410));

    // None, and why.
    let reader = fake.rows(handle, "text/csv");
    let asked = agent.told("open_stream").await;
    let why = STANDARD.encode(json!({"code": "bad_columns", "message": "there is no column x"}).to_string());
    fake.bring(&asked["stream"], ("x-hearth-error", why), "").await;
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
    let brought = fake.bring(&asked["stream"], version(), Body::wrap_stream(first.chain(then)));
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
    let brought = fake.bring(&asked["stream"], version(), Body::wrap_stream(endless));
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
    let mut agent = fake.dial(0, json!({})).await;
    let handle = only_what_is_its_own(&fake, &mut agent).await;
    let mut agent = questions_outlive_a_connection(&fake, &handle, agent).await;
    streams_end_with_either_side(&fake, &handle, &mut agent).await;
    fake.gateway.end().await;
}
