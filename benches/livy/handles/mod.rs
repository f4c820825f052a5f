//! Handles over Hearth's own API: entries by key beside the statements that find the same, and rows as an Arrow stream beside the same
//! rows read by code in the driver. The peer has none.

mod entries;
mod rows;

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use crate::Plan;
use crate::client::{Livy, Statement};
use crate::report::Report;
use crate::work::Target;

/// The gateway knows of a handle within this time after the statement that has made it.
const KNOWN: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(10);

/// What is read of a handle.
#[derive(Deserialize)]
struct Handle {
    id: String,
}

/// Both, each in a session and a driver of its own, so that neither finds the other's data in memory.
pub async fn measure(plan: &Plan, target: &Target, report: &mut Report) -> anyhow::Result<()> {
    let livy = &target.livy;
    let session = livy.session(json!({ "kind": "pyspark" })).await?;
    entries::measure(plan, target, session, report).await?;
    livy.delete(session).await?;

    let session = livy.session(json!({ "kind": "pyspark", "driverMemory": rows::MEMORY })).await?;
    rows::measure(plan, target, session, report).await?;
    livy.delete(session).await
}

/// The path of the handle that code of this session has just given a name.
async fn path(livy: &Livy, session: i64, name: &str) -> anyhow::Result<String> {
    let called = format!("/api/v1/sessions/{session}/handles/{name}");
    let end = Instant::now() + KNOWN;
    loop {
        let (status, body) = livy.call(Method::GET, &called, None).await?;
        if status.is_success() {
            let handle: Handle = serde_json::from_slice(&body)?;
            return Ok(format!("/api/v1/handles/{}", handle.id));
        }
        ensure!(Instant::now() < end, "{called}: {status} {}", String::from_utf8_lossy(&body));
        tokio::time::sleep(PAUSE).await;
    }
}

/// What a statement has printed or given, as text.
fn text(statement: &Statement) -> anyhow::Result<&str> {
    let output = statement.output.as_ref().context("a statement without an output")?;
    let text = output.data.get("text/plain").and_then(|text| text.as_str());
    Ok(text.context("a statement without a text")?.trim())
}

/// A number that a statement has printed.
fn number(statement: &Statement) -> anyhow::Result<f64> {
    let text = text(statement)?;
    text.parse().with_context(|| text.to_owned())
}
