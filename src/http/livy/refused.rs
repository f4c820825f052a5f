//! What Livy offers and this version does not: the job API of its Java and Python clients.
//!
//! A job is a serialised closure that only a JVM or Python with the client's own library can run. The answer is 501 with the reason, which
//! the Java client shows; the Python client looks at no status, and is told of a job that has failed for it.

use std::borrow::Cow;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use serde::Deserialize;

use super::body::Content;
use super::fault::Fault;
use super::sessions::open;
use crate::access::Attach;
use crate::http::Doors;
use crate::http::extract::Who;

const JOBS: &str = "jobs of Livy's programmatic API (submit-job, run-job) are not offered by this version: send the code as \
                    statements to this session, or submit it as a batch";
const UPLOADS: &str = "uploads into a running session (upload-*, add-*) are not offered by this version: name the files in the \
                       session's jars, pyFiles, files or archives when it is created";

/// The routes.
pub fn router() -> Router<Doors> {
    Router::new()
        .route("/sessions/{session}/jobs/{job}", get(no_job))
        .route("/sessions/{session}/jobs/{job}/cancel", post(no_job))
        .route("/sessions/{session}/submit-job", post(submit))
        .route("/sessions/{session}/run-job", post(submit))
        .route("/sessions/{session}/upload-jar", post(no_uploads))
        .route("/sessions/{session}/upload-file", post(no_uploads))
        .route("/sessions/{session}/upload-pyfile", post(no_uploads))
        .route("/sessions/{session}/add-jar", post(no_uploads))
        .route("/sessions/{session}/add-pyfile", post(no_uploads))
        .route("/sessions/{session}/add-file", post(no_uploads))
}

/// The part of a submitted job that says whose it is.
#[derive(Default, Deserialize)]
struct Job<'a> {
    #[serde(rename = "jobType", borrow)]
    kind: Option<Cow<'a, str>>,
}

async fn submit(state: State<Doors>, who: Who, Path(path): Path<Vec<String>>, Content(body): Content) -> Fault {
    let job: Job<'_> = serde_json::from_slice(&body).unwrap_or_default();
    let refused = match job.kind.as_deref() {
        Some("pyspark") => Fault::job(StatusCode::NOT_IMPLEMENTED, JOBS),
        _ => Fault::message(StatusCode::NOT_IMPLEMENTED, JOBS),
    };
    refuse(state, who, path, refused).await
}

async fn no_job(state: State<Doors>, who: Who, Path(path): Path<Vec<String>>) -> Fault {
    refuse(state, who, path, Fault::job(StatusCode::NOT_IMPLEMENTED, JOBS)).await
}

async fn no_uploads(state: State<Doors>, who: Who, Path(path): Path<Vec<String>>) -> Fault {
    refuse(state, who, path, Fault::message(StatusCode::NOT_IMPLEMENTED, UPLOADS)).await
}

/// A session that is not there is told first: clients restart by it.
async fn refuse(State(doors): State<Doors>, Who(who): Who, path: Vec<String>, refused: Fault) -> Fault {
    let session = path.first().map_or("", String::as_str);
    match open::<Attach>(&doors, &who, session).await {
        Ok(_) => refused,
        Err(fault) => fault,
    }
}
