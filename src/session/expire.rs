//! Looks at the clocks of sessions (idle time, age, silent client) and of their contexts: warns those who listen, then ends. Never while a
//! statement runs, but for age.
//!
//! Last activity lives in memory and is written every few seconds, and always before an end is decided. Between two looks it sleeps until
//! the next warning or end is due, but never long: what happens meanwhile may begin a clock.

use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::live::LiveSession;
use super::service::Service;
use super::{Error, store};
use crate::context::clock::Clock;
use crate::life::Life;
use crate::time::Timestamp;

/// The longest sleep.
const EVERY: Duration = Duration::from_secs(2);
/// The shortest.
const SHORTEST: Duration = Duration::from_millis(50);

/// Looks at the clocks until the gateway stops.
pub async fn run(sessions: Service, life: Life) {
    let (stopping, mut pause) = (life.stopping(), EVERY);
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = match pass(&sessions).await {
            Ok(next) => until(next),
            Err(e) => {
                warn!(error = %e, "The clocks of sessions and contexts could not be looked at now");
                EVERY
            }
        };
    }
}

/// The time until a moment, within bounds.
fn until(next: Option<Timestamp>) -> Duration {
    let left = next.map_or(EVERY, |next| (next - crate::time::now()).to_std().unwrap_or_default());
    left.clamp(SHORTEST, EVERY)
}

/// Warns of what is near and ends what is due; when the next is.
async fn pass(sessions: &Service) -> Result<Option<Timestamp>, Error> {
    let all = sessions.live().all();
    write_activity(sessions, &all).await?;
    let mut next = sessions.contexts().look_at_clocks().await?;
    let now = crate::time::now();
    for session in all {
        // Before anything ends: with a context its sessions end.
        next = next.into_iter().chain(warn_of_end(&session, now)).min();
    }
    for session in sessions.live().all() {
        let row = session.row();
        let struck = session.deadline().filter(|deadline| deadline.at <= now && deadline.clock != Clock::ContextIdle);
        let ended = struck.map(|deadline| (deadline.clock, deadline.time));
        if let Some((clock, time)) =
            ended.or_else(|| is_silent(&session, now).then_some((Clock::Heartbeat, row.heartbeat)))
        {
            info!(session.id = %row.id, clock = clock.as_str(), "Session {} ends by its clock", row.livy_id);
            sessions.end_by_clock(&row, clock, time).await?;
        }
    }
    sessions.contexts().end_by_clock(now).await?;
    Ok(next)
}

/// Writes the last activity that only memory knows.
async fn write_activity(sessions: &Service, all: &[Arc<LiveSession>]) -> Result<(), Error> {
    let moved: Vec<_> = all.iter().filter_map(|session| Some((session, session.unwritten()?))).collect();
    if moved.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = moved.iter().map(|(session, _)| session.row().id.0).collect();
    let at: Vec<_> = moved.iter().filter_map(|(_, at)| chrono::DateTime::from_timestamp_millis(*at)).collect();
    let mut db = sessions.contexts().pool().acquire().await?;
    store::set_last_active(&mut db, &ids, &at).await?;
    for (session, at) in moved {
        session.has_written(at);
    }
    Ok(())
}

/// Tells those who listen when its end is near; when that is, or, once they know, when it ends.
fn warn_of_end(session: &LiveSession, now: Timestamp) -> Option<Timestamp> {
    let deadline = session.deadline()?;
    if deadline.warns_at() > now {
        return Some(deadline.warns_at());
    }
    session.warn(deadline);
    Some(deadline.at)
}

/// Whether its client has not called for too long. This clock starts with the client's first call on the session.
fn is_silent(session: &LiveSession, now: Timestamp) -> bool {
    let row = session.row();
    let (limit, called) = (row.heartbeat.as_millis(), session.last_called());
    row.state.takes_statements()
        && limit > 0
        && called > 0
        && now.timestamp_millis() - called > limit
        && !session.is_attended()
        && !session.is_busy()
}
