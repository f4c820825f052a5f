//! Grants: whom contexts, sessions, batches and handles are shared with.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::answer::{Address, List};
use super::request::{Asked, Body, Named, Paged, range};
use super::{handles, words};
use crate::access::grant::{self, Level};
use crate::access::role::Subject;
use crate::access::{Allowed, Share, Shareable, ViewGrants};
use crate::batch::service::Called as CalledBatch;
use crate::http::Doors;
use crate::http::extract::Who;
use crate::http::fault::Fault;
use crate::identity::Principal;
use crate::session::service::Called as CalledSession;
use crate::store::idempotency;
use crate::time::Span;

/// The routes.
pub fn router() -> OpenApiRouter<Doors> {
    OpenApiRouter::new()
        .routes(routes!(list_of_context, give_context))
        .routes(routes!(revoke_context))
        .routes(routes!(list_of_session, give_session))
        .routes(routes!(revoke_session))
        .routes(routes!(list_of_batch, give_batch))
        .routes(routes!(revoke_batch))
        .routes(routes!(list_of_handle, give_handle))
        .routes(routes!(revoke_handle))
}

/// What a user, or everybody in a group, may do with a thing that is not theirs.
#[derive(Debug, Serialize, ToSchema)]
pub struct Grant {
    id: Uuid,
    /// `view`: see it, read its output and logs; `attach`: run code in it, too; `manage`: share and stop it, too.
    /// Of a handle: `read`: see it and read its data; `write`: change its data, too; `manage`: share and unshare it, too.
    #[schema(schema_with = words::grant_level)]
    level: &'static str,
    /// The user it is granted to; null: it is granted to a group.
    user: Option<String>,
    /// The group it is granted to; null: it is granted to a user.
    group: Option<String>,
    /// Whether its owner has confirmed that the grantee may act as the person that its code runs as.
    identity_confirmed: bool,
    created_by: String,
    /// The trusted proxy that spoke for them.
    created_via: Option<String>,
    created_at: DateTime<Utc>,
    /// When it ends by itself.
    expires_at: Option<DateTime<Utc>>,
}

impl From<grant::Grant> for Grant {
    fn from(g: grant::Grant) -> Self {
        let (user, group) = match g.to {
            Subject::User(name) => (Some(name), None),
            Subject::Group(name) => (None, Some(name)),
        };
        Self {
            id: g.id.0,
            level: g.level.as_str(),
            user,
            group,
            identity_confirmed: g.identity_confirmed,
            created_by: g.created_by,
            created_via: g.created_via,
            created_at: g.created_at,
            expires_at: g.expires_at,
        }
    }
}

/// What is to be granted, to one user or one group. It takes the place of what was granted to the same before.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewGrant {
    /// `view`: see it, read its output and logs; `attach`: run code in it, too; `manage`: share and stop it, too.
    /// Of a handle: `read`: see it and read its data; `write`: change its data, too; `manage`: share and unshare it, too.
    #[schema(schema_with = words::grant_level)]
    level: Level,
    /// A user, by name.
    #[schema(min_length = 1, max_length = 128)]
    user: Option<String>,
    /// A group, by name.
    #[schema(min_length = 1, max_length = 128)]
    group: Option<String>,
    /// When it ends by itself.
    expires_at: Option<DateTime<Utc>>,
    /// How long it lasts, such as `8h` or `7d`; instead of `expires_at`.
    #[schema(example = "8h", max_length = 40)]
    expires_in: Option<String>,
    /// Whoever may attach to what runs as a person acts as that person. Where the profile allows it (`share_identity`), its owner has
    /// to say here that this is meant.
    #[serde(default)]
    #[schema(default = false)]
    confirm_identity: bool,
}

impl TryFrom<NewGrant> for grant::NewGrant {
    type Error = Fault;

    fn try_from(said: NewGrant) -> Result<Self, Fault> {
        let to = match (&said.user, &said.group) {
            (Some(user), None) => Subject::user(user),
            (None, Some(group)) => Subject::group(group),
            _ => return Err(Fault::invalid("name either a user or a group")),
        };
        let lasts = match (said.expires_at, &said.expires_in) {
            (Some(_), Some(_)) => return Err(Fault::invalid("name either expires_at or expires_in")),
            (at, None) => at,
            (None, Some(span)) => {
                let Span(time) = span.parse().map_err(|e| Fault::invalid(format!("expires_in: {e}")))?;
                Some(crate::time::now() + time)
            }
        };
        let to = to.map_err(|e| Fault::invalid(e.to_string()))?;
        Ok(Self { level: said.level, to, expires_at: lasts, confirm_identity: said.confirm_identity })
    }
}

