//! What this gateway remembers of the contexts it holds: the last lines of their logs, and facts that answers show.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use dashmap::DashMap;

use super::activity::Activity;
use super::clock::{Clock, Deadline};
use crate::id::ContextId;
use crate::time::Span;

/// Lines of log shown with a session (Livy shows ten).
pub const TAIL: usize = 10;

/// Facts of a context that answers show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The cluster's id of the application.
    pub app_id: Option<String>,
    /// Where the Spark UI is.
    pub ui_url: Option<String>,
    /// Why it waits: its place in the line for a launch.
    pub waits: Option<String>,
    /// What the agent said of its own end.
    pub last_words: Option<String>,
}

/// A context held here.
#[derive(Debug, Default)]
pub struct LiveContext {
    facts: ArcSwap<Facts>,
    tail: Mutex<VecDeque<Arc<str>>>,
    /// The time that its clock gives, ms; 0: it stands still, as far as the rows told last.
    idle: AtomicI64,
    /// Last activity in it, ms since 1970.
    active: AtomicI64,
}

impl LiveContext {
    /// Facts that answers show.
    #[must_use]
    pub fn facts(&self) -> Arc<Facts> {
        self.facts.load_full()
    }

    /// Changes facts.
    pub fn learn(&self, change: impl Fn(&mut Facts)) {
        self.facts.rcu(|old| {
            let mut new = Facts::clone(old);
            change(&mut new);
            new
        });
    }

    /// Something happens in it.
    pub fn touch(&self) {
        self.active.fetch_max(crate::time::now().timestamp_millis(), Ordering::Relaxed);
    }

    /// Sets its clock as the rows tell; none: it stands still.
    pub(super) fn set_clock(&self, deadline: Option<&Deadline>) {
        if let Some(deadline) = deadline {
            let since = deadline.at.timestamp_millis() - deadline.time.as_millis();
            self.active.fetch_max(since, Ordering::Relaxed);
        }
        self.idle.store(deadline.map_or(0, |deadline| deadline.time.as_millis()), Ordering::Relaxed);
    }

    /// When its clock strikes if nothing happens.
    #[must_use]
    pub fn deadline(&self) -> Option<Deadline> {
        let idle = u64::try_from(self.idle.load(Ordering::Relaxed)).ok()?;
        let since = chrono::DateTime::from_timestamp_millis(self.active.load(Ordering::Relaxed))?;
        Deadline::of(Clock::ContextIdle, since, Span(Duration::from_millis(idle)))
    }

    /// Adds lines of log.
    pub fn log<'a>(&self, lines: impl Iterator<Item = &'a str>) {
        let mut tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        for line in lines {
            if tail.len() == TAIL {
                tail.pop_front();
            }
            tail.push_back(super::log::shown(line).into());
        }
    }

    /// The last lines of log.
    #[must_use]
    pub fn tail(&self) -> Vec<Arc<str>> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

/// The contexts held here, and when they were in use.
#[derive(Debug, Default)]
pub struct Live(DashMap<ContextId, Arc<LiveContext>>, Activity);

impl Live {
    /// The context, remembered from now on.
    #[must_use]
    pub fn keep(&self, id: ContextId) -> Arc<LiveContext> {
        self.0.entry(id).or_default().clone()
    }

    /// The context, when it is held here.
    #[must_use]
    pub fn get(&self, id: ContextId) -> Option<Arc<LiveContext>> {
        self.0.get(&id).map(|c| c.clone())
    }

    /// Every context that is held.
    #[must_use]
    pub fn all(&self) -> Vec<(ContextId, Arc<LiveContext>)> {
        self.0.iter().map(|c| (*c.key(), c.clone())).collect()
    }

    /// When contexts were in use from outside of their sessions.
    #[must_use]
    pub fn activity(&self) -> &Activity {
        &self.1
    }

    /// Forgets a context.
    pub fn forget(&self, id: ContextId) {
        self.0.remove(&id);
    }

    /// How many are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
