//! The policies, and what they decide.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::request::{Asked, Body};
use super::words;
use crate::access::explain::{self, Explanation, check_action};
use crate::access::policy::{self, Listed, MOST_FILES};
use crate::access::resource::{Account, ProfileName, Tenant};
use crate::access::target::Target;
use crate::access::trial;
use crate::access::{ReadPolicies, Resource, Verb, View};
use crate::http::Doors;
use crate::http::bounded;
use crate::http::extract::Who;
use crate::http::fault::Fault;
use crate::id::Called;
use crate::identity::Principal;

/// Groups of one question at most.
const MOST_GROUPS: usize = 500;
/// Changes in one answer at most.
const MOST_CHANGES: usize = 500;

/// The routes.
pub fn router() -> OpenApiRouter<Doors> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(explain)).routes(routes!(try_out))
}

/// The policies that hold now.
#[derive(Debug, Serialize, ToSchema)]
pub struct Policies {
    /// By id.
    items: Vec<Policy>,
}

/// A Cedar policy.
#[derive(Debug, Serialize, ToSchema)]
pub struct Policy {
    /// `base:…` for Hearth's own, `site:…` for the site's.
    id: String,
    /// Whether it permits; else it forbids.
    permits: bool,
    /// Its text.
    text: String,
}

/// The policies that hold now. For operators, auditors and the admins of a tenant.
#[utoipa::path(get, path = "/policies", tag = "policies", operation_id = "list_policies", responses((status = 200, body = Policies)))]
async fn list(State(doors): State<Doors>, Who(who): Who) -> Result<Json<Policies>, Fault> {
    let access = doors.contexts.access();
    access.require::<ReadPolicies, _>(&who, Tenant(who.tenant.to_string())).await?;
    let listed = access.engine().policies().listed();
    let items = listed.into_iter().map(|Listed { id, permits, text }| Policy { id, permits, text }).collect();
    Ok(Json(Policies { items }))
}

/// Policies that may one day be the site's.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PolicyDraft)]
pub struct Draft {
    /// Each file's text, by its name; together they take the place of the site's policies.
    #[serde(deserialize_with = "bounded::map::<_, _, MOST_FILES>")]
    files: BTreeMap<String, String>,
}

/// What other policies would have decided.
#[derive(Debug, Serialize, ToSchema)]
pub struct Trial {
    /// What is odd in them, though valid.
    warnings: Vec<String>,
    /// Decisions of the tenant that were asked again: the newest of each sort.
    #[schema(minimum = 0)]
    tried: usize,
    /// How many of them would have come out otherwise.
    #[schema(minimum = 0)]
    changed: usize,
    /// The newest of these.
    #[schema(max_items = 500)]
    changes: Vec<Change>,
}

/// A decision that would have come out otherwise.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DecisionChange)]
pub struct Change {
    user: String,
    #[schema(schema_with = words::action)]
    action: &'static str,
    /// To what, as `explain` takes it.
    on: String,
    decided_at: DateTime<Utc>,
    /// Whether it was allowed; it would now be the other.
    was_allowed: bool,
    /// The policies that led to it then.
    policies: Vec<String>,
    /// The policies that would lead to the other.
    would_be_by: Vec<String>,
}

impl From<trial::Change> for Change {
    fn from(c: trial::Change) -> Self {
        Self {
            user: c.question.user.to_string(),
            action: c.question.verb.as_str(),
            on: c.question.on.to_string(),
            decided_at: c.decided_at,
            was_allowed: !c.verdict.allowed,
            policies: c.policies,
            would_be_by: c.verdict.policies,
        }
    }
}

/// Checks policies, and says what of the tenant's latest decisions would have come out otherwise by them. Nothing is taken up. For operators,
/// auditors and the admins of a tenant.
#[utoipa::path(post, path = "/policies/try", tag = "policies", operation_id = "try_policies", request_body = Draft,
    responses((status = 200, body = Trial)))]
async fn try_out(
    State(doors): State<Doors>,
    Who(who): Who,
    Body { said, .. }: Body<Draft>,
) -> Result<Json<Trial>, Fault> {
    let access = doors.contexts.access();
    access.require::<ReadPolicies, _>(&who, Tenant(who.tenant.to_string())).await?;
    let texts: Vec<_> = said.files.into_iter().collect();
    let policies = policy::Policies::from_texts(&texts).map_err(|e| Fault::invalid(format!("files: {e}")))?;
    let warnings = policies.warnings().to_vec();
    let trial = access.try_out(policies, &who.tenant).await?;
    let (tried, changed) = (trial.tried, trial.changes.len());
    let changes = trial.changes.into_iter().take(MOST_CHANGES).map(Change::from).collect();
    Ok(Json(Trial { warnings, tried, changed, changes }))
}

