//! What one message of an agent says, written to the rows.
//!
//! Each is bound to its context, in SQL or by the session in memory: a message can only touch sessions and statements of the context
//! whose token opened the link.

use serde_json::value::RawValue;
use sqlx::{PgConnection, PgPool};

use super::at_once;
use super::service::Service;
use super::store::{self, End};
use crate::context::Ending;
use crate::context::driver::wire::{self, Envelope};
use crate::context::driver::{AfterCommit, AtOnce, Hold, Untaken, told};
use crate::id::{ContextId, SessionId};
use crate::session;
use crate::session::live::Event;
use crate::time::Timestamp;

/// An agent bounds the output of a statement; one that does not is cut here, at so many times the bound (escapes make text longer).
const SLACK: i64 = 8;

/// Characters of the cause of a session's end.
const LONGEST_CAUSE: usize = 2000;

impl Service {
    /// Writes what one message says; what is to be shown once that is committed is added to `after`.
    pub(super) async fn apply_one(
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
                let text = body.text.get().into();
                let event = Event::Output { statement: number, seq: envelope.seq, stream: stream.into(), text };
                let (this, bytes) = (self.clone(), body.text.get().len());
                after.push(Box::new(move || {
                    this.metrics().output(bytes);
                    if let Some(live) = this.sessions().live_session(session) {
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
                let end = end_of(envelope.body()?);
                after.append(&mut self.end(db, context, session()?, number()?, &end).await?);
            }
            "session_state" => {
                let body: wire::SessionState = envelope.body()?;
                match body.state.as_str() {
                    "idle" => {
                        let id = self.session_of(context, session()?)?;
                        after.append(&mut self.session_idle(db, context, id).await?);
                    }
                    "dead" => {
                        let id = self.session_of(context, session()?)?;
                        let cause = body.reason.unwrap_or_else(|| "its interpreter has ended".to_owned());
                        // A session must not live on for what its code has said.
                        // The driver of a context that is told to end ends its sessions with it: how, is known here.
                        let ending = match crate::context::store::told_ending(db, context).await? {
                            Some(ending) => ending.of_context(),
                            None => Ending::itself(told(&cause, LONGEST_CAUSE)),
                        };
                        after.append(&mut self.session_dead(db, context, id, &ending).await?);
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

    /// As [`Service::apply_one`] for the end of a statement that comes alone.
    pub(super) async fn end_at_once(
        &self,
        pool: &PgPool,
        hold: Hold,
        envelope: &Envelope,
    ) -> Result<AtOnce, sqlx::Error> {
        let (Some(session), Some(number)) = (envelope.session, envelope.statement) else { return Ok(AtOnce::NotSo) };
        let Ok(body) = envelope.body() else { return Ok(AtOnce::NotSo) };
        let end = end_of(body);
        if end.started.is_none() {
            return Ok(AtOnce::NotSo);
        }
        Ok(match at_once::end(pool, hold, session, number, &end).await? {
            None => AtOnce::Fenced,
            Some(ended) => AtOnce::Written(self.show(hold.context, session, number, &end, ended)),
        })
    }

    async fn session_idle(
        &self,
        db: &mut PgConnection,
        context: ContextId,
        id: SessionId,
    ) -> Result<AfterCommit, sqlx::Error> {
        // Agents of before said it after each statement too, which is no news to the row.
        let is_news = self.sessions().live().get(id).is_none_or(|live| live.row().state != session::State::Idle);
        if is_news && !session::store::set_state(db, context, id, session::State::Idle).await? {
            return Ok(Vec::new());
        }
        let sessions = self.sessions().clone();
        Ok(vec![Box::new(move || {
            if let Some(live) = sessions.live_session(id) {
                // Its idle time begins.
                live.touch();
                live.change(|s| {
                    if s.state == session::State::Starting {
                        s.state = session::State::Idle;
                    }
                });
            }
        })])
    }

    /// Ends a session, and the context that was made for it alone.
    async fn session_dead(
        &self,
        db: &mut PgConnection,
        context: ContextId,
        id: SessionId,
        ending: &Ending,
    ) -> Result<AfterCommit, sqlx::Error> {
        let mut after = self.end_session(db, context, id, ending).await?;
        if self.sessions().contexts().end_if_deserted(db, context, ending).await? {
            let contexts = self.sessions().contexts().clone();
            after.push(Box::new(move || contexts.wake()));
        }
        Ok(after)
    }

    /// The session, when it is one of this context: what a link may speak of.
    pub(super) fn session_of(&self, context: ContextId, id: SessionId) -> Result<SessionId, Untaken> {
        match self.sessions().live().get(id) {
            Some(live) if live.row().context_id == context => Ok(id),
            _ => Err(Untaken::Nonsense(format!("session {id} is not of this context"))),
        }
    }
}

fn end_of(body: wire::StatementDone<'_>) -> End<'_> {
    End {
        cancelled: body.cancelled,
        output: body.output.map(RawValue::get).filter(|o| *o != "null"),
        columns: body.columns.map(RawValue::get).filter(|c| *c != "null"),
        truncated: body.truncated.map(RawValue::get).filter(|t| *t != "null"),
        ran_us: body.ran_us,
        started: body.started.and_then(moment),
        completed: body.completed.and_then(moment).unwrap_or_else(crate::time::now),
    }
}

/// A moment in ms since 1970.
pub(super) fn moment(ms: i64) -> Option<Timestamp> {
    chrono::DateTime::from_timestamp_millis(ms)
}
