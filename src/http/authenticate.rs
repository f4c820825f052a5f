//! Every request passes here: it gets a principal, or an answer that says what is missing.
//!
//! What the request shows is read into an [`Attempt`]; `identity::chain` decides. On the way back the answer gets what the scheme owes
//! the client: challenges on a 401, the server's own token for mutual authentication on every answer, errors too, and the cookie.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use uuid::Uuid;

use super::{Doors, cookie, forwarded};
use crate::audit::refusals::{self, Refused};
use crate::audit::{Entry, Event};
use crate::identity::attempt::{Attempt, Authorization, Malformed, Refusal};
use crate::identity::chain::{Cookie, Known, Nobody, Owed};
use crate::identity::{Origin, Principal, Scheme, is_user_name};
use crate::store;

const DO_AS: &str = "doAs";

/// What the listener knows of a connection.
#[derive(Debug, Clone)]
pub struct Connection {
    /// Where it comes from.
    pub peer: SocketAddr,
    /// Whether TLS is spoken on it, or by a proxy that is trusted to say so.
    pub is_secure: bool,
    /// The client's certificate (DER), verified.
    pub certificate: Option<Arc<[u8]>>,
    /// The `tls-server-end-point` of RFC 5929.
    pub bindings: Option<Arc<[u8]>>,
}

/// Why a request was not let in; goes with the answer, for doors that word it otherwise.
#[derive(Debug, Clone)]
pub struct ShutOut(pub StatusCode, pub String);

/// Finds out who is asking, and hands the principal on.
pub async fn authenticate(State(doors): State<Doors>, mut request: Request, next: Next) -> Response {
    let connection = request.extensions().get::<Connection>().cloned();
    let is_secure = connection.as_ref().is_some_and(|c| c.is_secure);
    let attempt = match attempt(&doors, connection, request.headers(), request.uri()) {
        Ok(attempt) => attempt,
        Err(why) => return answer(StatusCode::BAD_REQUEST, why.to_string()),
    };
    let found = doors.identity.authenticate(&attempt).await;
    if let Err(e) = note(&doors, &attempt, &found).await {
        let reply = found.ok().and_then(|known| known.reply);
        let nobody = Nobody { owed: Owed { reply, clear: false }, ..unrecorded(&e) };
        return refuse(&doors, nobody, is_secure);
    }
    match found {
        Ok(known) => {
            request.extensions_mut().insert(known.principal);
            let mut answer = next.run(request).await;
            let headers = answer.headers_mut();
            show_server(headers, known.reply);
            match known.cookie {
                Cookie::Keep => {}
                Cookie::Clear => cookie::clear(headers, cookie::LOGIN, is_secure),
                Cookie::Set(login) => {
                    cookie::set(headers, cookie::LOGIN, &login, doors.identity.logins().max_age(), is_secure)
                }
            }
            answer
        }
        Err(nobody) => refuse(&doors, nobody, is_secure),
    }
}

/// Nobody comes in of whom it cannot be written down.
pub(super) fn unrecorded(e: &store::Error) -> Nobody {
    tracing::warn!(error = %e, "A login could not be recorded, so it is refused");
    Refusal::Away(Scheme::Cookie).into()
}

/// Writes down a login that begins, and every credential that is not good. Nothing shown is nothing to write down.
pub(super) async fn note(doors: &Doors, attempt: &Attempt, found: &Result<Known, Nobody>) -> Result<(), store::Error> {
    // What can be no name may be a password in the wrong field.
    let claimed = match &attempt.authorization {
        Some(Authorization::Basic { user, .. }) if is_user_name(user) => Some(user.as_str()),
        _ => None,
    };
    let unknown = |scheme| Principal::unknown(claimed, scheme, &attempt.origin);
    let login =
        async |who: &Principal, why| doors.refusals.note(Refused { event: Event::Login, who, why, detail: None }).await;
    match found {
        Ok(Known { principal, cookie: Cookie::Set(_), .. }) => {
            doors.contexts.access().note(Entry::done(Event::Login, principal)).await
        }
        Ok(_) => Ok(()),
        Err(Nobody { why, .. }) => match why {
            Refusal::Wrong(scheme) => login(&unknown(*scheme), "wrong").await,
            Refusal::Slow { scheme, .. } => login(&unknown(*scheme), refusals::SLOWED).await,
            Refusal::Conflict => login(&unknown(Scheme::Cookie), "of different users").await,
            Refusal::Impersonation { user, wanted } => {
                let who = Principal::unknown(Some(user), Scheme::Cookie, &attempt.origin);
                doors.refusals.note(acting_for(&who, wanted)).await
            }
            Refusal::Nothing | Refusal::NotOffered | Refusal::Away(_) | Refusal::BadName => Ok(()),
        },
    }
}

