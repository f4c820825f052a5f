//! The newest statements of the sessions that this gateway answers for, in memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use dashmap::DashMap;
use serde_json::value::RawValue;

use super::{Raw, State, Statement};
use crate::id::SessionId;

/// Ended statements kept for each session; older ones are read from the database.
const KEPT: usize = 16;
/// A statement with larger code or a larger output is not kept whole, bytes.
const LARGEST: usize = 64 * 1024;
/// Code and outputs kept for each session, bytes. Of a statement beyond that only the state is kept.
const ALL: usize = 1024 * 1024;

#[derive(Debug)]
struct Kept {
    statement: Arc<Statement>,
    /// Its code is not here, so it is read from its row.
    is_stub: bool,
}

#[derive(Debug, Default)]
struct Shelf(BTreeMap<i32, Kept>);

/// The newest statements, by session. What is here is at least as new as its row; what is not here is in its row.
#[derive(Debug, Default)]
pub struct Live(DashMap<SessionId, Arc<Mutex<Shelf>>>);

impl Live {
    /// Keeps the statements of a session that have not ended, as their rows say, and forgets others that have not. Those that memory
    /// knows to be further stay as they are.
    ///
    /// Here as below `count` is told how many there are that have not ended, one call after the other: what it writes down is what is kept.
    pub fn keep(&self, session: SessionId, unfinished: Vec<Statement>, count: impl FnOnce(usize)) {
        let shelf = self.0.entry(session).or_default().clone();
        let mut shelf = shelf.lock().unwrap_or_else(PoisonError::into_inner);
        let rows: HashMap<i32, State> = unfinished.iter().map(|s| (s.number, s.state)).collect();
        shelf.0.retain(|number, kept| {
            kept.statement.state.is_over() || rows.get(number).is_some_and(|row| *row <= kept.statement.state)
        });
        for statement in unfinished {
            shelf.put(statement);
        }
        count(shelf.unfinished());
    }

    /// Forgets a session's statements.
    pub fn forget(&self, session: SessionId) {
        self.0.remove(&session);
    }

    /// A statement, when it is kept whole.
    #[must_use]
    pub fn get(&self, session: SessionId, number: i32) -> Option<Arc<Statement>> {
        let shelf = self.shelf(session)?;
        let shelf = shelf.lock().unwrap_or_else(PoisonError::into_inner);
        shelf.0.get(&number).filter(|kept| !kept.is_stub).map(|kept| kept.statement.clone())
    }

    /// Keeps a statement; false when it is kept already (what the agent has said of it since the commit is newer).
    pub fn add(&self, statement: Statement, count: impl FnOnce(usize)) -> bool {
        let shelf = self.0.entry(statement.session_id).or_default().clone();
        let mut shelf = shelf.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = shelf.put(statement);
        shelf.trim();
        count(shelf.unfinished());
        is_new
    }

    /// Changes a statement that has not ended, when it is kept.
    pub fn change(&self, session: SessionId, number: i32, change: impl FnOnce(&mut Statement)) {
        let Some(shelf) = self.shelf(session) else { return };
        let mut shelf = shelf.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = shelf.0.get_mut(&number).filter(|kept| !kept.statement.state.is_over()) {
            change(Arc::make_mut(&mut kept.statement));
        }
    }

    /// Ends a statement by a change, when it is kept and has not ended; true when it did.
    pub fn end(
        &self,
        session: SessionId,
        number: i32,
        change: impl FnOnce(&mut Statement),
        count: impl FnOnce(usize),
    ) -> bool {
        let Some(shelf) = self.shelf(session) else { return false };
        let mut shelf = shelf.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(kept) = shelf.0.get_mut(&number).filter(|kept| !kept.statement.state.is_over()) else { return false };
        let new = Arc::make_mut(&mut kept.statement);
        change(new);
        if new.output.as_ref().is_some_and(|o| o.get().len() > LARGEST) {
            shelf.0.remove(&number);
        }
        shelf.trim();
        count(shelf.unfinished());
        true
    }

    /// Forgets a statement that has ended in its row and not here, so that it is read from there; true when it was kept.
    pub fn let_go(&self, session: SessionId, number: i32, count: impl FnOnce(usize)) -> bool {
        let Some(shelf) = self.shelf(session) else { return false };
        let mut shelf = shelf.lock().unwrap_or_else(PoisonError::into_inner);
        let is_behind = shelf.0.get(&number).is_some_and(|kept| !kept.statement.state.is_over());
        if is_behind {
            shelf.0.remove(&number);
            count(shelf.unfinished());
        }
        is_behind
    }