/// What is asked.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Question {
    /// What somebody wants to do.
    #[param(schema_with = words::action)]
    action: String,
    /// To what: `context/`, `session/` or `batch/` with an id or a name (or Livy's number), `handle/` with an id, `profile/NAME`, `account/USER`, `tenant/NAME`.
    #[param(example = "session/0", max_length = 400)]
    on: String,
    /// Who; without it the caller. To ask for others takes the right to read the policies.
    #[param(min_length = 1, max_length = 128)]
    user: Option<String>,
    /// Their groups, separated by commas.
    #[param(max_length = 4000)]
    groups: Option<String>,
    /// Their tenant; without it the caller's.
    #[param(min_length = 1, max_length = 128)]
    tenant: Option<String>,
}

/// What comes of an action, and why.
#[derive(Debug, Serialize, ToSchema)]
pub struct Answer {
    /// `not_found`: they are not even told that it exists.
    #[schema(schema_with = words::outcome)]
    outcome: &'static str,
    /// The ids of the policies that led to it; none: nothing permits it.
    policies: Vec<String>,
    /// What they are told when it is denied.
    told: Option<String>,
    /// What the configuration makes of them.
    roles: Vec<&'static str>,
    /// The highest grant on it that reaches them.
    #[schema(schema_with = words::grant_level_or_null)]
    granted: Option<&'static str>,
}

impl From<Explanation> for Answer {
    fn from(e: Explanation) -> Self {
        Self {
            outcome: e.outcome.as_str(),
            policies: e.policies,
            told: e.told,
            roles: e.roles.iter().map(|r| r.as_str()).collect(),
            granted: e.granted.map(|g| g.level.as_str()),
        }
    }
}

/// What the policies decide of an action, and which of them. The thing must be one that the caller may see.
#[utoipa::path(get, path = "/policies/explain", tag = "policies", operation_id = "explain_decision", params(Question),
    responses((status = 200, body = Answer)))]
async fn explain(
    State(doors): State<Doors>,
    Who(who): Who,
    Asked(asked): Asked<Question>,
) -> Result<Json<Answer>, Fault> {
    let action = Verb::parse(&asked.action).ok_or_else(|| {
        let known = Verb::ALL.map(Verb::as_str).join(", ");
        Fault::invalid(format!("action: there is none of that name; there are {known}"))
    })?;
    let on: Target = asked.on.parse().map_err(|e| Fault::invalid(format!("on: {e}")))?;
    let about = about(&doors, &who, &asked).await?;
    let explanation = match &on {
        Target::Context(called) => {
            let context = doors.contexts.open::<View>(&who, called).await?;
            of(&doors, &about, action, &*context).await?
        }
        Target::Session(called) => {
            let session = doors.sessions.open::<View>(&who, Called::read(called)).await?;
            of(&doors, &about, action, &*session).await?
        }
        Target::Batch(called) => {
            let batch = doors.batches.open::<View>(&who, Called::read(called)).await?;
            of(&doors, &about, action, &*batch).await?
        }
        Target::Handle(called) => {
            let id = called.parse().map_err(|_| Fault::invalid("on: a handle is named by its id"))?;
            let handle = doors.handles.open::<View>(&who, id).await?;
            of(&doors, &about, action, &*handle).await?
        }
        Target::Profile(name) => {
            doors.contexts.profile(name)?;
            of(&doors, &about, action, &ProfileName(name.clone())).await?
        }
        Target::Account(user) => {
            let account = Account { tenant: about.tenant.to_string(), user: user.clone() };
            of(&doors, &about, action, &account).await?
        }
        Target::Tenant(name) => of(&doors, &about, action, &Tenant(name.clone())).await?,
    };
    Ok(Json(explanation.into()))
}

async fn of<R: Resource>(doors: &Doors, about: &Principal, action: Verb, on: &R) -> Result<Explanation, Fault> {
    check_action(action, &on.facts()).map_err(|e| Fault::invalid(e.to_string()))?;
    Ok(doors.contexts.access().explain(about, action, on).await?)
}

/// Who is spoken of: the caller, or somebody else whom the caller may ask about.
async fn about(doors: &Doors, who: &Principal, asked: &Question) -> Result<Principal, Fault> {
    let Some(user) = &asked.user else {
        return match (&asked.groups, &asked.tenant) {
            (None, None) => Ok(who.clone()),
            _ => Err(Fault::invalid("groups and tenant are of a user: name one")),
        };
    };
    let tenant = asked.tenant.as_deref().unwrap_or(&who.tenant);
    doors.contexts.access().require::<ReadPolicies, _>(who, Tenant(tenant.to_owned())).await?;
    let groups: Vec<String> =
        asked.groups.iter().flat_map(|g| g.split(',')).map(|g| g.trim().to_owned()).filter(|g| !g.is_empty()).collect();
    if groups.len() > MOST_GROUPS {
        return Err(Fault::invalid(format!("groups: at most {MOST_GROUPS}")));
    }
    Ok(explain::somebody(tenant, user, groups))
}