async fn list<R: Shareable>(
    doors: &Doors,
    on: &Allowed<ViewGrants, R>,
    paged: &Paged,
    address: &Address,
) -> Result<Response, Fault> {
    let range = range(paged.from, paged.size)?;
    let page = doors.contexts.access().grants(on, range).await?;
    Ok(address.list(range, page, Grant::from))
}

async fn give<R: Shareable>(
    doors: &Doors,
    who: &Principal,
    on: &Allowed<Share, R>,
    said: NewGrant,
    key: Option<&idempotency::Key>,
) -> Result<Response, Fault> {
    let grant = doors.contexts.access().grant(who, on, said.try_into()?, key).await?;
    Ok((StatusCode::CREATED, Json(Grant::from(grant))).into_response())
}

async fn revoke<R: Shareable>(
    doors: &Doors,
    who: &Principal,
    on: &Allowed<Share, R>,
    grant: Uuid,
) -> Result<Json<Grant>, Fault> {
    Ok(Json(doors.contexts.access().revoke(who, on, grant.into()).await?.into()))
}

/// Whom the context is shared with, oldest grant first.
#[utoipa::path(get, path = "/contexts/{id}/grants", tag = "grants", operation_id = "list_context_grants",
    params(("id" = Uuid, Path), Paged), responses((status = 200, body = List<Grant>)))]
async fn list_of_context(
    State(doors): State<Doors>,
    Who(who): Who,
    Named(id): Named<Uuid>,
    Asked(paged): Asked<Paged>,
    address: Address,
) -> Result<Response, Fault> {
    let on = doors.contexts.open::<ViewGrants>(&who, &id.to_string()).await?;
    list(&doors, &on, &paged, &address).await
}

/// Shares the context with a user or a group.
#[utoipa::path(post, path = "/contexts/{id}/grants", tag = "grants", operation_id = "grant_context",
    params(("id" = Uuid, Path)), request_body = NewGrant,
    responses((status = 201, body = Grant, description = "It is granted.")))]
async fn give_context(
    State(doors): State<Doors>,
    Who(who): Who,
    Named(id): Named<Uuid>,
    Body { said, key }: Body<NewGrant>,
) -> Result<Response, Fault> {
    let on = doors.contexts.open::<Share>(&who, &id.to_string()).await?;
    give(&doors, &who, &on, said, key.as_ref()).await
}

/// Takes a grant on the context back.
#[utoipa::path(delete, path = "/contexts/{id}/grants/{grant}", tag = "grants", operation_id = "revoke_context_grant",
    params(("id" = Uuid, Path), ("grant" = Uuid, Path)),
    responses((status = 200, body = Grant, description = "It was in force until now.")))]
async fn revoke_context(
    State(doors): State<Doors>,
    Who(who): Who,
    Named((id, grant)): Named<(Uuid, Uuid)>,
) -> Result<Json<Grant>, Fault> {
    let on = doors.contexts.open::<Share>(&who, &id.to_string()).await?;
    revoke(&doors, &who, &on, grant).await
}

/// Whom the session is shared with, oldest grant first.
#[utoipa::path(get, path = "/sessions/{id}/grants", tag = "grants", operation_id = "list_session_grants",
    params(("id" = Uuid, Path), Paged), responses((status = 200, body = List<Grant>)))]
async fn list_of_session(
    State(doors): State<Doors>,
    Who(who): Who,
    Named(id): Named<Uuid>,
    Asked(paged): Asked<Paged>,
    address: Address,
) -> Result<Response, Fault> {
    let on = doors.sessions.open::<ViewGrants>(&who, CalledSession::Id(id.into())).await?;
    list(&doors, &on, &paged, &address).await
}

/// Shares the session with a user or a group.
#[utoipa::path(post, path = "/sessions/{id}/grants", tag = "grants", operation_id = "grant_session",
    params(("id" = Uuid, Path)), request_body = NewGrant,
    responses((status = 201, body = Grant, description = "It is granted.")))]
async fn give_session(
    State(doors): State<Doors>,
    Who(who): Who,
    Named(id): Named<Uuid>,
    Body { said, key }: Body<NewGrant>,
) -> Result<Response, Fault> {
    let on = doors.sessions.open::<Share>(&who, CalledSession::Id(id.into())).await?;
    give(&doors, &who, &on, said, key.as_ref()).await
}