    fn shelf(&self, session: SessionId) -> Option<Arc<Mutex<Shelf>>> {
        self.0.get(&session).map(|s| s.clone())
    }
}

impl Shelf {
    /// Puts a statement there, unless it is there; false when it was.
    fn put(&mut self, mut statement: Statement) -> bool {
        if self.0.contains_key(&statement.number) {
            return false;
        }
        let size = statement.code.get().len();
        let is_stub = size > LARGEST || self.bytes() + size > ALL;
        if is_stub {
            statement.code = Raw::from(RawValue::NULL.to_owned());
        }
        self.0.insert(statement.number, Kept { statement: Arc::new(statement), is_stub });
        true
    }

    /// Drops ended statements, the oldest first, while there are too many or they are too large. A stub that has ended says nothing.
    fn trim(&mut self) {
        self.0.retain(|_, kept| !(kept.is_stub && kept.statement.state.is_over()));
        while self.0.len() > KEPT || self.bytes() > ALL {
            let Some(number) = self.0.iter().find(|(_, k)| k.statement.state.is_over()).map(|(n, _)| *n) else {
                return;
            };
            self.0.remove(&number);
        }
    }

    fn unfinished(&self) -> usize {
        self.0.values().filter(|kept| !kept.statement.state.is_over()).count()
    }

    fn bytes(&self) -> usize {
        let size = |raw: &Raw| raw.get().len();
        self.0.values().map(|k| size(&k.statement.code) + k.statement.output.as_ref().map_or(0, size)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Kind;

    fn statement(session: SessionId, number: i32, state: State, code: usize) -> Statement {
        let text = |length: usize| Raw::from(RawValue::from_string(format!("\"{}\"", "x".repeat(length))).unwrap());
        Statement {
            session_id: session,
            number,
            kind: Kind::Spark,
            code: text(code),
            state,
            progress: 0.0,
            output: None,
            columns: None,
            truncated: None,
            ran_us: None,
            created_at: crate::time::now(),
            started_at: None,
            completed_at: None,
        }
    }

    fn over(s: &mut Statement) {
        s.state = State::Available;
    }

    #[test]
    fn rows_do_not_undo_what_memory_knows() {
        let (live, id) = (Live::default(), SessionId::generate());
        for number in 0..4 {
            live.add(statement(id, number, State::Waiting, 1), drop);
        }
        live.end(id, 0, over, drop);
        live.change(id, 1, |s| s.state = State::Running);
        // Rows read a moment ago: 0 had not ended, 1 had not begun, 3 was not there; 4 came through another gateway.
        let rows = [0, 1, 2, 4].map(|n| statement(id, n, State::Waiting, 1));
        live.keep(id, rows.into(), |unfinished| assert_eq!(unfinished, 3));
        let states: Vec<_> = (0..5).map(|n| live.get(id, n).map(|s| s.state)).collect();
        let [ended, running, waiting] = [State::Available, State::Running, State::Waiting].map(Some);
        assert_eq!(states, [ended, running, waiting, None, waiting]);
        assert!(!live.end(id, 3, over, drop), "what is not kept does not end here");
    }

    #[test]
    fn what_its_row_knows_better_is_let_go() {
        let (live, id) = (Live::default(), SessionId::generate());
        live.add(statement(id, 0, State::Running, 1), drop);
        live.add(statement(id, 1, State::Waiting, 1), drop);
        assert!(live.let_go(id, 0, |unfinished| assert_eq!(unfinished, 1)));
        assert!(live.get(id, 0).is_none(), "its row is read");
        live.end(id, 1, over, drop);
        assert!(!live.let_go(id, 1, drop), "what has ended stays");
        assert!(live.get(id, 1).is_some());
    }

    #[test]
    fn large_code_is_not_kept_but_its_end_is_noticed() {
        let (live, id) = (Live::default(), SessionId::generate());
        assert!(live.add(statement(id, 0, State::Waiting, LARGEST), drop));
        assert!(!live.add(statement(id, 0, State::Waiting, 1), drop), "it is known");
        assert!(live.get(id, 0).is_none(), "its row has the code");
        assert!(live.end(id, 0, over, drop));
        for number in 1..1000 {
            live.add(statement(id, number, State::Waiting, LARGEST / 2), drop);
        }
        let kept = (1..1000).filter(|n| live.get(id, *n).is_some()).count();
        assert_eq!(kept, ALL / (LARGEST / 2 + 2), "the newest beyond the bound are in their rows");
        for number in 1..1000 {
            let left = |unfinished| assert_eq!(unfinished, 999 - usize::try_from(number).unwrap());
            assert!(live.end(id, number, over, left), "{number}");
        }
    }
}
