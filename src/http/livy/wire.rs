//! What an answer says: Livy's objects, with every field that its clients read present, null or not.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderValue, LOCATION};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::value::RawValue;

use super::log::{Cut, Frame};
use super::query::JavaClient;
use super::surface::JSON;
use crate::batch;
use crate::context::launch::redact;
use crate::id::LivyId;
use crate::session::View;
use crate::statement::Statement;
use crate::time::millis;

/// A session.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Session<'a> {
    id: LivyId,
    name: Option<&'a str>,
    app_id: Option<&'a str>,
    owner: Option<&'a str>,
    proxy_user: Option<&'a str>,
    state: &'static str,
    kind: &'static str,
    app_info: AppInfo<'a>,
    log: Vec<&'a str>,
    #[serde(flatten)]
    asked: Option<Asked<'a>>,
}

/// What the request said, shown again. The released Java client knows none of these fields, and refuses unknown ones.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Asked<'a> {
    ttl: Option<&'a str>,
    idle_timeout: Option<&'a str>,
    driver_memory: Option<&'a str>,
    driver_cores: u32,
    executor_memory: Option<&'a str>,
    executor_cores: u32,
    conf: BTreeMap<&'a str, &'a str>,
    archives: &'a [String],
    files: &'a [String],
    heartbeat_timeout_in_second: u64,
    jars: &'a [String],
    num_executors: u32,
    py_files: &'a [String],
    queue: Option<&'a str>,
}

/// Where to see more of an application.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AppInfo<'a> {
    driver_log_url: Option<&'a str>,
    spark_ui_url: Option<&'a str>,
    executor_log_urls: Option<&'a str>,
}

impl<'a> AppInfo<'a> {
    /// An application whose UI is at this address.
    #[must_use]
    pub fn new(spark_ui_url: Option<&'a str>) -> Self {
        Self { spark_ui_url, ..Self::default() }
    }
}

impl<'a> Session<'a> {
    /// A session as `client` can read it; `frame` is of its log.
    #[must_use]
    pub fn new(view: &'a View, frame: &'a Frame<'_>, client: JavaClient) -> Self {
        let row = &*view.session;
        let (request, resources) = (&row.request, &row.request.resources);
        let asked = (!client.0).then(|| Asked {
            ttl: request.ttl.as_deref(),
            idle_timeout: request.idle_timeout.as_deref(),
            driver_memory: resources.driver_memory.as_deref(),
            driver_cores: resources.driver_cores.unwrap_or(0),
            executor_memory: resources.executor_memory.as_deref(),
            executor_cores: resources.executor_cores.unwrap_or(0),
            conf: redact::shown(&resources.conf),
            archives: &resources.archives,
            files: &resources.files,
            heartbeat_timeout_in_second: row.heartbeat.0.as_secs(),
            jars: &resources.jars,
            num_executors: resources.num_executors.unwrap_or(0),
            py_files: &resources.py_files,
            queue: resources.queue.as_deref(),
        });
        Self {
            id: row.livy_id,
            name: row.name.as_deref(),
            app_id: view.facts.app_id.as_deref(),
            owner: Some(&row.owner),
            proxy_user: request.proxy_user.as_deref(),
            state: view.state.as_str(),
            kind: row.kind.as_str(),
            app_info: AppInfo::new(view.facts.ui_url.as_deref()),
            log: frame.last(&view.tail),
            asked,
        }
    }
}

/// A batch.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Batch<'a> {
    id: LivyId,
    name: Option<&'a str>,
    owner: Option<&'a str>,
    proxy_user: Option<&'a str>,
    state: &'static str,
    app_id: Option<&'a str>,
    app_info: AppInfo<'a>,
    log: Vec<&'a str>,
}

impl<'a> Batch<'a> {
    /// A batch; `frame` is of its log.
    #[must_use]
    pub fn new(batch: &'a batch::Batch, frame: &'a Frame<'_>) -> Self {
        Self {
            id: batch.livy_id,
            name: batch.name.as_deref(),
            owner: Some(&batch.owner),
            proxy_user: batch.request.proxy_user.as_deref(),
            state: batch_state(batch.state),
            app_id: batch.cluster_id.as_deref(),
            app_info: AppInfo::new(batch.ui_url.as_deref()),
            log: frame.last(&batch.tail),
        }
    }
}

/// A batch's state in a word that Livy's clients know: theirs have none for waiting in line.
#[must_use]
pub fn batch_state(state: batch::State) -> &'static str {
    match state {
        batch::State::Waiting => batch::State::Starting.as_str(),
        state => state.as_str(),
    }
}

/// A state alone.
#[derive(Debug, Serialize)]
pub struct State {
    /// Whose.
    pub id: LivyId,
    /// Livy's word for it.
    pub state: &'static str,
}

/// A page of sessions or batches; Livy calls both lists `sessions`.
#[derive(Debug, Serialize)]
pub struct List<T> {
    /// Number of the first.
    pub from: i64,
    /// How many there are in all.
    pub total: i64,
    /// The page.
    pub sessions: Vec<T>,
}

/// A page of a log.
#[derive(Debug, Serialize)]
pub struct Log<'a> {
    id: LivyId,
    from: i64,
    total: i64,
    log: Vec<&'a str>,
}

impl<'a> Log<'a> {
    /// The lines of a cut.
    #[must_use]
    pub fn new(id: LivyId, cut: &Cut, log: Vec<&'a str>) -> Self {
        Self { id, from: cut.from, total: cut.total, log }
    }
}

/// A statement. Code and output stand as they were received.
#[derive(Debug, Serialize)]
pub struct StatementAnswer<'a> {
    id: i32,
    code: &'a RawValue,
    state: &'static str,
    output: Option<&'a RawValue>,
    progress: f64,
    started: i64,
    completed: i64,
}

impl<'a> From<&'a Statement> for StatementAnswer<'a> {
    fn from(s: &'a Statement) -> Self {
        Self {
            id: s.number,
            code: &s.code,
            state: s.state.as_str(),
            output: s.output.as_deref(),
            progress: s.progress,
            started: millis(s.started_at),
            completed: millis(s.completed_at),
        }
    }
}

/// A page of statements.
#[derive(Debug, Serialize)]
pub struct Statements<'a> {
    /// How many the session has in all.
    pub total_statements: i64,
    /// The page.
    pub statements: Vec<StatementAnswer<'a>>,
}

/// What was done.
#[derive(Debug, Serialize)]
pub struct Done {
    /// In one word.
    pub msg: &'static str,
}

/// What could stand at the cursor.
#[derive(Debug, Serialize)]
pub struct Candidates {
    /// The words.
    pub candidates: Vec<String>,
}

/// An answer of 200.
pub fn ok(body: &impl Serialize) -> Response {
    answer(StatusCode::OK, body)
}

/// An answer of 201; `path` is where the new thing is. It is relative: Hue mistakes some absolute ones for the whole answer.
pub fn created(path: &str, body: &impl Serialize) -> Response {
    let mut response = answer(StatusCode::CREATED, body);
    if let Ok(path) = HeaderValue::from_str(path) {
        response.headers_mut().insert(LOCATION, path);
    }
    response
}

fn answer(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(body) => (status, [(CONTENT_TYPE, JSON)], body).into_response(),
        Err(e) => {
            tracing::error!(error = %e, "An answer could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
