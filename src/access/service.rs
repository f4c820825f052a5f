//! Decides: facts, roles and grants go in, proofs come out.

use std::collections::{BTreeMap, HashMap};
use std::marker::PhantomData;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use sqlx::PgPool;
use tracing::debug;
use uuid::Uuid;

use super::action::{Action, Verb};
use super::engine::{Engine, Granted, Identity, ProfileIdentity, Question, Reaching, Verdict};
use super::grant::{self, Grant};
use super::known::Known;
use super::policy::{self, Policies};
use super::resource::{Facts, Kind, Owned, Resource};
use super::role::{Config, Role};
use super::sample::Sample;
use super::trial::{self, Trial};
use super::{Allowed, Refused, Shareable, resource, store};
use crate::audit::{Audit, Entry, Event};
use crate::identity::{Principal, Scope};
use crate::store::notify::Notifier;
use crate::store::{Page, Range};

/// Rows that are looked at together when a policy can hide some of a list.
const STEP: i64 = 500;

/// Decides what may be done. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Access(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    pool: PgPool,
    config: Config,
    engine: ArcSwap<Engine>,
    identities: BTreeMap<String, ProfileIdentity>,
    known: Known,
    sample: Sample,
    others: Notifier,
    audit: Audit,
}

/// The widest set that the base policies can let somebody see, for the database.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    /// Of every tenant.
    pub anywhere: bool,
    /// Whoever owns it.
    pub everybody: bool,
    /// What was made through them as a trusted proxy.
    pub as_proxy: bool,
    /// What is granted to them.
    pub shared: Vec<Uuid>,
    /// Of handles: the contexts of others that they may attach to.
    pub attachable: Vec<Uuid>,
}

impl Access {
    /// Decides by the configured roles and policies; `identities` says of each profile whose identity its code has.
    ///
    /// # Errors
    /// When the policies cannot be read or are not valid.
    pub fn new(
        pool: PgPool,
        config: Config,
        identities: BTreeMap<String, ProfileIdentity>,
        others: Notifier,
        audit: Audit,
    ) -> Result<Self, policy::Error> {
        let engine = ArcSwap::from_pointee(Engine::new(Policies::load(folder(&config).as_deref())?));
        let known = Known::new(pool.clone());
        let sample = Sample::default();
        Ok(Self(Arc::new(Parts { pool, config, engine, identities, known, sample, others, audit })))
    }

    /// The folder of the site's policies.
    #[must_use]
    pub fn folder(&self) -> Option<PathBuf> {
        folder(&self.0.config)
    }

    /// Reads the policies anew and decides by them from now on.
    ///
    /// # Errors
    /// When they cannot be read or are not valid; then those of before stay.
    pub fn reload(&self) -> Result<(), policy::Error> {
        let policies = Policies::load(self.folder().as_deref())?;
        self.0.engine.store(Arc::new(Engine::new(policies)));
        Ok(())
    }

    /// The policies and what they have decided.
    #[must_use]
    pub fn engine(&self) -> Arc<Engine> {
        self.0.engine.load_full()
    }

    /// What somebody is by the configuration.
    #[must_use]
    pub fn roles(&self, who: &Principal) -> Vec<Role> {
        self.0.config.roles(who)
    }

    pub(super) fn pool(&self) -> &PgPool {
        &self.0.pool
    }

    /// Whose identity the code of a thing has.
    pub(super) fn identity_of(&self, on: &Owned<'_>) -> Identity {
        self.0.identities.get(&*on.profile).map_or(Identity::UNKNOWN, |profile| profile.of(&on.run_as))
    }

    /// The grants on a thing have changed, as another gateway tells; on any thing when none is named.
    pub fn forget(&self, thing: Option<Uuid>) {
        self.0.known.forget(thing);
    }

    /// The grants on a thing were changed here.
    pub(super) fn changed(&self, thing: Uuid) {
        self.forget(Some(thing));
        self.0.others.tell(thing);
    }

