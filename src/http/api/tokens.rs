//! API tokens of the caller.

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
use super::request::{Asked, Body, Named, Paged, range};
use crate::access::resource::Account;
use crate::access::{CreateToken, RevokeToken, ViewTokens};
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
    /// What its owner calls it.
    name: String,
    /// The most it may be used for.
    #[schema(schema_with = super::words::scope)]
    scope: &'static str,
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
        let token::Token { id, name, scope, created_at, last_used_at, expires_at, .. } = token;
        Self { id, name, scope: scope.as_str(), created_at, last_used_at, expires_at }
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

/// The caller's tokens that are neither revoked nor over, newest first.
#[utoipa::path(get, path = "/tokens", tag = "identity", operation_id = "list_tokens", params(Paged),
    responses((status = 200, body = List<Token>)))]
async fn list(
    State(doors): State<Doors>,
    Who(who): Who,
    Asked(paged): Asked<Paged>,
    address: Address,
) -> Result<Response, Fault> {
    let range = range(paged.from, paged.size)?;
    doors.contexts.access().require::<ViewTokens, _>(&who, Account::of(&who)).await?;
    let page = doors.identity.tokens().list(&who, range).await?;
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
    let (token, secret) = access.create_token(doors.identity.tokens(), &by, new).await?;
    let path = format!("{ROOT}/tokens/{}", token.id);
    answer::created(&path, Made { token: token.into(), secret: secret.expose_secret().to_owned() })
}

/// Revokes a token of the caller: within a second no gateway takes it.
#[utoipa::path(delete, path = "/tokens/{token}", tag = "identity", operation_id = "delete_token",
    params(("token" = Uuid, Path, description = "The token's id.")),
    responses((status = 204, description = "It is revoked.")))]
async fn delete(State(doors): State<Doors>, Who(who): Who, Named(id): Named<Uuid>) -> Result<StatusCode, Fault> {
    let access = doors.contexts.access();
    let by = access.require::<RevokeToken, _>(&who, Account::of(&who)).await?;
    access.revoke_token(doors.identity.tokens(), &by, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
