//! Livy's REST API at `/`, as its clients know it.
//!
//! Statuses, fields, header values and the texts that clients look for are Livy's own; where its clients disagree the
//! answer is the one that all of them take, and the comment there names the client. Beyond Livy: `?wait=SECONDS` on a session and a statement,
//! statements that are taken while a session starts, `Idempotency-Key` on every POST, and `profile` and `context` of a session.
//!
//! - [`surface`]: what holds of every route: API version, CSRF, headers of answers
//! - [`sessions`], [`statements`], [`completion`], [`batches`], [`version`], [`refused`]: the routes
//! - [`create`], [`fields`], [`query`], [`body`]: what a request says
//! - [`wire`], [`log`], [`fault`]: what an answer says

pub mod batches;
pub mod body;
pub mod completion;
pub mod create;
pub mod fault;
pub mod fields;
pub mod log;
pub mod query;
pub mod refused;
pub mod sessions;
pub mod statements;
pub mod surface;
pub mod version;
pub mod wire;

use axum::Router;
use axum::middleware::from_fn_with_state;
use tower_http::catch_panic::CatchPanicLayer;

use super::{Doors, authenticate, extract};

/// The routes of this door.
pub fn router(doors: &Doors) -> Router<Doors> {
    Router::new()
        .merge(sessions::router())
        .merge(statements::router())
        .merge(completion::router())
        .merge(batches::router())
        .merge(refused::router())
        .merge(version::router())
        .method_not_allowed_fallback(surface::method_not_allowed)
        // Inside of what authenticates: a client that knows the gateway by its ticket wants it on every answer.
        .layer(CatchPanicLayer::custom(extract::panicked))
        .layer(from_fn_with_state(doors.clone(), authenticate::authenticate))
        .layer(from_fn_with_state(doors.clone(), surface::surface))
}
