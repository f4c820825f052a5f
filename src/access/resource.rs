//! What actions are done to, as far as a decision looks at it.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::audit::Entry;
use crate::identity::Principal;

/// Something that decisions are made about.
pub trait Resource: Sync {
    /// What a decision looks at.
    fn facts(&self) -> Facts<'_>;
}

/// Something that belongs to somebody and can be shared.
pub trait Shareable: Sync {
    /// What it is and whose.
    fn owned(&self) -> Owned<'_>;
}

impl<T: Shareable> Resource for T {
    fn facts(&self) -> Facts<'_> {
        Facts::Owned(self.owned())
    }
}

/// What a decision looks at.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Facts<'a> {
    /// A context, session, batch or handle.
    Owned(Owned<'a>),
    /// A profile that something is to be made from, by name.
    Profile(Cow<'a, str>),
    /// What belongs to a user's login.
    Account {
        /// The user's tenant.
        tenant: Cow<'a, str>,
        /// The user.
        user: Cow<'a, str>,
    },
    /// What concerns a whole tenant: its audit, the policies.
    Tenant(Cow<'a, str>),
}

/// Names in the audit what something is done to.
#[must_use]
pub fn tell<'a>(entry: Entry<'a>, on: &Facts<'_>) -> Entry<'a> {
    match on {
        Facts::Owned(owned) => entry.on(owned.kind.as_str(), owned.id),
        Facts::Profile(name) => entry.on("profile", name),
        Facts::Account { user, .. } => entry.on("account", user),
        Facts::Tenant(name) => entry.on("tenant", name),
    }
}

/// What belongs to somebody and can be shared.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Owned<'a> {
    /// What it is.
    pub kind: Kind,
    /// Its id.
    pub id: Uuid,
    /// The tenant it lives in.
    pub tenant: Cow<'a, str>,
    /// Who owns it.
    pub owner: Cow<'a, str>,
    /// The proxy that spoke for the owner when it was made.
    pub via: Option<Cow<'a, str>>,
    /// The identity that its code has on the cluster.
    pub run_as: Cow<'a, str>,
    /// The profile it is made from.
    pub profile: Cow<'a, str>,
    /// The context that a handle lives in: whoever may attach to that reaches its data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Box<Owned<'a>>>,
}

impl<'a> Owned<'a> {
    /// What a row says of itself; nothing is copied.
    #[must_use]
    pub fn new(
        kind: Kind,
        id: Uuid,
        tenant: &'a str,
        owner: &'a str,
        via: Option<&'a str>,
        run_as: &'a str,
        profile: &'a str,
    ) -> Self {
        Self {
            kind,
            id,
            tenant: tenant.into(),
            owner: owner.into(),
            via: via.map(Into::into),
            run_as: run_as.into(),
            profile: profile.into(),
            within: None,
        }
    }

    /// Whether it is a handle in the context of somebody else than its owner, who has it only for as long as they may attach there.
    #[must_use]
    pub fn is_in_anothers(&self) -> bool {
        self.within.as_ref().is_some_and(|context| context.owner != self.owner)
    }
}

/// What can be shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// A context.
    Context,
    /// A session.
    Session,
    /// A batch.
    Batch,
    /// A handle: named data in a context.
    Handle,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Context, Self::Session, Self::Batch, Self::Handle];

    /// The word in the database and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Context => "context",
            Self::Session => "session",
            Self::Batch => "batch",
            Self::Handle => "handle",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.as_str() == text)
    }
}

impl Facts<'_> {
    /// What it is called in a sentence.
    #[must_use]
    pub fn noun(&self) -> &'static str {
        match self {
            Self::Owned(owned) => owned.kind.as_str(),
            Self::Profile(_) => "profile",
            Self::Account { .. } => "account",
            Self::Tenant(_) => "tenant",
        }
    }

    /// Whether somebody has to be allowed to see it before they are told that they may not do more. Profiles are no secret, and
    /// whoever asks for an account or a tenant knows its name.
    #[must_use]
    pub fn is_seen_first(&self) -> bool {
        matches!(self, Self::Owned(_))
    }
}

impl fmt::Display for Facts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owned(owned) => write!(f, "{}/{}", owned.kind.as_str(), owned.id),
            Self::Profile(name) => write!(f, "profile/{name}"),
            Self::Account { user, .. } => write!(f, "account/{user}"),
            Self::Tenant(name) => write!(f, "tenant/{name}"),
        }
    }
}

/// A profile that something is to be made from.
#[derive(Debug, Clone)]
pub struct ProfileName(pub String);

impl Resource for ProfileName {
    fn facts(&self) -> Facts<'_> {
        Facts::Profile(self.0.as_str().into())
    }
}

/// A user's account: what API tokens and logins belong to.
#[derive(Debug, Clone)]
pub struct Account {
    /// The user's tenant.
    pub tenant: String,
    /// The user, or [`Account::EVERYBODY`].
    pub user: String,
}

impl Account {
    /// In the place of a user: all of the tenant, for lists. No user has this name, so it is nobody's own.
    pub const EVERYBODY: &str = "*";

    /// The principal's own.
    #[must_use]
    pub fn of(who: &Principal) -> Self {
        Self { tenant: who.tenant.to_string(), user: who.user.to_string() }
    }
}

impl Resource for Account {
    fn facts(&self) -> Facts<'_> {
        Facts::Account { tenant: self.tenant.as_str().into(), user: self.user.as_str().into() }
    }
}

/// A tenant, as what its audit and the policies are asked of.
#[derive(Debug, Clone)]
pub struct Tenant(pub String);

impl Resource for Tenant {
    fn facts(&self) -> Facts<'_> {
        Facts::Tenant(self.0.as_str().into())
    }
}
