//! Whose sessions come together in one context without naming it.
//!
//! What a group or everybody shares belongs to no person: it runs as a service account, its owner is the group or the account, and whom it
//! is shared with may attach by a grant that it is made with.

use std::str::FromStr;

use serde::{Deserialize, Deserializer};
use sqlx::PgConnection;

use super::service::Service;
use super::{Context, Error};
use crate::access::role::Subject;
use crate::access::{Allowed, Attach};
use crate::id::ContextId;
use crate::identity::Principal;

/// What a profile says of sessions that name no context.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Share {
    /// Each has a context of its own, which ends with it.
    #[default]
    Session,
    /// Those of one user live in one context.
    User,
    /// Those of the members of this group live in one context; nobody else has sessions there.
    Group(String),
    /// Those of everybody in a tenant live in one context.
    Service,
}

/// What the owner of a context that a group shares begins with: no user can be called so.
const GROUP: &str = "group:";

impl Share {
    /// The word in the database and the API; none for what is not shared.
    #[must_use]
    pub const fn as_str(&self) -> Option<&'static str> {
        match self {
            Self::Session => None,
            Self::User => Some("user"),
            Self::Group(_) => Some("group"),
            Self::Service => Some("service"),
        }
    }

    /// As the row of a context says it; none when it makes no sense.
    pub(super) fn of_row(word: Option<&str>, owner: &str) -> Option<Self> {
        match word {
            None => Some(Self::Session),
            Some("user") => Some(Self::User),
            Some("group") => owner.strip_prefix(GROUP).map(|group| Self::Group(group.to_owned())),
            Some("service") => Some(Self::Service),
            Some(_) => None,
        }
    }

    /// Whether it is of several people, and so runs as none of them.
    #[must_use]
    pub const fn is_of_several(&self) -> bool {
        matches!(self, Self::Group(_) | Self::Service)
    }

    /// Who owns a context that `who` asks for, which runs as `run_as`.
    pub(super) fn owner(&self, who: &Principal, run_as: &str) -> String {
        match self {
            Self::Session | Self::User => who.user.to_string(),
            Self::Group(group) => format!("{GROUP}{group}"),
            Self::Service => format!("service:{run_as}"),
        }
    }

    /// Who may attach to it beside its owner.
    pub(super) fn grantee(&self) -> Option<Subject> {
        match self {
            Self::Session | Self::User => None,
            Self::Group(group) => Some(Subject::Group(group.clone())),
            Self::Service => Some(Subject::everybody()),
        }
    }
}

impl FromStr for Share {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const KNOWN: &str = "share is \"session\", \"user\", \"group:NAME\" or \"service\"";
        match text {
            "session" => Ok(Self::Session),
            "user" => Ok(Self::User),
            "service" => Ok(Self::Service),
            _ => match text.strip_prefix(GROUP).map(Subject::group) {
                Some(Ok(Subject::Group(name))) if !Subject::is_everybody(&name) => Ok(Self::Group(name)),
                _ => Err(KNOWN),
            },
        }
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// As whom code of a context reads what lies outside of it.
#[derive(Debug)]
pub struct Reader {
    /// The tenant.
    pub tenant: String,
    /// The user that it runs as, a person or a service account: not the owner of the context, for many people's code may run as the account.
    pub user: String,
    /// The group whose members alone have their code there; none: the groups of the user are to be looked up.
    pub group: Option<String>,
}

impl Context {
    /// As whom its code reads what lies outside of it.
    #[must_use]
    pub fn reader(&self) -> Reader {
        let group = match &self.share {
            Share::Group(group) => Some(group.clone()),
            Share::Session | Share::User | Share::Service => None,
        };
        Reader { tenant: self.tenant.clone(), user: self.run_as.clone(), group }
    }
}

impl Service {
    /// The living context that the sessions of `who` from this profile share, if there is one already.
    ///
    /// # Errors
    /// No such profile, somebody whom it is not shared with, denied, the database.
    pub async fn shared(&self, who: &Principal, name: &str) -> Result<Option<Allowed<Attach, Context>>, Error> {
        let profile = self.profile(name)?;
        let Some(word) = profile.share.as_str() else { return Ok(None) };
        if let Share::Group(group) = &profile.share
            && !who.groups.contains(group)
        {
            return Err(Error::Denied(format!(
                "sessions of the profile {name} live in the context of the group {group}, of which {} is no member: choose another profile, \
                 or name a context that is shared with you",
                who.user
            )));
        }
        let owner = profile.share.owner(who, profile.run_as.identity(who));
        let mut db = self.pool().acquire().await?;
        let found = find_shared(&mut db, &who.tenant, &owner, name, word).await?;
        drop(db);
        match found {
            Some(id) => self.open(who, &id.to_string()).await.map(Some),
            None => Ok(None),
        }
    }
}

async fn find_shared(
    db: &mut PgConnection,
    tenant: &str,
    owner: &str,
    profile: &str,
    shared_with: &str,
) -> Result<Option<ContextId>, sqlx::Error> {
    let id = sqlx::query_scalar!(
        "select context_id from context where tenant = $1 and owner = $2 and profile = $3 and shared_with = $4
            and state not in ('stopping', 'ended')",
        tenant,
        owner,
        profile,
        shared_with
    )
    .fetch_optional(db)
    .await?;
    Ok(id.map(ContextId::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_the_manual_says() {
        for (text, share) in [
            ("session", Share::Session),
            ("user", Share::User),
            ("group:etl", Share::Group("etl".to_owned())),
            ("service", Share::Service),
        ] {
            assert_eq!(text.parse(), Ok(share));
        }
        for text in ["", "Session", "group", "group:", "group:*", "group:a b", "service:etl"] {
            assert!(text.parse::<Share>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_several_share_is_no_person_s() {
        let who = Principal::local();
        let of = |share: &Share| share.owner(&who, "etl");
        assert_eq!((of(&Share::User), of(&Share::Session)), (who.user.to_string(), who.user.to_string()));
        for share in [Share::Group("analysts".to_owned()), Share::Service] {
            let owner = of(&share);
            assert!(!crate::identity::is_user_name(&owner), "{owner}");
            assert_eq!(Share::of_row(share.as_str(), &owner), Some(share));
        }
        assert_eq!(Share::of_row(Some("tenant"), "x"), None);
    }
}
