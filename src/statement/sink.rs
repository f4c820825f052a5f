//! What agents say of sessions and statements, written to the rows and shown to those who wait.
//!
//! Messages are untrusted: user code shares the agent's process. Each is bound to its context in SQL, so that a message can only touch
//! sessions and statements of the context whose token opened the link; what makes no sense is logged and passed over.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::value::RawValue;
use sqlx::PgConnection;
use tracing::warn;

use super::service::Service;
use super::store::{self, End};
use super::{Raw, State, Statement};
use crate::context;
use crate::context::driver::wire::{self, Envelope, Outgoing};
use crate::context::driver::{AHEAD, AfterCommit, Owed, Sink};
use crate::id::{ContextId, SessionId};
use crate::session;
use crate::session::live::Event;
use crate::time::Timestamp;

/// An agent bounds the output of a statement; one that does not is cut here, at so many times the bound (escapes make text longer).
const SLACK: i64 = 8;

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
            let live = self.sessions().contexts().live().keep(context);
            for row in session::store::living_in(db, context).await.map_err(|e| e.into_sqlx())? {
                if self.sessions().live().get(row.id).is_none() {
                    // Made through another gateway.
                    self.sessions().live().keep(row.clone(), live.clone(), 0);
                }
                let opens = row.state.takes_statements();
                let after = sent.get(&row.id).copied().unwrap_or(-1);
                let pending =
                    store::waiting_after(db, row.id, after, i64::from(AHEAD)).await.map_err(|e| e.into_sqlx())?;
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
                let newer = |later: &Envelope| {
                    later.kind == "progress"
                        && later.session == envelope.session
                        && later.statement == envelope.statement
                };
                if envelope.kind == "progress" && batch.iter().skip(place + 1).any(newer) {
                    continue;
                }
                match self.apply_one(db, context, envelope, &mut after).await {
                    Ok(()) => {}
                    Err(Untaken::Sql(e)) => return Err(e),
                    Err(Untaken::Nonsense(why)) => {
                        warn!(context.id = %context, kind = envelope.kind, why, "An agent's message is passed over");
                    }
                }
            }
            Ok(after)
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
            let unfinished = store::unfinished_in(db, context).await.map_err(|e| e.into_sqlx())?;
            for row in session::store::living_in(db, context).await.map_err(|e| e.into_sqlx())? {
                let mine: Vec<_> = unfinished.iter().filter(|s| s.session_id == row.id).cloned().collect();
                let count = i64::try_from(mine.len()).unwrap_or(0);
                self.live().keep(row.id, mine);
                self.sessions().live().keep(row, live.clone(), count);
            }
            Ok(())
        }
        .boxed()
    }

    fn warm<'a>(&'a self, db: &'a mut PgConnection, context: ContextId) -> BoxFuture<'a, Sql<Option<String>>> {
        async move {
            let kind = session::store::first_kind(db, context).await?;
            Ok(kind.filter(|k| k != session::Kind::Shared.as_str()))
        }
        .boxed()
    }

    fn leave(&self, context: ContextId) {
        for session in self.sessions().live().of(context) {
            self.live().forget(session.row().id);
            self.sessions().live().forget(session.row().id);
        }
        self.sessions().contexts().live().forget(context);
    }

    fn context_ended<'a>(
        &'a self,
        db: &'a mut PgConnection,
        context: ContextId,
        cause: &'a str,
    ) -> BoxFuture<'a, Sql<AfterCommit>> {
        async move {
            let mut after = AfterCommit::new();
            for row in session::store::living_in(db, context).await.map_err(|e| e.into_sqlx())? {
                after.append(&mut self.end_session(db, context, row.id, cause).await?);
            }
            Ok(after)
        }
        .boxed()
    }
}

