//! What the Livy door gives beyond the recorded exchanges: waits, forms of requests that real clients send, what their answers need.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod harness;

use std::time::{Duration, Instant};

use harness::livy::Livy;
use harness::{BOUND, Setup, until};
use reqwest::Method;
use serde_json::{Value, json};

fn lines(session: &Value) -> String {
    session["log"].as_array().unwrap().iter().map(|l| l.as_str().unwrap()).collect::<Vec<_>>().join("\n")
}

/// The forms in which clients send one and the same request.
#[tokio::test]
async fn requests_as_real_clients_send_them() {
    let gateway = Setup::new().set("launch.contexts", "1").set("http.prefix", "/livy").start().await;
    let livy = gateway.livy();
    // Livy's own clients: a slash at the end, an encoding that is none, and the body announced first.
    let created = livy
        .request(Method::POST, "/livy/sessions/?doAs=ann")
        .header("Content-Encoding", "UTF-8")
        .header("Content-Type", "application/json;charset=UTF-8")
        .header("Expect", "100-continue")
        .header("User-Agent", "livy-client-http")
        .header("Authorization", "Basic Tm9uZTpOb25l")
        .body(r#"{"kind":"sql","proxyUser":"bob","conf":{"livy.uri":"http://x","spark.ui.enabled":"false"}}"#);
    let created = livy.send(created).await;
    let session = created.expect(201);
    assert_eq!(created.header("location"), format!("/sessions/{}", session["id"]), "relative, and Livy's own path");
    assert_eq!(session["proxyUser"], "ann", "doAs wins");
    let mut fields: Vec<&String> = session.as_object().unwrap().keys().collect();
    fields.sort();
    assert_eq!(fields, ["appId", "appInfo", "id", "kind", "log", "name", "owner", "proxyUser", "state"]);
    let path = created.header("location").to_owned();
    let session = livy.get(&path).await.expect(200);
    assert_eq!(session.as_object().unwrap().len(), 23, "{session}");
    assert_eq!(session["conf"], json!({"spark.ui.enabled": "false"}));
    assert!(lines(&session).contains("proxyUser \"ann\" changes nothing"), "{session}");
    assert!(lines(&session).contains("livy.uri"), "{session}");
    // A method in a header, as behind old proxies; a body with the type of a form.
    let form = livy.request(Method::POST, "/sessions").header("content-type", "application/x-www-form-urlencoded");
    let second = livy.send(form.body(r#"{"name":"by form","numExecutors":"2","driverCores":"1"}"#)).await;
    assert_eq!(second.expect(201)["numExecutors"], 2);
    assert_eq!(livy.get("/sessions/by%20form").await.expect(200)["name"], "by form");
    let overridden = livy.request(Method::POST, second.header("location")).header("X-HTTP-Method-Override", "DELETE");
    assert_eq!(livy.send(overridden).await.expect(200), json!({"msg": "deleted"}));
    livy.get("/sessions/by%20form").await.expect(404);
    // A body that is packed: `{"kind":"cobol"}`, and one that breaks off.
    let packed =
        b"\x1f\x8b\x08\0\0\0\0\0\x02\x03\xabV\xca\xce\xccKQ\xb2RJ\xceO\xca\xcfQ\xaa\x05\0\xc0\xcf\xccb\x10\0\0\0";
    for (body, says) in [(&packed[..], "cobol"), (&packed[..20], "broke off")] {
        let request = livy.request(Method::POST, "/sessions").header("content-type", "application/json");
        let refused = livy.send(request.header("content-encoding", "gzip").body(body)).await;
        assert!(refused.status == 400 && refused.text.contains(says), "{refused}");
    }
    // Versions of the API.
    for (accept, status) in
        [("application/vnd.livy.v0.1+json", 200), ("application/vnd.livy.v9.9+json", 406), ("text/html", 200)]
    {
        assert_eq!(
            livy.send(livy.request(Method::GET, "/sessions").header("accept", accept)).await.status,
            status,
            "{accept}"
        );
    }
    let head = livy.send(livy.request(Method::HEAD, &path)).await;
    assert_eq!((head.status, head.text.as_str()), (200, ""));
    for gzip in [livy.request(Method::GET, "/sessions").header("accept-encoding", "gzip")] {
        assert_eq!(livy.send(gzip).await.expect(200)["total"], 1);
    }
    gateway.end().await;
}

/// One session from its creation to its death, by waits alone; statements are taken while it starts.
#[tokio::test]
async fn waiting_for_a_session_and_its_statements() {
    let gateway = Setup::new().start().await;
    let livy = gateway.livy();
    let created = livy.post("/sessions?wait=0.1", json!({"kind": "pyspark", "name": "waits"})).await;
    let path = created.header("location").to_owned();
    assert_eq!(created.expect(201)["state"], "starting");
    let early = livy.post(&format!("{path}/statements"), json!({"code": "6 * 7"})).await.expect(201);
    assert_eq!((&early["state"], &early["output"]), (&json!("waiting"), &Value::Null));
    let ended = statement(&livy, &format!("{path}/statements/0")).await;
    assert_eq!(ended["output"]["data"], json!({"text/plain": "42"}));
    assert_eq!(livy.idle(&path).await["state"], "idle");

    let began = Instant::now();
    let quick = livy.post(&format!("{path}/statements?wait=30"), json!({"code": "print('a')\n1"})).await.expect(201);
    assert_eq!((&quick["state"], &quick["output"]["data"]), (&json!("available"), &json!({"text/plain": "a\n1"})));
    assert!(began.elapsed() < Duration::from_secs(25), "an end is told at once");
    let named = livy.post(&format!("{path}/statements?wait=30"), json!({"code": "sc.appName"})).await.expect(201);
    assert_eq!(named["output"]["data"], json!({"text/plain": "'waits'"}), "the application is called like its session");
    let slow = livy.post(&format!("{path}/statements?wait=0.5"), json!({"code": "import time; time.sleep(120)"})).await;
    assert_eq!(slow.expect(201)["state"], "running");
    assert_eq!(livy.get(&path).await.json()["state"], "busy");
    // A name in place of the id, everywhere.
    livy.post("/sessions/waits/statements/3/cancel", json!({})).await.expect(200);
    let cancelled = livy.get("/sessions/waits/statements/3?wait=60").await.expect(200);
    assert_eq!(cancelled["state"], "cancelled");
    assert_eq!(livy.idle(&path).await["state"], "idle");

    let log = livy.get(&format!("{path}/log?from=0&size=2")).await.expect(200);
    assert_eq!(log["log"], json!(["stdout: ", "\nstderr: "]));
    let total = log["total"].as_i64().unwrap();
    let past = livy.get(&format!("{path}/log?from={}", total + 50)).await.expect(200);
    assert_eq!((&past["log"], &past["from"]), (&json!([]), &json!(total + 50)));
    assert_eq!(livy.get(&format!("{path}/log?size=-1")).await.json()["log"].as_array().unwrap().len() as i64, total);

    for (kind, code, word) in [("pyspark", "impor", "import"), ("sql", "selec", "select")] {
        // An interpreter that is slow to begin with gives no words rather than late ones.
        let offered = async || {
            let body = json!({"code": code, "kind": kind, "cursor": code.len()});
            let candidates = livy.post(&format!("{path}/completion"), body).await.expect(200);
            candidates["candidates"].as_array().unwrap().contains(&json!(word)).then_some(())
        };
        until(&format!("{kind} offers {word}"), BOUND, offered).await;
    }

    assert_eq!(livy.post(&format!("{path}/stop"), json!({})).await.status, 204);
    let dead = livy.get(&path).await.expect(200);
    assert_eq!(dead["state"], "dead");
    assert!(
        lines(&dead).ends_with(&format!("Hearth: it was stopped by {}", dead["owner"].as_str().unwrap())),
        "{dead}"
    );
    let late = livy.post(&format!("{path}/statements"), json!({"code": "1"})).await;
    assert_eq!((late.status, late.json()), (500, json!("java.lang.IllegalStateException: Session is in state dead")));
    livy.post(&format!("{path}/completion"), json!({"code": "a"})).await.expect(409);
    let kept = livy.get(&format!("{path}/statements")).await.expect(200);
    assert_eq!(kept["total_statements"], 4);
    assert_eq!(kept["statements"][0]["output"], ended["output"], "results outlive the session");
    livy.delete(&path).await.expect(200);
    livy.get(&format!("{path}/statements/0")).await.expect(404);
    gateway.end().await;
}

async fn statement(livy: &Livy, path: &str) -> Value {
    let mut now = Value::Null;
    until("the statement ends", 4 * BOUND, async || {
        now = livy.get(&format!("{path}?wait=30")).await.expect(200);
        (now["state"] == "available").then_some(())
    })
    .await;
    now
}

/// A heartbeat that no client keeps up ends the session, and its log says so.
#[tokio::test]
async fn a_silent_client_ends_its_session() {
    let gateway = Setup::new().start().await;
    let livy = gateway.livy();
    let path = livy.session(json!({"kind": "sql", "heartbeatTimeoutInSecond": 3})).await;
    // Any look at the session itself would be a sign of life, one at the list is none.
    let gone = async || {
        let list = livy.get("/sessions").await.expect(200);
        (list["sessions"][0]["state"] == "dead").then_some(list["sessions"][0].clone())
    };
    let dead = until("the session ends", BOUND, gone).await;
    assert!(lines(&dead).contains("silent"), "{dead}");
    livy.delete(&path).await.expect(200);
    gateway.end().await;
}