/// Takes a grant on the session back.
#[utoipa::path(delete, path = "/sessions/{id}/grants/{grant}", tag = "grants", operation_id = "revoke_session_grant",
    params(("id" = Uuid, Path), ("grant" = Uuid, Path)),
    responses((status = 200, body = Grant, description = "It was in force until now.")))]
async fn revoke_session(
    State(doors): State<Doors>,
    Who(who): Who,
    Named((id, grant)): Named<(Uuid, Uuid)>,
) -> Result<Json<Grant>, Fault> {
    let on = doors.sessions.open::<Share>(&who, CalledSession::Id(id.into())).await?;
    revoke(&doors, &who, &on, grant).await
}

/// Whom the batch is shared with, oldest grant first.
#[utoipa::path(get, path = "/batches/{id}/grants", tag = "grants", operation_id = "list_batch_grants",
    params(("id" = Uuid, Path), Paged), responses((status = 200, body = List<Grant>)))]
async fn list_of_batch(
    State(doors): State<Doors>,
    Who(who): Who,
    Named(id): Named<Uuid>,
    Asked(paged): Asked<Paged>,
    address: Address,
) -> Result<Response, Fault> {
    let on = doors.batches.open::<ViewGrants>(&who, CalledBatch::Id(id.into())).await?;
    list(&doors, &on, &paged, &address).await
}

/// Shares the batch with a user or a group.
#[utoipa::path(post, path = "/batches/{id}/grants", tag = "grants", operation_id = "grant_batch",
    params(("id" = Uuid, Path)), request_body = NewGrant,
    responses((status = 201, body = Grant, description = "It is granted.")))]
async fn give_batch(
    State(doors): State<Doors>,
    Who(who): Who,
    Named(id): Named<Uuid>,
    Body { said, key }: Body<NewGrant>,
) -> Result<Response, Fault> {
    let on = doors.batches.open::<Share>(&who, CalledBatch::Id(id.into())).await?;
    give(&doors, &who, &on, said, key.as_ref()).await
}

/// Takes a grant on the batch back.
#[utoipa::path(delete, path = "/batches/{id}/grants/{grant}", tag = "grants", operation_id = "revoke_batch_grant",
    params(("id" = Uuid, Path), ("grant" = Uuid, Path)),
    responses((status = 200, body = Grant, description = "It was in force until now.")))]
async fn revoke_batch(
    State(doors): State<Doors>,
    Who(who): Who,
    Named((id, grant)): Named<(Uuid, Uuid)>,
) -> Result<Json<Grant>, Fault> {
    let on = doors.batches.open::<Share>(&who, CalledBatch::Id(id.into())).await?;
    revoke(&doors, &who, &on, grant).await
}

/// Whom the handle is shared with, oldest grant first. Whoever may attach to its context needs no grant.
#[utoipa::path(get, path = "/handles/{id}/grants", tag = "grants", operation_id = "list_handle_grants",
    params(("id" = Uuid, Path), Paged), responses((status = 200, body = List<Grant>)))]
async fn list_of_handle(
    State(doors): State<Doors>,
    Who(who): Who,
    Named(id): Named<Uuid>,
    Asked(paged): Asked<Paged>,
    address: Address,
) -> Result<Response, Fault> {
    let on = handles::open::<ViewGrants>(&doors, &who, id).await?;
    list(&doors, &on, &paged, &address).await
}

/// Shares the handle with a user or a group, who need no right in its context.
#[utoipa::path(post, path = "/handles/{id}/grants", tag = "grants", operation_id = "grant_handle",
    params(("id" = Uuid, Path)), request_body = NewGrant,
    responses((status = 201, body = Grant, description = "It is granted.")))]
async fn give_handle(
    State(doors): State<Doors>,
    Who(who): Who,
    Named(id): Named<Uuid>,
    Body { said, key }: Body<NewGrant>,
) -> Result<Response, Fault> {
    let on = handles::open::<Share>(&doors, &who, id).await?;
    give(&doors, &who, &on, said, key.as_ref()).await
}

/// Takes a grant on the handle back.
#[utoipa::path(delete, path = "/handles/{id}/grants/{grant}", tag = "grants", operation_id = "revoke_handle_grant",
    params(("id" = Uuid, Path), ("grant" = Uuid, Path)),
    responses((status = 200, body = Grant, description = "It was in force until now.")))]
async fn revoke_handle(
    State(doors): State<Doors>,
    Who(who): Who,
    Named((id, grant)): Named<(Uuid, Uuid)>,
) -> Result<Json<Grant>, Fault> {
    let on = handles::open::<Share>(&doors, &who, id).await?;
    revoke(&doors, &who, &on, grant).await
}
