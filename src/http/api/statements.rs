//! Statements: code sent to a session, and its output.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::answer::{self, Address, List, ROOT};
use super::request::{Asked, Body, Named, Waiting, range};
use super::sessions::open;
use super::words;
use crate::access::{Attach, View};
use crate::http::Doors;
use crate::http::extract::{Who, repeatable};
use crate::http::fault::Fault;
use crate::session::Kind;
use crate::statement::{self, Raw};

/// The routes.
pub fn router() -> OpenApiRouter<Doors> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get))
        .routes(routes!(cancel))
        .routes(routes!(output))
}

/// One piece of code sent to a session, and its output.
#[derive(Debug, Serialize, ToSchema)]
pub struct Statement {
    /// The session it was sent to.
    session: Uuid,
    /// Its number there, from 0.
    #[schema(minimum = 0)]
    number: i32,
    #[schema(schema_with = words::statement_kind)]
    kind: &'static str,
    #[schema(value_type = String)]
    code: Raw,
    #[schema(schema_with = words::statement_state)]
    state: &'static str,
    #[schema(minimum = 0, maximum = 1)]
    progress: f64,
    /// Once it has ended: `status` is `ok`, with `data` by MIME type, or `error`, with `ename`, `evalue` and `traceback`.
    #[schema(value_type = Option<Object>)]
    output: Option<Raw>,
    /// Name, type and class of each column, when the result is a table.
    #[schema(value_type = Option<Vec<Object>>)]
    columns: Option<Raw>,
    /// What was cut, and how much there was.
    #[schema(value_type = Option<Object>)]
    truncated: Option<Raw>,
    /// The interpreter's own time, microseconds.
    ran_us: Option<i64>,
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    completed_at: Option<DateTime<Utc>>,
}

impl Statement {
    pub(super) fn new(s: &statement::Statement) -> Self {
        Self {
            session: s.session_id.0,
            number: s.number,
            kind: s.kind.as_str(),
            code: s.code.clone(),
            state: s.state.as_str(),
            progress: s.progress,
            output: s.output.clone(),
            columns: s.columns.clone(),
            truncated: s.truncated.clone(),
            ran_us: s.ran_us,
            created_at: s.created_at,
            started_at: s.started_at,
            completed_at: s.completed_at,
        }
    }
}

/// Code to run.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewStatement)]
#[serde(deny_unknown_fields)]
pub struct New {
    /// The code.
    #[schema(value_type = String)]
    code: Box<RawValue>,
    /// Which language it is in; without it the session's own.
    #[serde(default, deserialize_with = "words::kind")]
    #[schema(schema_with = words::new_statement_kind)]
    kind: Option<Kind>,
}

/// Which page of a session's statements.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Statements {
    /// How many to pass over.
    #[param(minimum = 0, default = 0)]
    from: i64,
    /// How many to give at most.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    size: i64,
    /// Whether the newest come first.
    #[param(default = false)]
    newest_first: bool,
}

impl Default for Statements {
    fn default() -> Self {
        Self { from: 0, size: 100, newest_first: false }
    }
}

/// The statements of a session, by number. A page of large ones ends before its size, as `size` then tells; `Link` leads on.
#[utoipa::path(get, path = "/sessions/{id}/statements", tag = "statements", operation_id = "list_statements",
    params(("id" = Uuid, Path), Statements), responses((status = 200, body = List<Statement>)))]
async fn list(
    State(doors): State<Doors>,
    Who(who): Who,
    Named(id): Named<Uuid>,
    Asked(asked): Asked<Statements>,
    address: Address,
) -> Result<Response, Fault> {
    let mut range = range(asked.from, asked.size)?;
    let session = open::<View>(&doors, &who, id).await?;
    let page = doors.statements.list(&session, range, asked.newest_first).await?;
    let given = i64::try_from(page.rows.len()).unwrap_or(range.size);
    // Large statements make a page shorter; the next one begins behind them.
    if given > 0 && range.from.saturating_add(given) < page.total {
        range.size = given;
    }
    Ok(address.list(range, page, |s| Statement::new(&s)))
}

/// Sends code to a session. It is taken while the session starts, too, and runs in its turn. With `wait` the answer comes once
/// it has ended.
#[utoipa::path(post, path = "/sessions/{id}/statements", tag = "statements", operation_id = "create_statement",
    params(("id" = Uuid, Path), Waiting), request_body = New,
    responses((status = 201, body = Statement, headers(("Location" = String)))))]
async fn create(
    State(doors): State<Doors>,
    Who(who): Who,
    Named(id): Named<Uuid>,
    Asked(waiting): Asked<Waiting>,
    Body { said, key }: Body<New>,
) -> Result<Response, Fault> {
    let wait = waiting.time(doors.limits.wait.0)?;
    let session = open::<Attach>(&doors, &who, id).await?;
    let mut statement = doors.statements.submit(&who, &session, said.kind, said.code, key.as_ref()).await?;
    if let Some(time) = wait {
        statement = doors.statements.wait(id.into(), statement.number, time).await?;
    }
    let path = format!("{ROOT}/sessions/{id}/statements/{}", statement.number);
    answer::created(&path, Statement::new(&statement))
}

