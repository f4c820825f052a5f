//! How statements and sessions end, in the transaction of whoever ends them.

use serde_json::value::RawValue;
use sqlx::PgConnection;

use super::service::Service;
use super::store::{self, End};
use super::{Raw, State};
use crate::context::driver::AfterCommit;
use crate::id::{ContextId, SessionId};
use crate::session;

type Sql<T> = Result<T, sqlx::Error>;

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
