//! One decision by Cedar: a question with all that policies may look at, and the verdict with the policies that led to it.
//!
//! Pure: no clock, no database. So a verdict holds for as long as the question and the policies are the same, and [`Engine`] keeps it: a
//! kept one is found in a fortieth of the time of an evaluation (for 20 groups, in a debug build, 6 µs and 240 µs).

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request, RestrictedExpression,
};
use dashmap::DashMap;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tracing::error;

use super::action::Verb;
use super::grant::Level;
use super::policy::Policies;
use super::resource::{Facts, Kind, Owned};
use super::role::Role;
use crate::identity::{Principal, Scheme, Scope};

/// Verdicts kept at most; then all are forgotten and found anew.
const MOST_KEPT: usize = 50_000;

/// A question with all that policies may look at.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Question<'a> {
    /// The user's name.
    pub user: Cow<'a, str>,
    /// Their tenant.
    pub tenant: Cow<'a, str>,
    /// Their groups.
    pub groups: Cow<'a, [String]>,
    /// Their roles.
    pub roles: Cow<'a, [Role]>,
    /// Whether they are a trusted proxy that speaks in its own name.
    pub is_proxy: bool,
    /// Through whom they speak.
    pub via: Option<Cow<'a, str>>,
    /// How they showed who they are.
    pub scheme: Scheme,
    /// The most that their credential may be used for.
    pub scope: Scope,
    /// Where the call came from.
    pub address: Option<IpAddr>,
    /// What they want to do.
    pub verb: Verb,
    /// To what.
    pub on: Facts<'a>,
    /// The grant that reaches them.
    pub granted: Option<Granted>,
    /// Whether they may attach to the context that a handle lives in.
    #[serde(default)]
    pub attaches: bool,
    /// What its profile says of the identity that its code has.
    pub identity: Identity,
}

/// What reaches somebody of a thing beside what they own and are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reaching {
    /// The grants on it.
    pub granted: Option<Granted>,
    /// Whether they may attach to the context that a handle lives in.
    pub attaches: bool,
}

/// The grants that reach somebody, taken together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Granted {
    /// The highest level.
    pub level: Level,
    /// Whether the owner has confirmed with one of them that the identity is shared.
    pub identity_confirmed: bool,
}

/// What a profile says of the identity that its code has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileIdentity {
    /// The service account that it runs as; none: as whoever asks.
    pub service: Option<String>,
    /// Whether an owner may share their own.
    pub may_share: bool,
}

impl ProfileIdentity {
    /// What holds of a thing of the profile that runs as `run_as`; it may be older than what the profile says now.
    #[must_use]
    pub fn of(&self, run_as: &str) -> Identity {
        Identity { is_person: self.service.as_deref() != Some(run_as), may_share: self.may_share }
    }
}

/// Whose identity code has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// It is a person's, not a service account's.
    pub is_person: bool,
    /// The owner may share it.
    pub may_share: bool,
}

impl Identity {
    /// What holds of a profile that is not known (any longer).
    pub const UNKNOWN: Self = Self { is_person: true, may_share: false };
}

impl<'a> Question<'a> {
    /// What `who`, who has these roles, wants.
    #[must_use]
    pub fn new(who: &'a Principal, roles: &'a [Role], verb: Verb, on: Facts<'a>) -> Self {
        Self {
            user: Cow::Borrowed(&who.user),
            tenant: Cow::Borrowed(&who.tenant),
            groups: Cow::Borrowed(&who.groups),
            roles: Cow::Borrowed(roles),
            is_proxy: who.speaks_for.is_some(),
            via: who.via.as_deref().map(Cow::Borrowed),
            scheme: who.scheme,
            scope: who.scope,
            address: who.origin.address,
            verb,
            on,
            granted: None,
            attaches: false,
            identity: Identity::UNKNOWN,
        }
    }

    /// A digest by which the same question is known again.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut digest = Digest(Sha256::new());
        self.hash(&mut digest);
        digest.0.finalize().into()
    }
}

/// Hashes what `derive(Hash)` feeds, which tells where each part ends, by SHA-256: no two questions can be made to meet.
struct Digest(Sha256);

impl Hasher for Digest {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
    fn finish(&self) -> u64 {
        0
    }
}

