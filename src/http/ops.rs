//! Operations: what answers here, alive, ready, metrics. Open to everybody who reaches the port; they say nothing of anybody's work.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::Doors;
use crate::context::launch::line::Counted;
use crate::store;
use crate::telemetry::metrics::{self, Census, Launches};
use crate::{batch, context};

/// The routes of this door.
pub fn router() -> Router<Doors> {
    Router::new()
        .route("/", get(root))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
}

/// For a person who opens the address in a browser, where Livy has its pages.
async fn root() -> &'static str {
    "This is Hearth, a gateway to Spark.\n\n\
     /sessions, /batches      the REST API of Apache Livy, for every client of Livy's\n\
     /api/v1                  Hearth's own, described at /api/v1/openapi.json\n\
     /healthz /readyz /metrics\n"
}

/// Every series; the gauges are counted now.
async fn metrics(State(doors): State<Doors>) -> impl IntoResponse {
    let pool = doors.contexts.pool();
    let census = Census {
        sessions: doors.sessions.live().census(),
        links: doors.contexts.links().len(),
        connections: (pool.size(), pool.num_idle()),
        launches: doors.contexts.census().await.ok().map(launches),
    };
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], doors.metrics.text(&census))
}

fn launches(counted: Vec<Counted>) -> Launches {
    let mut launches = Launches::default();
    for Counted { is_batch, state, count } in counted {
        let words = if is_batch {
            batch::State::ALL.map(batch::State::as_str).to_vec()
        } else {
            context::State::ALL.map(context::State::as_str).to_vec()
        };
        let Some(word) = words.into_iter().find(|w| *w == state) else { continue };
        if word == "waiting" {
            launches.waiting += count;
        }
        if is_batch { &mut launches.batches } else { &mut launches.contexts }.push((word, count));
    }
    launches
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