/// One statement. With `wait` the answer comes once it has ended.
#[utoipa::path(get, path = "/sessions/{id}/statements/{number}", tag = "statements", operation_id = "get_statement",
    params(("id" = Uuid, Path), ("number" = i32, Path, minimum = 0), Waiting),
    responses((status = 200, body = Statement)))]
async fn get(
    State(doors): State<Doors>,
    Who(who): Who,
    Named((id, number)): Named<(Uuid, i32)>,
    Asked(waiting): Asked<Waiting>,
) -> Result<Json<Statement>, Fault> {
    let wait = waiting.time(doors.limits.wait.0)?;
    let session = open::<View>(&doors, &who, id).await?;
    let statement = match wait {
        Some(time) => {
            // That it is read is written down first.
            doors.statements.get(&session, number).await?;
            doors.statements.wait(id.into(), number, time).await?
        }
        None => doors.statements.get(&session, number).await?,
    };
    Ok(Json(Statement::new(&statement)))
}

/// Asks for the end of a statement; one that has ended is left as it is. With `wait` the answer comes once it has ended.
#[utoipa::path(post, path = "/sessions/{id}/statements/{number}/cancel", tag = "statements", operation_id = "cancel_statement",
    params(("id" = Uuid, Path), ("number" = i32, Path, minimum = 0), Waiting),
    responses((status = 200, body = Statement)))]
async fn cancel(
    State(doors): State<Doors>,
    Who(who): Who,
    Named((id, number)): Named<(Uuid, i32)>,
    Asked(waiting): Asked<Waiting>,
    method: Method,
    address: Address,
    headers: HeaderMap,
) -> Result<Json<Statement>, Fault> {
    let wait = waiting.time(doors.limits.wait.0)?.unwrap_or_default();
    repeatable(&doors, &who, &headers, &format!("{method} {}", address.path()), b"").await?;
    let session = open::<Attach>(&doors, &who, id).await?;
    doors.statements.wait(id.into(), number, std::time::Duration::ZERO).await?;
    doors.statements.cancel(&session, number).await?;
    let statement = doors.statements.wait(id.into(), number, wait).await?;
    Ok(Json(Statement::new(&statement)))
}

/// Which pieces of output.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Pieces {
    /// Only those after this one.
    #[param(minimum = 0, default = 0)]
    after: i64,
    /// How many to give at most.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    size: i64,
}

impl Default for Pieces {
    fn default() -> Self {
        Self { after: 0, size: 100 }
    }
}

/// A piece of output, as it came.
#[derive(Debug, Serialize, ToSchema)]
pub struct Piece {
    /// Its number in the session; rises.
    #[schema(minimum = 1)]
    seq: i64,
    /// Which statement printed it.
    #[schema(minimum = 0)]
    statement: i32,
    /// `stdout` or `stderr`.
    stream: String,
    #[schema(value_type = String)]
    text: Raw,
}

impl Piece {
    pub(super) fn new(statement: i32, seq: i64, stream: String, text: Raw) -> Self {
        Self { seq, statement, stream, text }
    }
}

impl From<statement::Chunk> for Piece {
    fn from(c: statement::Chunk) -> Self {
        Self::new(c.number, c.seq, c.stream, c.text)
    }
}

/// Pieces of output.
#[derive(Debug, Serialize, ToSchema)]
pub struct Pieced {
    items: Vec<Piece>,
    /// What to ask for next by `after`.
    #[schema(minimum = 0)]
    last: i64,
}

/// What a statement has printed so far, piece by piece; a reader goes on by `after`.
#[utoipa::path(get, path = "/sessions/{id}/statements/{number}/output", tag = "statements", operation_id = "get_output",
    params(("id" = Uuid, Path), ("number" = i32, Path, minimum = 0), Pieces),
    responses((status = 200, body = Pieced)))]
async fn output(
    State(doors): State<Doors>,
    Who(who): Who,
    Named((id, number)): Named<(Uuid, i32)>,
    Asked(pieces): Asked<Pieces>,
) -> Result<Json<Pieced>, Fault> {
    if pieces.after < 0 {
        return Err(Fault::invalid("after: must not be negative"));
    }
    let size = range(0, pieces.size)?.size;
    let session = open::<View>(&doors, &who, id).await?;
    doors.statements.get(&session, number).await?;
    let chunks = doors.statements.chunks(&session, number, pieces.after, size).await?;
    let last = chunks.last().map_or(pieces.after, |c| c.seq);
    Ok(Json(Pieced { items: chunks.into_iter().map(Piece::from).collect(), last }))
}
