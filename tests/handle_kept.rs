//! Durable handles in the catalogue, and those that live for a time: what may be durable, when a put is, and when what has a time to live is over,
//! be its driver there or not. The agents are made of this test.

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
use harness::livy::{Answer, Livy};
use harness::{BOUND, Gateway, Setup, until};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgConnection;
use tokio::task::JoinHandle;
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

    /// Puts an entry while the test goes on.
    fn put(&self, path: &str) -> JoinHandle<Answer> {
        let (api, path) = (self.api.clone(), path.to_owned());
        tokio::spawn(async move { api.send(api.request(Method::PUT, &path).json(&json!({"entries": {"a": 1}}))).await })
    }

    /// The agent does what it is asked next, which makes a version.
    async fn answer(&mut self, version: i64) {
        let asked = self.agent.told("handle_request").await;
        let answer = json!({"request": asked["request"], "error": null, "result": {"version": version}});
        self.agent.say("handle_answer", None, answer).await;
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
    let (id, store) = (lasting.application.context, format!("{STORE}/{}", lasting.application.context));
    assert_eq!(lasting.told, json!({"context": {"id": id, "name": null}, "store": store, "durable": []}));
    lasting.share(1, Some(1), json!({"shared": true})).await;
    lasting.end(&mut db).await;
    let handle = lasting.find().await.unwrap();
    assert_eq!(handle["state"], "ready");
    // Without a driver its files stay for now, and whoever deletes it is told so.
    let deleted = lasting.api.delete(&format!("{API}/handles/{}", handle["id"].as_str().unwrap())).await.expect(200);
    assert_eq!(deleted["state"], "gone");
    assert!(deleted["reason"].as_str().unwrap().contains("deleted when its context begins again"), "{deleted}");
    gateway.end().await;
}

