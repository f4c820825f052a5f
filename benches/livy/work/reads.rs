//! `GET /sessions/N` by many callers at once, on a quiet session and on one that runs statements meanwhile.

use std::time::Duration;

use serde_json::json;

use super::{Target, trivial};
use crate::Plan;
use crate::client::Manner;
use crate::load;
use crate::report::{Report, Unit};

/// Rate, times and what the server's memory does.
pub async fn measure(plan: &Plan, target: &Target, report: &mut Report) -> anyhow::Result<()> {
    let livy = &target.livy;
    let time = Duration::from_secs(plan.seconds);
    let session = livy.session(json!({ "kind": "pyspark" })).await?;
    let path = format!("/sessions/{session}");

    let seen = load::get(livy.authority(), &path, "", time).await?;
    put("quiet", seen, target, report);
    target.memory("memory, after reads", report)?;

    let statements = async {
        loop {
            if let Err(e) = livy.run(session, trivial("pyspark"), Manner::Poll).await {
                return e;
            }
        }
    };
    let seen = tokio::select! {
        seen = load::get(livy.authority(), &path, "", time) => seen?,
        failed = statements => return Err(failed),
    };
    put("while statements run", seen, target, report);
    target.memory("memory, after as many again", report)?;
    livy.delete(session).await
}

fn put(when: &str, seen: load::Seen, target: &Target, report: &mut Report) {
    let what = format!("GET /sessions/N over {} connections, {when}", load::CONNECTIONS);
    report.put(&what, Unit::PerSecond, target.column, vec![seen.rate]);
    report.put(&format!("{what}: time of one"), Unit::Ms, target.column, seen.took);
}
