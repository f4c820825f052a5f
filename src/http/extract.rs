//! What handlers take from a request, the same at every door.

use std::any::Any;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::{Doors, authenticate};
use crate::identity::Principal;
use crate::identity::attempt::Refusal;
use crate::store::idempotency;

/// The header of RFC draft `idempotency-key-header`.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Who is asking.
#[derive(Debug, Clone)]
pub struct Who(pub Principal);

impl FromRequestParts<Doors> for Who {
    type Rejection = StatusCode;

    /// What `http::authenticate` found out. A route that it does not stand before lets nobody in.
    async fn from_request_parts(parts: &mut Parts, _doors: &Doors) -> Result<Self, StatusCode> {
        parts.extensions.get::<Principal>().cloned().map(Self).ok_or(StatusCode::UNAUTHORIZED)
    }
}

/// Whom a body's `proxyUser` makes of the caller: a trusted proxy speaks for that user. `doAs` of the query has been heard already, and wins.
///
/// # Errors
/// The caller may not speak for that user.
pub async fn spoken_for(doors: &Doors, who: Principal, proxy_user: Option<&str>) -> Result<Principal, Refusal> {
    let Some(user) = proxy_user.filter(|_| who.via.is_none()) else { return Ok(who) };
    let spoken = doors.identity.act_for(&who, user).await;
    if spoken.is_err() && doors.refusals.note(authenticate::acting_for(&who, user)).await.is_err() {
        return Err(Refusal::Away(who.scheme));
    }
    spoken
}

/// Reads `Idempotency-Key` for a POST to `route` with `body`; none when the client sent none.
///
/// # Errors
/// A malformed key.
pub fn idempotency_key(
    who: &Principal,
    headers: &HeaderMap,
    route: &str,
    body: &[u8],
) -> Result<Option<idempotency::Key>, idempotency::Error> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let value = value.to_str().map_err(|_| idempotency::Error::Malformed)?;
    idempotency::Key::new((&who.tenant, &who.user), route, value, body).map(Some)
}

/// Takes note of the `Idempotency-Key` of a POST that may be repeated without harm, so that the same key with another body is refused.
///
/// # Errors
/// A malformed key, a key that came with another body, the database.
pub async fn repeatable(
    doors: &Doors,
    who: &Principal,
    headers: &HeaderMap,
    route: &str,
    body: &[u8],
) -> Result<(), idempotency::Error> {
    match idempotency_key(who, headers, route, body)? {
        Some(key) => idempotency::note(doors.contexts.pool(), &key).await,
        None => Ok(()),
    }
}

/// The answer when a handler has panicked: a defect, told to the log and not to the caller.
pub fn panicked(_panic: Box<dyn Any + Send>) -> Response {
    tracing::error!("A request's handler panicked");
    (StatusCode::INTERNAL_SERVER_ERROR, "internal error").into_response()
}