/// A put is durable once the agent has told that it is written, and whoever asks is told so, or that it is not yet, or never.
#[tokio::test]
async fn a_put_says_whether_it_is_written() {
    let gateway = gateway().await;
    let mut db = gateway.database().connect().await;
    let mut home = Home::new(&gateway, "").await;
    let fleeting = home.share(1, None, json!({"shared": true})).await;
    let entries = format!("{API}/handles/{}/entries", fleeting["id"].as_str().unwrap());
    let refused = home.put(&format!("{entries}?durable=true")).await.unwrap();
    assert!(refused.expect(400)["detail"].as_str().unwrap().contains("durable=True"), "{refused}");
    let put = home.put(&entries);
    home.answer(2).await;
    let none = json!({"version": 2, "durable": false, "durable_version": null, "reason": null});
    assert_eq!(put.await.unwrap().expect(200), none);

    home.share(3, Some(3), json!({"shared": true})).await;
    for (query, why) in [("?wait=1", "durable=true"), ("?durable=true&wait=-1", "wait"), ("?durable=2", "durable")] {
        let refused = home.put(&format!("{entries}{query}")).await.unwrap();
        assert!(refused.expect(400)["detail"].as_str().unwrap().contains(why), "{refused}");
    }
    let put = home.put(&entries);
    home.answer(4).await;
    let answer = put.await.unwrap().expect(200);
    assert_eq!((&answer["durable"], &answer["durable_version"]), (&json!(false), &json!(3)), "{answer}");
    // Not in time, and what to do.
    let put = home.put(&format!("{entries}?durable=true&wait=0.1"));
    home.answer(5).await;
    let answer = put.await.unwrap().expect(202);
    assert_eq!((&answer["version"], &answer["durable"]), (&json!(5), &json!(false)), "{answer}");
    assert!(answer["reason"].as_str().unwrap().contains("the same Idempotency-Key"), "{answer}");
    // In time.
    let put = home.put(&format!("{entries}?durable=true&wait=60"));
    home.answer(6).await;
    home.share(6, Some(5), json!({})).await;
    home.share(7, Some(6), json!({})).await;
    let answer = put.await.unwrap().expect(200);
    assert_eq!(answer, json!({"version": 6, "durable": true, "durable_version": 6, "reason": null}));
    // Never, for its driver has ended.
    let put = home.put(&format!("{entries}?durable=true&wait=60"));
    home.answer(8).await;
    home.end(&mut db).await;
    let refused = put.await.unwrap();
    let detail = refused.expect(409)["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("version 8") && detail.contains("do it again"), "{refused}");
    gateway.end().await;
}

/// The time to live runs from `share` on, over puts and applications, and ends without a driver, too.
#[tokio::test]
async fn a_time_to_live_runs_on() {
    let gateway = gateway().await;
    let mut db = gateway.database().connect().await;
    let mut home = Home::new(&gateway, "").await;
    let (hour, share) = (json!({"ttl_ms": 3_600_000, "share": Uuid::now_v7()}), Uuid::now_v7());
    let shared = json!({"ttl_ms": 3_600_000, "share": share, "shared": true});
    let first = home.share(1, Some(1), shared.clone()).await["expires_at"].clone();
    assert!(first.is_string(), "{first}");
    assert_eq!(
        home.share(2, Some(1), json!({"ttl_ms": 3_600_000, "share": share})).await["expires_at"],
        first,
        "a put"
    );
    assert_eq!(
        home.share(2, Some(2), json!({"ttl_ms": 3_600_000, "share": share})).await["expires_at"],
        first,
        "a file"
    );
    assert_ne!(home.share(3, Some(3), shared.clone()).await["expires_at"], first);
    assert_eq!(
        home.share(4, Some(4), json!({"ttl_ms": null, "share": share, "shared": true})).await["expires_at"],
        Value::Null
    );
    // Nobody knows which of the versions of an agent of before was shared.
    let before = home.share(5, Some(5), json!({"ttl_ms": 3_600_000})).await["expires_at"].clone();
    assert_ne!(home.share(6, Some(6), json!({"ttl_ms": 3_600_000})).await["expires_at"], before);
    home.share(7, Some(7), shared).await;

    // The next application has what is left of it, and knows whose it is.
    change(
        &mut db,
        "update handle set expires_at = now() + interval '30 minutes' where context_id = $1",
        home.application.context,
    )
    .await;
    home.application.end(&mut db).await;
    let next = home.application.follow(&mut db).await;
    let told = next.dial(0, json!({})).await.told("handles").await;
    let kept = &told["durable"][0];
    let owner = home.find().await.unwrap()["owner"].clone();
    assert_eq!((&kept["ttl_ms"], &kept["owner"], &kept["share"]), (&json!(3_600_000), &owner, &json!(share)), "{told}");
    let left = kept["left_ms"].as_i64().unwrap();
    assert!((29 * 60_000..=30 * 60_000).contains(&left), "{told}");
    next.end(&mut db).await;

    // What is over is told to none, and goes whether there is a driver or not.
    let over = "update handle set expires_at = now() - interval '1 hour' where context_id = $1";
    home.end(&mut db).await;
    assert_eq!(home.find().await.unwrap()["state"], "ready");
    change(&mut db, over, home.application.context).await;
    let mut other = Home::new(&gateway, "").await;
    other.share(1, Some(1), hour).await;
    change(&mut db, over, other.application.context).await;
    other.application.end(&mut db).await;
    let next = other.application.follow(&mut db).await;
    assert_eq!(next.dial(0, json!({})).await.told("handles").await["durable"], json!([]));
    for gone in [&home, &other] {
        until("it is over", BOUND, async || gone.find().await.is_none().then_some(())).await;
    }
    let reasons: Vec<(String, String)> =
        sqlx::query_as("select state, reason from handle order by handle_id").fetch_all(&mut db).await.unwrap();
    let over = ("gone".to_owned(), "its time to live of 3600.0 s is over".to_owned());
    assert_eq!(reasons, [over.clone(), over]);
    gateway.end().await;
}
