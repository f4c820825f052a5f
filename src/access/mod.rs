//! What may they do. The one place that decides.
//!
//! A check returns a value and the action takes that value: [`Allowed`] can only be made here, so a use case that wants one
//! cannot be called without a decision. What one may not see is *not found*; what one may see but not do is *denied*.
//!
//! - [`action`]: every action there is; [`resource`]: what a decision looks at of a thing
//! - [`role`]: operators, auditors, tenant admins; [`grant`]: what owners let others do
//! - [`policy`]: the Cedar policies, Hearth's and the site's; [`engine`]: one decision by them
//! - [`service`]: puts these together, [`sharing`]: gives and revokes grants, [`account`]: API tokens and logins,
//!   [`explain`]: says why, of a [`target`]
//! - [`sample`]: what was decided, for [`trial`], which tries new policies against it
//!
//! The tenant, ownership, grants and roles are told to Cedar as facts; what follows from them is said in `policies/` alone. Lists ask the
//! database for the widest set that the base policies can allow ([`service::Reach`]) and Cedar for each row of it.

pub mod account;
pub mod action;
pub mod engine;
pub mod explain;
pub mod grant;
mod known;
pub mod policy;
pub mod reload;
pub mod resource;
pub mod role;
pub mod sample;
pub mod service;
pub mod sharing;
mod store;
pub mod target;
pub mod trial;

use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use crate::audit::{Entry, Event};
use crate::identity::Principal;
use crate::kind::{Classify, Kind};

pub use action::{
    Action, Attach, CreateBatch, CreateContext, CreateSession, CreateToken, EndLogin, Manage, Read, ReadAudit,
    ReadPolicies, RevokeToken, Share, Verb, View, ViewGrants, ViewLogins, ViewTokens, Write,
};
pub use engine::Verdict;
pub use resource::{Facts, Owned, Resource, Shareable};
pub use role::Config;
pub use service::Access;

/// Proof that somebody may do `A` to the resource inside.
#[derive(Debug)]
pub struct Allowed<A, R> {
    on: R,
    by: Arc<Verdict>,
    who: Principal,
    act: PhantomData<fn() -> A>,
}

impl<A, R> Allowed<A, R> {
    /// The ids of the policies that allow it, for the audit.
    #[must_use]
    pub fn policies(&self) -> &[String] {
        &self.by.policies
    }
}

impl<A, R: Resource> Allowed<A, R> {
    /// Who may.
    #[must_use]
    pub fn who(&self) -> &Principal {
        &self.who
    }

    /// What the audit is to say of something that this allows.
    #[must_use]
    pub fn entry(&self, event: Event) -> Entry<'_> {
        let entry = Entry::done(event, &self.who).by(&self.by.policies);
        resource::tell(entry, &self.on.facts())
    }
}

impl<A, R> Deref for Allowed<A, R> {
    type Target = R;
    fn deref(&self) -> &R {
        &self.on
    }
}

/// Why an action was not allowed.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Missing, or not to be seen by the caller: the two are not told apart.
    #[error("not found")]
    NotFound,
    /// To be seen, but not allowed; what and why, for whom it happens to.
    #[error("{0}")]
    Denied(String),
    /// The grants could not be read, so nothing was decided.
    #[error(transparent)]
    Grants(#[from] grant::Error),
}

impl Classify for Refused {
    fn kind(&self) -> Kind {
        match self {
            Self::NotFound => Kind::NotFound,
            Self::Denied(_) => Kind::Denied,
            Self::Grants(e) => e.kind(),
        }
    }
}
