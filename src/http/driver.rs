//! The driver's door: the WebSocket that agents dial. The only identity here is an application's token.

use axum::Router;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::Doors;
use crate::context::driver::{Credentials, Rejected, wire};
use crate::kind::{Classify, Kind};

/// The routes of this door.
pub fn router() -> Router<Doors> {
    Router::new().route("/driver/link", get(link))
}

async fn link(State(doors): State<Doors>, headers: HeaderMap, upgrade: WebSocketUpgrade) -> Response {
    let Some(shown) = credentials(&headers) else {
        return (StatusCode::UNAUTHORIZED, "Authorization and X-Hearth-Application are needed").into_response();
    };
    match doors.door.check(&shown).await {
        Ok(()) => {
            let door = doors.door.clone();
            upgrade
                .max_message_size(wire::MAX_FRAME)
                .max_frame_size(wire::MAX_FRAME)
                .on_upgrade(move |socket| door.serve(socket, shown))
        }
        Err(e @ Rejected::BadToken) => (StatusCode::UNAUTHORIZED, e.to_string()).into_response(),
        Err(Rejected::Store(e)) => {
            let status = match e.kind() {
                Kind::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            };
            status.into_response()
        }
    }
}

fn credentials(headers: &HeaderMap) -> Option<Credentials> {
    let token = headers.get("authorization")?.to_str().ok()?.strip_prefix("Bearer ")?;
    let application = headers.get("x-hearth-application")?.to_str().ok()?.parse().ok()?;
    Some(Credentials::new(application, token))
}
