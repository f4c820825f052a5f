//! Durable handles in the catalogue, and those that live for a time: what may be durable, when a put is, and when what has a time to live is over,
//! be its driver there or not. The agents are made of this test.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
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

const STORE: &str = "file:///nowhere/handles";

/// A context of the local user, whose agent is this test.
struct Home {
    api: Livy,
    application: Application,
    session: Uuid,
    agent: Agent,
    /// What it was told first of what earlier applications have left.
    told: Value,
}

impl Home {
    /// Before its agent dials, the rows are made as they shall be.
    async fn new(gateway: &Gateway, prepare: &str) -> Self {
        let api = gateway.livy();
        let me = api.get(&format!("{API}/login")).await.expect(200)["user"].as_str().unwrap().to_owned();
        let application = Application::new(gateway, &me, &me, "default").await;
        let mut db = gateway.database().connect().await;
        let session = application.session(&mut db, &me, 0).await;
        change(&mut db, prepare, application.context).await;
        let mut agent = application.dial(0, json!({})).await;
        let told = agent.told("handles").await;
        Self { api, application, session, agent, told }
    }

    /// Has the agent say that a version of `states` is there, as far as it is written; the handle, once the gateway knows it.
    async fn share(&mut self, version: i64, written: Option<i64>, more: Value) -> Value {
        let path = format!("{STORE}/{}/states/{version}", self.application.context);
        let durable = written.map(|version| json!({"path": path, "version": version}));
        let mut said = json!({"name": "states", "kind": "pairs", "version": version, "state": "ready", "key": "string", "partitions": 2,
                              "storage": "NONE", "durable": durable});
        said.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.agent.say("handle", Some(self.session), said).await;
        until("the version is known", BOUND, async || {
            let found = self.find().await?;
            (found["version"] == version && found["durable_version"] == json!(written)).then_some(found)
        })
        .await
    }

    async fn find(&self) -> Option<Value> {
        let found = self.api.get(&format!("{API}/contexts/{}/handles/states", self.application.context)).await;
        (found.status == 200).then(|| found.json())
    }

    /// Its application ends, and the gateway ends the context.
    async fn end(&self, db: &mut PgConnection) {
        self.application.end(db).await;
        sqlx::query("update context set state = 'stopping', host = $2 where context_id = $1")
            .bind(self.application.context)
            .bind(nix::unistd::gethostname().unwrap().to_str().unwrap())
            .execute(&mut *db)
            .await
            .unwrap();
        until("the context has ended", BOUND, async || {
            let now = self.api.get(&format!("{API}/contexts/{}", self.application.context)).await.expect(200);
            (now["state"] == "ended").then_some(())
        })
        .await;
    }
}

/// Runs a statement of SQL on one context; `$1` is its id.
async fn change(db: &mut PgConnection, sql: &str, context: Uuid) {
    if !sql.is_empty() {
        sqlx::query(sqlx::AssertSqlSafe(sql.to_owned())).bind(context).execute(db).await.unwrap();
    }
}

async fn gateway() -> Gateway {
    Setup::new().set("profiles.default.handle_store", STORE).start().await
}

/// Nobody could read it again: it is refused with the way out, and what an agent of before has written is lost and says why.
#[tokio::test]
async fn what_ends_with_its_session_keeps_nothing() {
    let gateway = gateway().await;
    let mut db = gateway.database().connect().await;
    let mut brief = Home::new(&gateway, "update context set share = 'session' where context_id = $1").await;
    assert_eq!((&brief.told["store"], &brief.told["durable"]), (&Value::Null, &json!([])));
    let why = brief.told["unstored"].as_str().unwrap();
    assert!(why.contains("ends with its last session") && why.contains("/api/v1/contexts"), "{why}");
    let handle = brief.share(1, Some(1), json!({"shared": true})).await;
    brief.end(&mut db).await;
    let ended = brief.find().await.unwrap();
    assert_eq!((&ended["id"], &ended["state"]), (&handle["id"], &json!("lost")));
    assert!(ended["reason"].as_str().unwrap().contains("does not begin again"), "{ended}");
    let path = format!("{API}/handles/{}", handle["id"].as_str().unwrap());
    brief.api.get(&format!("{path}/count")).await.expect(410);

    let mut lasting = Home::new(&gateway, "").await;
    assert_eq!(lasting.told, json!({"store": format!("{STORE}/{}", lasting.application.context), "durable": []}));
    lasting.share(1, Some(1), json!({"shared": true})).await;
    lasting.end(&mut db).await;
    assert_eq!(lasting.find().await.unwrap()["state"], "ready");
    gateway.end().await;
}
