//! What Livy offers and this version does not: the job API of its Java and Python clients.
//!
//! A job is a serialised closure that only a JVM or Python with the client's own library can run. The answer is 501 with the reason.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};

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
        .route("/sessions/{session}/jobs/{job}", get(no_jobs))
        .route("/sessions/{session}/jobs/{job}/cancel", post(no_jobs))
        .route("/sessions/{session}/submit-job", post(no_jobs))
        .route("/sessions/{session}/run-job", post(no_jobs))
        .route("/sessions/{session}/upload-jar", post(no_uploads))
        .route("/sessions/{session}/upload-file", post(no_uploads))
        .route("/sessions/{session}/upload-pyfile", post(no_uploads))
        .route("/sessions/{session}/add-jar", post(no_uploads))
        .route("/sessions/{session}/add-pyfile", post(no_uploads))
        .route("/sessions/{session}/add-file", post(no_uploads))
}

async fn no_jobs(state: State<Doors>, who: Who, Path(path): Path<Vec<String>>) -> Fault {
    refuse(state, who, path, JOBS).await
}

async fn no_uploads(state: State<Doors>, who: Who, Path(path): Path<Vec<String>>) -> Fault {
    refuse(state, who, path, UPLOADS).await
}

/// A session that is not there is told first: clients restart by it.
async fn refuse(State(doors): State<Doors>, Who(who): Who, path: Vec<String>, why: &'static str) -> Fault {
    let session = path.first().map_or("", String::as_str);
    match open::<Attach>(&doors, &who, session).await {
        Ok(_) => Fault::message(StatusCode::NOT_IMPLEMENTED, why),
        Err(fault) => fault,
    }
}
