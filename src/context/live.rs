//! What this gateway remembers of the contexts it holds: the last lines of their logs, and facts that answers show.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use dashmap::DashMap;

use super::activity::Activity;
use crate::id::ContextId;

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
