//! The newest statements of the sessions that this gateway answers for, in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use dashmap::DashMap;

use super::Statement;
use crate::id::SessionId;

/// Ended statements kept for each session; older ones are read from the database.
const KEPT: usize = 32;
/// An ended statement with a larger output is not kept, bytes.
const LARGEST: usize = 256 * 1024;

type Shelf = Arc<Mutex<BTreeMap<i32, Arc<Statement>>>>;

/// The newest statements, by session. What is here is at least as new as its row; what is not here is in its row.
#[derive(Debug, Default)]
pub struct Live(DashMap<SessionId, Shelf>);

impl Live {
    /// Begins to keep a session's statements.
    pub fn keep(&self, session: SessionId, unfinished: Vec<Statement>) {
        let shelf = unfinished.into_iter().map(|s| (s.number, Arc::new(s))).collect();
        self.0.insert(session, Arc::new(Mutex::new(shelf)));
    }

    /// Forgets a session's statements.
    pub fn forget(&self, session: SessionId) {
        self.0.remove(&session);
    }

    /// A statement, when it is kept.
    #[must_use]
    pub fn get(&self, session: SessionId, number: i32) -> Option<Arc<Statement>> {
        let shelf = self.shelf(session)?;
        let shelf = shelf.lock().unwrap_or_else(PoisonError::into_inner);
        shelf.get(&number).cloned()
    }

    /// Keeps a new statement.
    pub fn add(&self, statement: Statement) {
        let shelf = self.0.entry(statement.session_id).or_default().clone();
        let mut shelf = shelf.lock().unwrap_or_else(PoisonError::into_inner);
        // What the agent has said of it since the commit is newer.
        shelf.entry(statement.number).or_insert_with(|| Arc::new(statement));
        trim(&mut shelf);
    }

    /// Changes a statement, when it is kept.
    pub fn change(&self, session: SessionId, number: i32, change: impl FnOnce(&mut Statement)) {
        let Some(shelf) = self.shelf(session) else { return };
        let mut shelf = shelf.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(kept) = shelf.get_mut(&number) else { return };
        let mut new = Statement::clone(kept);
        change(&mut new);
        if new.output.as_ref().is_some_and(|o| o.get().len() > LARGEST) {
            shelf.remove(&number);
        } else {
            *kept = Arc::new(new);
        }
    }

    fn shelf(&self, session: SessionId) -> Option<Shelf> {
        self.0.get(&session).map(|s| s.clone())
    }
}

fn trim(shelf: &mut BTreeMap<i32, Arc<Statement>>) {
    while shelf.len() > KEPT {
        let Some(number) = shelf.iter().find(|(_, s)| s.state.is_over()).map(|(n, _)| *n) else { return };
        shelf.remove(&number);
    }
}
