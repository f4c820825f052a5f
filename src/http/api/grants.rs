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
use super::words;
use crate::access::grant::{self, Level};
use crate::access::role::Subject;
use crate::access::{Allowed, Share, ViewGrants};
use crate::batch::service as batches;
use crate::http::Doors;
use crate::http::extract::Who;
use crate::http::fault::Fault;
use crate::session::service as sessions;
use crate::time::Span;

/// The routes.
pub fn router() -> OpenApiRouter<Doors> {
    context::router().merge(session::router()).merge(batch::router()).merge(handle::router())
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
    /// A group, by name; `*` is everybody in the tenant.
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

/// The routes of one noun. `$opened` opens it, for the action that is inferred, and so decides; a path and the id of an operation have to
/// be literals for their description.
macro_rules! grants_on {
    (
        $noun:ident, ($doors:ident, $who:ident, $id:ident: $called:ty) => $opened:expr,
        $all:literal: $list:literal, $list_text:literal, $give:literal, $give_text:literal,
        $one:literal: $revoke:literal, $revoke_text:literal
    ) => {
        mod $noun {
            use super::*;

            pub fn router() -> OpenApiRouter<Doors> {
                OpenApiRouter::new().routes(routes!(list, give)).routes(routes!(revoke))
            }

            #[utoipa::path(get, path = $all, tag = "grants", operation_id = $list, summary = $list_text,
                                params(("id" = $called, Path), Paged), responses((status = 200, body = List<Grant>)))]
            async fn list(
                State($doors): State<Doors>,
                Who($who): Who,
                Named($id): Named<$called>,
                Asked(paged): Asked<Paged>,
                address: Address,
            ) -> Result<Response, Fault> {
                let on: Allowed<ViewGrants, _> = $opened.await?;
                let range = range(paged.from, paged.size)?;
                let page = $doors.contexts.access().grants(&on, range).await?;
                Ok(address.list(range, page, Grant::from))
            }

            #[utoipa::path(post, path = $all, tag = "grants", operation_id = $give, summary = $give_text,
                                params(("id" = $called, Path)), request_body = NewGrant,
                                responses((status = 201, body = Grant, description = "It is granted.")))]
            async fn give(
                State($doors): State<Doors>,
                Who($who): Who,
                Named($id): Named<$called>,
                Body { said, key }: Body<NewGrant>,
            ) -> Result<Response, Fault> {
                let on: Allowed<Share, _> = $opened.await?;
                let grant = $doors.contexts.access().grant(&$who, &on, said.try_into()?, key.as_ref()).await?;
                Ok((StatusCode::CREATED, Json(Grant::from(grant))).into_response())
            }

            #[utoipa::path(delete, path = $one, tag = "grants", operation_id = $revoke, summary = $revoke_text,
                                params(("id" = $called, Path), ("grant" = Uuid, Path)),
                                responses((status = 200, body = Grant, description = "It was in force until now.")))]
            async fn revoke(
                State($doors): State<Doors>,
                Who($who): Who,
                Named(($id, grant)): Named<($called, Uuid)>,
            ) -> Result<Json<Grant>, Fault> {
                let on: Allowed<Share, _> = $opened.await?;
                Ok(Json($doors.contexts.access().revoke(&$who, &on, grant.into()).await?.into()))
            }
        }
    };
}

grants_on! {
    context, (doors, who, id: String) => doors.contexts.open(&who, &id),
    "/contexts/{id}/grants":
        "list_context_grants", "Whom the context is shared with, oldest grant first.",
        "grant_context", "Shares the context with a user or a group.",
    "/contexts/{id}/grants/{grant}":
        "revoke_context_grant", "Takes a grant on the context back."
}
grants_on! {
    session, (doors, who, id: Uuid) => doors.sessions.open(&who, sessions::Called::Id(id.into())),
    "/sessions/{id}/grants":
        "list_session_grants", "Whom the session is shared with, oldest grant first.",
        "grant_session", "Shares the session with a user or a group.",
    "/sessions/{id}/grants/{grant}":
        "revoke_session_grant", "Takes a grant on the session back."
}
grants_on! {
    batch, (doors, who, id: Uuid) => doors.batches.open(&who, batches::Called::Id(id.into())),
    "/batches/{id}/grants":
        "list_batch_grants", "Whom the batch is shared with, oldest grant first.",
        "grant_batch", "Shares the batch with a user or a group.",
    "/batches/{id}/grants/{grant}":
        "revoke_batch_grant", "Takes a grant on the batch back."
}
grants_on! {
    handle, (doors, who, id: Uuid) => doors.handles.open(&who, id.into()),
    "/handles/{id}/grants":
        "list_handle_grants", "Whom the handle is shared with, oldest grant first. Whoever may attach to its context needs no grant.",
        "grant_handle", "Shares the handle with a user or a group, who need no right in its context.",
    "/handles/{id}/grants/{grant}":
        "revoke_handle_grant", "Takes a grant on the handle back."
}
