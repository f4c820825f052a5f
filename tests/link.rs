//! What an agent says of statements, and whose word counts: the agent is made of this test.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test fails by panicking"
)]

mod harness;

use harness::agent::{Agent, Application};
use harness::api::API;
use harness::livy::Livy;
use harness::{Gateway, Setup};
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

/// The code of a close that sends an agent to another gateway.
const GO_ELSEWHERE: u16 = 4005;

/// A context of the local user with one session and its first statement, whose agent is this test.
struct Home {
    api: Livy,
    application: Application,
    session: Uuid,
    agent: Agent,
}

impl Home {
    async fn new(gateway: &Gateway, db: &mut PgConnection) -> Self {
        let api = gateway.livy();
        let me = api.get(&format!("{API}/login")).await.expect(200)["user"].as_str().unwrap().to_owned();
        let application = Application::new(gateway, &me, &me, "default").await;
        let session = application.session(db, &me, 0).await;
        let agent = application.dial(0, json!({})).await;
        let mut home = Self { api, application, session, agent };
        let sent = home.api.post(&format!("{API}/sessions/{session}/statements"), json!({"code": "1+1"})).await;
        assert_eq!(sent.expect(201)["state"], "waiting");
        assert_eq!(home.agent.told("run").await["code"], "1+1");
        home
    }

    /// Says that the first statement of a session has ended, as quick ones do: in one breath with its beginning.
    async fn ends(&mut self, session: Uuid, text: &str) {
        let at = chrono::Utc::now().timestamp_millis();
        self.agent.say("statement_started", Some(session), json!({"at": at})).await;
        let output = json!({"status": "ok", "execution_count": 0, "data": {"text/plain": text}});
        let body = json!({"output": output, "cancelled": false, "columns": null, "truncated": null, "started": at,
                          "completed": at, "ran_us": 1});
        self.agent.say("statement_done", Some(session), body).await;
    }

    async fn shown(&self) -> Value {
        self.api.get(&format!("{API}/sessions/{}/statements/0?wait=60", self.session)).await.expect(200)
    }

    /// As its row is, and the number up to which the agent's messages are taken.
    async fn rows(&self, db: &mut PgConnection) -> (String, i64) {
        let row = "select t.state, a.received from statement t, application a where t.session_id = $1 and a.application_id = $2";
        sqlx::query_as(row).bind(self.session).bind(self.application.id).fetch_one(db).await.unwrap()
    }
}

#[tokio::test]
async fn an_end_is_written_once_and_for_the_agents_own_statements() {
    let gateway = Setup::new().start().await;
    let mut db = gateway.database().connect().await;
    let (mut home, mut other) = (Home::new(&gateway, &mut db).await, Home::new(&gateway, &mut db).await);

    // Of another context's statement it may say what it likes.
    home.ends(other.session, "forged").await;
    home.ends(home.session, "2").await;
    assert_eq!(home.shown().await["output"]["data"]["text/plain"], "2");
    assert_eq!(other.rows(&mut db).await.0, "waiting");
    assert_eq!(home.rows(&mut db).await, ("available".to_owned(), 4));

    // What has ended stays as it ended.
    home.ends(home.session, "3").await;
    other.ends(other.session, "4").await;
    assert_eq!(other.shown().await["output"]["data"]["text/plain"], "4");
    assert_eq!(home.shown().await["output"]["data"]["text/plain"], "2");
    gateway.end().await;
}

#[tokio::test]
async fn a_link_of_an_earlier_epoch_writes_nothing() {
    let gateway = Setup::new().start().await;
    let mut db = gateway.database().connect().await;
    let mut home = Home::new(&gateway, &mut db).await;
    // As a gateway does that takes the context over.
    let taken_over =
        sqlx::query("update context set epoch = epoch + 1 where context_id = $1").bind(home.application.context);
    taken_over.execute(&mut db).await.unwrap();
    home.ends(home.session, "too late").await;
    assert_eq!(home.agent.told("close").await, GO_ELSEWHERE);
    assert_eq!(home.rows(&mut db).await, ("waiting".to_owned(), 0));
    gateway.end().await;
}
