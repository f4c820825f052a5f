//! Many creates at the same moment, as a scheduler's full hour makes them.

use std::time::Instant;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{Target, ms};
use crate::Plan;
use crate::client::Session;
use crate::report::{Report, Unit};

/// How long all answers take, how many are refused, how long an unrelated read takes meanwhile, and the deletes.
pub async fn measure(plan: &Plan, target: &Target, report: &mut Report) -> anyhow::Result<()> {
    let at = Instant::now();
    let mut creates = JoinSet::new();
    for _ in 0..plan.creates {
        let livy = target.livy.clone();
        creates.spawn(async move {
            let at = Instant::now();
            let answer = livy.call(Method::POST, "/sessions", Some(json!({ "kind": "pyspark" }))).await;
            answer.map(|(status, body)| (status, body, ms(at.elapsed())))
        });
    }
    let (mut took, mut sessions, mut refused) = (Vec::new(), Vec::new(), 0_u32);
    while let Some(done) = creates.join_next().await {
        let (status, body, time) = done??;
        took.push(time);
        match status {
            StatusCode::CREATED => sessions.push(serde_json::from_slice::<Session>(&body)?.id),
            _ => refused += 1,
        }
    }
    let all = at.elapsed().as_secs_f64();

    let at = Instant::now();
    target.livy.must::<Value>(Method::GET, "/sessions", None).await?;
    let listed = ms(at.elapsed());

    let at = Instant::now();
    let mut deletes = JoinSet::new();
    for session in sessions {
        let livy = target.livy.clone();
        deletes.spawn(async move { livy.delete(session).await });
    }
    while let Some(done) = deletes.join_next().await {
        done??;
    }

    let what = format!("{} creates at once", plan.creates);
    report.put(&format!("{what}: all answered"), Unit::Seconds, target.column, vec![all]);
    report.put(&format!("{what}: time of one answer"), Unit::Ms, target.column, took);
    report.put(&format!("{what}: refused"), Unit::Count, target.column, vec![f64::from(refused)]);
    report.put(&format!("{what}: GET /sessions right after"), Unit::Ms, target.column, vec![listed]);
    report.put(&format!("{what}: all deleted again"), Unit::Seconds, target.column, vec![at.elapsed().as_secs_f64()]);
    Ok(())
}
