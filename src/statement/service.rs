//! Use cases of statements: find, list, wait, cancel, read output as it comes.

use std::sync::Arc;
use std::time::Duration;

use sqlx::Connection;
use tokio::time::Instant;

use super::live::Live;
use super::{Chunk, Error, State, Statement, store};
use crate::access::{self, Allowed, Attach};
use crate::audit;
use crate::context::{self, driver::Signal};
use crate::id::{ContextId, SessionId};
use crate::life::Life;
use crate::session::live::Event;
use crate::session::{self, View};
use crate::store::{Page, Range};
use crate::telemetry::metrics::Metrics;

/// How often a wait looks at the row of a statement whose session another gateway answers for.
const LOOK: Duration = Duration::from_millis(200);

/// A page of statements ends with the one that reaches this many bytes of code and results.
pub const LARGEST_PAGE: i64 = 16 * 1024 * 1024;

/// Use cases of statements. Cheap to clone.
#[derive(Clone)]
pub struct Service {
    sessions: session::service::Service,
    live: Arc<Live>,
    metrics: Arc<Metrics>,
    life: Life,
}

impl Service {
    /// Statements of these sessions.
    #[must_use]
    pub fn new(sessions: session::service::Service, metrics: Arc<Metrics>, life: Life) -> Self {
        Self { sessions, live: Arc::default(), metrics, life }
    }

    /// Where statements are counted.
    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The gateway's life.
    pub(super) fn life(&self) -> &Life {
        &self.life
    }

    /// The sessions.
    #[must_use]
    pub fn sessions(&self) -> &session::service::Service {
        &self.sessions
    }

    /// The statements in memory.
    #[must_use]
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// One statement.
    ///
    /// # Errors
    /// Not found, the database.
    pub async fn get(&self, session: &Allowed<access::View, View>, number: i32) -> Result<Arc<Statement>, Error> {
        self.sessions.contexts().access().note_read(session).await?;
        self.load(session.session.id, number).await?.ok_or(Error::NotFound(number))
    }

    pub(super) async fn load(&self, session: SessionId, number: i32) -> Result<Option<Arc<Statement>>, Error> {
        if let Some(kept) = self.live.get(session, number) {
            return Ok(Some(kept));
        }
        let mut db = self.sessions.contexts().pool().acquire().await?;
        Ok(store::load_statement(&mut db, session, number).await?.map(Arc::new))
    }

    /// Statements of a session by number, or newest first. Fewer than the range allows when they are large: at least one, and no more once
    /// they have [`LARGEST_PAGE`] bytes together; the page's total tells that there are more.
    ///
    /// # Errors
    /// The database's.
    pub async fn list(
        &self,
        session: &Allowed<access::View, View>,
        range: Range,
        newest_first: bool,
    ) -> Result<Page<Arc<Statement>>, Error> {
        self.sessions.contexts().access().note_read(session).await?;
        let mut db = self.sessions.contexts().pool().acquire().await?;
        let page = store::list_statements(&mut db, session.session.id, range, newest_first, LARGEST_PAGE).await?;
        // Memory may know of progress that is not yet written.
        let fresh = |s: Statement| self.live.get(s.session_id, s.number).unwrap_or_else(|| Arc::new(s));
        Ok(Page { rows: page.rows.into_iter().map(fresh).collect(), total: page.total })
    }

