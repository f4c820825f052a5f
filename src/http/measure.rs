//! Counts every request, and logs it: a line at debug, or at warn when Hearth is to blame.

use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::Response;
use tracing::{debug, warn};

use super::Doors;

/// Measures a request to the head of its answer.
pub async fn measure(State(doors): State<Doors>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let answer = next.run(request).await;
    let (took, status) = (began.elapsed(), answer.status());
    let timed = (!waits(&uri)).then_some(took);
    doors.metrics.request(door(uri.path()), word(&method), class(status), timed);
    let (path, ms) = (uri.path(), took.as_millis());
    // 503 is told by whatever is away, once, not by each request that met it.
    if status.is_server_error() && status != StatusCode::SERVICE_UNAVAILABLE && status != StatusCode::NOT_IMPLEMENTED {
        warn!(%method, path, status = status.as_u16(), ms, "{method} {path} failed: {status}");
    } else {
        debug!(%method, path, status = status.as_u16(), ms, "{method} {path}: {status}");
    }
    answer
}

fn waits(uri: &Uri) -> bool {
    uri.query().is_some_and(|q| q.split('&').any(|pair| pair.starts_with("wait=")))
}

fn door(path: &str) -> &'static str {
    match path.split('/').nth(1) {
        Some("api") => "api",
        Some("driver") => "driver",
        Some("" | "healthz" | "readyz" | "metrics") => "ops",
        _ => "livy",
    }
}

fn word(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}
