//! Takes changed policies up while the gateway runs: on SIGHUP, and when a file of the folder has changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};

use super::Access;
use crate::audit::{Entry, Event};
use crate::identity::Principal;
use crate::life::Life;

/// Between two looks at the folder. Looking works where notifications do not: network file systems, Kubernetes' swapped links.
const LOOK: Duration = Duration::from_secs(2);

/// Reads the policies anew whenever that is asked for, for as long as the gateway lives. Policies that are not valid change nothing.
pub async fn run(access: Access, life: Life) {
    let stopping = life.stopping();
    let mut asked = match signal(SignalKind::hangup()) {
        Ok(asked) => asked,
        Err(e) => return error!(error = %e, "SIGHUP cannot be listened for"),
    };
    let Some(folder) = access.folder() else { return stopping.cancelled().await };
    let mut seen = look(&folder);
    loop {
        let by_signal = tokio::select! {
            () = stopping.cancelled() => return,
            _ = asked.recv() => true,
            () = tokio::time::sleep(LOOK) => false,
        };
        let now = look(&folder);
        if !by_signal && now == seen {
            continue;
        }
        seen = now;
        match access.reload() {
            Ok(()) => {
                let (operator, told) = (Principal::local(), folder.display().to_string());
                if let Err(e) = access.note(Entry::done(Event::PolicyReloaded, &operator).with(told)).await {
                    warn!(error = %e, "That the policies were read anew could not be recorded");
                }
                info!("The policies of {} were read anew and hold from now on", folder.display());
                warn_of_odd(&access);
            }
            Err(e) => error!(error = %e, "The policies of {} are not taken up; those of before stay", folder.display()),
        }
    }
}

/// Tells of what is valid in the policies and yet cannot be meant.
pub fn warn_of_odd(access: &Access) {
    for odd in access.engine().policies().warnings() {
        warn!("A policy is odd: {odd}");
    }
}

/// Name, length and time of change of each file.
fn look(folder: &Path) -> Vec<(PathBuf, u64, Option<SystemTime>)> {
    let mut seen: Vec<_> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let path = entry.path();
            // Followed through links.
            let about = fs::metadata(&path).ok()?;
            Some((path, about.len(), about.modified().ok()))
        })
        .collect();
    seen.sort();
    seen
}
