//! Hearth's own API at `/api/v1`.
//!
//! Resources are contexts, sessions, statements, batches, handles, their logs and their grants. Ids are UUIDs, a statement is numbered within its session;
//! times are RFC 3339 in UTC; errors are problem documents ([`crate::http::fault`]); unknown fields of bodies and queries are refused by
//! name; lists are paged by `from` and `size`, with the next page in `Link`; every POST and PUT takes an `Idempotency-Key`; `wait=SECONDS`
//! holds an answer until what is waited for is there. The description at `/api/v1/openapi.json` is made from the handlers.

mod answer;
mod audit;
mod batches;
mod contexts;
mod ended;
mod entries;
mod events;
mod grants;
mod handles;
mod log;
mod logins;
mod object;
mod openapi;
mod policy;
mod relay;
pub(super) mod request;
mod resources;
mod rows;
mod sessions;
mod statements;
mod tokens;
mod version;
mod words;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{any, get};
use bytes::Bytes;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use super::fault::{self, Code, Fault};
use super::{Doors, authenticate, guard};
use answer::ROOT;

pub(in crate::http) use relay::{Reader, VERSION, stream};

fn routes() -> OpenApiRouter<Doors> {
    OpenApiRouter::new()
        .merge(contexts::router())
        .merge(sessions::router())
        .merge(statements::router())
        .merge(batches::router())
        .merge(handles::router())
        .merge(entries::router())
        .merge(rows::router())
        .merge(grants::router())
        .merge(policy::router())
        .merge(audit::router())
        .merge(logins::router())
        .merge(tokens::router())
        .merge(version::router())
}

/// The routes of this door, each at its place, and their description.
fn described() -> (Router<Doors>, OpenApi) {
    let (router, mut api) = OpenApiRouter::with_openapi(openapi::about()).nest(ROOT, routes()).split_for_parts();
    openapi::complete(&mut api);
    (router, api)
}

/// The description of this API: an OpenAPI 3.1 document.
///
/// # Errors
/// When it cannot be written as JSON, which a test would find.
pub fn description() -> serde_json::Result<String> {
    described().1.to_pretty_json()
}

/// The routes of this door.
pub fn router(doors: &Doors) -> Router<Doors> {
    let (router, api) = described();
    let text = Bytes::from(api.to_json().unwrap_or_default());
    let described = move || async move { ([(CONTENT_TYPE, "application/json")], text) };
    router
        .route("/api/v1/openapi.json", get(described))
        .route("/api/v1/{*unknown}", any(unknown))
        .route("/api/v1", any(unknown))
        .layer(CatchPanicLayer::custom(fault::panicked))
        .layer(from_fn_with_state(doors.clone(), authenticate::authenticate))
        .layer(from_fn_with_state(doors.clone(), guard::guard))
        .layer(CatchPanicLayer::custom(fault::panicked))
        .layer(from_fn(fault::render))
}

async fn unknown() -> Fault {
    Fault::new(Code::NotFound, "there is no such path in this API; /api/v1/openapi.json describes those there are")
}
