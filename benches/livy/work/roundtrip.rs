//! The trivial statement in a warm session, over and over.

use std::time::Instant;

use serde_json::json;

use super::{KINDS, Target, WARM, ms, round_trip, trivial};
use crate::Plan;
use crate::client::Manner;
use crate::report::{Report, Unit};

/// Every kind, by `?wait` where the server knows that, and by polling.
pub async fn measure(plan: &Plan, target: &Target, report: &mut Report) -> anyhow::Result<()> {
    let livy = &target.livy;
    for kind in KINDS {
        let code = trivial(kind);
        for manner in [Manner::Wait, Manner::Poll] {
            // A session of its own for each, so that both begin as cold as the floor's shell.
            let session = livy.session(json!({ "kind": kind })).await?;
            if manner == Manner::Poll || livy.waits(session, code).await? {
                for _ in 0..WARM {
                    livy.run(session, code, manner).await?;
                }
                let mut took = Vec::with_capacity(plan.rounds);
                for _ in 0..plan.rounds {
                    let at = Instant::now();
                    livy.run(session, code, manner).await?;
                    took.push(ms(at.elapsed()));
                }
                report.put(&round_trip(kind, manner), Unit::Ms, target.column, took);
            }
            livy.delete(session).await?;
        }
    }
    Ok(())
}