/// The answer to a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Whether it is allowed.
    pub allowed: bool,
    /// The ids of the policies that led to it, in order; none: nothing permits it.
    pub policies: Vec<String>,
    /// What those that forbid it say to whom it happens (`@advice`).
    pub advice: Vec<String>,
}

impl Verdict {
    /// What holds when nothing can be decided.
    fn failed() -> Self {
        Self { allowed: false, policies: Vec::new(), advice: Vec::new() }
    }
}

/// A set of policies, and what they have decided.
#[derive(Debug)]
pub struct Engine {
    policies: Policies,
    kept: DashMap<[u8; 32], Arc<Verdict>>,
    count: AtomicUsize,
}

impl Engine {
    /// Decides by these policies.
    #[must_use]
    pub fn new(policies: Policies) -> Self {
        Self { policies, kept: DashMap::new(), count: AtomicUsize::new(0) }
    }

    /// The policies.
    #[must_use]
    pub fn policies(&self) -> &Policies {
        &self.policies
    }

    /// The verdict, and whether it was made now; else it was kept.
    pub fn decide(&self, question: &Question<'_>) -> (Arc<Verdict>, bool) {
        let digest = question.digest();
        if let Some(kept) = self.kept.get(&digest) {
            return (kept.clone(), false);
        }
        let verdict = Arc::new(self.evaluate(question));
        if self.count.fetch_add(1, Ordering::Relaxed) >= MOST_KEPT {
            self.kept.clear();
            self.count.store(0, Ordering::Relaxed);
        }
        self.kept.insert(digest, verdict.clone());
        (verdict, true)
    }

    /// The verdict, made now. What cannot be decided is not allowed.
    #[must_use]
    pub fn evaluate(&self, question: &Question<'_>) -> Verdict {
        match self.ask(question) {
            Ok(verdict) => verdict,
            Err(e) => {
                error!(error = %e, action = question.verb.as_str(), "The policies could not be asked");
                Verdict::failed()
            }
        }
    }

    fn ask(&self, question: &Question<'_>) -> Result<Verdict, Unaskable> {
        let Asked { request, entities } = Asked::new(question, &self.policies)?;
        let response = Authorizer::new().is_authorized(&request, &self.policies.set, &entities);
        // Cedar passes over a policy that fails: a forbid would be forgotten.
        if let Some(e) = response.diagnostics().errors().next() {
            return Err(Unaskable(e.to_string()));
        }
        let allowed = response.decision() == Decision::Allow;
        let mut policies: Vec<_> = response.diagnostics().reason().collect();
        policies.sort_unstable_by_key(|id| id.to_string());
        let advice = |id| self.policies.set.annotation(id, "advice").map(str::to_owned);
        let advice = if allowed { Vec::new() } else { policies.iter().copied().filter_map(advice).collect() };
        Ok(Verdict { allowed, advice, policies: policies.iter().map(ToString::to_string).collect() })
    }
}

/// The question does not fit the schema, which is a defect.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unaskable(String);

fn unaskable(e: impl std::fmt::Display) -> Unaskable {
    Unaskable(e.to_string())
}

/// A question as Cedar takes it.
struct Asked {
    request: Request,
    entities: Entities,
}

type Attributes = HashMap<String, RestrictedExpression>;

impl Asked {
    fn new(q: &Question<'_>, policies: &Policies) -> Result<Self, Unaskable> {
        let who = uid("User", &q.user)?;
        let tenant = uid("Tenant", &q.tenant)?;
        let mut parents = HashSet::from([tenant.clone()]);
        for group in q.groups.iter() {
            parents.insert(uid("Group", group)?);
        }
        for role in q.roles.iter() {
            parents.insert(uid("Role", role.as_str())?);
        }
        let attributes = Attributes::from([
            ("tenant".to_owned(), RestrictedExpression::new_entity_uid(tenant)),
            ("isProxy".to_owned(), RestrictedExpression::new_bool(q.is_proxy)),
        ]);
        let asker = Entity::new(who.clone(), attributes, parents).map_err(unaskable)?;
        let on = thing(q)?;
        let context = Context::from_pairs(context(q)?).map_err(unaskable)?;
        let action = uid("Action", q.verb.as_str())?;
        let request = Request::new(who, action, on.uid(), context, Some(&policies.schema)).map_err(unaskable)?;
        let entities = Entities::from_entities([asker, on], Some(&policies.schema)).map_err(unaskable)?;
        Ok(Self { request, entities })
    }
}

