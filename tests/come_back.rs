//! A context that is asked for again after its end begins anew, and its durable handles are there as they were.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod harness;
mod real;

use harness::api::{API, session, submit, text};
use harness::livy::Livy;
use harness::{BOUND, Gateway, Setup, until};
use serde_json::{Value, json};

const DIES: &str = "import os\nos.kill(sc._jvm.java.lang.ProcessHandle.current().pid(), 9)";

async fn start(folder: &tempfile::TempDir) -> Gateway {
    let profile = |name: &str, more: &str| {
        let store = folder.path().display();
        format!("[profiles.{name}]\nspark_home = {:?}\nhandle_store = \"file://{store}\"\n{more}\n", real::spark_35())
    };
    Setup::new().toml(&profile("kept", "")).toml(&profile("mine", "share = \"user\"")).start().await
}

/// Shares rows under a name, and returns the handle once they are written.
async fn share(api: &Livy, session: &str, name: &str, rows: u32) -> Value {
    let code = format!("hearth.share(spark.range({rows}), '{name}', durable=True)\nprint(1)");
    text(api, &submit(api, session, &code).await).await;
    let context = api.get(session).await.expect(200)["context"].as_str().unwrap().to_owned();
    until("the handle is durable", BOUND, async || {
        let found = api.get(&format!("{API}/contexts/{context}/handles/{name}")).await;
        let handle = (found.status == 200).then(|| found.json())?;
        (handle["durable"] == true).then_some(handle)
    })
    .await
}

async fn ended(api: &Livy, context: &Value) {
    until("the context has ended", BOUND, async || {
        let now = api.get(&format!("{API}/contexts/{}", context.as_str().unwrap())).await.expect(200);
        (now["state"] == "ended").then_some(())
    })
    .await;
}

async fn count(api: &Livy, handle: &Value) -> Value {
    let path = format!("{API}/handles/{}/count", handle["id"].as_str().unwrap());
    until("the handle answers", BOUND, async || {
        let found = api.get(&path).await;
        (found.status == 200).then(|| found.json()["count"].clone())
    })
    .await
}

#[tokio::test]
async fn a_context_that_is_made_again_by_its_name_has_its_durable_handles() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = start(&folder).await;
    let api = gateway.livy();
    let make = async |more: Value| {
        let mut body = json!({"name": "sales", "profile": "kept"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        api.request(reqwest::Method::POST, &format!("{API}/contexts")).header("Idempotency-Key", "again").json(&body)
    };
    let first = api.post(&format!("{API}/contexts"), json!({"name": "sales", "profile": "kept"})).await.expect(201);
    let python = session(&api, json!({"kind": "pyspark", "context": "sales"})).await;
    let handle = share(&api, &python, "orders", 5).await;
    submit(&api, &python, DIES).await;
    ended(&api, &first["id"]).await;

    let made = api.send(make(json!({"idle_timeout": "2h"})).await).await.expect(201);
    assert_eq!((&made["id"], &made["idle_timeout_ms"]), (&first["id"], &json!(7_200_000)), "{made}");
    // The repeat is of what came back, not of something new.
    let repeat = api.send(make(json!({"idle_timeout": "2h"})).await).await.expect(201);
    assert_eq!(repeat["id"], first["id"]);
    assert_eq!(count(&api, &handle).await, 5);
    let by_name = api.get(&format!("{API}/contexts/sales")).await.expect(200);
    assert_eq!((&by_name["id"], &by_name["attempt"]), (&first["id"], &json!(2)), "{by_name}");

    // Where nothing durable is left, a context of the name is a new one.
    api.delete(&format!("{API}/handles/{}", handle["id"].as_str().unwrap())).await.expect(200);
    api.delete(&format!("{API}/contexts/sales?wait=60")).await.expect(200);
    let new = api.post(&format!("{API}/contexts"), json!({"name": "sales", "profile": "kept"})).await.expect(201);
    assert_ne!(new["id"], first["id"]);
    gateway.end().await;
}

#[tokio::test]
async fn the_next_session_of_a_shared_context_finds_its_durable_handles() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = start(&folder).await;
    let api = gateway.livy();
    let first = session(&api, json!({"kind": "pyspark", "profile": "mine"})).await;
    let handle = share(&api, &first, "orders", 7).await;
    submit(&api, &first, DIES).await;
    ended(&api, &handle["context"]).await;

    let second = session(&api, json!({"kind": "pyspark", "profile": "mine"})).await;
    assert_eq!(api.get(&second).await.expect(200)["context"], handle["context"]);
    let read = submit(&api, &second, "print(hearth.df('orders').count())").await;
    assert_eq!(text(&api, &read).await, "7");
    assert_eq!(count(&api, &handle).await, 7);
    gateway.end().await;
}
