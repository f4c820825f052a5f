//! Who the caller is, and the end of a login.

use axum::Extension;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::audit::{Entry, Event};
use crate::http::Doors;
use crate::http::authenticate::Connection;
use crate::http::cookie;
use crate::http::extract::Who;
use crate::http::fault::Fault;

/// The routes.
pub fn router() -> OpenApiRouter<Doors> {
    OpenApiRouter::new().routes(routes!(get, delete))
}

/// Who the caller is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Login {
    /// The user, as the cluster knows them.
    user: String,
    groups: Vec<String>,
    tenant: String,
    /// The trusted proxy that speaks for the user.
    via: Option<String>,
    /// By which scheme this was shown.
    #[schema(example = "token")]
    scheme: &'static str,
    /// The most that the credential may be used for: `view`, `attach` or `manage`.
    #[schema(example = "manage")]
    scope: &'static str,
}

/// Who the caller is.
#[utoipa::path(get, path = "/login", tag = "identity", operation_id = "get_login", responses((status = 200, body = Login)))]
async fn get(Who(who): Who) -> Json<Login> {
    Json(Login {
        user: who.user.to_string(),
        groups: who.groups.to_vec(),
        tenant: who.tenant.to_string(),
        via: who.via.map(|via| via.to_string()),
        scheme: who.scheme.as_str(),
        scope: who.scope.as_str(),
    })
}

/// Logs out: ends the login whose cookie comes with the request. Other credentials are what they were.
#[utoipa::path(delete, path = "/login", tag = "identity", operation_id = "delete_login",
    responses((status = 204, description = "The login is over; it was no matter whether there was one.")))]
async fn delete(
    State(doors): State<Doors>,
    Who(who): Who,
    connection: Option<Extension<Connection>>,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let is_secure = connection.is_some_and(|c| c.is_secure);
    if let Some(login) = cookie::read(&headers, cookie::LOGIN, is_secure) {
        doors.contexts.access().note(Entry::done(Event::Logout, &who)).await?;
        doors.identity.logins().end(&login).await?;
    }
    let mut answer = StatusCode::NO_CONTENT.into_response();
    cookie::clear(answer.headers_mut(), cookie::LOGIN, is_secure);
    Ok(answer)
}