/// Why a message was not taken.
enum Untaken {
    Nonsense(String),
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

impl Service {
    async fn apply_one(
        &self,
        db: &mut PgConnection,
        context: ContextId,
        envelope: &Envelope,
        after: &mut AfterCommit,
    ) -> Result<(), Untaken> {
        let session = || envelope.session.ok_or_else(|| Untaken::Nonsense("it names no session".into()));
        let number = || envelope.statement.ok_or_else(|| Untaken::Nonsense("it names no statement".into()));
        match envelope.kind.as_str() {
            "output" => {
                let (session, number) = (self.session_of(context, session()?)?, number()?);
                let body: wire::Output = envelope.body()?;
                let stream: &'static str = if body.stream == "stderr" { "stderr" } else { "stdout" };
                let limit =
                    i64::try_from(self.sessions().limits().max_output).unwrap_or(i64::MAX).saturating_mul(SLACK);
                store::insert_chunk(db, session, number, envelope.seq, stream, body.text.get(), limit).await?;
                let event = Event::Output { statement: number, stream: stream.into(), text: body.text.get().into() };
                let sessions = self.sessions().clone();
                after.push(Box::new(move || {
                    if let Some(live) = sessions.live_session(session) {
                        live.tell(event);
                    }
                }));
            }
            "progress" => {
                let body: wire::Progress = envelope.body()?;
                let session = self.session_of(context, session()?)?;
                store::set_progress(db, session, number()?, body.progress.clamp(0.0, 1.0)).await?;
            }
            "statement_started" => {
                let body: wire::StatementStarted = envelope.body()?;
                let at = moment(body.at).unwrap_or_else(crate::time::now);
                store::set_running(db, self.session_of(context, session()?)?, number()?, at).await?;
            }
            "statement_done" => {
                let body: wire::StatementDone = envelope.body()?;
                let end = End {
                    cancelled: body.cancelled,
                    output: body.output.map(RawValue::get).filter(|o| *o != "null"),
                    columns: body.columns.map(RawValue::get).filter(|c| *c != "null"),
                    truncated: body.truncated.map(RawValue::get).filter(|t| *t != "null"),
                    ran_us: body.ran_us,
                    started: body.started.and_then(moment),
                    completed: body.completed.and_then(moment).unwrap_or_else(crate::time::now),
                };
                after.append(&mut self.end(db, context, session()?, number()?, &end).await?);
            }
            "session_state" => {
                let body: wire::SessionState = envelope.body()?;
                let id = session()?;
                match body.state.as_str() {
                    "idle" => {
                        if session::store::set_state(db, context, id, session::State::Idle).await? {
                            let sessions = self.sessions().clone();
                            after.push(Box::new(move || {
                                if let Some(live) = sessions.live_session(id) {
                                    live.change(|s| {
                                        if s.state == session::State::Starting {
                                            s.state = session::State::Idle;
                                        }
                                    });
                                }
                            }));
                        }
                    }
                    "dead" => {
                        let id = self.session_of(context, id)?;
                        let cause = body.reason.unwrap_or_else(|| "its interpreter has ended".to_owned());
                        after.append(&mut self.end_session(db, context, id, &cause).await?);
                        if self.sessions().contexts().end_if_deserted(db, context, &cause).await? {
                            let contexts = self.sessions().contexts().clone();
                            after.push(Box::new(move || contexts.wake()));
                        }
                    }
                    // Busy is derived from statements.
                    _ => {}
                }
            }
            "context_state" => {
                let body: wire::ContextState = envelope.body()?;
                self.sessions().contexts().heard(db, context, &body).await?;
            }
            "completion" => {
                let body: wire::Completion = envelope.body()?;
                self.sessions().completed(context, &body.request, body.candidates);
            }
            other => return Err(Untaken::Nonsense(format!("type {other:?} is not known"))),
        }
        Ok(())
    }

    /// The session, when it is one of this context: what a link may speak of.
    fn session_of(&self, context: ContextId, id: SessionId) -> Result<SessionId, Untaken> {
        match self.sessions().live().get(id) {
            Some(live) if live.row().context_id == context => Ok(id),
            _ => Err(Untaken::Nonsense(format!("session {id} is not of this context"))),
        }
    }

    fn session_message(&self, row: &session::Session, opens: bool) -> Outgoing {
        if !opens {
            return Outgoing::new("close_session", &serde_json::json!({})).on(row.id);
        }
        let limits = self.sessions().limits();
        let body = wire::OpenSession {
            number: row.number,
            kind: row.kind.warm(),
            livy_id: row.livy_id,
            max_rows: limits.max_rows,
            max_output: limits.max_output,
        };
        Outgoing::new("open_session", &body).on(row.id)
    }

