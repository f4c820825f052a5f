//! The driver's door: the WebSocket that agents dial, and what is too much for it. The only identity here is an application's token.

use axum::Router;
use axum::body::Body;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use uuid::Uuid;

use super::Doors;
use super::api::request::{Asked, Named};
use super::api::{self, Reader};
use super::fault::{self, Code, Fault};
use crate::context::driver::wire::handle::Failure;
use crate::context::driver::{Credentials, wire};
use crate::handle::service::{Format, Wanted};
use crate::id::ContextId;

/// Why a stream will not come: base64 of a [`Failure`] as JSON.
const ERROR: &str = "x-hearth-error";

/// The routes of this door.
pub fn router() -> Router<Doors> {
    let handles = Router::new().route("/driver/handles/{context}/{name}", get(handle)).layer(from_fn(fault::render));
    Router::new().route("/driver/link", get(link)).route("/driver/streams/{stream}", post(stream)).merge(handles)
}

async fn link(State(doors): State<Doors>, headers: HeaderMap, upgrade: WebSocketUpgrade) -> Response {
    let Some(shown) = credentials(&headers) else { return nobody().into_response() };
    match doors.door.check_dialling(&shown).await {
        Ok(()) => {
            let door = doors.door.clone();
            upgrade
                .max_message_size(wire::MAX_FRAME)
                .max_frame_size(wire::MAX_FRAME)
                .on_upgrade(move |socket| door.serve(socket, shown))
        }
        Err(e) => Fault::of(&e).into_response(),
    }
}

/// Why an agent is not let in: a problem where the route renders it, else its status alone.
fn nobody() -> Fault {
    Fault::new(Code::Unauthenticated, "Authorization and X-Hearth-Application are needed")
}

fn credentials(headers: &HeaderMap) -> Option<Credentials> {
    let token = headers.get("authorization")?.to_str().ok()?.strip_prefix("Bearer ")?;
    let application = headers.get("x-hearth-application")?.to_str().ok()?.parse().ok()?;
    Some(Credentials::new(application, token))
}

/// The context whose living application's token is shown, and that.
async fn context(doors: &Doors, headers: &HeaderMap) -> Result<(ContextId, Credentials), Fault> {
    let shown = credentials(headers).ok_or_else(nobody)?;
    Ok((doors.door.check(&shown).await?, shown))
}

/// An agent brings the rows that it was asked for by `open_stream`; a reader of the gateway gets them as they come.
async fn stream(State(doors): State<Doors>, Path(stream): Path<Uuid>, headers: HeaderMap, body: Body) -> Response {
    let context = match context(&doors, &headers).await {
        Ok((context, _)) => context,
        Err(fault) => return fault.into_response(),
    };
    let head = match headers.get(ERROR) {
        Some(error) => Err(failure(error.as_bytes())),
        None => {
            let version = headers.get(api::VERSION).and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
            let Some(version) = version else { return StatusCode::BAD_REQUEST.into_response() };
            Ok(version)
        }
    };
    match doors.handles.streams().arrived(context, stream, head, body.into_data_stream()).await {
        true => StatusCode::NO_CONTENT.into_response(),
        false => (StatusCode::GONE, "nobody waits for this stream").into_response(),
    }
}

fn failure(header: &[u8]) -> Failure {
    let said = STANDARD.decode(header).ok().and_then(|json| serde_json::from_slice(&json).ok());
    said.unwrap_or_else(|| Failure { code: "failed".to_owned(), message: "the driver did not say why".to_owned() })
}

/// The form of the answer.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Form {
    format: Option<String>,
}

/// A handle of any context, for code: decided as whom the code runs, in the groups that are known of them, streamed as Arrow.
async fn handle(
    State(doors): State<Doors>,
    Named((called, name)): Named<(String, String)>,
    Asked(asked): Asked<Form>,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let (asking, shown) = context(&doors, &headers).await?;
    if asked.format.is_some_and(|format| format != "arrow") {
        return Err(Fault::invalid("format: there is arrow"));
    }
    let groups = async |user: &str| doors.identity.groups_of(user).await;
    let handle = doors.handles.find_for(asking, (&called, &name), groups).await?;
    api::stream(&doors, handle, Format::Arrow, &Wanted::default(), Reader::Code(asking, shown)).await
}
