//! Two gateways, each a process of its own, on one database: what one of them is told holds on the other.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test fails by panicking"
)]

mod harness;

use std::time::{Duration, Instant};

use harness::agent::Application;
use harness::api::{API, person, token};
use harness::livy::Livy;
use harness::{BOUND, Setup, until};
use serde_json::{Value, json};

/// What is revoked is closed within a second; five times that on a machine that is busy with other tests.
const SOON: Duration = Duration::from_secs(5);

fn setup() -> Setup {
    Setup::new().runs_nothing().toml("[auth]\nschemes = [\"token\"]\ngroups = \"none\"")
}

/// How long it takes until somebody finds nothing there, from `since` on.
async fn closed(who: &Livy, path: &str, since: Instant) -> Duration {
    until("what was revoked is closed", BOUND, async || {
        let answer = who.get(path).await;
        assert!(matches!(answer.status, 200 | 404), "{answer}");
        (answer.status == 404).then_some(())
    })
    .await;
    since.elapsed()
}

#[tokio::test]
async fn what_is_revoked_through_one_is_closed_on_every_other() {
    let first = setup().start().await;
    let second = setup().beside(&first).start().await;
    let mut db = first.database().connect().await;
    let home = Application::new(&first, "alice", "alice", "default").await;
    let session = home.session(&mut db, "alice", 0).await;
    let mut agent = home.dial(0, json!({})).await;
    let (alice, bob) = (person(&first, "alice").await, person(&first, "bob").await);
    let there = second.livy().bearer(&token("bob"));
    let states = json!({"name": "states", "kind": "pairs", "version": 1, "state": "ready", "key": "string", "partitions": 2,
                        "storage": "NONE", "durable": null, "shared": true});
    agent.say("handle", Some(session), states).await;
    let named = format!("{API}/contexts/{}/handles/states", home.context);
    let handle = until("the handle is known", BOUND, async || {
        let found = alice.get(&named).await;
        (found.status == 200).then(|| found.json())
    })
    .await;
    let path = format!("{API}/handles/{}", handle["id"].as_str().unwrap());
    for bobs in [&bob, &there] {
        bobs.get(&path).await.expect(404);
    }
    for _ in 0..3 {
        let read = json!({"level": "read", "user": "bob"});
        let grant = alice.post(&format!("{path}/grants"), read).await.expect(201);
        for bobs in [&bob, &there] {
            let seen = until("he may read it", BOUND, async || {
                let seen = bobs.get(&path).await;
                (seen.status == 200).then(|| seen.json())
            })
            .await;
            assert_eq!((&seen["id"], &seen["name"]), (&handle["id"], &json!("states")));
            assert_eq!(bobs.get(&format!("{path}/schema")).await.expect(200)["version"], 1);
            assert_eq!(bobs.get(&format!("{API}/handles")).await.expect(200)["total"], 1);
        }
        // Data come through the gateway that the driver is connected to, and the other says so.
        let (reader, count) = (bob.clone(), format!("{path}/count"));
        let counted = tokio::spawn(async move { reader.get(&count).await });
        let asked = agent.told("handle_request").await;
        let answer = json!({"request": asked["request"], "error": null, "result": {"version": 1, "count": 7}});
        agent.say("handle_answer", None, answer).await;
        assert_eq!(counted.await.unwrap().expect(200)["count"], 7);
        let elsewhere = there.get(&format!("{path}/count")).await;
        assert!(elsewhere.status == 503 && !elsewhere.header("retry-after").is_empty(), "{elsewhere}");

        let grants = format!("{path}/grants/{}", grant["id"].as_str().unwrap());
        alice.delete(&grants).await.expect(200);
        let since = Instant::now();
        let (here, afar) = tokio::join!(closed(&bob, &path, since), closed(&there, &path, since));
        eprintln!("closed after {here:?} where it was revoked, and after {afar:?} on the other");
        assert!(here < SOON && afar < SOON, "{here:?} and {afar:?}");
        for bobs in [&bob, &there] {
            assert_eq!(bobs.get(&format!("{path}/schema")).await.status, 404);
            assert_eq!(bobs.get(&format!("{API}/handles")).await.expect(200)["total"], Value::from(0));
        }
    }
    second.end().await;
    first.end().await;
}