    /// Keeps a statement in memory and tells that it is there, unless it is kept already.
    pub(super) fn remember(&self, statement: &Statement) {
        if let Some(live) = self.sessions().live().get(statement.session_id)
            && self.live().add(statement.clone())
        {
            live.statement_added(statement.number);
        }
    }

    fn tell(&self, session: SessionId, event: Event) {
        if let Some(live) = self.sessions().live().get(session) {
            live.tell(event);
        }
    }

    /// Ends a statement in the caller's transaction.
    async fn end(
        &self,
        db: &mut PgConnection,
        context: ContextId,
        session: SessionId,
        number: i32,
        end: &End<'_>,
    ) -> Sql<AfterCommit> {
        if !store::end_statement(db, context, session, number, end).await? {
            return Ok(Vec::new());
        }
        let raw = |text: Option<&str>| text.and_then(|t| RawValue::from_string(t.to_owned()).ok()).map(Raw::from);
        let (output, columns, truncated) = (raw(end.output), raw(end.columns), raw(end.truncated));
        let state = if end.cancelled { State::Cancelled } else { State::Available };
        let (ran_us, started, completed) = (end.ran_us, end.started, end.completed);
        let this = self.clone();
        Ok(vec![Box::new(move || {
            let ended = this.live().change(session, number, |s| {
                (s.state, s.output, s.columns, s.truncated) = (state, output, columns, truncated);
                (s.ran_us, s.completed_at, s.progress) = (ran_us, Some(completed), 1.0);
                s.started_at = started.or(s.started_at);
            });
            if ended && let Some(live) = this.sessions().live().get(session) {
                live.statement_ended(number);
            }
        })])
    }

    /// Ends a statement that no agent has.
    pub(super) async fn end_unsent(
        &self,
        db: &mut PgConnection,
        context: ContextId,
        session: SessionId,
        number: i32,
    ) -> Sql<AfterCommit> {
        let end = End { cancelled: true, completed: crate::time::now(), ..End::default() };
        self.end(db, context, session, number, &end).await
    }

    async fn end_with_error(
        &self,
        db: &mut PgConnection,
        context: ContextId,
        session: SessionId,
        number: i32,
        ename: &str,
        evalue: &str,
    ) -> Sql<AfterCommit> {
        let output = serde_json::json!({
            "status": "error", "execution_count": number, "ename": ename, "evalue": evalue, "traceback": [],
        })
        .to_string();
        let end = End { output: Some(&output), completed: crate::time::now(), ..End::default() };
        self.end(db, context, session, number, &end).await
    }

    /// Ends a session and what it had not finished.
    async fn end_session(
        &self,
        db: &mut PgConnection,
        context: ContextId,
        id: SessionId,
        cause: &str,
    ) -> Sql<AfterCommit> {
        let mut after = AfterCommit::new();
        for statement in store::unfinished_of(db, id).await? {
            if statement.cancelling {
                let end = End { cancelled: true, completed: crate::time::now(), ..End::default() };
                after.append(&mut self.end(db, context, id, statement.number, &end).await?);
                continue;
            }
            let evalue = if statement.started {
                format!(
                    "The session ended while this statement ran, so its result is lost: {cause}. It was not run again."
                )
            } else {
                format!("The session ended before this statement ran: {cause}. It did not run.")
            };
            after.append(&mut self.end_with_error(db, context, id, statement.number, "SessionEnded", &evalue).await?);
        }
        if session::store::end_session(db, id, cause).await? {
            let (this, cause) = (self.clone(), cause.to_owned());
            after.push(Box::new(move || {
                if let Some(live) = this.sessions().live().get(id) {
                    live.change(|s| {
                        s.state = session::State::Dead;
                        s.cause.get_or_insert_with(|| cause.clone());
                        s.ended_at = Some(crate::time::now());
                    });
                }
                this.live().forget(id);
                this.sessions().live().forget(id);
            }));
        }
        Ok(after)
    }
}

/// The message that runs a statement.
pub(super) fn run_message(s: &Statement) -> (i32, Outgoing) {
    let run = wire::Run { kind: s.kind.as_str(), code: &s.code };
    (s.number, Outgoing::new("run", &run).on(s.session_id).at(s.number))
}

fn moment(ms: i64) -> Option<Timestamp> {
    chrono::DateTime::from_timestamp_millis(ms)
}
