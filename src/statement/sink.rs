//! What agents say of sessions and statements, written to the rows and shown to those who wait.
//!
//! Messages are untrusted: user code shares the agent's process. Each is bound to its context in SQL, so that a message can only touch
//! sessions and statements of the context whose token opened the link; what makes no sense is logged and passed over.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::value::RawValue;
use sqlx::{Connection, PgConnection, PgPool};
use tracing::{debug, warn};

use super::said::moment;
use super::service::Service;
use super::store;
use super::{State, Statement};
use crate::context::driver::wire::{self, Envelope, Outgoing};
use crate::context::driver::{AHEAD, AfterCommit, AtOnce, FirstSession, Hold, Owed, Sink, Untaken};
use crate::context::{self, Ending};
use crate::id::{ContextId, GatewayId, SessionId};
use crate::session;
use crate::session::live::Event;

/// Bytes of code of one session that are sent ahead: the next statement, and more while they fit.
const AHEAD_BYTES: i64 = 1024 * 1024;

/// In what an agent says of a statement that has ended: the moment in which it began, in ms; 0: it did not.
const STARTED: &str = "\"started\":";
const NEVER_STARTED: &str = "\"started\":0";

type Sql<T> = Result<T, sqlx::Error>;

impl Sink for Service {
    fn owed<'a>(
        &'a self,
        db: &'a mut PgConnection,
        context: ContextId,
        sent: &'a HashMap<SessionId, i32>,
    ) -> BoxFuture<'a, Sql<Vec<Owed>>> {
        async move {
            let mut owed = Vec::new();
            let living = session::store::living_in(db, context).await.map_err(|e| e.into_sqlx())?;
            if living.iter().any(|row| self.sessions().live().get(row.id).is_none()) {
                // Made through another gateway, or just ended: the rows tell under their locks.
                let mut tx = db.begin().await?;
                if context::store::lock_context(&mut tx, context).await?.is_some() {
                    self.adopt(&mut tx, context).await?;
                }
                tx.commit().await?;
            }
            for row in living {
                let opens = row.state.takes_statements();
                let after = sent.get(&row.id).copied().unwrap_or(-1);
                let pending = store::waiting_after(db, row.id, after, i64::from(AHEAD), AHEAD_BYTES).await;
                let pending = pending.map_err(|e| e.into_sqlx())?;
                for statement in &pending {
                    self.remember(statement);
                }
                let statements = pending.iter().map(run_message).collect();
                let cancels = store::cancelling_in(db, row.id).await?;
                owed.push(Owed {
                    session: row.id,
                    message: self.session_message(&row, opens),
                    opens,
                    statements,
                    cancels,
                });
            }
            Ok(owed)
        }
        .boxed()
    }

    fn hint(&self, context: ContextId, envelope: &Envelope) {
        let (Some(session), Some(number)) = (envelope.session, envelope.statement) else { return };
        let Ok(session) = self.session_of(context, session) else { return };
        match envelope.kind.as_str() {
            "progress" => {
                let Ok(body) = envelope.body::<wire::Progress>() else { return };
                let raw: Arc<str> = envelope.body.as_deref().map_or("{}", RawValue::get).into();
                self.live().change(session, number, |s| s.progress = body.progress.clamp(0.0, 1.0));
                self.tell(session, Event::Progress { statement: number, body: raw });
            }
            "statement_started" => {
                let Ok(body) = envelope.body::<wire::StatementStarted>() else { return };
                self.live().change(session, number, |s| {
                    if s.state == State::Waiting {
                        s.state = State::Running;
                    }
                    s.started_at = moment(body.at);
                });
                self.tell(session, Event::Statement(number));
            }
            _ => {}
        }
    }

    fn apply<'a>(
        &'a self,
        db: &'a mut PgConnection,
        context: ContextId,
        batch: &'a [Envelope],
    ) -> BoxFuture<'a, Sql<AfterCommit>> {
        async move {
            let mut after = AfterCommit::new();
            for (place, envelope) in batch.iter().enumerate() {
                // Of several reports of progress in one batch the last one is enough.
                let newer = |later: &Envelope| later.kind == "progress" && tells_of(later, envelope);
                // What has ended within the batch tells when it began.
                let ends = |later: &Envelope| tells_of(later, envelope) && is_end_of_run(later);
                let rest = || batch.iter().skip(place + 1);
                if (envelope.kind == "progress" && rest().any(newer))
                    || (envelope.kind == "statement_started" && rest().any(ends))
                {
                    continue;
                }
                match self.apply_one(db, context, envelope, &mut after).await {
                    Ok(()) => {}
                    Err(Untaken::Sql(e)) => return Err(e),
                    // Told to close, it says that it has closed when its row is over.
                    Err(Untaken::Nonsense(why)) if envelope.kind == "session_state" => {
                        debug!(context.id = %context, why, "A session's state is passed over");
                    }
                    Err(Untaken::Nonsense(why)) => {
                        warn!(context.id = %context, kind = envelope.kind, why, "An agent's message is passed over");
                    }
                }
            }
            Ok(after)
        }
        .boxed()
    }

    fn apply_at_once<'a>(&'a self, pool: &'a PgPool, hold: Hold, batch: &'a [Envelope]) -> BoxFuture<'a, Sql<AtOnce>> {
        async move {
            match only_end(batch) {
                Some(envelope) => self.end_at_once(pool, hold, envelope).await,
                None => Ok(AtOnce::NotSo),
            }
        }
        .boxed()
    }

    fn refuse<'a>(
        &'a self,
        db: &'a mut PgConnection,
        context: ContextId,
        envelope: &'a Envelope,
        reason: &'a str,
    ) -> BoxFuture<'a, Sql<AfterCommit>> {
        async move {
            let (Some(session), Some(number)) = (envelope.session, envelope.statement) else { return Ok(Vec::new()) };
            if envelope.kind != "statement_done" {
                return Ok(Vec::new());
            }
            let evalue = format!("The result could not be stored: {reason}");
            self.end_with_error(db, context, session, number, "ResultRefused", &evalue).await
        }
        .boxed()
    }

    fn cancel_unsent<'a>(
        &'a self,
        db: &'a mut PgConnection,
        session: SessionId,
        number: i32,
    ) -> BoxFuture<'a, Sql<AfterCommit>> {
        async move {
            let row = session::store::load_session(db, session).await.map_err(|e| e.into_sqlx())?;
            match row {
                Some(row) => self.end_unsent(db, row.context_id, session, number).await,
                None => Ok(Vec::new()),
            }
        }
        .boxed()
    }

    fn owing<'a>(&'a self, db: &'a mut PgConnection, me: GatewayId) -> BoxFuture<'a, Sql<Vec<ContextId>>> {
        store::owing(db, me).boxed()
    }

    fn adopt<'a>(&'a self, db: &'a mut PgConnection, context: ContextId) -> BoxFuture<'a, Sql<()>> {
        async move {
            let live = self.sessions().contexts().live().keep(context);
            if let Some(c) = context::store::load_context(db, context).await.map_err(|e| e.into_sqlx())?
                && let Some(a) = c.application
            {
                if live.tail().is_empty() {
                    let wanted = context::log::Wanted { from: None, size: Some(context::live::TAIL as i64) };
                    let page = context::log::read(db, a.id.0, wanted).await?;
                    live.log(page.lines.iter().map(String::as_str));
                }
                live.learn(|f| {
                    f.app_id.clone_from(&a.cluster_id);
                    f.ui_url.clone_from(&a.ui_url);
                    f.waits = None;
                });
            }
            // A submit that holds a session's row is waited for: from here on none comes between the rows and the memory of them.
            session::store::lock_living(db, context).await?;
            let unfinished = store::unfinished_in(db, context).await.map_err(|e| e.into_sqlx())?;
            for row in session::store::living_in(db, context).await.map_err(|e| e.into_sqlx())? {
                let mine: Vec<_> = unfinished.iter().filter(|s| s.session_id == row.id).cloned().collect();
                let session = self.sessions().live().keep(row, live.clone(), mine.len());
                self.live().keep(session.row().id, mine, |unfinished| session.set_unfinished(unfinished));
            }
            Ok(())
        }
        .boxed()
    }

    fn first_session<'a>(&'a self, db: &'a mut PgConnection, context: ContextId) -> BoxFuture<'a, Sql<FirstSession>> {
        async move {
            let (kind, name) = session::store::first_of(db, context).await?.unzip();
            Ok(FirstSession { kind: kind.filter(|k| k != session::Kind::Shared.as_str()), name: name.flatten() })
        }
        .boxed()
    }

    fn context_ended<'a>(
        &'a self,
        db: &'a mut PgConnection,
        context: ContextId,
        ending: &'a Ending,
    ) -> BoxFuture<'a, Sql<AfterCommit>> {
        async move {
            let (ending, mut after) = (ending.of_context(), AfterCommit::new());
            for row in session::store::living_in(db, context).await.map_err(|e| e.into_sqlx())? {
                after.append(&mut self.end_session(db, context, row.id, &ending).await?);
            }
            Ok(after)
        }
        .boxed()
    }
}

