//! Says what somebody may do, and why: for people, not for use cases.

use super::action::Verb;
use super::engine::Granted;
use super::resource::{Facts, Kind, Resource};
use super::role::Role;
use super::{Access, grant, service};
use crate::identity::{Origin, Principal, Scheme, Scope};

/// What came of a question, and why.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// What came of it.
    pub outcome: Outcome,
    /// The policies that led to it.
    pub policies: Vec<String>,
    /// What they are told when it is not allowed.
    pub told: Option<String>,
    /// Their roles.
    pub roles: Vec<Role>,
    /// The grants that reach them, taken together.
    pub granted: Option<Granted>,
}

/// What comes of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// They may.
    Allowed,
    /// They may see it, but not do that.
    Denied,
    /// To them it does not exist.
    NotFound,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 3] = [Self::Allowed, Self::Denied, Self::NotFound];

    /// The word in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::NotFound => "not_found",
        }
    }
}

/// The action has no meaning for such a thing.
#[derive(Debug, thiserror::Error)]
#[error("{verb} is no action on a {noun}; there are: {known}", verb = .verb.as_str())]
pub struct NoSuchAction {
    verb: Verb,
    noun: &'static str,
    known: String,
}

/// The actions that there are on a thing.
#[must_use]
pub fn actions_on(on: &Facts<'_>) -> &'static [Verb] {
    match on {
        Facts::Owned(owned) if owned.kind == Kind::Batch => &[Verb::View, Verb::ViewGrants, Verb::Manage, Verb::Share],
        Facts::Owned(owned) if owned.kind == Kind::Handle => {
            &[Verb::View, Verb::ViewGrants, Verb::Read, Verb::Write, Verb::Manage, Verb::Share]
        }
        Facts::Owned(_) => &[Verb::View, Verb::ViewGrants, Verb::Attach, Verb::Manage, Verb::Share],
        Facts::Profile(_) => &[Verb::CreateContext, Verb::CreateSession, Verb::CreateBatch],
        Facts::Account { .. } => {
            &[Verb::ViewTokens, Verb::CreateToken, Verb::RevokeToken, Verb::ViewLogins, Verb::EndLogin]
        }
        Facts::Tenant(_) => &[Verb::ReadPolicies, Verb::ReadAudit],
    }
}

/// Checks that there is such an action on a thing.
///
/// # Errors
/// Names those there are.
pub fn check_action(verb: Verb, on: &Facts<'_>) -> Result<(), NoSuchAction> {
    let actions = actions_on(on);
    if actions.contains(&verb) {
        return Ok(());
    }
    let known = actions.iter().map(|v| v.as_str()).collect::<Vec<_>>().join(", ");
    Err(NoSuchAction { verb, noun: on.noun(), known })
}

/// Somebody who is spoken of, as if they had just logged in with all that they may do.
#[must_use]
pub fn somebody(tenant: &str, user: &str, groups: Vec<String>) -> Principal {
    Principal {
        groups: groups.into(),
        tenant: tenant.into(),
        scope: Scope::Manage,
        ..Principal::unknown(Some(user), Scheme::Basic, &Origin::default())
    }
}

impl Access {
    /// What comes of it when `about` wants to do this to `on`, and why.
    ///
    /// # Errors
    /// The database's.
    pub async fn explain<R: Resource>(
        &self,
        about: &Principal,
        verb: Verb,
        on: &R,
    ) -> Result<Explanation, grant::Error> {
        let facts = on.facts();
        let roles = self.roles(about);
        let reaching = self.reaching(about, &roles, &facts).await?;
        // What is only asked about was not decided: it is neither kept nor part of the sample.
        let ask = |verb| self.engine().evaluate(&self.question(about, &roles, verb, facts.clone(), reaching));
        let verdict = ask(verb);
        let is_seen = !facts.is_seen_first() || ask(Verb::View).allowed;
        let outcome = match (is_seen, verdict.allowed) {
            (false, _) => Outcome::NotFound,
            (true, false) => Outcome::Denied,
            (true, true) => Outcome::Allowed,
        };
        let told = (outcome == Outcome::Denied).then(|| service::denial(verb, &facts, &verdict));
        Ok(Explanation { outcome, policies: verdict.policies, told, roles, granted: reaching.granted })
    }
}
