//! Contexts as an operator handles them: `hearth contexts`, beside a running gateway.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod harness;

use std::process::Output;

use harness::api::API;
use harness::{Gateway, Setup};
use serde_json::json;

/// Runs `hearth contexts …`; connections to the gateway are looked after meanwhile.
fn hearth(gateway: &Gateway, arguments: &[&str]) -> Output {
    tokio::task::block_in_place(|| gateway.hearth(&[&["contexts"], arguments].concat()))
}

/// What `hearth contexts …` says.
fn says(gateway: &Gateway, arguments: &[&str]) -> String {
    let done = hearth(gateway, arguments);
    let (out, err) = (String::from_utf8(done.stdout).unwrap(), String::from_utf8(done.stderr).unwrap());
    assert!(done.status.success(), "{arguments:?}: {out}{err}");
    out
}

/// Why `hearth contexts …` is refused.
fn refusal(gateway: &Gateway, arguments: &[&str]) -> String {
    let done = hearth(gateway, arguments);
    assert!(!done.status.success(), "{arguments:?}");
    String::from_utf8(done.stderr).unwrap()
}

/// The line of a description that begins with this name.
fn fact<'a>(description: &'a str, name: &str) -> &'a str {
    let found = description.lines().find_map(|line| line.strip_prefix(name).filter(|rest| rest.starts_with(' ')));
    found.unwrap_or_else(|| panic!("no {name}: {description}")).trim()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_makes_looks_at_restarts_and_ends_contexts() {
    let gateway = Setup::new().start().await;
    let api = gateway.livy();
    let me = api.get(&format!("{API}/login")).await.expect(200)["user"].as_str().unwrap().to_owned();
    assert_eq!(says(&gateway, &[]), "");

    // For somebody: an operator owns nothing.
    assert!(refusal(&gateway, &["create", "etl"]).contains("--user"));
    let asked = ["create", "etl", "--user", "alice", "--profile", "spark4", "--idle-timeout", "2h", "--wait", "180s"];
    let made = says(&gateway, &asked);
    assert!(made.contains("  etl  ready  default/alice as alice, profile spark4"), "{made}");
    assert!(refusal(&gateway, &["create", "etl", "--user", "bob"]).contains("alive already"));
    assert!(refusal(&gateway, &["create", "x", "--user", "bob", "--profile", "none"]).contains("there is no profile"));
    let id = made.split_whitespace().next().unwrap();
    let path = format!("{API}/contexts/{id}");
    let context = api.get(&path).await.expect(200);
    assert_eq!(
        [&context["state"], &context["owner"], &context["idle_timeout_ms"]],
        [&json!("ready"), &json!("alice"), &json!(7_200_000)],
        "{context}"
    );
    let mut db = gateway.database().connect().await;
    let audited: Vec<(String, Option<String>)> = sqlx::query_as(
        "select actor, on_behalf_of from audit_event where event = 'context.created' and resource_id = $1",
    )
    .bind(id)
    .fetch_all(&mut db)
    .await
    .unwrap();
    assert_eq!(audited, [(me.clone(), Some("alice".to_owned()))]);

    for listed in [&[][..], &["list"], &["--all"], &["list", "--all"]] {
        assert!(says(&gateway, listed).contains(&made), "{listed:?}");
    }
    let grant = json!({"level": "view", "user": "bob"});
    api.post(&format!("{path}/grants"), grant).await.expect(201);
    let about = says(&gateway, &["describe", "etl"]);
    for (name, value) in [("id", id), ("state", "ready"), ("runs as", "alice"), ("launches", "1")] {
        assert_eq!(fact(&about, name), value, "{about}");
    }
    assert_eq!(fact(&about, "owner"), format!("default/alice through {me}"));
    assert!(fact(&about, "ends").contains("if nothing happens (idle timeout 2h)"), "{about}");
    assert!(fact(&about, "grant").contains("view to user:bob"), "{about}");
    assert_eq!(says(&gateway, &["describe", id]), about);
    assert_eq!(says(&gateway, &["log", "etl", "--lines", "2"]).lines().count(), 2);
    assert!(refusal(&gateway, &["describe", "nothing"]).contains("context nothing not found"));

    // A living one begins again; one that is over does, too.
    let again = says(&gateway, &["restart", "etl", "--wait", "180s"]);
    assert!(again.contains("  etl  ready  "), "{again}");
    let ended = says(&gateway, &["stop", "etl", "--wait", "60s"]);
    assert!(ended.contains("  etl  ended  ") && ended.contains(&format!(": it was stopped by {me}")), "{ended}");
    assert!(!says(&gateway, &[]).contains(id) && says(&gateway, &["--all"]).contains(id));
    let context = api.get(&path).await.expect(200);
    assert_eq!((&context["ended_by"]["user"], &context["attempt"]), (&json!(me), &json!(2)), "{context}");
    let about = says(&gateway, &["describe", "etl"]);
    assert_eq!((fact(&about, "ended by"), fact(&about, "launches")), (me.as_str(), "2"), "{about}");
    let log = says(&gateway, &["log", "etl", "--follow", "--lines", "1"]);
    assert_eq!(log.lines().count(), 1, "it is over: {log}");
    says(&gateway, &["restart", "etl", "--wait", "180s"]);
    let context = api.get(&path).await.expect(200);
    assert_eq!((&context["state"], &context["attempt"]), (&json!("ready"), &json!(3)), "{context}");
    assert!(context["ended_by"].is_null() && context["cause"].is_null(), "{context}");
    gateway.end().await;
}
