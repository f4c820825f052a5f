//! What holds of every route of this door: the API version, protection against forged requests, headers of answers.

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{
    ACCEPT, ALLOW, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::fault::Fault;
use crate::http::Doors;

/// The type of every answer, empty ones too.
pub const JSON: HeaderValue = HeaderValue::from_static("application/json;charset=utf-8");

const REQUESTED_BY: HeaderName = HeaderName::from_static("x-requested-by");
/// By `Accept: application/vnd.livy.v0.1+json` a client asks for a version of the API; this is the only one there is.
const VERSION_PREFIX: &str = "application/vnd.livy.v";
const VERSION: &str = "0.1";

/// Checks a request of this door, and dresses its answer.
pub async fn surface(State(doors): State<Doors>, request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let mut answer = match check(&method, request.headers(), doors.csrf_protection) {
        Ok(()) => next.run(request).await,
        Err(fault) => fault.into_response(),
    };
    let headers = answer.headers_mut();
    if !headers.contains_key(CONTENT_TYPE) {
        headers.insert(CONTENT_TYPE, JSON);
    }
    // An answer may hold a user's output: no page may frame it, or take it for a page.
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    answer
}

fn check(method: &Method, headers: &HeaderMap, csrf_protection: bool) -> Result<(), Fault> {
    let safe = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    if csrf_protection && !safe && !headers.contains_key(REQUESTED_BY) {
        return Err(Fault::message(StatusCode::BAD_REQUEST, "Missing Required Header for CSRF protection."));
    }
    let unknown = headers.get_all(ACCEPT).iter().find_map(|accept| unknown_version(accept.to_str().ok()?));
    match unknown {
        Some(version) => Err(Fault::message(
            StatusCode::NOT_ACCEPTABLE,
            format!("there is no version {version:?} of this API; there is {VERSION:?}"),
        )),
        None => Ok(()),
    }
}

/// The version that an `Accept` header asks for, when it is not this one.
fn unknown_version(accept: &str) -> Option<String> {
    let mut asked = accept.split(',').filter_map(|a| {
        let kind = a.split(';').next().unwrap_or_default().trim();
        Some(kind.strip_prefix(VERSION_PREFIX)?.strip_suffix("+json").unwrap_or_default())
    });
    let first = asked.next()?;
    if first == VERSION || asked.any(|v| v == VERSION) { None } else { Some(first.chars().take(20).collect()) }
}

/// A known path, called by a method that it does not have. Methods stand in Livy's order where that is known; elsewhere the router
/// names them.
pub async fn method_not_allowed(path: MatchedPath) -> Response {
    let mut answer = StatusCode::METHOD_NOT_ALLOWED.into_response();
    if matches!(path.as_str(), "/sessions" | "/batches") {
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static("POST, GET, HEAD"));
    }
    answer
}

/// A path that no route of any door has: Livy answers without a body.
pub async fn unknown_path() -> Response {
    (StatusCode::NOT_FOUND, [(CONTENT_TYPE, JSON)]).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_told_apart() {
        for fine in [
            "*/*",
            "application/json",
            "application/vnd.livy.v0.1+json",
            "text/html, application/vnd.livy.v0.1+json;q=0.5",
        ] {
            assert_eq!(unknown_version(fine), None, "{fine}");
        }
        assert_eq!(unknown_version("application/vnd.livy.v9.9+json").as_deref(), Some("9.9"));
        assert!(unknown_version("application/vnd.livy.v+json").is_some());
    }

    #[test]
    fn only_unsafe_methods_need_the_csrf_header() {
        let bare = HeaderMap::new();
        assert!(check(&Method::GET, &bare, true).is_ok());
        assert!(check(&Method::POST, &bare, false).is_ok());
        assert!(check(&Method::DELETE, &bare, true).is_err());
        let named = HeaderMap::from_iter([(REQUESTED_BY, HeaderValue::from_static("hue"))]);
        assert!(check(&Method::POST, &named, true).is_ok());
    }
}
