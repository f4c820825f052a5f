//! Operations: alive, ready, version. Open to everybody who reaches the port; they say nothing of anybody's work.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::Doors;
use crate::store;

/// The routes of this door.
pub fn router() -> Router<Doors> {
    Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz))
}

async fn healthz() -> &'static str {
    "ok\n"
}

async fn readyz(State(doors): State<Doors>) -> Response {
    match store::ask(doors.contexts.pool()).await {
        Ok(()) => "ready\n".into_response(),
        Err(_) => {
            (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "2")], "the database does not answer\n").into_response()
        }
    }
}
