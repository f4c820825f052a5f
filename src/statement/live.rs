//! The newest statements of the sessions that this gateway answers for, in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use dashmap::DashMap;

use super::Statement;
use crate::id::SessionId;

/// Ended statements kept for each session; older ones are read from the database.
const KEPT: usize = 16;
/// An ended statement with a larger output is not kept, bytes.
const LARGEST: usize = 64 * 1024;

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

    /// Keeps a statement; false when it is kept already (what the agent has said of it since the commit is newer).
    pub fn add(&self, statement: Statement) -> bool {
        let shelf = self.0.entry(statement.session_id).or_default().clone();
        let mut shelf = shelf.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = !shelf.contains_key(&statement.number);
        shelf.entry(statement.number).or_insert_with(|| Arc::new(statement));
        trim(&mut shelf);
        is_new
    }

    /// Changes a statement, when it is kept; true when that ended it.
    pub fn change(&self, session: SessionId, number: i32, change: impl FnOnce(&mut Statement)) -> bool {
        let Some(shelf) = self.shelf(session) else { return false };
        let mut shelf = shelf.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(kept) = shelf.get_mut(&number) else { return false };
        let mut new = Statement::clone(kept);
        change(&mut new);
        let ended = new.state.is_over() && !kept.state.is_over();
        if new.output.as_ref().is_some_and(|o| o.get().len() > LARGEST) {
            shelf.remove(&number);
        } else {
            *kept = Arc::new(new);
        }
        ended
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
