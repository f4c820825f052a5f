//! Contexts that begin again, and that are told to end while they do: by rows alone, whose applications no process runs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod harness;

use std::fs;

use harness::agent::Application;
use harness::api::{API, person};
use harness::livy::Answer;
use harness::{BOUND, Setup, until};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

/// A profile of which nobody's Spark starts, but whose requests are looked at.
fn profile(name: &str, run_as: &str) -> String {
    format!("[profiles.{name}]\nmaster = \"yarn\"\nrun_as = {run_as:?}\n")
}

async fn ended(db: &mut PgConnection, application: &Application) {
    application.end(db).await;
    let over = sqlx::query("update context set state = 'ended', ended_at = now() where context_id = $1");
    over.bind(application.context).execute(db).await.unwrap();
}

async fn count(db: &mut PgConnection, event: &str, context: Uuid, outcome: &str) -> i64 {
    let counted =
        sqlx::query_scalar("select count(*) from audit_event where event = $1 and resource_id = $2 and outcome = $3");
    counted.bind(event).bind(context.to_string()).bind(outcome).fetch_one(db).await.unwrap()
}

fn detail(answer: &Answer, status: u16) -> String {
    answer.expect(status)["detail"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_context_begins_again_only_as_its_owner_could_make_it_today() {
    let policies = tempfile::tempdir().unwrap();
    let closed = r#"@id("closed") @advice("it is for the night only")
        forbid (principal == User::"alice", action == Action::"createContext", resource == Profile::"closed");"#;
    fs::write(policies.path().join("site.cedar"), closed).unwrap();
    let profiles = ["closed", "open"].map(|name| profile(name, "user")).concat();
    let toml = format!(
        "[auth]\nschemes = [\"token\"]\ngroups = \"none\"\n[access]\npolicies = {:?}\n{profiles}",
        policies.path()
    );
    let gateway = Setup::new().runs_nothing().toml(&toml).start().await;
    let (alice, bob) = (person(&gateway, "alice").await, person(&gateway, "bob").await);
    let mut db = gateway.database().connect().await;
    let restart = |application: &Application| format!("{API}/contexts/{}/restart", application.context);

    // A policy has come since; who may manage the context may not do what its owner may not.
    let forbidden = Application::new(&gateway, "alice", "alice", "closed").await;
    let grants = format!("{API}/contexts/{}/grants", forbidden.context);
    alice.post(&grants, json!({"level": "manage", "user": "bob"})).await.expect(201);
    ended(&mut db, &forbidden).await;
    let refused = detail(&alice.post_text(&restart(&forbidden), "").await, 403);
    assert!(refused.contains("for the night only"), "{refused}");
    let refused = detail(&bob.post_text(&restart(&forbidden), "").await, 403);
    assert!(refused.contains("alice owns this context") && refused.contains("for the night only"), "{refused}");
    assert_eq!(count(&mut db, "context.restarted", forbidden.context, "refused").await, 1, "as what bob asked");

    // What it asks of Spark may be asked no longer.
    let asks = Application::new(&gateway, "alice", "alice", "open").await;
    sqlx::query("update context set request = $2 where context_id = $1")
        .bind(asks.context)
        .bind(json!({"conf": {"spark.submit.deployMode": "cluster"}}))
        .execute(&mut db)
        .await
        .unwrap();
    let living = detail(&alice.post_text(&restart(&asks), "").await, 400);
    assert!(living.contains("spark.submit.deployMode"), "{living}");
    ended(&mut db, &asks).await;
    assert_eq!(detail(&alice.post_text(&restart(&asks), "").await, 400), living);

    // Its profile runs as somebody else now.
    let other = Application::new(&gateway, "alice", "etl", "open").await;
    ended(&mut db, &other).await;
    let refused = detail(&alice.post_text(&restart(&other), "").await, 409);
    assert!(refused.contains("ran as etl") && refused.contains("as alice now"), "{refused}");

    let good = Application::new(&gateway, "alice", "alice", "open").await;
    ended(&mut db, &good).await;
    alice.post_text(&restart(&good), "").await.expect(202);
    assert_eq!(count(&mut db, "context.restarted", good.context, "done").await, 1);
    gateway.end().await;
}

#[tokio::test]
async fn a_context_that_begins_again_can_be_told_to_end() {
    let gateway = Setup::new().start().await;
    let api = gateway.livy();
    let mut db = gateway.database().connect().await;
    let application = Application::new(&gateway, "ann", "ann", "default").await;
    let path = format!("{API}/contexts/{}", application.context);
    api.post_text(&format!("{path}/restart"), "").await.expect(202);
    let told = api.delete(&path).await.expect(202);
    assert_eq!(told["state"], "stopping", "{told}");
    assert_eq!(count(&mut db, "context.stopped", application.context, "done").await, 1);
    assert!(api.post_text(&format!("{path}/restart"), "").await.status >= 409, "it is being ended");
    // Its application makes room, and this host's gateway looks after it.
    application.end(&mut db).await;
    let host = nix::unistd::gethostname().unwrap();
    sqlx::query("update context set host = $2 where context_id = $1")
        .bind(application.context)
        .bind(host.to_str().unwrap())
        .execute(&mut db)
        .await
        .unwrap();
    until("its end is written", BOUND, async || {
        let state: String = sqlx::query_scalar("select state from context where context_id = $1")
            .bind(application.context)
            .fetch_one(&mut db)
            .await
            .unwrap();
        assert_ne!(state, "waiting", "it was told to end");
        (state == "ended").then_some(())
    })
    .await;
    gateway.end().await;
}
