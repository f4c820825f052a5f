//! A result of a megabyte: made, and read again.

use std::time::Instant;

use anyhow::ensure;
use reqwest::Method;
use serde_json::json;

use super::{Target, ms};
use crate::Plan;
use crate::client::{Manner, Statement};
use crate::report::{Report, Unit};

/// Statements that print a megabyte.
const MADE: usize = 20;
const SIZE: usize = 1_000_000;

/// From POST to the text in the client's hands by polling, and a GET of a statement that is done.
pub async fn measure(plan: &Plan, target: &Target, report: &mut Report) -> anyhow::Result<()> {
    let livy = &target.livy;
    let session = livy.session(json!({ "kind": "pyspark" })).await?;
    let (mut made, mut read) = (Vec::new(), Vec::new());
    let mut last = 0;
    for _ in 0..MADE {
        let at = Instant::now();
        let statement = livy.run(session, &format!("print('x' * {SIZE})"), Manner::Poll).await?;
        made.push(ms(at.elapsed()));
        last = statement.id;
        let text = statement.output.and_then(|o| Some(o.data.get("text/plain")?.as_str()?.len()));
        ensure!(text >= Some(SIZE), "of {SIZE} bytes {text:?} came");
    }
    let path = format!("/sessions/{session}/statements/{last}");
    for _ in 0..plan.rounds {
        let at = Instant::now();
        livy.must::<Statement>(Method::GET, &path, None).await?;
        read.push(ms(at.elapsed()));
    }
    report.put("statement that prints 1 MB, POST to the text", Unit::Ms, target.column, made);
    report.put("GET of a statement with 1 MB of text", Unit::Ms, target.column, read);
    livy.delete(session).await
}
