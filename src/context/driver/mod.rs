//! The gateway's end of the links: what agents dial, and how the rest of Hearth speaks to them.
//!
//! This module carries envelopes; it knows applications and epochs, not sessions. Who understands the envelopes is the
//! [`Sink`] that the gateway connects. What is owed to an agent stands in rows: a signal here only says *look again*, or, for
//! the statement that comes next, saves the look.

mod commit;
mod door;
mod link;
pub mod wire;

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use futures_util::future::BoxFuture;
use sqlx::{PgConnection, PgPool};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::Ending;
use crate::id::{ApplicationId, ContextId, GatewayId, SessionId};
use wire::{Envelope, Outgoing};

pub use door::{Credentials, Door, Rejected};

/// Statements of one session that are sent ahead of the one that runs.
pub const AHEAD: i32 = 16;

/// Something to do once a transaction has committed.
pub type Effect = Box<dyn FnOnce() + Send>;

/// What to do once a transaction has committed.
pub type AfterCommit = Vec<Effect>;

/// What an agent is owed for one session, as the rows say.
#[derive(Debug)]
pub struct Owed {
    /// The session.
    pub session: SessionId,
    /// `open_session`, or `close_session` for one that is to end.
    pub message: Outgoing,
    /// Whether `message` opens it.
    pub opens: bool,
    /// Waiting statements in order, at most [`AHEAD`] after the last one sent.
    pub statements: Vec<(i32, Outgoing)>,
    /// Statements to cancel.
    pub cancels: Vec<i32>,
}

/// Why a message was not taken.
#[derive(Debug)]
pub enum Untaken {
    /// It makes no sense, or speaks of what is not the context's.
    Nonsense(String),
    /// The database.
    Sql(sqlx::Error),
}

impl From<sqlx::Error> for Untaken {
    fn from(e: sqlx::Error) -> Self {
        Self::Sql(e)
    }
}

impl From<serde_json::Error> for Untaken {
    fn from(e: serde_json::Error) -> Self {
        Self::Nonsense(e.to_string())
    }
}

/// What an agent says for people, fit to be stored: the database takes no NUL in a text.
#[must_use]
pub fn told(text: &str, longest: usize) -> String {
    text.chars().filter(|c| *c != '\0').take(longest).collect()
}

/// What a link holds while it writes: the context at its epoch, and that the application's messages up to `seq` are taken.
#[derive(Debug, Clone, Copy)]
pub struct Hold {
    /// The context.
    pub context: ContextId,
    /// The link's epoch.
    pub epoch: i64,
    /// Whose messages.
    pub application: ApplicationId,
    /// The number of the last one.
    pub seq: i64,
}

/// What the first session of a context says of the driver to be started.
#[derive(Debug, Default)]
pub struct FirstSession {
    /// The interpreter to be started beside Spark.
    pub kind: Option<String>,
    /// The session's name.
    pub name: Option<String>,
}

/// What came of a write in one way to the database and back.
pub enum AtOnce {
    /// Nothing: it takes a transaction.
    NotSo,
    /// Nothing: another gateway has the context.
    Fenced,
    /// It is committed.
    Written(AfterCommit),
}

