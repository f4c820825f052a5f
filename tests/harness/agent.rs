//! Agents made of a test: the rows of a context and its application, and the link spoken as a driver's agent does.

use futures_util::{SinkExt, StreamExt};
use reqwest::{Body, Method, RequestBuilder};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sqlx::PgConnection;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use uuid::Uuid;

use super::livy::Livy;
use super::{BOUND, Gateway};

/// An application that no process runs, of a context that is ready.
pub struct Application {
    url: String,
    api: Livy,
    /// Its id.
    pub id: Uuid,
    /// Its context.
    pub context: Uuid,
    incarnation: Uuid,
}

impl Application {
    /// Writes a context of the default tenant, and its application.
    pub async fn new(gateway: &Gateway, owner: &str, run_as: &str, profile: &str) -> Self {
        let [context, id, incarnation] = [(); 3].map(|()| Uuid::now_v7());
        let made = Self { url: gateway.url(), api: gateway.livy(), id, context, incarnation };
        let mut db = gateway.database().connect().await;
        sqlx::query(
            "insert into context (context_id, tenant, owner, run_as, profile, share, state, request, host, ready_at)
             values ($1, 'default', $2, $3, $4, 'context', 'ready', '{}', 'elsewhere', now())",
        )
        .bind(context)
        .bind(owner)
        .bind(run_as)
        .bind(profile)
        .execute(&mut db)
        .await
        .unwrap();
        sqlx::query(
            "insert into application (application_id, context_id, attempt, host, token_hash, launch_dir)
             values ($1, $2, 1, 'elsewhere', $3, '/nowhere')",
        )
        .bind(id)
        .bind(context)
        .bind(Sha256::digest(made.token()).to_vec())
        .execute(&mut db)
        .await
        .unwrap();
        made
    }

    fn token(&self) -> String {
        format!("the token of {}", self.id)
    }

    /// Writes a session of somebody in its context.
    pub async fn session(&self, db: &mut PgConnection, owner: &str, number: i32) -> Uuid {
        let id = Uuid::now_v7();
        sqlx::query(
            "insert into session (session_id, context_id, number, tenant, owner, run_as, kind, state, request)
             select $1, context_id, $4, tenant, $3, run_as, 'spark', 'idle', '{}' from context where context_id = $2",
        )
        .bind(id)
        .bind(self.context)
        .bind(owner)
        .bind(number)
        .execute(db)
        .await
        .unwrap();
        id
    }

    /// Writes the application that follows it in its context.
    pub async fn follow(&self, db: &mut PgConnection) -> Self {
        let (id, incarnation) = (Uuid::now_v7(), Uuid::now_v7());
        let next = Self { url: self.url.clone(), api: self.api.clone(), id, context: self.context, incarnation };
        sqlx::query(
            "insert into application (application_id, context_id, attempt, host, token_hash, launch_dir)
             values ($1, $2, 2, 'elsewhere', $3, '/nowhere')",
        )
        .bind(id)
        .bind(self.context)
        .bind(Sha256::digest(next.token()).to_vec())
        .execute(db)
        .await
        .unwrap();
        next
    }

    /// It is over.
    pub async fn end(&self, db: &mut PgConnection) {
        let ended = sqlx::query("update application set ended_at = now() where application_id = $1").bind(self.id);
        ended.execute(db).await.unwrap();
    }

    /// Dials, as an agent that has sent `seq` messages and knows these sessions.
    pub async fn dial(&self, seq: i64, sessions: Value) -> Agent {
        let url = self.url.replace("http://", "ws://");
        let mut request = format!("{url}/driver/link").into_client_request().unwrap();
        request.headers_mut().insert("authorization", format!("Bearer {}", self.token()).parse().unwrap());
        request.headers_mut().insert("x-hearth-application", self.id.to_string().parse().unwrap());
        let (mut socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
        let hello = json!({"protocol": 1, "application": self.id, "incarnation": self.incarnation, "first": seq + 1,
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
                    message = socket.next() => match message {
                        Some(Ok(Message::Text(text))) => {
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
                        Some(Ok(Message::Close(Some(frame)))) => {
                            let closed = json!({"type": "close", "body": u16::from(frame.code)});
                            let _ = tell.send(closed).await;
                            return;
                        }
                        _ => return,
                    }
                }
            }
        });
        Agent { say, told, seq }
    }

    /// A request with its token.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.api.request(method, path);
        request.bearer_auth(self.token()).header("x-hearth-application", self.id.to_string())
    }

    /// Brings a stream, as the agent does; the status, unless the connection breaks off.
    pub async fn bring(&self, stream: &Value, head: (&'static str, String), body: impl Into<Body>) -> Option<u16> {
        let request = self.request(Method::POST, &format!("/driver/streams/{}", stream.as_str().unwrap()));
        let answer = request.header(head.0, head.1).body(body).send().await.ok();
        answer.map(|answer| answer.status().as_u16())
    }
}

/// The agent's end of a link.
pub struct Agent {
    say: mpsc::Sender<String>,
    told: mpsc::Receiver<Value>,
    /// Messages sent so far.
    pub seq: i64,
}

impl Agent {
    /// Sends a message, as of the session's first statement where one is named.
    pub async fn say(&mut self, kind: &str, session: Option<Uuid>, body: Value) {
        self.seq += 1;
        let said = json!({"seq": self.seq, "epoch": 1, "session": session, "statement": session.map(|_| 0), "type": kind, "body": body});
        self.say.send(said.to_string()).await.unwrap();
    }

    /// The next message of a sort; `close` is the code by which the gateway has closed the link.
    pub async fn told(&mut self, kind: &str) -> Value {
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
