//! `POST /sessions/N/completion`: what could stand at the cursor.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::post;

use super::body::Content;
use super::fault::Fault;
use super::fields::Fields;
use super::sessions::open;
use super::{create, wire};
use crate::access::Attach;
use crate::http::Doors;
use crate::http::extract::{Who, repeatable};
use crate::session::Kind;

/// The routes.
pub fn router() -> Router<Doors> {
    Router::new().route("/sessions/{session}/completion", post(complete))
}

async fn complete(
    State(doors): State<Doors>,
    Who(who): Who,
    Path(session): Path<String>,
    headers: HeaderMap,
    Content(body): Content,
) -> Result<Response, Fault> {
    let mut fields = Fields::parse(&body, &["code", "kind", "cursor"])?;
    let code = fields.text("code")?.unwrap_or_default();
    let kind = fields.text("kind")?.filter(|kind| !kind.is_empty()).map(|text| create::kind(&text)).transpose()?;
    let end = u32::try_from(code.encode_utf16().count()).unwrap_or(u32::MAX);
    let cursor = fields.number("cursor")?.unwrap_or(end).min(end);
    let session = open::<Attach>(&doors, &who, &session).await?;
    let kind = match kind.unwrap_or(session.session.kind) {
        Kind::Shared => return Err(Fault::invalid("this session has no kind of its own: name one with the code")),
        kind => kind,
    };
    repeatable(&doors, &who, &headers, &format!("POST /sessions/{}/completion", session.session.livy_id), &body)
        .await?;
    let candidates = doors.sessions.complete(&session, kind, &code, cursor).await?;
    Ok(wire::ok(&wire::Candidates { candidates }))
}
