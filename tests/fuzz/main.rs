//! The own API keeps what its description promises, whatever is sent to it: Schemathesis makes up requests to every operation.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "../harness/mod.rs"]
mod harness;

use std::path::Path;
use std::time::Duration;

use harness::api::{API, ended, session, submit};
use harness::{Setup, python};
use serde_json::json;

/// The answer is no 5xx; its status, `Content-Type`, headers and body are as described; what the description forbids is refused.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance,negative_data_rejection,\
                      unsupported_method,allow_header_conformance";

/// How many requests are made up for each operation, beside those at the bounds of each field.
const EXAMPLES: &str = "12";

/// Half a minute on a quiet machine.
const PATIENCE: Duration = Duration::from_secs(300);

#[tokio::test]
async fn every_answer_is_as_described() {
    let schemathesis = python("tests-schemathesis", &[&["schemathesis==4.32.5"]]).await;
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    // The one driver is the session's below: all that is made up waits in line, and beyond that is refused.
    let line = [("launch.contexts", "1"), ("launch.queue", "40"), ("http.limits.wait", "1s")];
    let gateway = line.iter().fold(Setup::new(), |setup, (key, value)| setup.set(key, value)).start().await;
    let api = gateway.livy();
    let living = session(&api, json!({"kind": "sql"})).await;
    for code in ["select 1 as one", "select no_such_column", "select explode(sequence(1, 2000))"] {
        ended(&api, &submit(&api, &living, code).await).await;
    }
    // Its stream of events ends.
    let over = api.post(&format!("{API}/sessions"), json!({"kind": "sql"})).await.expect(201)["id"].clone();
    api.delete(&format!("{API}/sessions/{}?wait=60", over.as_str().unwrap())).await.expect(200);
    let context = api.post(&format!("{API}/contexts"), json!({"name": "waits"})).await.expect(201);
    let batch = json!({"file": here.join("tests/fuzz/known.py"), "name": "waits"});
    let batch = api.post(&format!("{API}/batches"), batch).await.expect(201);
    let known = json!({
        format!("{API}/sessions/{{id}}"): living.rsplit_once('/').unwrap().1,
        format!("{API}/sessions/{{id}}/events"): over,
        format!("{API}/contexts/{{id}}"): context["id"],
        format!("{API}/batches/{{id}}"): batch["id"],
    });

    let description = format!("{}{API}/openapi.json", gateway.url());
    let run = tokio::process::Command::new(schemathesis)
        .args(["-m", "schemathesis.cli", "run", &description, "--checks", CHECKS, "--max-examples", EXAMPLES])
        .args(["--phases", "examples,coverage,fuzzing", "--request-timeout", "10"])
        // The same requests each time, and nothing kept of them.
        .args(["--generation-deterministic", "--no-color"])
        .current_dir(gateway.home())
        .env("PYTHONPATH", here.join("tests/fuzz"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONHASHSEED", "0")
        .env("SCHEMATHESIS_HOOKS", "known")
        .env("HEARTH_KNOWN", known.to_string())
        .kill_on_drop(true)
        .output();
    let done = tokio::time::timeout(PATIENCE, run).await.expect("it ends").unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{said}");
    assert_eq!(ended(&api, &submit(&api, &living, "select 2").await).await["output"]["status"], "ok");
    gateway.end().await;
}
