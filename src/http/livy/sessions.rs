//! `/sessions`: create, list, show, log, end.

use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::body::Content;
use super::fault::Fault;
use super::log::Frame;
use super::query::{Asked, JavaClient, called};
use super::{create, wire};
use crate::access::{self, Action, Allowed, Attach, Manage};
use crate::http::Doors;
use crate::http::extract::{Who, idempotency_key, repeatable, spoken_for};
use crate::identity::Principal;
use crate::session::{self, View, is_over};

/// How long the end of a session is waited for. Livy waits without limit; its clients give it ten seconds and more.
const END: Duration = Duration::from_secs(30);

/// The routes.
pub fn router() -> Router<Doors> {
    Router::new()
        .route("/sessions", get(list).post(create))
        .route("/sessions/{session}", get(show).delete(delete))
        .route("/sessions/{session}/state", get(state))
        .route("/sessions/{session}/log", get(log))
        .route("/sessions/{session}/stop", post(stop))
        .route("/sessions/{session}/interrupt", post(interrupt))
        .route("/sessions/{session}/connect", post(connect))
}

/// Opens the session that a path names, unless it was deleted.
///
/// # Errors
/// Not found, denied, the database.
pub async fn open<A: Action>(doors: &Doors, who: &Principal, path: &str) -> Result<Allowed<A, View>, Fault> {
    let session = doors.sessions.open::<A>(who, called(path)?).await?;
    if session.session.deleted { Err(Fault::no_session(path)) } else { Ok(session) }
}

async fn create(
    State(doors): State<Doors>,
    Who(who): Who,
    asked: Asked,
    client: JavaClient,
    headers: HeaderMap,
    Content(body): Content,
) -> Result<Response, Fault> {
    let wait = asked.wait(doors.limits.wait.0)?;
    let new = create::session(&body, &asked, &who)?;
    let who = spoken_for(&doors, who, new.request.proxy_user.as_deref()).await?;
    let key = idempotency_key(&who, &headers, "POST /sessions", &body)?;
    let mut view = doors.sessions.create(&who, new, key.as_ref()).await?;
    if let Some(limit) = wait {
        view = settle(&doors, view, limit).await?;
    }
    let path = format!("/sessions/{}", view.session.livy_id);
    Ok(wire::created(&path, &wire::Session::new(&view, &Frame::of(&view), client)))
}

/// Waits until a session is ready for code, or over.
async fn settle(doors: &Doors, view: View, limit: Duration) -> Result<View, Fault> {
    let settled = |view: &View| view.state == session::State::Idle || is_over(view.state);
    let id = view.session.id;
    Ok(doors.sessions.wait(id, limit, settled).await?.unwrap_or(view))
}

async fn list(State(doors): State<Doors>, Who(who): Who, asked: Asked, client: JavaClient) -> Result<Response, Fault> {
    let range = asked.range()?;
    let page = doors.sessions.list(&who, range, false).await?;
    let frames: Vec<Frame<'_>> = page.rows.iter().map(Frame::of).collect();
    let sessions = page.rows.iter().zip(&frames).map(|(view, frame)| wire::Session::new(view, frame, client)).collect();
    Ok(wire::ok(&wire::List { from: range.from, total: page.total, sessions }))
}

async fn show(
    State(doors): State<Doors>,
    Who(who): Who,
    Path(session): Path<String>,
    asked: Asked,
    client: JavaClient,
) -> Result<Response, Fault> {
    let wait = asked.wait(doors.limits.wait.0)?;
    let found = open::<access::View>(&doors, &who, &session).await?;
    match wait {
        None => Ok(wire::ok(&wire::Session::new(&found, &Frame::of(&found), client))),
        Some(limit) => {
            let view = settle(&doors, View::clone(&found), limit).await?;
            if view.session.deleted {
                return Err(Fault::no_session(&session));
            }
            Ok(wire::ok(&wire::Session::new(&view, &Frame::of(&view), client)))
        }
    }
}

async fn state(State(doors): State<Doors>, Who(who): Who, Path(session): Path<String>) -> Result<Response, Fault> {
    let session = open::<access::View>(&doors, &who, &session).await?;
    Ok(wire::ok(&wire::State { id: session.session.livy_id, state: session.state.as_str() }))
}

async fn log(
    State(doors): State<Doors>,
    Who(who): Who,
    Path(session): Path<String>,
    asked: Asked,
) -> Result<Response, Fault> {
    let wanted = asked.lines()?;
    let session = open::<access::View>(&doors, &who, &session).await?;
    let frame = Frame::of(&session);
    let printed = doors.sessions.log(&session, frame.stored(wanted)).await?;
    let cut = frame.cut(wanted, &printed);
    let lines = frame.lines(&cut, printed.from, &printed.lines);
    Ok(wire::ok(&wire::Log::new(session.session.livy_id, &cut, lines)))
}

async fn delete(State(doors): State<Doors>, Who(who): Who, Path(session): Path<String>) -> Result<Response, Fault> {
    let session = open::<Manage>(&doors, &who, &session).await?;
    end(&doors, &session, "deleted").await?;
    doors.sessions.hide(&session).await?;
    Ok(wire::ok(&wire::Done { msg: "deleted" }))
}

async fn stop(
    State(doors): State<Doors>,
    Who(who): Who,
    Path(session): Path<String>,
    headers: HeaderMap,
    Content(body): Content,
) -> Result<Response, Fault> {
    let session = open::<Manage>(&doors, &who, &session).await?;
    let route = format!("POST /sessions/{}/stop", session.session.livy_id);
    repeatable(&doors, &who, &headers, &route, &body).await?;
    end(&doors, &session, "stopped").await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Livy's interrupt ends the session: Hue's *Cancel* relies on it.
async fn interrupt(
    State(doors): State<Doors>,
    Who(who): Who,
    Path(session): Path<String>,
    headers: HeaderMap,
    Content(body): Content,
) -> Result<Response, Fault> {
    let session = open::<Manage>(&doors, &who, &session).await?;
    let route = format!("POST /sessions/{}/interrupt", session.session.livy_id);
    repeatable(&doors, &who, &headers, &route, &body).await?;
    end(&doors, &session, "interrupted").await?;
    Ok(wire::ok(&wire::Done { msg: "interrupted" }))
}

/// Tells a session to end and waits for it.
async fn end(doors: &Doors, session: &Allowed<Manage, View>, how: &str) -> Result<(), Fault> {
    doors.sessions.stop(session, how).await?;
    doors.sessions.wait(session.session.id, END, |view| is_over(view.state)).await?;
    Ok(())
}

/// Says that a client is there. The body, a conf for Livy's client, changes nothing.
async fn connect(
    State(doors): State<Doors>,
    Who(who): Who,
    Path(session): Path<String>,
    client: JavaClient,
    headers: HeaderMap,
    Content(body): Content,
) -> Result<Response, Fault> {
    let session = open::<Attach>(&doors, &who, &session).await?;
    let route = format!("POST /sessions/{}/connect", session.session.livy_id);
    repeatable(&doors, &who, &headers, &route, &body).await?;
    if let Some(live) = doors.sessions.live_session(session.session.id) {
        live.touch();
    }
    Ok(wire::ok(&wire::Session::new(&session, &Frame::of(&session), client)))
}
