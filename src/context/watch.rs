//! Follows the application of a context: shows its log as it comes, and ends the context when it has ended.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use sqlx::PgConnection;
use tracing::info;
use uuid::Uuid;

use super::driver::Sink;
use super::launch::cause;
use super::launch::follow::{Followed, Position};
use super::launch::process::Status;
use super::log::Stream;
use super::service::Service;
use super::{Application, Context, application, restart, store};
use crate::id::{ApplicationId, ContextId};

/// How long the link of a program that has ended may take to commit what it has heard.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// The application of a context, as [`super::launch::follow::run`] follows it.
pub struct Watched {
    contexts: Service,
    sink: Arc<dyn Sink>,
    context: ContextId,
    application: ApplicationId,
}

impl Watched {
    /// An application of a context that this gateway holds.
    #[must_use]
    pub fn new(contexts: Service, sink: Arc<dyn Sink>, context: &Context, application: &Application) -> Self {
        Self { contexts, sink, context: context.id, application: application.id }
    }
}

impl Followed for Watched {
    fn source(&self) -> Uuid {
        self.application.0
    }

    async fn load(&self, db: &mut PgConnection) -> Result<Position, sqlx::Error> {
        application::load_log_position(db, self.application).await
    }

    async fn save(
        &self,
        db: &mut PgConnection,
        from: Position,
        to: Position,
        _lines: &[(Stream, String)],
    ) -> Result<bool, sqlx::Error> {
        application::move_log_position(db, self.application, from, to).await
    }

    fn saved(&self, lines: &[(Stream, String)]) {
        if let Some(live) = self.contexts.live().get(self.context) {
            live.log(lines.iter().map(|(_, l)| l.as_str()));
        }
    }

    async fn ended(&self, status: &Status, log: &VecDeque<String>) -> Result<(), sqlx::Error> {
        // The end fences the link off; what the program had said before stands.
        self.contexts.links().drained(self.context, LAST_WORDS).await;
        let live = self.contexts.live().get(self.context);
        let last_words = live.and_then(|l| l.facts().last_words.clone());
        let cause = cause::of(status, last_words.as_deref(), log);
        let exit_code = if let Status::Ended(exit) = status { exit.code } else { None };
        let mut tx = self.contexts.pool().begin().await?;
        // The context before its application. It may have another one by now: then this end was written before.
        super::store::lock_context(&mut tx, self.context).await?;
        if !application::end_application(&mut tx, self.application, exit_code, &cause).await? {
            return tx.commit().await;
        }
        let after = end(&mut tx, &*self.sink, self.context, &cause).await?;
        tx.commit().await?;
        self.contexts.links().close(self.context);
        super::driver::run_effects(after);
        info!(context.id = %self.context, cause, "The application of context {} is over", self.context);
        self.contexts.live().forget(self.context);
        self.contexts.wake();
        Ok(())
    }
}

/// Ends a context and all that lives in it, in the caller's transaction; one that is restarted waits for its next application instead.
pub(super) async fn end(
    db: &mut sqlx::PgConnection,
    sink: &dyn Sink,
    context: ContextId,
    cause: &str,
) -> Result<super::driver::AfterCommit, sqlx::Error> {
    if let Some(ending) = restart::begin_again(db, context).await? {
        return sink.context_ended(db, context, &ending).await;
    }
    if !store::end_context(db, context, cause).await? {
        return Ok(Vec::new());
    }
    let ending = store::load_ending(db, context).await?;
    sink.context_ended(db, context, &ending).await
}