/// Whether both speak of one statement.
fn tells_of(one: &Envelope, other: &Envelope) -> bool {
    one.session == other.session && one.statement == other.statement
}

/// Whether it is the end of a statement, and tells when that began.
fn is_end_of_run(envelope: &Envelope) -> bool {
    let says = |text: &str| envelope.body.as_deref().is_some_and(|body| body.get().contains(text));
    envelope.kind == "statement_done" && says(STARTED) && !says(NEVER_STARTED)
}

/// The end of a statement, when a batch says nothing else, or only what the end says too.
fn only_end(batch: &[Envelope]) -> Option<&Envelope> {
    let (end, before) = batch.split_last().filter(|(end, _)| is_end_of_run(end))?;
    let is_told = |e: &Envelope| matches!(e.kind.as_str(), "statement_started" | "progress") && tells_of(e, end);
    before.iter().all(is_told).then_some(end)
}

impl Service {
    fn session_message(&self, row: &session::Session, opens: bool) -> Outgoing {
        if !opens {
            return Outgoing::new("close_session", &serde_json::json!({})).on(row.id);
        }
        let limits = self.sessions().limits();
        let body = wire::OpenSession {
            number: row.number,
            kind: row.kind.warm(),
            livy_id: row.livy_id,
            name: row.name.as_deref(),
            owner: &row.owner,
            max_rows: limits.max_rows,
            max_output: limits.max_output,
        };
        Outgoing::new("open_session", &body).on(row.id)
    }

    /// Keeps a statement in memory and tells that it is there, unless it is kept already.
    pub(super) fn remember(&self, statement: &Statement) {
        if let Some(live) = self.sessions().live().get(statement.session_id)
            && self.live().add(statement.clone(), |unfinished| live.set_unfinished(unfinished))
        {
            live.statement_changed(statement.number);
        }
    }

    fn tell(&self, session: SessionId, event: Event) {
        if let Some(live) = self.sessions().live().get(session) {
            live.tell(event);
        }
    }
}

/// The message that runs a statement.
pub(super) fn run_message(s: &Statement) -> (i32, Outgoing) {
    let run = wire::Run { kind: s.kind.as_str(), code: &s.code };
    (s.number, Outgoing::new("run", &run).on(s.session_id).at(s.number))
}
