//! A context begins again: a new application under the same name, id and grants. Its sessions end with the one before; its durable handles
//! open again.

use sqlx::PgConnection;
use sqlx::types::Json;

use super::service::Service;
use super::{By, Context, Ending, Error, State, store};
use crate::access::explain::{Outcome, somebody};
use crate::access::resource::ProfileName;
use crate::access::{Allowed, CreateContext, Manage, Verb};
use crate::audit::{Entry, Event};
use crate::id::{ContextId, GatewayId};
use crate::identity::Principal;
use crate::store::idempotency;

impl Service {
    /// Ends the context's application, if one lives, and puts the context in line for the next. One that waits for its launch stays in line.
    /// A repeat under the same key does nothing.
    ///
    /// # Errors
    /// A context that ends with its session, one that is being ended, one that its owner could not make so any longer, a name that another
    /// has now, a full line, the database.
    pub async fn restart(
        &self,
        context: &Allowed<Manage, Context>,
        key: Option<&idempotency::Key>,
    ) -> Result<(), Error> {
        if !context.outlives_sessions {
            let is_over = context.state == State::Ended;
            return Err(if is_over { context.refusal() } else { Error::EndsWithSessions(context.id) });
        }
        let ending = Ending::person("restarted", context.who());
        // Looked at before the transaction, and told after the key.
        let may = if context.state == State::Waiting { Ok(()) } else { self.may_begin_again(context).await };
        let mut tx = self.pool().begin().await?;
        if let Some(key) = key
            && idempotency::claim(&mut tx, key, "").await?.is_some()
        {
            return Ok(());
        }
        may?;
        let begins = match context.state {
            State::Waiting => true,
            State::Ended => {
                self.admit(&mut tx, &context.profile).await?;
                begin_anew(&mut tx, context.id, self.me(), self.host()).await.map_err(|e| {
                    match Error::taken(e, context) {
                        Error::SharedMeanwhile => Error::SharedByAnother,
                        other => other,
                    }
                })?
            }
            State::Starting | State::Ready | State::Stopping => mark_restarting(&mut tx, context.id, &ending).await?,
        };
        if !begins {
            let now = store::load_context(&mut tx, context.id).await?;
            return Err(now.map_or(Error::Inconsistent(context.id), |now| now.refusal()));
        }
        self.access().audit().record(&mut tx, context.entry(Event::ContextRestarted)).await?;
        tx.commit().await?;
        self.wake();
        Ok(())
    }

    /// Decides whether the owner could make the context today as it is: policies, profiles and whom the launcher serves may have changed since.
    async fn may_begin_again(&self, context: &Allowed<Manage, Context>) -> Result<(), Error> {
        let (asks, name) = (context.who(), context.profile.as_str());
        let profile = self.profile(name)?;
        let is_owner = (&*asks.tenant, &*asks.user) == (context.tenant.as_str(), context.owner.as_str());
        let groups = || context.reader().group.into_iter().collect();
        let owner = if is_owner { asks.clone() } else { somebody(&context.tenant, &context.owner, groups()) };
        if is_owner {
            self.choose::<CreateContext>(&owner, Some(name)).await?;
        } else {
            self.may_owner_create(context, &owner).await?;
        }
        let admitted = self.admission().admit((name, profile), &owner, context.request.clone(), Vec::new()).await?;
        if admitted.run_as != context.run_as {
            return Err(Error::OtherIdentity {
                id: context.id,
                was: context.run_as.clone(),
                profile: admitted.profile,
                now: admitted.run_as,
            });
        }
        Ok(())
    }

    /// As somebody who is not there: of a person's groups nothing is known. A refusal is of whoever asks.
    async fn may_owner_create(&self, context: &Allowed<Manage, Context>, owner: &Principal) -> Result<(), Error> {
        let access = self.access();
        let explained = access.explain(owner, Verb::CreateContext, &ProfileName(context.profile.clone())).await?;
        if explained.outcome == Outcome::Allowed {
            return Ok(());
        }
        let entry = Entry::refused(Event::ContextRestarted, context.who()).by(&explained.policies);
        access.note(entry.on("context", context.id).with(format!("{} could not create it", owner.user))).await?;
        let why = explained.told.unwrap_or_default();
        Err(Error::Denied(format!(
            "{} owns this context and could not create it today, as they are told: {why}",
            owner.user
        )))
    }
}

/// Puts a context that is over in line again; false when it lives.
pub(super) async fn begin_anew(
    db: &mut PgConnection,
    id: ContextId,
    me: GatewayId,
    host: &str,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update context set state = 'waiting', cause = null, ended_by = null, restarting = false, ready_at = null, ended_at = null
              , epoch = epoch + 1, held_by = $2, host = $3, lease_until = now() + interval '15 seconds', last_active_at = now()
          where context_id = $1 and ended_at is not null",
        id.0,
        me.0,
        host
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Marks a living context's application as one that is to make room for the next; false when the context itself is to end.
async fn mark_restarting(db: &mut PgConnection, id: ContextId, ending: &Ending) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update context set state = 'stopping', restarting = true
              , cause = case when restarting then cause else $2 end
              , ended_by = case when restarting then ended_by else $3 end
          where context_id = $1 and (state in ('starting', 'ready') or (state = 'stopping' and restarting))",
        id.0,
        ending.cause,
        ending.by.as_ref().map(Json) as _
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Puts a context in line whose application has made room; how that has ended, or none when the context is to end.
pub(super) async fn begin_again(db: &mut PgConnection, id: ContextId) -> Result<Option<Ending>, sqlx::Error> {
    let ended = sqlx::query!(
        r#"with before as (select context_id, cause, ended_by from context
                            where context_id = $1 and restarting and ended_at is null for update)
         update context c set state = 'waiting', cause = null, ended_by = null, restarting = false, ready_at = null
              , epoch = epoch + 1, last_active_at = now()
           from before where c.context_id = before.context_id
         returning coalesce(before.cause, 'it was restarted') as "cause!", before.ended_by as "by: Json<By>""#,
        id.0
    )
    .fetch_optional(db)
    .await?;
    Ok(ended.map(|ended| Ending { cause: ended.cause, by: ended.by.map(|by| by.0) }))
}
