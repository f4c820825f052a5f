//! Who the caller is, and logins: the caller's, and for those who rule others'.

use axum::Extension;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::answer::{Address, List};
use super::request::{Asked, Named, PagedOf, range};
use crate::access::ViewLogins;
use crate::audit::{Entry, Event};
use crate::http::Doors;
use crate::http::authenticate::Connection;
use crate::http::cookie;
use crate::http::extract::Who;
use crate::http::fault::Fault;
use crate::identity::login;

/// The routes.
pub fn router() -> OpenApiRouter<Doors> {
    OpenApiRouter::new().routes(routes!(get, delete)).routes(routes!(list)).routes(routes!(end))
}

/// Who the caller is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Login {
    /// The user, as the cluster knows them.
    user: String,
    groups: Vec<String>,
    /// Whether some of the groups are those of when the credential was made, since no directory tells them anew.
    groups_are_kept: bool,
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

/// A login: what a browser's cookie stands for.
#[derive(Debug, Serialize, ToSchema)]
pub struct OpenLogin {
    id: Uuid,
    /// Whose it is.
    owner: String,
    tenant: String,
    /// By which scheme they showed who they are.
    #[schema(example = "negotiate")]
    scheme: String,
    /// From where.
    address: Option<String>,
    /// Their groups then.
    groups: Vec<String>,
    created_at: DateTime<Utc>,
    /// When it was last used, to the minute.
    last_used_at: Option<DateTime<Utc>>,
    /// When it ends at the latest.
    expires_at: DateTime<Utc>,
}

impl From<login::Login> for OpenLogin {
    fn from(login: login::Login) -> Self {
        let login::Login { id, tenant, owner, groups, scheme, address, created_at, last_used_at, expires_at } = login;
        Self { id, owner, tenant, scheme, address, groups, created_at, last_used_at, expires_at }
    }
}

/// Logins that are not over, newest first: the caller's, or another's for operators and the admins of a tenant.
#[utoipa::path(get, path = "/logins", tag = "identity", operation_id = "list_logins", params(PagedOf),
    responses((status = 200, body = List<OpenLogin>)))]
async fn list(
    State(doors): State<Doors>,
    Who(who): Who,
    Asked(paged): Asked<PagedOf>,
    address: Address,
) -> Result<Response, Fault> {
    let (range, account) = (range(paged.from, paged.size)?, paged.account(&who)?);
    let access = doors.contexts.access();
    let of = access.require::<ViewLogins, _>(&who, account).await?;
    let page = access.logins(doors.identity.logins(), &of, range).await?;
    Ok(address.list(range, page, OpenLogin::from))
}

/// Ends a login of the caller, or another's for operators and the admins of a tenant: within a second no gateway takes its cookie.
#[utoipa::path(delete, path = "/logins/{login}", tag = "identity", operation_id = "end_login",
    params(("login" = Uuid, Path, description = "The login's id.")),
    responses((status = 204, description = "It is over.")))]
async fn end(State(doors): State<Doors>, Who(who): Who, Named(id): Named<Uuid>) -> Result<StatusCode, Fault> {
    doors.contexts.access().end_login(doors.identity.logins(), &who, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who the caller is.
#[utoipa::path(get, path = "/login", tag = "identity", operation_id = "get_login", responses((status = 200, body = Login)))]
async fn get(Who(who): Who) -> Json<Login> {
    Json(Login {
        user: who.user.to_string(),
        groups: who.groups.to_vec(),
        groups_are_kept: who.keeps_groups(),
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
