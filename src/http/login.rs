//! The login of a browser at the OpenID provider: there, back, and on to where it wanted to go.

use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, LOCATION};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};

use super::authenticate::{self, Connection};
use super::{Doors, cookie};
use crate::audit::{Entry, Event};
use crate::identity::attempt::Refusal;
use crate::identity::oidc::Pending;
use crate::identity::{Principal, Scheme};

/// How long somebody may take to log in at the provider, seconds.
const PATIENCE: u64 = 600;

/// The routes, where browsers log in at a provider.
pub fn router(doors: &Doors) -> Router<Doors> {
    if doors.identity.browsers().is_none() {
        return Router::new();
    }
    Router::new().route("/login", get(begin)).route("/login/callback", get(finish))
}

/// Sends the browser to the provider. `?next=/path`: where it goes afterwards.
async fn begin(State(doors): State<Doors>, connection: Option<Extension<Connection>>, request: Request) -> Response {
    let is_secure = connection.is_some_and(|c| c.is_secure);
    let query = request.uri().query().unwrap_or_default();
    let next = form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == "next").map(|(_, next)| next);
    let Some(oidc) = doors.identity.browsers() else { return refused(&Refusal::NotOffered) };
    match oidc.begin(next.as_deref().unwrap_or("/")).await {
        Ok(began) => {
            let mut answer = to(&began.location);
            cookie::set(answer.headers_mut(), cookie::PENDING, &began.pending.to_cookie(), PATIENCE, is_secure);
            answer
        }
        Err(why) => refused(&why),
    }
}

/// Takes the browser back: a login begins.
async fn finish(State(doors): State<Doors>, connection: Option<Extension<Connection>>, request: Request) -> Response {
    let connection = connection.map(|Extension(connection)| connection);
    let is_secure = connection.as_ref().is_some_and(|c| c.is_secure);
    let origin = authenticate::origin(&doors, connection.as_ref(), request.headers());
    let pending = cookie::read(request.headers(), cookie::PENDING, is_secure).and_then(|c| Pending::from_cookie(&c));
    let query = request.uri().query().unwrap_or_default();
    let mut answer = match pending {
        Some(pending) => match doors.identity.log_in(&pending, query, &origin).await {
            Ok((principal, login)) => {
                if doors.contexts.access().note(Entry::done(Event::Login, &principal)).await.is_err() {
                    return refused(&Refusal::Away(Scheme::Bearer));
                }
                let mut answer = to(pending.next());
                let max_age = doors.identity.logins().max_age();
                cookie::set(answer.headers_mut(), cookie::LOGIN, &login, max_age, is_secure);
                answer
            }
            Err(why) => {
                let nobody = Principal::unknown(None, Scheme::Bearer, &origin);
                match doors.contexts.access().note(Entry::refused(Event::Login, &nobody)).await {
                    Ok(()) => refused(&why),
                    Err(_) => refused(&Refusal::Away(Scheme::Bearer)),
                }
            }
        },
        None => authenticate::answer(
            StatusCode::BAD_REQUEST,
            "this browser has begun no login here, or more than ten minutes ago: begin again at /login".to_owned(),
        ),
    };
    // The state is good for one answer.
    cookie::clear(answer.headers_mut(), cookie::PENDING, is_secure);
    answer
}

fn refused(why: &Refusal) -> Response {
    authenticate::answer(authenticate::status(why), why.to_string())
}

fn to(location: &str) -> Response {
    let mut answer = StatusCode::SEE_OTHER.into_response();
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    match HeaderValue::from_str(location) {
        Ok(location) => {
            headers.insert(LOCATION, location);
            answer
        }
        Err(_) => refused(&Refusal::NotOffered),
    }
}