/// Who understands the envelopes.
pub trait Sink: Send + Sync + 'static {
    /// What the rows owe the agent of this context; `sent` tells the last statement number sent, by session.
    fn owed<'a>(
        &'a self,
        db: &'a mut PgConnection,
        context: ContextId,
        sent: &'a std::collections::HashMap<SessionId, i32>,
    ) -> BoxFuture<'a, Result<Vec<Owed>, sqlx::Error>>;

    /// What an agent is told before anything else on a new connection, asked once for each. `is_new`: it knows no session yet, so no code has run in it.
    fn greeting<'a>(
        &'a self,
        _db: &'a mut PgConnection,
        _context: ContextId,
        _is_new: bool,
    ) -> BoxFuture<'a, Result<Vec<Outgoing>, sqlx::Error>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    /// Sees an envelope as it arrives, before it is committed: for what may be shown early (progress).
    fn hint(&self, context: ContextId, envelope: &Envelope);

    /// Writes what the envelopes say. They are untrusted: each must name a session of this context.
    fn apply<'a>(
        &'a self,
        db: &'a mut PgConnection,
        context: ContextId,
        batch: &'a [Envelope],
    ) -> BoxFuture<'a, Result<AfterCommit, sqlx::Error>>;

    /// As [`Sink::apply`], with the hold of the link, in one way to the database and back, where what the envelopes say is that simple.
    fn apply_at_once<'a>(
        &'a self,
        pool: &'a PgPool,
        hold: Hold,
        batch: &'a [Envelope],
    ) -> BoxFuture<'a, Result<AtOnce, sqlx::Error>>;

    /// The database refuses this envelope for good: its statement ends with a clear error.
    fn refuse<'a>(
        &'a self,
        db: &'a mut PgConnection,
        context: ContextId,
        envelope: &'a Envelope,
        reason: &'a str,
    ) -> BoxFuture<'a, Result<AfterCommit, sqlx::Error>>;

    /// A statement that was cancelled before it was sent: it ends without having run.
    fn cancel_unsent<'a>(
        &'a self,
        db: &'a mut PgConnection,
        session: SessionId,
        number: i32,
    ) -> BoxFuture<'a, Result<AfterCommit, sqlx::Error>>;

    /// Which contexts held by this gateway have something owed to their agents that a signal may have failed to tell.
    fn owing<'a>(
        &'a self,
        db: &'a mut PgConnection,
        me: GatewayId,
    ) -> BoxFuture<'a, Result<Vec<ContextId>, sqlx::Error>>;

    /// Remembers what the context holds, because this gateway answers for it from now on. The caller's transaction holds the row of the
    /// context (not merely shared), so that nothing an agent says comes between the rows and the memory of them.
    fn adopt<'a>(&'a self, db: &'a mut PgConnection, context: ContextId) -> BoxFuture<'a, Result<(), sqlx::Error>>;

    /// What the context's first session says of its driver.
    fn first_session<'a>(
        &'a self,
        db: &'a mut PgConnection,
        context: ContextId,
    ) -> BoxFuture<'a, Result<FirstSession, sqlx::Error>>;

    /// The context, or this application of it, has ended like this: its sessions and statements end with it.
    fn context_ended<'a>(
        &'a self,
        db: &'a mut PgConnection,
        context: ContextId,
        ending: &'a Ending,
    ) -> BoxFuture<'a, Result<AfterCommit, sqlx::Error>>;
}

/// What a link is told.
#[derive(Debug)]
pub enum Signal {
    /// A statement is committed; send it if it is the next one, else look at the rows.
    Run {
        /// Its session.
        session: SessionId,
        /// Its number.
        number: i32,
        /// The `run` message.
        message: Outgoing,
    },
    /// Look at the rows: something is owed.
    Look,
    /// Send this; it is owed by no row.
    Send(Outgoing),
}

#[derive(Debug, Clone)]
struct Link {
    epoch: i64,
    signals: mpsc::Sender<Signal>,
    /// Asks for a look at the rows when there is no room for a signal.
    look: Arc<Notify>,
    closed: CancellationToken,
    /// Cancelled once nothing more is heard, and all that was is committed or will not be.
    drained: CancellationToken,
}

impl Link {
    fn tell(&self, signal: Signal) -> bool {
        match self.signals.try_send(signal) {
            Ok(()) => true,
            Err(TrySendError::Closed(_) | TrySendError::Full(Signal::Send(_))) => false,
            Err(TrySendError::Full(Signal::Run { .. } | Signal::Look)) => {
                self.look.notify_one();
                true
            }
        }
    }
}

/// The links that this gateway holds.
#[derive(Debug, Clone, Default)]
pub struct Links(Arc<DashMap<ContextId, Link>>);

impl Links {
    /// Whether the context's agent is connected here.
    #[must_use]
    pub fn is_here(&self, context: ContextId) -> bool {
        self.0.contains_key(&context)
    }

    /// How many agents are connected here.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no agent is connected here.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Tells the context's link something; false when it is not here, or too busy for what no row owes. For the rest a busy link looks
    /// at the rows.
    pub fn tell(&self, context: ContextId, signal: Signal) -> bool {
        let Some(link) = self.0.get(&context).map(|l| l.clone()) else { return false };
        link.tell(signal)
    }

    /// Tells one link, or all, to look at the rows.
    pub fn look(&self, context: Option<ContextId>) {
        match context {
            Some(context) => drop(self.tell(context, Signal::Look)),
            None => self.0.iter().for_each(|link| _ = link.tell(Signal::Look)),
        }
    }

    fn enter(&self, context: ContextId, link: Link) {
        if let Some(old) = self.0.insert(context, link) {
            old.closed.cancel();
        }
    }

    fn leave(&self, context: ContextId, epoch: i64) {
        self.0.remove_if(&context, |_, link| link.epoch == epoch);
    }

    /// Waits until all that the context's agent has said is committed: its program has ended, so the link has too, or will soon. Not
    /// longer than `limit`.
    pub async fn drained(&self, context: ContextId, limit: Duration) {
        let Some(link) = self.0.get(&context).map(|l| l.clone()) else { return };
        let _ = tokio::time::timeout(limit, link.drained.cancelled()).await;
    }

    /// Closes the context's link, if it is here.
    pub fn close(&self, context: ContextId) {
        if let Some((_, link)) = self.0.remove(&context) {
            link.closed.cancel();
        }
    }
}

pub(in crate::context) use commit::run as run_effects;
