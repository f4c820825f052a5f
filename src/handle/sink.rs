//! Takes what agents say: of handles here, the rest by the [`Sink`] that stands below.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::value::RawValue;
use sqlx::{PgConnection, PgPool};
use tracing::warn;

use super::kept;
use super::said::concerns;
use super::service::Service;
use crate::context::driver::wire::handle::{Handles, Kept, Place};
use crate::context::driver::wire::{Envelope, Outgoing};
use crate::context::driver::{AfterCommit, AtOnce, FirstSession, Hold, Owed, Sink, Untaken};
use crate::context::{self, Ending};
use crate::id::{ContextId, GatewayId, SessionId};

/// Why nothing of a context is durable that ends with its session: there would be no next application to open it again.
const UNSTORED: &str = "a handle of this context cannot be durable, for the context ends with its last session and never begins again: leave durable out, \
                        or share it in a context that has a name (POST /api/v1/contexts {\"name\": \"NAME\"}, then a session with \
                        \"context\": \"NAME\")";

type Sql<T> = Result<T, sqlx::Error>;

/// Understands every envelope.
pub struct Everything {
    handles: Service,
    rest: Arc<dyn Sink>,
}

impl Everything {
    /// Handles here, the rest by `rest`.
    #[must_use]
    pub fn new(handles: Service, rest: Arc<dyn Sink>) -> Self {
        Self { handles, rest }
    }

    async fn welcome(&self, db: &mut PgConnection, context: ContextId) -> Sql<Outgoing> {
        let folder = self.handles.folder_of(db, context).await?;
        let (store, unstored) = match folder {
            Some(_) if kept::ends_with_session(db, context).await? => (None, Some(UNSTORED)),
            folder => (folder, None),
        };
        let name = context::store::load_context(db, context).await.map_err(|e| e.into_sqlx())?.and_then(|c| c.name);
        let kept = |d: kept::Durable| Kept {
            columns: d.columns.and_then(|c| serde_json::from_slice::<Box<RawValue>>(&c).ok()),
            name: d.name,
            kind: d.kind,
            version: d.version,
            path: d.path,
            key: d.key_type,
            storage: d.storage,
            ttl_ms: d.ttl_ms,
            left_ms: d.left_ms,
            owner: d.owner,
            share: d.share_id,
        };
        let durable = kept::durable_in(db, context).await?.into_iter().map(kept).collect();
        Ok(Outgoing::new("handles", &Handles { context: Place { id: context, name }, store, unstored, durable }))
    }
}

impl Sink for Everything {
    fn owed<'a>(
        &'a self,
        db: &'a mut PgConnection,
        context: ContextId,
        sent: &'a HashMap<SessionId, i32>,
    ) -> BoxFuture<'a, Sql<Vec<Owed>>> {
        self.rest.owed(db, context, sent)
    }

    fn greeting<'a>(
        &'a self,
        db: &'a mut PgConnection,
        context: ContextId,
        is_new: bool,
    ) -> BoxFuture<'a, Sql<Vec<Outgoing>>> {
        async move {
            let mut messages = self.rest.greeting(db, context, is_new).await?;
            if is_new {
                messages.push(self.welcome(db, context).await?);
            }
            messages.append(&mut self.handles.requests().unanswered(context));
            messages.append(&mut self.handles.streams().unopened(context));
            Ok(messages)
        }
        .boxed()
    }

    fn hint(&self, context: ContextId, envelope: &Envelope) {
        match envelope.kind.as_str() {
            // Nothing of an answer is kept, so nobody has to wait for a commit.
            "handle_answer" => self.handles.answered(context, envelope),
            _ => self.rest.hint(context, envelope),
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
            // A run of messages of one sort at a time, so that all are taken in their order.
            for run in batch.chunk_by(|a, b| concerns(a) == concerns(b)) {
                if !run.first().is_some_and(concerns) {
                    after.append(&mut self.rest.apply(db, context, run).await?);
                    continue;
                }
                if run.iter().any(|envelope| envelope.kind == "handle") {
                    let handles = self.handles.clone();
                    after.push(Box::new(move || handles.writes().told()));
                }
                for envelope in run {
                    match self.handles.apply_one(db, context, envelope).await {
                        Ok(()) => {}
                        Err(Untaken::Sql(e)) => return Err(e),
                        Err(Untaken::Nonsense(why)) => {
                            warn!(context.id = %context, kind = envelope.kind, why, "An agent's message is passed over");
                        }
                    }
                }
            }
            Ok(after)
        }
        .boxed()
    }

    fn apply_at_once<'a>(&'a self, pool: &'a PgPool, hold: Hold, batch: &'a [Envelope]) -> BoxFuture<'a, Sql<AtOnce>> {
        // Nothing that concerns handles is as simple.
        self.rest.apply_at_once(pool, hold, batch)
    }

    fn refuse<'a>(
        &'a self,
        db: &'a mut PgConnection,
        context: ContextId,
        envelope: &'a Envelope,
        reason: &'a str,
    ) -> BoxFuture<'a, Sql<AfterCommit>> {
        if concerns(envelope) {
            std::future::ready(Ok(Vec::new())).boxed()
        } else {
            self.rest.refuse(db, context, envelope, reason)
        }
    }

    fn cancel_unsent<'a>(
        &'a self,
        db: &'a mut PgConnection,
        session: SessionId,
        number: i32,
    ) -> BoxFuture<'a, Sql<AfterCommit>> {
        self.rest.cancel_unsent(db, session, number)
    }

    fn owing<'a>(&'a self, db: &'a mut PgConnection, me: GatewayId) -> BoxFuture<'a, Sql<Vec<ContextId>>> {
        self.rest.owing(db, me)
    }

    fn adopt<'a>(&'a self, db: &'a mut PgConnection, context: ContextId) -> BoxFuture<'a, Sql<()>> {
        self.rest.adopt(db, context)
    }

    fn first_session<'a>(&'a self, db: &'a mut PgConnection, context: ContextId) -> BoxFuture<'a, Sql<FirstSession>> {
        self.rest.first_session(db, context)
    }

    fn context_ended<'a>(
        &'a self,
        db: &'a mut PgConnection,
        context: ContextId,
        ending: &'a Ending,
    ) -> BoxFuture<'a, Sql<AfterCommit>> {
        async move {
            kept::lose_all(db, context, &format!("its driver has ended: {}", ending.cause)).await?;
            let mut after = self.rest.context_ended(db, context, ending).await?;
            let handles = self.handles.clone();
            after.push(Box::new(move || {
                handles.requests().forget(context);
                handles.streams().forget(context);
                handles.writes().forget(context);
            }));
            Ok(after)
        }
        .boxed()
    }
}
