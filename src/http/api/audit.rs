//! The audit of the caller's tenant, for those who may read it.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::request::Asked;
use crate::access::ReadAudit;
use crate::access::resource::Tenant;
use crate::audit::Event as Word;
use crate::audit::chain::Written;
use crate::audit::trail::{self, Wanted};
use crate::http::Doors;
use crate::http::extract::Who;
use crate::http::fault::Fault;

/// The routes.
pub fn router() -> OpenApiRouter<Doors> {
    OpenApiRouter::new().routes(routes!(list))
}

/// Something that was done or refused.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEvent)]
pub struct Event {
    /// Its number.
    id: i64,
    at: DateTime<Utc>,
    /// Its word in the catalogue.
    #[schema(example = "statement.submitted")]
    event: String,
    /// `done` or `refused`.
    outcome: String,
    /// Whose credential it was.
    actor: String,
    /// For whom they acted.
    on_behalf_of: Option<String>,
    /// How they showed who they are.
    scheme: String,
    /// From where.
    address: Option<String>,
    /// In which request.
    request: Option<String>,
    resource_kind: Option<String>,
    resource_id: Option<String>,
    /// The policies that decided.
    policies: Vec<String>,
    detail: Option<String>,
}

impl From<Written> for Event {
    fn from(w: Written) -> Self {
        Self {
            id: w.event_id,
            at: w.at,
            event: w.event,
            outcome: w.outcome,
            actor: w.actor,
            on_behalf_of: w.on_behalf_of,
            scheme: w.scheme,
            address: w.address,
            request: w.request,
            resource_kind: w.resource_kind,
            resource_id: w.resource_id,
            policies: w.policies,
            detail: w.detail,
        }
    }
}

/// Events.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEvents)]
pub struct Events {
    items: Vec<Event>,
}

/// Which events are wanted.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// After this event's number: 0 for the first.
    #[param(minimum = 0, default = 0)]
    after: i64,
    /// How many at most.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    size: i64,
    /// Of this actor, or on behalf of them.
    actor: Option<String>,
    /// Of this word.
    event: Option<String>,
    /// On the thing of this id.
    resource: Option<String>,
}

impl Default for Filter {
    fn default() -> Self {
        Self { after: 0, size: 100, actor: None, event: None, resource: None }
    }
}

/// What was done and refused in the caller's tenant, oldest first. That it was read is written down too.
#[utoipa::path(get, path = "/audit", tag = "audit", operation_id = "list_audit", params(Filter),
    responses((status = 200, body = Events)))]
async fn list(State(doors): State<Doors>, Who(who): Who, Asked(filter): Asked<Filter>) -> Result<Json<Events>, Fault> {
    let Filter { after, size, actor, event, resource } = filter;
    if !(1..=1000).contains(&size) || after < 0 {
        return Err(Fault::invalid("size is 1 to 1000, and after is not negative"));
    }
    let is_odd = |text: &String| text.len() > 256 || text.chars().any(char::is_control);
    if [&actor, &event, &resource].into_iter().flatten().any(is_odd) {
        return Err(Fault::invalid("actor, event and resource have 256 characters at most, and no control characters"));
    }
    let access = doors.contexts.access();
    let by = access.require::<ReadAudit, _>(&who, Tenant(who.tenant.to_string())).await?;
    access.note(by.entry(Word::AuditRead)).await?;
    let wanted = Wanted { after, tenant: Some(who.tenant.to_string()), actor, event, resource, most: size };
    let items = trail::read(doors.contexts.pool(), &wanted).await?;
    Ok(Json(Events { items: items.into_iter().map(Event::from).collect() }))
}
