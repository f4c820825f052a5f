//! How statements and sessions end, in the transaction of whoever ends them.

use std::time::Duration;

use serde_json::value::RawValue;
use sqlx::PgConnection;

use super::service::Service;
use super::store::{self, End};
use super::{Raw, State, Statement};
use crate::context::Ending;
use crate::context::driver::{AfterCommit, Effect};
use crate::id::{ContextId, SessionId};
use crate::session::{self, Kind};

type Sql<T> = Result<T, sqlx::Error>;

/// Whether an output says that the code succeeded.
fn is_ok(output: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Said<'a> {
        #[serde(borrow)]
        status: std::borrow::Cow<'a, str>,
    }
    serde_json::from_str::<Said<'_>>(output).is_ok_and(|said| said.status == "ok")
}

impl Service {
    /// Ends a statement in the caller's transaction.
    pub(super) async fn end(
        &self,
        db: &mut PgConnection,
        context: ContextId,
        session: SessionId,
        number: i32,
        end: &End<'_>,
    ) -> Sql<AfterCommit> {
        let ended = store::end_statement(db, context, session, number, end).await?;
        Ok(self.show(context, session, number, end, ended))
    }

    /// What shows what came of an end, once it is committed.
    pub(super) fn show(
        &self,
        context: ContextId,
        session: SessionId,
        number: i32,
        end: &End<'_>,
        ended: Option<store::Ended>,
    ) -> AfterCommit {
        let shown = match ended {
            Some(row) => Some(self.show_end(session, number, end, row)),
            // It had ended: perhaps by a commit of which the answer was lost, so that memory has not heard of it.
            None => self.session_of(context, session).is_ok().then(|| self.catch_up(session, number)),
        };
        shown.into_iter().collect()
    }

    fn catch_up(&self, session: SessionId, number: i32) -> Effect {
        let this = self.clone();
        Box::new(move || {
            if let Some(live) = this.sessions().live().get(session)
                && this.live().let_go(session, number, |unfinished| live.set_unfinished(unfinished))
            {
                live.statement_changed(number);
            }
        })
    }

    /// What shows the end of a statement to those who wait, once it is committed.
    fn show_end(&self, session: SessionId, number: i32, end: &End<'_>, row: store::Ended) -> Effect {
        let raw = |text: Option<&str>| text.and_then(|t| RawValue::from_string(t.to_owned()).ok()).map(Raw::from);
        let (output, columns, truncated) = (raw(end.output), raw(end.columns), raw(end.truncated));
        let state = if end.cancelled { State::Cancelled } else { State::Available };
        let (ran_us, started, completed) = (end.ran_us, end.started, end.completed);
        let this = self.clone();
        Box::new(move || {
            this.count_end(session, number, &row, state, output.as_deref(), ran_us);
            let Some(live) = this.sessions().live().get(session) else { return };
            let change = |s: &mut Statement| {
                (s.state, s.output, s.columns, s.truncated) = (state, output, columns, truncated);
                (s.ran_us, s.completed_at, s.progress) = (ran_us, Some(completed), 1.0);
                s.started_at = started.or(s.started_at);
            };
            if this.live().end(session, number, change, |unfinished| live.set_unfinished(unfinished)) {
                live.statement_changed(number);
            }
        })
    }

    /// Counts a statement that has ended, and how long it took.
    fn count_end(
        &self,
        session: SessionId,
        number: i32,
        row: &store::Ended,
        state: State,
        output: Option<&RawValue>,
        ran_us: Option<i64>,
    ) {
        let kind = row.kind.parse().map_or("shared", Kind::as_str);
        let said = output.map_or("", RawValue::get);
        let outcome = match state {
            State::Cancelled => "cancelled",
            _ if is_ok(said) => "ok",
            _ => "error",
        };
        self.metrics().statement(kind, outcome, said.len());
        let Some(ran) = ran_us.and_then(|us| u64::try_from(us).ok()).map(Duration::from_micros) else { return };
        // A statement that waited for the one before it was in that one's time.
        let before = number.checked_sub(1).and_then(|n| self.live().get(session, n)).and_then(|s| s.completed_at);
        let began = before.map_or(row.created_at, |before| before.max(row.created_at));
        let whole = (crate::time::now() - began).to_std().unwrap_or_default();
        self.metrics().statement_took(kind, ran, whole.saturating_sub(ran));
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

    /// Ends a statement with an error that Hearth itself has to tell.
    pub(super) async fn end_with_error(
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
    pub(super) async fn end_session(
        &self,
        db: &mut PgConnection,
        context: ContextId,
        id: SessionId,
        ending: &Ending,
    ) -> Sql<AfterCommit> {
        // First the session, whose row a submit holds until it has committed: what it has taken ends below, and the next finds the session
        // dead.
        let ended = session::store::end_session(db, id, ending).await?;
        let cause = ended.as_ref().map_or(&ending.cause, |ended| &ended.ending.cause);
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
        if let Some(session::store::Ended { ending: Ending { cause, by }, at }) = ended {
            let this = self.clone();
            after.push(Box::new(move || {
                if let Some(live) = this.sessions().live().get(id) {
                    live.change(|s| {
                        s.state = session::State::Dead;
                        (s.cause, s.ended_by, s.ended_at) = (Some(cause.clone()), by.clone(), Some(at));
                    });
                }
                this.live().forget(id);
                this.sessions().live().forget(id);
            }));
        }
        Ok(after)
    }
}
