//! Ends the catalogue entries whose time to live is over and of which no driver has said so: it is down, or it does not answer.

use std::time::Duration;

use tracing::{info, warn};

use super::kept;
use super::service::Service;
use crate::life::Life;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(5);

/// Looks for as long as the gateway lives. Every gateway does: what one has ended the others do not find.
pub async fn run(handles: Service, life: Life) {
    let stopping = life.stopping();
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        match pass(&handles).await {
            Ok(0) => {}
            Ok(ended) => info!(ended, "The time to live of handles without a driver is over"),
            Err(e) => warn!(error = %e, "Which handles' time to live is over could not be looked at now"),
        }
    }
}

async fn pass(handles: &Service) -> Result<u64, sqlx::Error> {
    let mut db = handles.contexts().pool().acquire().await?;
    kept::expire(&mut db).await
}
