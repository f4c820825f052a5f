//! The clock of contexts: ends those in which nothing happens. Never while a statement runs or waits, or a session starts.
//!
//! What happens is a statement, a session that is made or ends, and a handle that is read or changed through the gateway, for as long as that
//! takes. A context that ends with its sessions has their clocks alone. Sessions are asked to write their last activity before a clock is
//! looked at, and are told of it before it strikes: whoever looks at their clocks looks at this one, too.

use std::collections::HashMap;
use std::time::Duration;

use sqlx::PgConnection;
use tracing::info;
use uuid::Uuid;

use super::clock::{Clock, Deadline};
use super::ending::Ending;
use super::service::Service;
use super::{Context, State, store};
use crate::id::{ContextId, GatewayId};
use crate::time::{Span, Timestamp};

impl Service {
    /// When contexts end by their clocks if nothing happens; none of those whose clocks stand still.
    ///
    /// # Errors
    /// The database's.
    pub async fn deadlines(
        &self,
        db: &mut PgConnection,
        contexts: &[ContextId],
    ) -> Result<HashMap<ContextId, Deadline>, sqlx::Error> {
        if contexts.is_empty() {
            return Ok(HashMap::new());
        }
        let ids: Vec<Uuid> = contexts.iter().map(|id| id.0).collect();
        let mut found = load_deadlines(db, None, &ids).await?;
        // Memory knows of what was not written yet.
        for (id, deadline) in &mut found {
            if let Some(known) = self.live().get(*id).and_then(|live| live.deadline()) {
                deadline.at = deadline.at.max(known.at);
            }
        }
        Ok(found)
    }

    /// As [`Service::deadlines`], of contexts that are shown.
    ///
    /// # Errors
    /// The database's.
    pub async fn deadlines_of(&self, shown: &[Context]) -> Result<HashMap<ContextId, Deadline>, super::Error> {
        let ready: Vec<_> = shown.iter().filter(|c| c.state == State::Ready).map(|c| c.id).collect();
        let mut db = self.pool().acquire().await?;
        Ok(self.deadlines(&mut db, &ready).await?)
    }

    /// Looks at the clocks of the contexts that this gateway holds; when the next one strikes.
    ///
    /// # Errors
    /// The database's.
    pub async fn look_at_clocks(&self) -> Result<Option<Timestamp>, super::Error> {
        let mut db = self.pool().acquire().await?;
        self.live().activity().write(&mut db).await?;
        let found = load_deadlines(&mut db, Some(self.me()), &[]).await?;
        drop(db);
        let mut next = None;
        for (id, live) in self.live().all() {
            live.set_clock(found.get(&id));
            next = next.into_iter().chain(live.deadline().map(|deadline| deadline.at)).min();
        }
        Ok(next)
    }

    /// Tells those contexts to end whose clocks have struck.
    ///
    /// # Errors
    /// The database's.
    pub async fn end_by_clock(&self, now: Timestamp) -> Result<(), super::Error> {
        let is_due = |deadline: Option<Deadline>| deadline.filter(|deadline| deadline.at <= now);
        for (id, live) in self.live().all() {
            let Some(deadline) = is_due(live.deadline()) else { continue };
            self.live().activity().write(&mut *self.pool().acquire().await?).await?;
            let mut tx = self.pool().begin().await?;
            // Held with its sessions, so that no statement is taken between the look and the end.
            store::lock_context(&mut tx, id).await?;
            lock_sessions(&mut tx, id).await?;
            let still = load_deadlines(&mut tx, None, &[id.0]).await?;
            // What began since it was written is known here alone.
            if is_due(still.get(&id).copied()).is_none() || self.live().activity().is_noted(id) {
                continue;
            }
            let ending = Ending::clock(Clock::ContextIdle, Clock::ContextIdle.cause(deadline.time));
            if store::mark_stopping(&mut tx, id, &ending).await? {
                tx.commit().await?;
                info!(context.id = %id, "Context {id} ends by its clock");
                self.wake();
            }
        }
        Ok(())
    }
}

/// The clocks that run: of the contexts that a gateway holds, or of some.
async fn load_deadlines(
    db: &mut PgConnection,
    held_by: Option<GatewayId>,
    some: &[Uuid],
) -> Result<HashMap<ContextId, Deadline>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select context_id as "id: ContextId", idle_ms
                , greatest(ready_at, last_active_at, (
                      select max(greatest(s.created_at, s.last_active_at, s.ended_at)) from session s where s.context_id = c.context_id
                  )) as "since!"
             from context c
            where (held_by = $1 or context_id = any($2)) and state = 'ready' and share = 'context' and idle_ms > 0
              and not exists (select 1 from session s where s.context_id = c.context_id and s.state = 'starting')
              and not exists (select 1 from statement t join session s using (session_id)
                               where s.context_id = c.context_id and t.completed_at is null)"#,
        held_by.map(|gateway| gateway.0),
        some
    )
    .fetch_all(db)
    .await?;
    let deadline = |since, ms| {
        let time = Span(Duration::from_millis(u64::try_from(ms).unwrap_or(0)));
        Deadline::of(Clock::ContextIdle, since, time)
    };
    Ok(rows.into_iter().filter_map(|r| Some((r.id, deadline(r.since, r.idle_ms)?))).collect())
}

/// Locks the living sessions of a context until the transaction ends, in the order of their ids: a statement that is being taken is waited for.
async fn lock_sessions(db: &mut PgConnection, context: ContextId) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "select session_id from session where context_id = $1 and ended_at is null order by session_id for no key update",
        context.0
    )
    .fetch_all(db)
    .await?;
    Ok(())
}
