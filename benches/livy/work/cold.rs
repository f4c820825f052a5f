//! How long a session takes to be there, and its first statement.

use std::time::{Duration, Instant};

use anyhow::ensure;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::{KINDS, Target, cold, ms, trivial};
use crate::Plan;
use crate::client::Manner;
use crate::report::{Report, Unit};

/// One more session in a context that is in use is made this often.
const SECOND: usize = 5;

/// A context that is in use makes an interpreter ready for the next session within this time.
const SPARE: Duration = Duration::from_secs(9);

/// What is read of a context of Hearth's own API.
#[derive(Deserialize)]
struct Context {
    id: String,
}

/// Cold sessions of every kind, one at a time, each ended before the next.
pub async fn measure(plan: &Plan, target: &Target, report: &mut Report) -> anyhow::Result<()> {
    let livy = &target.livy;
    // Uncounted: whatever a server does once for each Spark, and the disk's first reads.
    let session = livy.session(json!({ "kind": "spark" })).await?;
    livy.delete(session).await?;
    for kind in KINDS {
        let (mut idle, mut first) = (Vec::new(), Vec::new());
        for _ in 0..plan.cold {
            let at = Instant::now();
            let session = livy.session(json!({ "kind": kind })).await?;
            idle.push(at.elapsed().as_secs_f64());
            let at = Instant::now();
            livy.run(session, trivial(kind), Manner::Poll).await?;
            first.push(ms(at.elapsed()));
            livy.delete(session).await?;
        }
        report.put(&cold(kind), Unit::Seconds, target.column, idle);
        report.put(&format!("first `{}` of a {kind} session", trivial(kind)), Unit::Ms, target.column, first);
    }
    second(target, report).await
}

/// One more session beside one that lives: in the same context where the server has contexts, else an application of its own.
async fn second(target: &Target, report: &mut Report) -> anyhow::Result<()> {
    let livy = &target.livy;
    for kind in KINDS {
        let name = format!("bench-{kind}");
        let (status, made) = livy.call(Method::POST, "/api/v1/contexts", Some(json!({ "name": name }))).await?;
        let shared = status == StatusCode::CREATED;
        let body =
            if shared { json!({ "kind": kind, "conf": { "hearth.context": name } }) } else { json!({ "kind": kind }) };
        let first = livy.session(body.clone()).await?;
        livy.run(first, trivial(kind), Manner::Poll).await?;
        let mut took = Vec::new();
        for _ in 0..SECOND {
            let at = Instant::now();
            let session = livy.session(body.clone()).await?;
            took.push(ms(at.elapsed()));
            livy.delete(session).await?;
        }
        let what = format!("one more {kind} session beside a live one (Hearth: in its context), POST to idle");
        report.put(&what, Unit::Ms, target.column, took);
        if shared {
            let mut took = Vec::new();
            for _ in 0..SECOND {
                tokio::time::sleep(SPARE).await;
                let at = Instant::now();
                let session = livy.session(body.clone()).await?;
                took.push(ms(at.elapsed()));
                livy.delete(session).await?;
            }
            let what = format!("the same {} s after the last one, when an interpreter is kept ready", SPARE.as_secs());
            report.put(&format!("{what} ({kind})"), Unit::Ms, target.column, took);
        }
        livy.delete(first).await?;
        if shared {
            let context: Context = serde_json::from_slice(&made)?;
            let (status, _) = livy.call(Method::DELETE, &format!("/api/v1/contexts/{}", context.id), None).await?;
            ensure!(status.is_success(), "ending the context {name}: {status}");
        }
    }
    Ok(())
}
