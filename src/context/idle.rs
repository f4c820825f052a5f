//! Ends contexts in which nothing happens, by a clock of their own. Never while a statement runs or waits.
//!
//! What happens is a statement, a session that is made or ends, and a handle that is read or changed through the gateway, for as long as that
//! takes. A context that ends with its sessions has their clocks alone.

use std::time::Duration;

use sqlx::PgConnection;
use tracing::{info, warn};

use super::service::Service;
use crate::id::{ContextId, GatewayId};
use crate::life::Life;

/// How often the clocks are looked at.
const EVERY: Duration = Duration::from_secs(2);

/// Looks at the clocks until the gateway stops.
pub async fn run(contexts: Service, life: Life) {
    let stopping = life.stopping();
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        if let Err(e) = pass(&contexts).await {
            warn!(error = %e, "The clocks of contexts could not be looked at now");
        }
    }
}

async fn pass(contexts: &Service) -> Result<(), sqlx::Error> {
    let mut db = contexts.pool().acquire().await?;
    contexts.live().activity().write(&mut db).await?;
    let ended = end_idle(&mut db, contexts.me()).await?;
    for id in &ended {
        info!(context.id = %id, "Context {id} ends by its clock");
    }
    if !ended.is_empty() {
        contexts.wake();
    }
    Ok(())
}

/// Tells the contexts that this gateway holds and that were idle for too long to end.
async fn end_idle(db: &mut PgConnection, me: GatewayId) -> Result<Vec<ContextId>, sqlx::Error> {
    let ids = sqlx::query_scalar!(
        "update context c set state = 'stopping'
              , cause = 'nothing ran in it for ' || (idle_ms / 1000) || ' s (idle timeout of the context)'
          where held_by = $1 and state = 'ready' and share = 'context' and idle_ms > 0
            and greatest(ready_at, last_active_at, (
                  select max(greatest(s.created_at, s.last_active_at, s.ended_at)) from session s where s.context_id = c.context_id))
                < now() - idle_ms * interval '1 millisecond'
            and not exists (select 1 from statement t join session s using (session_id)
                             where s.context_id = c.context_id and t.completed_at is null)
         returning context_id",
        me.0
    )
    .fetch_all(db)
    .await?;
    Ok(ids.into_iter().map(ContextId::from).collect())
}