/// That somebody wanted to act for another and must not.
pub(super) fn acting_for<'a>(who: &'a Principal, wanted: &'a str) -> Refused<'a> {
    Refused { event: Event::ActFor, who, why: "must not act for them", detail: Some(wanted) }
}

fn attempt(
    doors: &Doors,
    connection: Option<Connection>,
    headers: &HeaderMap,
    uri: &Uri,
) -> Result<Attempt, Malformed> {
    let origin = origin(doors, connection.as_ref(), headers);
    if !doors.identity.is_on() {
        // Clients send a Basic header even where nobody asks for one (dbt): it is ignored.
        return Ok(Attempt { origin, ..Attempt::default() });
    }
    let mut shown = headers.get_all(AUTHORIZATION).iter();
    let authorization = match shown.next() {
        Some(value) => Some(Authorization::parse(value.to_str().map_err(|_| Malformed::Value)?)?),
        None => None,
    };
    if shown.next().is_some() {
        return Err(Malformed::Repeated);
    }
    let (certificate, bindings, is_secure) =
        connection.map_or((None, None, false), |c| (c.certificate, c.bindings, c.is_secure));
    Ok(Attempt {
        certificate,
        cookie: cookie::read(headers, cookie::LOGIN, is_secure),
        authorization,
        bindings,
        do_as: do_as(uri)?,
        origin,
    })
}

/// Where a request came from.
pub(super) fn origin(doors: &Doors, connection: Option<&Connection>, headers: &HeaderMap) -> Origin {
    let address = connection.map(|c| forwarded::client(c.peer.ip(), headers, &doors.forwarders));
    Origin { address: address.map(|a: IpAddr| a.to_canonical()), request: Some(request_id(headers)) }
}

