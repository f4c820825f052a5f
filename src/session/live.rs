//! The sessions that this gateway answers for, in memory: reads of them need no database.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use dashmap::DashMap;
use tokio::sync::{broadcast, watch};

use super::{Session, State, View};
use crate::context::clock::Deadline;
use crate::context::live::LiveContext;
use crate::id::{ContextId, LivyId, SessionId};

/// Events kept for a slow reader before it is told that it missed some.
const EVENTS: usize = 1024;

/// What readers of a session's events are told.
#[derive(Debug, Clone)]
pub enum Event {
    /// The session's state, shown or stored, has changed.
    Session,
    /// A statement's state has changed.
    Statement(i32),
    /// A piece of output.
    Output {
        /// Of which statement.
        statement: i32,
        /// The agent's number of it; rises in a session.
        seq: i64,
        /// `stdout` or `stderr`.
        stream: Arc<str>,
        /// A JSON string literal.
        text: Arc<str>,
    },
    /// Progress of a statement: a JSON object.
    Progress {
        /// Of which statement.
        statement: i32,
        /// Jobs, stages, tasks.
        body: Arc<str>,
    },
    /// A clock will end it soon if nothing happens.
    Ending(Deadline),
}

/// A session that this gateway answers for.
#[derive(Debug)]
pub struct LiveSession {
    row: ArcSwap<Session>,
    context: Arc<LiveContext>,
    /// Statements that have not ended.
    unfinished: AtomicUsize,
    /// Last activity, ms since 1970: code sent or ended.
    active: AtomicI64,
    /// The last activity that is written to its row, ms since 1970.
    written: AtomicI64,
    /// Last call of a client on this session, ms since 1970; 0: none yet.
    called: AtomicI64,
    /// Clients that wait for something of it now.
    attending: AtomicI64,
    /// The deadline of which readers were told last, ms since 1970.
    warned: AtomicI64,
    version: watch::Sender<u64>,
    /// Made with the first reader: its slots would cost every session 64 KiB.
    events: Mutex<Option<broadcast::Sender<Event>>>,
}

impl LiveSession {
    fn new(session: Session, context: Arc<LiveContext>, unfinished: usize) -> Self {
        Self {
            active: AtomicI64::new(session.last_active_at.timestamp_millis()),
            written: AtomicI64::new(session.last_active_at.timestamp_millis()),
            called: AtomicI64::new(0),
            attending: AtomicI64::new(0),
            warned: AtomicI64::new(0),
            row: ArcSwap::from_pointee(session),
            context,
            unfinished: AtomicUsize::new(unfinished),
            version: watch::Sender::new(0),
            events: Mutex::default(),
        }
    }

    /// The row.
    #[must_use]
    pub fn row(&self) -> Arc<Session> {
        self.row.load_full()
    }

    /// The state to show: an idle session with an unfinished statement is busy.
    #[must_use]
    pub fn state(&self) -> State {
        let state = self.row.load().state;
        if state == State::Idle && self.unfinished.load(Ordering::Relaxed) > 0 { State::Busy } else { state }
    }

    /// What doors show.
    #[must_use]
    pub fn view(&self) -> View {
        View {
            session: self.row(),
            state: self.state(),
            facts: self.context.facts(),
            tail: self.context.tail(),
            ends: self.deadline(),
        }
    }

    /// When the nearest of its clocks strikes if nothing happens.
    #[must_use]
    pub fn deadline(&self) -> Option<Deadline> {
        let active = chrono::DateTime::from_timestamp_millis(self.last_active())?;
        self.row.load().deadline(active, self.is_busy(), self.context.deadline())
    }

    /// Tells readers that a clock will end it soon, once for each deadline.
    pub(super) fn warn(&self, deadline: Deadline) {
        let at = deadline.at.timestamp_millis();
        if self.warned.swap(at, Ordering::Relaxed) != at {
            self.tell(Event::Ending(deadline));
        }
    }

    /// Changes the row and tells everybody who waits.
    pub fn change(&self, change: impl Fn(&mut Session)) {
        self.row.rcu(|old| {
            let mut new = Session::clone(old);
            change(&mut new);
            new
        });
        self.tell(Event::Session);
    }

    /// So many statements have not ended.
    pub fn set_unfinished(&self, count: usize) {
        self.unfinished.store(count, Ordering::Relaxed);
    }

    /// A statement was taken or has ended.
    pub fn statement_changed(&self, number: i32) {
        self.touch();
        self.tell(Event::Statement(number));
    }

    /// Tells readers of events, and wakes those who wait for a change.
    pub fn tell(&self, event: Event) {
        if let Some(readers) = &*self.events.lock().unwrap_or_else(PoisonError::into_inner) {
            let _ = readers.send(event);
        }
        self.version.send_modify(|v| *v += 1);
    }