    /// Decides whether `who` may do `A` to `on`. Takes a connection to the database for what is another's; the caller holds none.
    ///
    /// # Errors
    /// [`Refused::NotFound`] when they may not even see it.
    pub async fn require<A: Action, R: Resource>(&self, who: &Principal, on: R) -> Result<Allowed<A, R>, Refused> {
        let facts = on.facts();
        let roles = self.roles(who);
        let reaching = self.reaching(who, &roles, &facts).await?;
        let ask = |verb| self.verdict(who, &roles, verb, on.facts(), reaching);
        if facts.is_seen_first() {
            let view = ask(Verb::View);
            if !view.allowed {
                self.note_refusal(who, Verb::View, &facts, &view).await?;
                return Err(Refused::NotFound);
            }
            if A::VERB == Verb::View {
                return Ok(Allowed { on, by: view, who: who.clone(), act: PhantomData });
            }
        }
        let verdict = ask(A::VERB);
        if !verdict.allowed {
            self.note_refusal(who, A::VERB, &facts, &verdict).await?;
            return Err(Refused::Denied(denial(A::VERB, &facts, &verdict)));
        }
        Ok(Allowed { on, by: verdict, who: who.clone(), act: PhantomData })
    }

    /// Writes down that something was refused.
    async fn note_refusal(
        &self,
        who: &Principal,
        verb: Verb,
        on: &Facts<'_>,
        verdict: &Verdict,
    ) -> Result<(), grant::Error> {
        let entry = Entry::refused(Event::Access, who).by(&verdict.policies).with(verb.as_str());
        let mut db = self.0.pool.acquire().await?;
        Ok(self.0.audit.record(&mut db, resource::tell(entry, on)).await?)
    }

    /// Writes down that output or a log is read, when it is another's than the reader's.
    ///
    /// # Errors
    /// The database's: then it must not be read.
    pub async fn note_read<A, R: Shareable>(&self, what: &Allowed<A, R>) -> Result<(), crate::store::Error> {
        let owned = what.owned();
        if (&*owned.tenant, &*owned.owner) == (&*what.who().tenant, &*what.who().user) {
            return Ok(());
        }
        let mut db = self.0.pool.acquire().await?;
        Ok(self.0.audit.record(&mut db, what.entry(Event::Read)).await?)
    }

    /// Writes down what is no action on a row of its own: a login, a refusal.
    ///
    /// # Errors
    /// The database's: then it must not be done.
    pub async fn note(&self, entry: Entry<'_>) -> Result<(), crate::store::Error> {
        let mut db = self.0.pool.acquire().await?;
        Ok(self.0.audit.record(&mut db, entry).await?)
    }

    /// What actions are written down with.
    #[must_use]
    pub fn audit(&self) -> &Audit {
        &self.0.audit
    }