/// What it is done to.
fn thing(q: &Question<'_>) -> Result<Entity, Unaskable> {
    match &q.on {
        Facts::Owned(owned) => owned_thing(owned, q.identity),
        Facts::Profile(name) => Ok(Entity::new_no_attrs(uid("Profile", name)?, HashSet::new())),
        Facts::Account { tenant, user } => {
            let attributes = ownership(tenant, user)?;
            // Users of two tenants may have one name, so their accounts are named by both.
            let name = uid("Account", &format!("{tenant}/{user}"))?;
            Entity::new(name, attributes, HashSet::new()).map_err(unaskable)
        }
        Facts::Tenant(name) => Ok(Entity::new_no_attrs(uid("Tenant", name)?, HashSet::new())),
    }
}

fn owned_thing(owned: &Owned<'_>, identity: Identity) -> Result<Entity, Unaskable> {
    let kind = match owned.kind {
        Kind::Context => "Context",
        Kind::Session => "Session",
        Kind::Batch => "Batch",
        Kind::Handle => "Handle",
    };
    let mut attributes = ownership(&owned.tenant, &owned.owner)?;
    if let Some(via) = &owned.via {
        attributes.insert("via".to_owned(), RestrictedExpression::new_entity_uid(uid("User", via)?));
    }
    attributes.insert("runAs".to_owned(), RestrictedExpression::new_string(owned.run_as.to_string()));
    attributes.insert("runsAsPerson".to_owned(), RestrictedExpression::new_bool(identity.is_person));
    attributes.insert("sharesIdentity".to_owned(), RestrictedExpression::new_bool(identity.may_share));
    let mut parents = HashSet::from([uid("Profile", &owned.profile)?]);
    if let Some(context) = &owned.within {
        parents.insert(uid("Context", &context.id.to_string())?);
        attributes
            .insert("contextOwner".to_owned(), RestrictedExpression::new_entity_uid(uid("User", &context.owner)?));
    }
    Entity::new(uid(kind, &owned.id.to_string())?, attributes, parents).map_err(unaskable)
}

fn ownership(tenant: &str, owner: &str) -> Result<Attributes, Unaskable> {
    Ok(Attributes::from([
        ("tenant".to_owned(), RestrictedExpression::new_entity_uid(uid("Tenant", tenant)?)),
        ("owner".to_owned(), RestrictedExpression::new_entity_uid(uid("User", owner)?)),
    ]))
}

/// How it is asked.
fn context(q: &Question<'_>) -> Result<Vec<(String, RestrictedExpression)>, Unaskable> {
    let text = |t: &str| RestrictedExpression::new_string(t.to_owned());
    let mut pairs = vec![
        ("scheme".to_owned(), text(q.scheme.as_str())),
        ("scope".to_owned(), text(q.scope.as_str())),
        (
            "identityConfirmed".to_owned(),
            RestrictedExpression::new_bool(q.granted.is_some_and(|g| g.identity_confirmed)),
        ),
    ];
    if let Some(via) = &q.via {
        pairs.push(("via".to_owned(), RestrictedExpression::new_entity_uid(uid("User", via)?)));
    }
    if let Some(address) = q.address {
        // An IPv4 client of an IPv6 socket is known by its IPv4 address, which policies name.
        pairs.push(("address".to_owned(), RestrictedExpression::new_ip(address.to_canonical().to_string())));
    }
    if matches!(&q.on, Facts::Owned(owned) if owned.kind == Kind::Handle) {
        pairs.push(("attaches".to_owned(), RestrictedExpression::new_bool(q.attaches)));
    }
    if let Some(granted) = q.granted {
        pairs.push(("granted".to_owned(), text(granted.level.as_str())));
    }
    Ok(pairs)
}

fn uid(kind: &'static str, id: &str) -> Result<EntityUid, Unaskable> {
    let kind = EntityTypeName::from_str(kind).map_err(unaskable)?;
    Ok(EntityUid::from_type_name_and_id(kind, EntityId::new(id)))
}
