//! `/batches`: submit, list, show, log, end.

use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;

use super::body::Content;
use super::fault::Fault;
use super::log::Frame;
use super::query::{Asked, called};
use super::{create, wire};
use crate::access::{self, Action, Allowed, Manage};
use crate::batch::View;
use crate::http::Doors;
use crate::http::extract::{Who, idempotency_key, spoken_for};
use crate::identity::Principal;

/// How long the end of a batch is waited for.
const END: Duration = Duration::from_secs(30);

/// The routes.
pub fn router() -> Router<Doors> {
    Router::new()
        .route("/batches", get(list).post(create))
        .route("/batches/{batch}", get(show).delete(delete))
        .route("/batches/{batch}/state", get(state))
        .route("/batches/{batch}/log", get(log))
}

async fn open<A: Action>(doors: &Doors, who: &Principal, path: &str) -> Result<Allowed<A, View>, Fault> {
    let batch = doors.batches.open::<A>(who, called(path)?).await?;
    if batch.batch.deleted { Err(Fault::no_session(path)) } else { Ok(batch) }
}

async fn create(
    State(doors): State<Doors>,
    Who(who): Who,
    asked: Asked,
    headers: HeaderMap,
    Content(body): Content,
) -> Result<Response, Fault> {
    let wait = asked.wait(doors.limits.wait.0)?;
    let new = create::batch(&body, &asked, &who)?;
    let who = spoken_for(&doors, who, new.request.proxy_user.as_deref()).await?;
    let key = idempotency_key(&who, &headers, "POST /batches", &body)?;
    let mut view = doors.batches.create(&who, new, key.as_ref()).await?;
    if let Some(limit) = wait {
        view = settle(&doors, view, limit).await?;
    }
    let path = format!("/batches/{}", view.batch.livy_id);
    Ok(wire::created(&path, &wire::Batch::new(&view.batch, &Frame::of_batch(&view))))
}

/// Waits until a batch is over.
async fn settle(doors: &Doors, view: View, limit: Duration) -> Result<View, Fault> {
    let over = |view: &View| view.batch.state.is_over();
    Ok(doors.batches.wait(view.batch.id, limit, over).await?.unwrap_or(view))
}

async fn list(State(doors): State<Doors>, Who(who): Who, asked: Asked) -> Result<Response, Fault> {
    let range = asked.range()?;
    let page = doors.batches.list(&who, range, false).await?;
    let frames: Vec<Frame<'_>> = page.rows.iter().map(Frame::of_batch).collect();
    let sessions = page.rows.iter().zip(&frames).map(|(view, frame)| wire::Batch::new(&view.batch, frame)).collect();
    Ok(wire::ok(&wire::List { from: range.from, total: page.total, sessions }))
}

async fn show(
    State(doors): State<Doors>,
    Who(who): Who,
    Path(batch): Path<String>,
    asked: Asked,
) -> Result<Response, Fault> {
    let wait = asked.wait(doors.limits.wait.0)?;
    let found = open::<access::View>(&doors, &who, &batch).await?;
    let mut view = View::clone(&found);
    if let Some(limit) = wait {
        view = settle(&doors, view, limit).await?;
        if view.batch.deleted {
            return Err(Fault::no_session(&batch));
        }
    }
    Ok(wire::ok(&wire::Batch::new(&view.batch, &Frame::of_batch(&view))))
}

async fn state(State(doors): State<Doors>, Who(who): Who, Path(batch): Path<String>) -> Result<Response, Fault> {
    let found = open::<access::View>(&doors, &who, &batch).await?;
    Ok(wire::ok(&wire::State { id: found.batch.livy_id, state: wire::batch_state(found.batch.state) }))
}

async fn log(
    State(doors): State<Doors>,
    Who(who): Who,
    Path(batch): Path<String>,
    asked: Asked,
) -> Result<Response, Fault> {
    let wanted = asked.lines()?;
    let found = open::<access::View>(&doors, &who, &batch).await?;
    let frame = Frame::of_batch(&found);
    let printed = doors.batches.log(&found, frame.stored(wanted)).await?;
    let cut = frame.cut(wanted, &printed);
    let lines = frame.lines(&cut, printed.from, &printed.lines);
    Ok(wire::ok(&wire::Log::new(found.batch.livy_id, &cut, lines)))
}

async fn delete(State(doors): State<Doors>, Who(who): Who, Path(batch): Path<String>) -> Result<Response, Fault> {
    let found = open::<Manage>(&doors, &who, &batch).await?;
    doors.batches.stop(&found, "deleted").await?;
    doors.batches.wait(found.batch.id, END, |view| view.batch.state.is_over()).await?;
    doors.batches.hide(&found).await?;
    Ok(wire::ok(&wire::Done { msg: "deleted" }))
}
