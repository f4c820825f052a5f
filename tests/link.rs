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
use harness::{BOUND, Gateway, Setup, until};
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

    /// The text of its statement, as people see it.
    async fn shown(&self) -> Value {
        let shown = self.api.get(&format!("{API}/sessions/{}/statements/0?wait=60", self.session)).await.expect(200);
        shown["output"]["data"]["text/plain"].clone()
    }

    /// Waits until the agent's messages up to this one are taken; gives what its statement's row says then.
    async fn taken(&self, db: &mut PgConnection, seq: i64) -> (String, String) {
        until("it is taken", BOUND, async || {
            let received = "select received from application where application_id = $1";
            let received: i64 =
                sqlx::query_scalar(received).bind(self.application.id).fetch_one(&mut *db).await.unwrap();
            (received == seq).then_some(())
        })
        .await;
        self.row(db).await
    }

    /// State and output of its statement, as the row says.
    async fn row(&self, db: &mut PgConnection) -> (String, String) {
        let row = "select state, coalesce(convert_from(output, 'UTF8'), '') from statement where session_id = $1";
        sqlx::query_as(row).bind(self.session).fetch_one(db).await.unwrap()
    }
}

#[tokio::test]
async fn an_end_is_written_once_and_for_the_agents_own_statements() {
    let gateway = Setup::new().start().await;
    let mut db = gateway.database().connect().await;
    let (mut home, mut other) = (Home::new(&gateway, &mut db).await, Home::new(&gateway, &mut db).await);

    // Of another context's statement it may say what it likes.
    home.ends(other.session, "forged").await;
    assert_eq!(home.taken(&mut db, 2).await.0, "waiting");
    assert_eq!(other.row(&mut db).await.0, "waiting");
    home.ends(home.session, "its own").await;
    let (state, output) = home.taken(&mut db, 4).await;
    assert!(state == "available" && output.contains("its own"), "{state}: {output}");
    assert_eq!(home.shown().await, "its own");

    // What has ended stays as it ended.
    home.ends(home.session, "another").await;
    assert_eq!(home.taken(&mut db, 6).await, (state, output));
    assert_eq!(home.shown().await, "its own");
    other.ends(other.session, "the other's own").await;
    assert_eq!(other.shown().await, "the other's own");
    gateway.end().await;
}

#[tokio::test]
async fn an_end_of_which_the_database_could_not_tell_is_shown() {
    let gateway = Setup::new().start().await;
    let mut db = gateway.database().connect().await;
    let mut home = Home::new(&gateway, &mut db).await;
    // As when the connection breaks between a commit and its answer: the row has it, and the agent says it again.
    let written = "update statement set state = 'available', completed_at = now(), output = $2 where session_id = $1";
    let output = json!({"status": "ok", "execution_count": 0, "data": {"text/plain": "written"}}).to_string();
    sqlx::query(written).bind(home.session).bind(output.into_bytes()).execute(&mut db).await.unwrap();
    home.ends(home.session, "said again").await;
    assert_eq!(home.shown().await, "written");
    let session = home.api.get(&format!("{API}/sessions/{}", home.session)).await.expect(200);
    assert_eq!(session["state"], "idle");
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
    assert_eq!(home.taken(&mut db, 0).await.0, "waiting");
    gateway.end().await;
}