    /// What is asked of the policies.
    pub(super) fn question<'a>(
        &self,
        who: &'a Principal,
        roles: &'a [Role],
        verb: Verb,
        on: Facts<'a>,
        Reaching { granted, attaches }: Reaching,
    ) -> Question<'a> {
        let identity = match &on {
            Facts::Owned(owned) => self.identity_of(owned),
            _ => Identity::UNKNOWN,
        };
        Question { granted, attaches, identity, ..Question::new(who, roles, verb, on) }
    }

    /// The verdict on one action, logged for those who look for it.
    fn verdict(&self, who: &Principal, roles: &[Role], verb: Verb, on: Facts<'_>, reaching: Reaching) -> Arc<Verdict> {
        let question = self.question(who, roles, verb, on, reaching);
        let (verdict, is_new) = self.0.engine.load().decide(&question);
        if is_new {
            self.0.sample.add(&question, &verdict);
        }
        debug!(
            request = who.origin.request.as_deref(),
            tenant = &*who.tenant,
            user = &*who.user,
            via = who.via.as_deref(),
            action = verb.as_str(),
            on = ?question.on,
            allowed = verdict.allowed,
            policies = ?verdict.policies,
            "Decided"
        );
        verdict
    }

    /// Tries policies against what members of a tenant asked lately.
    ///
    /// # Errors
    /// The database's.
    pub async fn try_out(&self, policies: Policies, tenant: &str) -> Result<Trial, crate::store::Error> {
        let mut db = self.0.pool.acquire().await?;
        Ok(trial::run(&mut db, policies, Some(tenant)).await?)
    }

    /// What was decided and is not written down yet.
    pub(super) fn sample(&self) -> &Sample {
        &self.0.sample
    }

    /// What reaches somebody of a thing: the grants on it and, of a handle, whether its context is open to them.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn reaching(
        &self,
        who: &Principal,
        roles: &[Role],
        on: &Facts<'_>,
    ) -> Result<Reaching, grant::Error> {
        let things = asked_of(who, on);
        if things.is_empty() {
            return Ok(self.reaching_by(who, roles, on, &HashMap::new()));
        }
        let grants = self.0.known.of(&things).await?;
        Ok(self.reaching_by(who, roles, on, &grants))
    }

    /// As [`Access::reaching`], by grants that are known.
    fn reaching_by(
        &self,
        who: &Principal,
        roles: &[Role],
        on: &Facts<'_>,
        grants: &HashMap<Uuid, Arc<[Grant]>>,
    ) -> Reaching {
        let of = |owned: &Owned<'_>| grants.get(&owned.id).and_then(|on| grant::reaching(who, owned.kind, on));
        let Facts::Owned(owned) = on else { return Reaching::default() };
        let granted = if needs_grant(who, owned) { of(owned) } else { None };
        let attaches = owned.within.as_deref().is_some_and(|context| self.attaches(who, roles, context, of(context)));
        Reaching { granted, attaches }
    }

    /// Whether somebody may attach to a context, whatever the credential of this call is good for: that bounds what is done to the handle.
    fn attaches(&self, who: &Principal, roles: &[Role], context: &Owned<'_>, granted: Option<Granted>) -> bool {
        let who = Principal { scope: Scope::Manage, ..who.clone() };
        let granted = granted.filter(|_| needs_grant(&who, context));
        let facts = Facts::Owned(context.clone());
        let question = self.question(&who, roles, Verb::Attach, facts, Reaching { granted, attaches: false });
        self.engine().decide(&question).0.allowed
    }

    /// The widest set that somebody may see.
    ///
    /// # Errors
    /// The database's.
    pub async fn reach(&self, who: &Principal, kind: Kind) -> Result<Reach, Refused> {
        let roles = self.roles(who);
        let anywhere = roles.contains(&Role::Operator);
        if anywhere || roles.contains(&Role::TenantAdmin) {
            return Ok(Reach { anywhere, everybody: true, ..Reach::default() });
        }
        let mut db = self.0.pool.acquire().await.map_err(grant::Error::from)?;
        let shared = store::shared_with(&mut db, who, kind).await.map_err(grant::Error::from)?;
        Ok(Reach { shared, as_proxy: who.speaks_for.is_some(), ..Reach::default() })
    }

    /// As [`Access::reach`], for handles: with the contexts of others that somebody may attach to, of those that `load` gives for the ids
    /// of what is granted to them.
    ///
    /// # Errors
    /// Those of `load`, and the database's.
    pub async fn reach_handles<R, E, F>(&self, who: &Principal, load: impl FnOnce(Vec<Uuid>) -> F) -> Result<Reach, E>
    where
        R: Shareable,
        E: From<Refused>,
        F: Future<Output = Result<Vec<R>, E>>,
    {
        let reach = self.reach(who, Kind::Handle).await?;
        if reach.everybody {
            return Ok(reach);
        }
        let contexts = load(self.reach(who, Kind::Context).await?.shared).await?;
        let roles = self.roles(who);
        let ids: Vec<Uuid> = contexts.iter().map(|c| c.owned().id).collect();
        let grants =
            if ids.is_empty() { HashMap::new() } else { self.0.known.of(&ids).await.map_err(Refused::from)? };
        let open = |context: &R| {
            let owned = context.owned();
            let granted = grants.get(&owned.id).and_then(|on| grant::reaching(who, owned.kind, on));
            self.attaches(who, &roles, &owned, granted).then_some(owned.id)
        };
        Ok(Reach { attachable: contexts.iter().filter_map(open).collect(), ..reach })
    }

    /// A page of what `who` may see of the rows that `fetch` gives for a range of their [`Reach`]; the total counts what they may see.
    /// Where a site policy can hide rows, all of them have to be looked at to count.
    ///
    /// # Errors
    /// Those of `fetch`, and the database's.
    pub async fn page<R, E, F>(&self, who: &Principal, range: Range, fetch: impl Fn(Range) -> F) -> Result<Page<R>, E>
    where
        R: Resource,
        E: From<Refused>,
        F: Future<Output = Result<Page<R>, E>>,
    {
        if !self.0.engine.load().policies().can_hide {
            let Page { rows, total } = fetch(range).await?;
            return Ok(Page { rows: self.seen(who, rows).await?, total });
        }
        let mut page = Page { rows: Vec::new(), total: 0 };
        let mut at = 0;
        loop {
            let step = fetch(Range { from: at, size: STEP }).await?;
            let read = i64::try_from(step.rows.len()).unwrap_or(STEP);
            for row in self.seen(who, step.rows).await? {
                if page.total >= range.from && page.total - range.from < range.size {
                    page.rows.push(row);
                }
                page.total += 1;
            }
            at += read;
            if read < STEP {
                return Ok(page);
            }
        }
    }

    /// Those of the rows that `who` may see.
    async fn seen<R: Resource>(&self, who: &Principal, mut rows: Vec<R>) -> Result<Vec<R>, Refused> {
        let roles = self.roles(who);
        let others: Vec<Uuid> = rows.iter().flat_map(|r| asked_of(who, &r.facts())).collect();
        let grants = if others.is_empty() { HashMap::new() } else { self.0.known.of(&others).await? };
        rows.retain(|row| {
            let facts = row.facts();
            let reaching = self.reaching_by(who, &roles, &facts, &grants);
            self.verdict(who, &roles, Verb::View, facts, reaching).allowed
        });
        Ok(rows)
    }
}

