//! Grants: what an owner lets others do with a context, session, batch or handle.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::engine::Granted;
use super::resource::Kind;
use super::role::{BadSubject, Subject};
use crate::id::GrantId;
use crate::identity::Principal;
use crate::kind::{self, Classify};
use crate::time::Timestamp;

/// Grants on one thing at most.
pub(super) const MOST: i64 = 1000;

/// How much a grant allows: of a handle `read`, `write` or `manage`, of anything else `view`, `attach` or `manage`. Of those, each allows what
/// stands above it, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// See it, read its output and logs.
    View,
    /// Read the data of a handle.
    Read,
    /// Run code in it.
    Attach,
    /// Change the data of a handle.
    Write,
    /// Share it, stop it.
    Manage,
}

impl Level {
    /// Every level.
    pub const ALL: [Self; 5] = [Self::View, Self::Read, Self::Attach, Self::Write, Self::Manage];

    /// The word in the database, the API and policies.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Read => "read",
            Self::Attach => "attach",
            Self::Write => "write",
            Self::Manage => "manage",
        }
    }

    /// The levels that there are on a thing.
    #[must_use]
    pub const fn of(kind: Kind) -> &'static [Self] {
        match kind {
            Kind::Context | Kind::Session => &[Self::View, Self::Attach, Self::Manage],
            Kind::Batch => &[Self::View, Self::Manage],
            Kind::Handle => &[Self::Read, Self::Write, Self::Manage],
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|l| l.as_str() == text)
    }
}

/// A grant that is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Its id.
    pub id: GrantId,
    /// The tenant of the thing and of those it is granted to.
    pub tenant: String,
    /// What sort of thing is shared.
    pub kind: Kind,
    /// Which one.
    pub on: Uuid,
    /// How much is allowed.
    pub level: Level,
    /// To whom.
    pub to: Subject,
    /// Whether the owner has confirmed that the identity of its code is shared.
    pub identity_confirmed: bool,
    /// Who gave it.
    pub created_by: String,
    /// The proxy that spoke for them.
    pub created_via: Option<String>,
    /// When.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
}

/// What a new grant is to be.
#[derive(Debug, Clone)]
pub struct NewGrant {
    /// How much is allowed.
    pub level: Level,
    /// To whom.
    pub to: Subject,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// That its code runs as a person, and the owner means to let others run code as that person.
    pub confirm_identity: bool,
}

/// What reaches somebody of these grants on one thing: the highest level, and whether the identity is shared.
#[must_use]
pub fn reaching(who: &Principal, kind: Kind, grants: &[Grant]) -> Option<Granted> {
    grants.iter().filter(|g| g.kind == kind && *g.tenant == *who.tenant && g.to.includes(who)).fold(None, |sum, g| {
        let sum: Option<Granted> = sum;
        Some(Granted {
            level: sum.map_or(g.level, |s| s.level.max(g.level)),
            identity_confirmed: g.identity_confirmed || sum.is_some_and(|s| s.identity_confirmed),
        })
    })
}

/// What can go wrong with grants.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody can be named so.
    #[error(transparent)]
    BadSubject(#[from] BadSubject),
    /// It would end before it begins.
    #[error("expires_at: that moment is over; name one to come")]
    Expired,
    /// The owner needs none.
    #[error("{0} owns it and may do everything already")]
    Owner(String),
    /// Nobody runs code in a batch.
    #[error("a batch takes no code, so there is nothing to attach to: grant view or manage")]
    Batch,
    /// A level that this sort of thing does not have.
    #[error("{level} is no level of a {kind}: grant {known}", level = .level.as_str(), kind = .kind.as_str(), known = words(*.kind))]
    NoSuchLevel {
        /// What was to be granted.
        level: Level,
        /// On what.
        kind: Kind,
    },
    /// Its profile keeps people's identities to themselves.
    #[error(
        "its code runs as {run_as}, and the profile {profile} does not let that identity be shared (share_identity): grant view, or use a \
         profile that runs as a service account"
    )]
    NotShareable {
        /// The identity.
        run_as: String,
        /// The profile.
        profile: String,
    },
    /// Whoever is asked has not confirmed.
    #[error(
        "whoever may attach runs code as {0} and can do whatever {0} may do on the cluster: say that you mean it with \
         \"confirm_identity\": true"
    )]
    Unconfirmed(String),
    /// Somebody else than the owner would give the owner's identity away.
    #[error("its code runs as {0}: only the owner can let others run code with that identity")]
    NotTheOwner(String),
    /// Enough.
    #[error("it has {MOST} grants already; grant to a group instead, or revoke some")]
    TooMany,
    /// Another grant to the same was given at this moment.
    #[error("another grant to {0} was given at the same moment; look at the grants, and try again if need be")]
    Raced(Subject),
    /// No such grant on it.
    #[error("there is no grant {0} on it")]
    NotFound(GrantId),
    /// The `Idempotency-Key`.
    #[error(transparent)]
    Key(#[from] crate::store::idempotency::Error),
    /// The database.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    /// A row that should not exist.
    #[error("the row of grant {0} makes no sense")]
    Inconsistent(GrantId),
}

/// The levels of a sort of thing, for a sentence.
fn words(kind: Kind) -> String {
    Level::of(kind).iter().map(|level| level.as_str()).collect::<Vec<_>>().join(", ")
}

impl From<sqlx::Error> for Error {
    fn from(e: sqlx::Error) -> Self {
        Self::Store(e.into())
    }
}

impl Classify for Error {
    fn kind(&self) -> kind::Kind {
        match self {
            Self::BadSubject(_)
            | Self::Expired
            | Self::Owner(_)
            | Self::Batch
            | Self::NoSuchLevel { .. }
            | Self::Unconfirmed(_) => kind::Kind::Invalid,
            Self::NotShareable { .. } | Self::NotTheOwner(_) => kind::Kind::Denied,
            Self::TooMany | Self::Raced(_) => kind::Kind::Conflict,
            Self::NotFound(_) => kind::Kind::NotFound,
            Self::Key(e) => e.kind(),
            Self::Store(e) => e.kind(),
            Self::Inconsistent(_) => kind::Kind::Internal,
        }
    }
}