    /// Wakes at every change.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// The session's events from now on.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.get_or_insert_with(|| broadcast::Sender::new(EVENTS)).subscribe()
    }

    /// Code was sent or has ended.
    pub fn touch(&self) {
        self.active.fetch_max(crate::time::now().timestamp_millis(), Ordering::Relaxed);
        self.context.touch();
    }

    /// A client has called.
    pub fn called(&self) {
        self.called.fetch_max(crate::time::now().timestamp_millis(), Ordering::Relaxed);
    }

    /// A client waits for something of this session: it is not silent until the value is dropped.
    #[must_use]
    pub fn attend(self: &Arc<Self>) -> Attendance {
        self.attending.fetch_add(1, Ordering::Relaxed);
        Attendance(self.clone())
    }

    /// Whether a client waits for something of it now.
    #[must_use]
    pub fn is_attended(&self) -> bool {
        self.attending.load(Ordering::Relaxed) > 0
    }

    /// Last activity, ms since 1970.
    #[must_use]
    pub fn last_active(&self) -> i64 {
        self.active.load(Ordering::Relaxed)
    }

    /// Last activity, ms since 1970, when that is not written yet.
    pub(super) fn unwritten(&self) -> Option<i64> {
        Some(self.last_active()).filter(|active| *active > self.written.load(Ordering::Relaxed))
    }

    /// Last activity up to this moment is written.
    pub(super) fn has_written(&self, active: i64) {
        self.written.fetch_max(active, Ordering::Relaxed);
    }

    /// Last call of a client, ms since 1970; 0: none yet.
    #[must_use]
    pub fn last_called(&self) -> i64 {
        self.called.load(Ordering::Relaxed)
    }

    /// Whether a statement has not ended.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.unfinished.load(Ordering::Relaxed) > 0
    }
}

/// A client that waits for something of a session.
#[derive(Debug)]
pub struct Attendance(Arc<LiveSession>);

impl Drop for Attendance {
    fn drop(&mut self) {
        self.0.attending.fetch_sub(1, Ordering::Relaxed);
        self.0.called();
    }
}

/// The sessions that this gateway answers for.
#[derive(Debug, Default)]
pub struct Live {
    by_id: DashMap<SessionId, Arc<LiveSession>>,
    by_livy_id: DashMap<LivyId, SessionId>,
}

impl Live {
    /// Answers for a session from now on, with so many `unfinished` statements. One that is known already keeps its waiters and its count.
    pub fn keep(&self, session: Session, context: Arc<LiveContext>, unfinished: usize) -> Arc<LiveSession> {
        let (id, livy_id) = (session.id, session.livy_id);
        let live = self
            .by_id
            .entry(id)
            .and_modify(|live| live.row.store(Arc::new(session.clone())))
            .or_insert_with(|| Arc::new(LiveSession::new(session, context, unfinished)))
            .clone();
        self.by_livy_id.insert(livy_id, id);
        live
    }

    /// Answers for a new session from now on, unless it does already: what is known then is newer.
    pub fn keep_new(&self, session: Session, context: Arc<LiveContext>) {
        let (id, livy_id) = (session.id, session.livy_id);
        context.touch();
        self.by_id.entry(id).or_insert_with(|| Arc::new(LiveSession::new(session, context, 0)));
        self.by_livy_id.insert(livy_id, id);
    }

    /// A session, when this gateway answers for it.
    #[must_use]
    pub fn get(&self, id: SessionId) -> Option<Arc<LiveSession>> {
        self.by_id.get(&id).map(|s| s.clone())
    }

    /// A session by Livy's id, when this gateway answers for it.
    #[must_use]
    pub fn get_by_livy_id(&self, id: LivyId) -> Option<Arc<LiveSession>> {
        let id = *self.by_livy_id.get(&id)?;
        self.get(id)
    }

    /// Forgets a session, and tells those who wait for it.
    pub fn forget(&self, id: SessionId) {
        if let Some((_, live)) = self.by_id.remove(&id) {
            self.by_livy_id.remove(&live.row().livy_id);
            live.context.touch();
            live.tell(Event::Session);
        }
    }

    /// The sessions of a context.
    #[must_use]
    pub fn of(&self, context: ContextId) -> Vec<Arc<LiveSession>> {
        self.by_id.iter().filter(|s| s.row.load().context_id == context).map(|s| s.clone()).collect()
    }

    /// Every session.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<LiveSession>> {
        self.by_id.iter().map(|s| s.clone()).collect()
    }

    /// State and kind of each.
    #[must_use]
    pub fn census(&self) -> Vec<(&'static str, &'static str)> {
        self.by_id.iter().map(|s| (s.state().as_str(), s.row.load().kind.as_str())).collect()
    }
}