/// Whether grants on a thing matter for this caller: an owner needs none, unless it is a handle in another's context, and none reach over
/// tenants.
fn needs_grant(who: &Principal, owned: &Owned<'_>) -> bool {
    *owned.tenant == *who.tenant && (*owned.owner != *who.user || owned.is_in_anothers())
}

/// The things whose grants decide: this one, and the context it lives in.
fn asked_of(who: &Principal, on: &Facts<'_>) -> Vec<Uuid> {
    let Facts::Owned(owned) = on else { return Vec::new() };
    let things = [Some(owned), owned.within.as_deref()];
    things.into_iter().flatten().filter(|owned| needs_grant(who, owned)).map(|owned| owned.id).collect()
}

fn folder(config: &Config) -> Option<PathBuf> {
    Some(PathBuf::from(&config.policies)).filter(|folder| !folder.as_os_str().is_empty())
}

/// What is told to whom it happens: what they may not do, and why where a policy says so.
pub(super) fn denial(verb: Verb, on: &Facts<'_>, verdict: &Verdict) -> String {
    let deed = match (verb, on) {
        (Verb::Manage, Facts::Owned(owned)) if owned.kind == Kind::Handle => "unshare it",
        _ => verb.deed(),
    };
    let what = match on {
        Facts::Owned(owned) => format!("you may see this {}, but not {deed}", owned.kind.as_str()),
        Facts::Profile(name) => format!("you may not {deed} from the profile {name:?}"),
        Facts::Account { user, .. } => format!("you may not {deed} of {user}"),
        Facts::Tenant(name) => format!("you may not {deed} of the tenant {name:?}"),
    };
    if !verdict.advice.is_empty() {
        return format!("{what}: {}", verdict.advice.join("; "));
    }
    if !verdict.policies.is_empty() {
        return format!("{what}: the policy {} forbids it", verdict.policies.join(", "));
    }
    match (on, verb) {
        (Facts::Owned(_), Verb::Attach | Verb::Read | Verb::Write) => {
            format!("{what}: its owner can grant {}", verb.as_str())
        }
        (Facts::Owned(_), _) => format!("{what}: its owner can grant manage"),
        _ => what,
    }
}
