//! API tokens: the caller's, and for those who rule others'.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, Utc};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::answer::{self, Address, List, ROOT};
use super::request::{Asked, Body, Named, PagedOf, range};
use crate::access::resource::Account;
use crate::access::{CreateToken, ViewTokens};
use crate::http::Doors;
use crate::http::extract::Who;
use crate::http::fault::Fault;
use crate::identity::Scope;
use crate::identity::token::{self, NewToken};
use crate::time::Span;

/// The routes.
pub fn router() -> OpenApiRouter<Doors> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(delete))
}

/// An API token: `Authorization: Bearer`, or the password of Basic with its owner or `token` as the user.
#[derive(Debug, Serialize, ToSchema)]
pub struct Token {
    id: Uuid,
    /// Whose it is.
    owner: String,
    tenant: String,
    /// What its owner calls it.
    name: String,
    /// The most it may be used for.
    #[schema(schema_with = super::words::scope)]
    scope: &'static str,
    /// The owner's groups when it was made.
    groups: Vec<String>,
    /// Whether some of them stay as they were then. `false`: a directory tells them anew while the token is used.
    groups_are_kept: bool,
    /// Who made it: its owner, or an operator on the gateway's machine.
    made_by: String,
    created_at: DateTime<Utc>,
    /// When it was last used, to the minute.
    last_used_at: Option<DateTime<Utc>>,
    expires_at: DateTime<Utc>,
}

/// A token that has just been made.
#[derive(Debug, Serialize, ToSchema)]
pub struct Made {
    #[serde(flatten)]
    token: Token,
    /// The secret itself. It is shown this once; Hearth keeps a hash of it alone.
    #[schema(example = "hearth_…")]
    secret: String,
}

impl From<token::Token> for Token {
    fn from(token: token::Token) -> Self {
        Self {
            id: token.id,
            owner: token.owner,
            tenant: token.tenant,
            name: token.name,
            scope: token.scope.as_str(),
            groups: token.groups,
            groups_are_kept: token.keeps_groups,
            made_by: token.made_by,
            created_at: token.created_at,
            last_used_at: token.last_used_at,
            expires_at: token.expires_at,
        }
    }
}

/// What a token is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewToken)]
#[serde(deny_unknown_fields)]
pub struct New {
    /// What its owner calls it; unique among theirs.
    #[schema(min_length = 1, max_length = 128)]
    name: String,
    /// The most it may be used for.
    #[serde(default = "everything")]
    #[schema(schema_with = super::words::scope)]
    scope: Scope,
    /// How long it lives, such as `90d`; without it as long as the gateway allows.
    #[schema(value_type = Option<String>, example = "90d")]
    ttl: Option<Span>,
}

fn everything() -> Scope {
    Scope::Manage
}

/// Tokens that are neither revoked nor over, newest first: the caller's, or another's for operators and the admins of a tenant.
#[utoipa::path(get, path = "/tokens", tag = "identity", operation_id = "list_tokens", params(PagedOf),
    responses((status = 200, body = List<Token>)))]
async fn list(
    State(doors): State<Doors>,
    Who(who): Who,
    Asked(paged): Asked<PagedOf>,
    address: Address,
) -> Result<Response, Fault> {
    let (range, account) = (range(paged.from, paged.size)?, paged.account(&who)?);
    let access = doors.contexts.access();
    let of = access.require::<ViewTokens, _>(&who, account).await?;
    let page = access.tokens(doors.identity.tokens(), &of, range).await?;
    Ok(address.list(range, page, Token::from))
}

/// Makes a token of the caller. The answer is the only one that shows its secret, so a repeated request makes no second one: it is refused
/// by the name.
#[utoipa::path(post, path = "/tokens", tag = "identity", operation_id = "create_token", request_body = New,
    responses((status = 201, body = Made)))]
async fn create(State(doors): State<Doors>, Who(who): Who, body: Body<New>) -> Result<Response, Fault> {
    let access = doors.contexts.access();
    let by = access.require::<CreateToken, _>(&who, Account::of(&who)).await?;
    let New { name, scope, ttl } = body.said;
    let new = NewToken { name, scope, ttl: ttl.map(|span| span.0) };
    let (token, secret) = access.create_token(doors.identity.tokens(), &by, &who, new).await?;
    let path = format!("{ROOT}/tokens/{}", token.id);
    answer::created(&path, Made { token: token.into(), secret: secret.expose_secret().to_owned() })
}

/// Revokes a token of the caller, or another's for operators and the admins of a tenant: within a second no gateway takes it.
#[utoipa::path(delete, path = "/tokens/{token}", tag = "identity", operation_id = "delete_token",
    params(("token" = Uuid, Path, description = "The token's id.")),
    responses((status = 204, description = "It is revoked.")))]
async fn delete(State(doors): State<Doors>, Who(who): Who, Named(id): Named<Uuid>) -> Result<StatusCode, Fault> {
    doors.contexts.access().revoke_token(doors.identity.tokens(), &who, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