    /// Waits until a statement has ended, the time is over, or the gateway stops; gives it either way.
    ///
    /// # Errors
    /// Not found, the database.
    pub async fn wait(&self, session: SessionId, number: i32, limit: Duration) -> Result<Arc<Statement>, Error> {
        let (until, stopping) = (Instant::now() + limit, self.life.stopping());
        loop {
            let live = self.sessions.live().get(session);
            // Whoever waits is there, so the clock of the heartbeat stands still.
            let _attending = live.as_ref().map(|l| l.attend());
            let mut changes = live.as_ref().map(|l| l.changes());
            let statement = self.load(session, number).await?.ok_or(Error::NotFound(number))?;
            if statement.state.is_over() || Instant::now() >= until || stopping.is_cancelled() {
                return Ok(statement);
            }
            let pause = if changes.is_some() { until } else { until.min(Instant::now() + LOOK) };
            let change = async {
                match &mut changes {
                    Some(c) => drop(c.changed().await),
                    None => std::future::pending().await,
                }
            };
            let _ = stopping.run_until_cancelled(tokio::time::timeout_at(pause, change)).await;
        }
    }

    /// Asks for the end of a statement. One that has ended, or never was, is left as it is (Livy answers the same for each).
    ///
    /// # Errors
    /// The database's.
    pub async fn cancel(&self, session: &Allowed<Attach, View>, number: i32) -> Result<(), Error> {
        let (this, context, id) = (self.clone(), session.session.context_id, session.session.id);
        let entry = session.entry(audit::Event::StatementCancelled).with(format!("statement {number}"));
        let mut db = self.sessions.contexts().pool().acquire().await?;
        self.sessions.contexts().access().audit().record(&mut db, entry).await?;
        drop(db);
        let asked = self.life.complete("cancel", async move { this.ask_to_end(context, id, number).await });
        asked.await.ok_or(Error::Inconsistent(number))?
    }

    async fn ask_to_end(&self, context: ContextId, session: SessionId, number: i32) -> Result<(), Error> {
        let mut db = self.sessions.contexts().pool().acquire().await?;
        let Some(started) = store::mark_cancelling(&mut db, session, number).await? else { return Ok(()) };
        if !started && context::application::was_never_linked(&mut db, context).await? {
            let mut tx = db.begin().await?;
            // Whoever takes the context over waits for this, or has done so already and is seen below.
            let lives = context::store::lock_context(&mut tx, context).await?.is_some();
            if lives && context::application::was_never_linked(&mut tx, context).await? {
                // No agent can have it: it ends here. A link that opens now finds its row ended.
                let ended = self.end_unsent(&mut tx, context, session, number).await?;
                tx.commit().await?;
                for effect in ended {
                    effect();
                }
                return Ok(());
            }
        }
        self.sessions.contexts().signal(context, Signal::Look);
        self.live.change(session, number, |s| s.state = State::Cancelling);
        if let Some(live) = self.sessions.live().get(session) {
            live.tell(Event::Statement(number));
        }
        Ok(())
    }

    /// The number of the last piece of output before the first statement that has not ended; 0: there is none.
    ///
    /// # Errors
    /// The database's.
    pub async fn last_output_of_ended(&self, session: &Allowed<access::View, View>) -> Result<i64, Error> {
        let mut db = self.sessions.contexts().pool().acquire().await?;
        Ok(store::last_seq_of_ended(&mut db, session.session.id).await?)
    }

    /// Output of a session's statements as it came, after a piece.
    ///
    /// # Errors
    /// The database's.
    pub async fn session_chunks(
        &self,
        session: &Allowed<access::View, View>,
        after: i64,
        limit: i64,
    ) -> Result<Vec<Chunk>, Error> {
        self.sessions.contexts().access().note_read(session).await?;
        let mut db = self.sessions.contexts().pool().acquire().await?;
        store::session_chunks_after(&mut db, session.session.id, after, limit).await
    }

    /// Output of a statement as it came, after a piece.
    ///
    /// # Errors
    /// The database's.
    pub async fn chunks(
        &self,
        session: &Allowed<access::View, View>,
        number: i32,
        after: i64,
        limit: i64,
    ) -> Result<Vec<Chunk>, Error> {
        self.sessions.contexts().access().note_read(session).await?;
        let mut db = self.sessions.contexts().pool().acquire().await?;
        store::chunks_after(&mut db, session.session.id, number, after, limit).await
    }
}