/// The id by which logs and the audit know a request: the client's `X-Request-Id` when it is plain, else a new one.
fn request_id(headers: &HeaderMap) -> Arc<str> {
    let plain = |id: &&str| {
        (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    let sent = headers.get("x-request-id").and_then(|id| id.to_str().ok()).filter(plain);
    sent.map_or_else(|| Uuid::now_v7().to_string().into(), Into::into)
}

/// For whom the caller wants to act. Named twice it could mean one to us and another to a proxy before us.
fn do_as(uri: &Uri) -> Result<Option<String>, Malformed> {
    let Some(query) = uri.query() else { return Ok(None) };
    let mut named = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == DO_AS).map(|(_, user)| user);
    let first = named.next();
    if named.next().is_some() {
        return Err(Malformed::RepeatedDoAs);
    }
    Ok(first.filter(|user| !user.is_empty()).map(std::borrow::Cow::into_owned))
}

/// The address without `doAs`, which was heard before any route: routes refuse what they do not know.
pub fn without_do_as(uri: &Uri) -> Uri {
    let Some(query) = uri.query() else { return uri.clone() };
    let (named, others): (Vec<_>, Vec<_>) = form_urlencoded::parse(query.as_bytes()).partition(|(key, _)| key == DO_AS);
    if named.is_empty() {
        return uri.clone();
    }
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(others).finish();
    Uri::builder().path_and_query(format!("{}?{query}", uri.path())).build().unwrap_or_else(|_| uri.clone())
}

/// The server's own token, for clients that want mutual authentication (RFC 4559, section 4.1).
fn show_server(headers: &mut HeaderMap, reply: Option<Vec<u8>>) {
    if let Some(token) = reply {
        add(headers, WWW_AUTHENTICATE, &format!("Negotiate {}", STANDARD.encode(token)));
    }
}

fn refuse(doors: &Doors, nobody: Nobody, is_secure: bool) -> Response {
    let mut answer = answer(status(&nobody.why), nobody.why.to_string());
    let headers = answer.headers_mut();
    match &nobody.why {
        Refusal::Nothing | Refusal::Wrong(_) | Refusal::NotOffered => challenge(headers, doors.identity.schemes()),
        Refusal::Slow { wait, .. } => add(headers, RETRY_AFTER, &(wait.as_secs() + 1).to_string()),
        Refusal::Away(_) => add(headers, RETRY_AFTER, "2"),
        Refusal::Conflict | Refusal::Impersonation { .. } | Refusal::BadName => {}
    }
    show_server(headers, nobody.owed.reply);
    if nobody.owed.clear {
        cookie::clear(headers, cookie::LOGIN, is_secure);
    }
    answer
}

/// The status of a refusal.
#[must_use]
pub fn status(why: &Refusal) -> StatusCode {
    match why {
        Refusal::Nothing | Refusal::Wrong(_) | Refusal::NotOffered => StatusCode::UNAUTHORIZED,
        Refusal::Conflict | Refusal::BadName => StatusCode::BAD_REQUEST,
        Refusal::Slow { .. } => StatusCode::TOO_MANY_REQUESTS,
        Refusal::Away(_) => StatusCode::SERVICE_UNAVAILABLE,
        Refusal::Impersonation { .. } => StatusCode::FORBIDDEN,
    }
}

/// Every way in, Negotiate before Basic: clients take the first that they can.
fn challenge(headers: &mut HeaderMap, schemes: &[Scheme]) {
    let has = |scheme| schemes.contains(&scheme);
    if has(Scheme::Negotiate) {
        add(headers, WWW_AUTHENTICATE, "Negotiate");
    }
    if has(Scheme::Bearer) || has(Scheme::Token) {
        add(headers, WWW_AUTHENTICATE, r#"Bearer realm="Hearth""#);
    }
    if has(Scheme::Basic) || has(Scheme::Token) {
        add(headers, WWW_AUTHENTICATE, r#"Basic realm="Hearth", charset="UTF-8""#);
    }
}

/// An answer that lets nobody in.
pub(super) fn answer(status: StatusCode, why: String) -> Response {
    let body = axum::Json(serde_json::json!({ "msg": why }));
    (status, Extension(ShutOut(status, why)), body).into_response()
}

fn add(headers: &mut HeaderMap, name: axum::http::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.append(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn do_as_is_named_once() {
        let of = |uri: &str| do_as(&uri.parse().unwrap());
        assert_eq!(of("/sessions?doAs=ann&from=1"), Ok(Some("ann".to_owned())));
        assert_eq!(of("/sessions?do%41s=ann"), Ok(Some("ann".to_owned())));
        assert_eq!(of("/sessions?doAs="), Ok(None));
        assert_eq!(of("/sessions"), Ok(None));
        assert!(of("/sessions?doAs=ann&doAs=bob").is_err());
    }

    #[test]
    fn do_as_is_taken_out_of_the_query() {
        let of = |uri: &'static str| without_do_as(&Uri::from_static(uri)).to_string();
        assert_eq!(of("/sessions?from=1&do%41s=ann&size=2"), "/sessions?from=1&size=2");
        assert_eq!(of("/sessions?from=%31"), "/sessions?from=%31");
    }

    #[test]
    fn strange_request_ids_are_not_taken() {
        let mut headers = HeaderMap::new();
        headers.insert("x-request-id", "abc-1".parse().unwrap());
        assert_eq!(&*request_id(&headers), "abc-1");
        headers.insert("x-request-id", "a b".parse().unwrap());
        assert_ne!(&*request_id(&headers), "a b");
    }
}
