//! Whose sessions come together in one context without naming it.

use serde::Deserialize;
use sqlx::PgConnection;

use super::service::Service;
use super::{Context, Error};
use crate::access::{Allowed, Attach};
use crate::id::ContextId;
use crate::identity::Principal;

/// What a profile says of sessions that name no context.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Share {
    /// Each has a context of its own, which ends with it.
    #[default]
    Session,
    /// Those of one user live in one context.
    User,
}

impl Share {
    /// The word in the database; none for what is not shared.
    pub(super) const fn as_str(self) -> Option<&'static str> {
        match self {
            Self::Session => None,
            Self::User => Some("user"),
        }
    }
}

impl Service {
    /// The living context that the sessions of `who` from this profile share, if there is one already.
    ///
    /// # Errors
    /// No such profile, denied, the database.
    pub async fn shared(&self, who: &Principal, profile: &str) -> Result<Option<Allowed<Attach, Context>>, Error> {
        if self.profile(profile)?.share == Share::Session {
            return Ok(None);
        }
        let mut db = self.pool().acquire().await?;
        let found = find_shared(&mut db, who, profile).await?;
        drop(db);
        match found {
            Some(id) => self.open(who, &id.to_string()).await.map(Some),
            None => Ok(None),
        }
    }
}

async fn find_shared(db: &mut PgConnection, who: &Principal, profile: &str) -> Result<Option<ContextId>, sqlx::Error> {
    let id = sqlx::query_scalar!(
        "select context_id from context where tenant = $1 and owner = $2 and profile = $3 and shared_with = 'user'
            and state not in ('stopping', 'ended')",
        &*who.tenant,
        &*who.user,
        profile
    )
    .fetch_optional(db)
    .await?;
    Ok(id.map(ContextId::from))
}
