//! A context that is over is asked for again, by its name or by those whom it is shared with: it begins anew, so that its durable handles
//! are where they were, under the same names and grants.

use sqlx::PgConnection;
use sqlx::types::Json;

use super::restart::begin_anew;
use super::service::Service;
use super::{Context, Error, store};
use crate::audit::{Entry, Event};
use crate::id::ContextId;
use crate::identity::Principal;

impl Service {
    /// Begins the context anew that `wanted` asks for, if there is one that is over, of the same owner, profile and identity, and holds
    /// durable handles; what else is asked for now takes the place of what was. None: there is nothing to come back to.
    ///
    /// # Errors
    /// A name that another has now, the database.
    pub(super) async fn anew(
        &self,
        db: &mut PgConnection,
        who: &Principal,
        wanted: &Context,
    ) -> Result<Option<Context>, Error> {
        if !wanted.outlives_sessions || (wanted.name.is_none() && wanted.share.as_str().is_none()) {
            return Ok(None);
        }
        let Some((id, is_over)) = find_over(db, wanted).await? else { return Ok(None) };
        if !is_over {
            return Err(Error::SharedEnding);
        }
        if !begin_anew(db, id, self.me(), self.host()).await.map_err(|e| Error::taken(e, wanted))? {
            return Ok(None);
        }
        ask_for(db, id, wanted).await?;
        let entry = Entry::done(Event::ContextRestarted, who).on("context", id);
        self.access().audit().record(db, entry.with("asked for again: it holds durable handles")).await?;
        store::load_context(db, id).await?.ok_or(Error::Inconsistent(id)).map(Some)
    }
}

/// The newest such context that is over, or is just ending; which of the two. Two who ask at once wait for each other here.
async fn find_over(db: &mut PgConnection, wanted: &Context) -> Result<Option<(ContextId, bool)>, sqlx::Error> {
    let found = sqlx::query!(
        r#"select context_id, (ended_at is not null) as "is_over!" from context c
            where tenant = $1 and owner = $2 and profile = $3 and run_as = $4 and share = 'context'
              and (ended_at is not null or (state = 'stopping' and shared_with is not null))
              and name is not distinct from $5 and shared_with is not distinct from $6
              and exists (select 1 from handle h
                           where h.context_id = c.context_id and h.ended_at is null and h.durable_path is not null)
            order by ended_at desc nulls first limit 1 for update"#,
        wanted.tenant,
        wanted.owner,
        wanted.profile,
        wanted.run_as,
        wanted.name,
        wanted.share.as_str()
    )
    .fetch_optional(db)
    .await?;
    Ok(found.map(|found| (found.context_id.into(), found.is_over)))
}

/// Has the next application be as it is asked for now.
async fn ask_for(db: &mut PgConnection, id: ContextId, wanted: &Context) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update context set request = $2, idle_ms = $3, via = $4 where context_id = $1",
        id.0,
        Json(&wanted.request) as _,
        wanted.idle.as_millis(),
        wanted.via
    )
    .execute(db)
    .await?;
    Ok(())
}
