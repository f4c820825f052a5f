//! Whether a change of a durable handle is written to the handle store, and not in its driver alone.
//!
//! The driver writes soon after it has answered, and tells of it. Until then what was put dies with the driver; whoever must not lose it waits.

use std::time::{Duration, Instant};

use dashmap::DashMap;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use super::service::Service;
use super::{Error, Handle, State, store};
use crate::id::{ContextId, HandleId};

/// How often the row is looked at when nobody says that anything was written: the agent may be connected elsewhere by now.
const LOOK: Duration = Duration::from_secs(2);

/// How much of a change is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Durability {
    /// Whether the change is.
    pub is_durable: bool,
    /// The newest version that is, as which the handle opens again.
    pub version: Option<i64>,
}

impl Durability {
    /// Of the change that has made a version, as a handle was when it was found.
    #[must_use]
    pub fn of(handle: &Handle, version: i64) -> Self {
        let written = handle.durable_path.as_ref().and(handle.durable_version);
        Self { is_durable: written >= Some(version), version: written }
    }
}

/// How many wait at once. Whoever comes beyond is told at once how it is, as if the time were over.
const WAITING: usize = 64;

/// What is heard of writing. One for each gateway.
#[derive(Debug)]
pub(super) struct Writes {
    told: Notify,
    places: Semaphore,
    lives: DashMap<ContextId, CancellationToken>,
}

impl Default for Writes {
    fn default() -> Self {
        Self { told: Notify::new(), places: Semaphore::new(WAITING), lives: DashMap::new() }
    }
}

impl Writes {
    /// Something may have been written.
    pub fn told(&self) {
        self.told.notify_waiters();
    }

    /// The context's application is over: what it has not written is lost.
    pub fn forget(&self, context: ContextId) {
        if let Some((_, life)) = self.lives.remove(&context) {
            life.cancel();
        }
    }
}

/// Waits for a change that is about to be made of a handle to be written.
pub struct Watch<'a> {
    handles: &'a Service,
    id: HandleId,
    name: &'a str,
    /// Ends with the application that is to write.
    life: CancellationToken,
}

impl Service {
    /// Looks at a handle from now on, before it is changed.
    ///
    /// # Errors
    /// [`Error::Invalid`] for one that is not durable.
    pub fn watch<'a>(&'a self, handle: &'a Handle) -> Result<Watch<'a>, Error> {
        if handle.durable_path.is_none() {
            return Err(Error::Invalid(format!(
                "durable: the handle {} is not durable, so nothing of it is ever written: leave durable out, or share it with durable=True",
                handle.name
            )));
        }
        let life = self.writes().lives.entry(handle.context_id).or_default().clone();
        Ok(Watch { handles: self, id: handle.id, name: &handle.name, life })
    }
}

impl Watch<'_> {
    /// Waits at most so long until the version that the change has made is written. It may not be yet.
    ///
    /// # Errors
    /// [`Error::Unwritten`] once it never will be; the database.
    pub async fn until(self, version: i64, within: Duration) -> Result<Durability, Error> {
        let place = self.handles.writes().places.try_acquire();
        let limit = Instant::now() + if place.is_ok() { within } else { Duration::ZERO };
        let lost = |why: String| Err(Error::Unwritten { name: self.name.to_owned(), version, why });
        loop {
            let told = self.handles.writes().told.notified();
            let is_over = self.life.is_cancelled();
            let mut db = self.handles.contexts().pool().acquire().await?;
            let handle = store::load_handle(&mut db, self.id).await?;
            drop(db);
            let Some(handle) = handle else { return lost("it was taken away".to_owned()) };
            let now = Durability::of(&handle, version);
            if now.is_durable && handle.state == State::Ready {
                return Ok(now);
            }
            if is_over || handle.context_ended_at.is_some() || handle.state != State::Ready {
                return lost(handle.reason.unwrap_or_else(|| "its driver has ended".to_owned()));
            }
            let left = limit.saturating_duration_since(Instant::now());
            let stopping = self.handles.contexts().stopping();
            if left.is_zero() || stopping.is_cancelled() {
                return Ok(now);
            }
            tokio::select! {
                () = stopping.cancelled() => {}
                () = told => {}
                () = self.life.cancelled() => {}
                () = tokio::time::sleep(left.min(LOOK)) => {}
            }
        }
    }
}
