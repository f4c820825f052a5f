//! Ends sessions by their clocks: idle time, age, silent client. Never while a statement runs, but for age.
//!
//! Last activity lives in memory and is written every few seconds, and always before an expiry is decided.

use std::time::Duration;

use tracing::{info, warn};

use super::live::LiveSession;
use super::service::Service;
use super::{Error, store};
use crate::life::Life;

const EVERY: Duration = Duration::from_secs(2);

/// Looks at the clocks until the gateway stops.
pub async fn run(sessions: Service, life: Life) {
    let stopping = life.stopping();
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        if let Err(e) = pass(&sessions).await {
            warn!(error = %e, "The clocks of sessions could not be looked at now");
        }
    }
}

async fn pass(sessions: &Service) -> Result<(), Error> {
    let all = sessions.live().all();
    let mut db = sessions.contexts().pool().acquire().await?;
    let moved: Vec<_> = all.iter().filter(|s| s.last_active() > s.row().last_active_at.timestamp_millis()).collect();
    if !moved.is_empty() {
        let ids: Vec<_> = moved.iter().map(|s| s.row().id.0).collect();
        let at: Vec<_> =
            moved.iter().filter_map(|s| chrono::DateTime::from_timestamp_millis(s.last_active())).collect();
        store::set_last_active(&mut db, &ids, &at).await?;
    }
    drop(db);
    let now = crate::time::now().timestamp_millis();
    for session in all {
        if let Some(cause) = expired(&session, now) {
            let row = session.row();
            info!(session.id = %row.id, cause, "Session {} ends by its clock", row.livy_id);
            sessions.stop_row(&row, &cause, None).await?;
        }
    }
    Ok(())
}

fn expired(session: &LiveSession, now: i64) -> Option<String> {
    let row = session.row();
    if !row.state.takes_statements() {
        return None;
    }
    let age = now - row.created_at.timestamp_millis();
    if row.ttl.as_millis() > 0 && age > row.ttl.as_millis() {
        return Some(format!("it reached its age limit (ttl) of {} s", row.ttl.0.as_secs()));
    }
    // The clock of the heartbeat starts with the client's first call on the session.
    let called = session.last_called();
    let silent = called > 0 && now - called > row.heartbeat.as_millis() && !session.is_attended();
    if row.heartbeat.as_millis() > 0 && silent && !session.is_busy() {
        return Some(format!("its client was silent for more than {} s (heartbeat)", row.heartbeat.0.as_secs()));
    }
    let idle = now - session.last_active();
    if row.idle.as_millis() > 0 && idle > row.idle.as_millis() && !session.is_busy() {
        return Some(format!("nothing ran in it for {} s (idle timeout)", row.idle.0.as_secs()));
    }
    None
}
