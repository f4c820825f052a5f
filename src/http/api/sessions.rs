//! Sessions: interactive workspaces, each in a context of its own or in one that is named.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::answer::{self, Address, List, ROOT};
use super::ended::EndedBy;
use super::log::Log;
use super::object::Object;
use super::request::{Asked, Body, Lines, Named, PagedLiving, Waiting, range};
use super::resources::Resources;
use super::{events, words};
use crate::access::{Action, Allowed, Attach, Manage, View};
use crate::context;
use crate::http::Doors;
use crate::http::extract::Who;
use crate::http::fault::Fault;
use crate::identity::Principal;
use crate::session::service::Called;
use crate::session::{self, Kind, NewSession, State as SessionState, is_over};

/// The routes.
pub fn router() -> OpenApiRouter<Doors> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, delete))
        .routes(routes!(log))
        .routes(routes!(complete))
        .routes(routes!(watch))
}

/// An interactive workspace in a context.
#[derive(Debug, Serialize, ToSchema)]
pub struct Session {
    id: Uuid,
    /// The number by which clients of the Livy door know it.
    livy_id: i32,
    /// Unique in the tenant among the living.
    name: Option<String>,
    owner: String,
    /// The identity that its code has on the cluster.
    run_as: String,
    #[schema(schema_with = words::session_kind)]
    kind: &'static str,
    #[schema(schema_with = words::session_state)]
    state: &'static str,
    /// The context it lives in.
    context: Uuid,
    /// Why it waits for its launch, and its place in the line.
    waits: Option<String>,
    /// Why it ended, or is ending.
    cause: Option<String>,
    /// Who or what ended it. Null: nobody did; the cause says what became of its driver.
    ended_by: Option<EndedBy>,
    #[schema(value_type = Resources)]
    resources: context::launch::resources::Resources,
    /// The cluster's id of its context's application.
    app_id: Option<String>,
    ui_url: Option<String>,
    /// It ends after so many milliseconds without activity; 0: never.
    idle_timeout_ms: i64,
    /// It ends so many milliseconds after its beginning; 0: never.
    ttl_ms: i64,
    /// When it will end if nothing happens: by its idle timeout, its ttl or the idle timeout of its context, whichever comes first. Null:
    /// none of them runs now. The clock of `heartbeat_seconds` begins anew with each call, such as this one.
    ends_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
    /// The last lines of its context's log.
    log: Vec<String>,
}

impl Session {
    pub(super) fn new(view: &session::View) -> Self {
        let s = &*view.session;
        Self {
            id: s.id.0,
            livy_id: s.livy_id,
            name: s.name.clone(),
            owner: s.owner.clone(),
            run_as: s.run_as.clone(),
            kind: s.kind.as_str(),
            state: view.state.as_str(),
            context: s.context_id.0,
            waits: view.facts.waits.clone().filter(|_| view.state == SessionState::Starting),
            cause: s.cause.clone(),
            ended_by: s.ended_by.as_ref().map(EndedBy::from),
            resources: s.request.resources.shown(),
            app_id: view.facts.app_id.clone(),
            ui_url: view.facts.ui_url.clone(),
            idle_timeout_ms: s.idle.as_millis(),
            ttl_ms: s.ttl.as_millis(),
            ends_at: view.ends.map(|deadline| deadline.at),
            created_at: s.created_at,
            ended_at: s.ended_at,
            log: view.tail.iter().map(|line| line.to_string()).collect(),
        }
    }
}

/// What a new session is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewSession)]
#[serde(deny_unknown_fields)]
pub struct New {
    /// Which language its code is in; `shared`, the default: each statement says.
    #[serde(default, deserialize_with = "words::kind")]
    #[schema(schema_with = words::new_session_kind)]
    kind: Option<Kind>,
    #[schema(schema_with = words::new_name)]
    name: Option<String>,
    /// A context to live in, by name or id; without it the session has one of its own, which ends with it.
    #[schema(min_length = 1, max_length = 128)]
    context: Option<String>,
    /// Profile of its own context.
    #[schema(example = "default")]
    profile: Option<String>,
    /// What its own context asks of Spark.
    #[schema(value_type = Option<Resources>)]
    resources: Option<Object<Resources>>,
    /// It ends after this time without activity, such as `90s` or `1h`; `0s`: never.
    #[schema(example = "1h", max_length = 40)]
    idle_timeout: Option<String>,
    /// It ends this long after its beginning; `0s`: never.
    #[schema(example = "8h", max_length = 40)]
    ttl: Option<String>,
    /// It ends after so many seconds without a call on it, counted from the first; 0: never.
    #[serde(default)]
    #[schema(default = 0, maximum = 31536000)]
    heartbeat_seconds: u32,
}

/// Opens the session of a path.
pub(super) async fn open<A: Action>(
    doors: &Doors,
    who: &Principal,
    id: Uuid,
) -> Result<Allowed<A, session::View>, Fault> {
    Ok(doors.sessions.open(who, Called::Id(id.into())).await?)
}

/// The caller's sessions, oldest first.
#[utoipa::path(get, path = "/sessions", tag = "sessions", operation_id = "list_sessions", params(PagedLiving),
    responses((status = 200, body = List<Session>)))]
async fn list(
    State(doors): State<Doors>,
    Who(who): Who,
    Asked(paged): Asked<PagedLiving>,
    address: Address,
) -> Result<Response, Fault> {
    let range = range(paged.from, paged.size)?;
    let page = doors.sessions.list(&who, range, paged.all).await?;
    Ok(address.list(range, page, |view| Session::new(&view)))
}

/// Creates a session. With `wait` the answer comes once it is idle or over.
#[utoipa::path(post, path = "/sessions", tag = "sessions", operation_id = "create_session", params(Waiting), request_body = New,
    responses((status = 201, body = Session, headers(("Location" = String)))))]
async fn create(
    State(doors): State<Doors>,
    Who(who): Who,
    Asked(waiting): Asked<Waiting>,
    Body { said, key }: Body<New>,
) -> Result<Response, Fault> {
    let wait = waiting.time(doors.limits.wait.0)?;
    if said.context.is_some() && (said.profile.is_some() || said.resources.is_some()) {
        return Err(Fault::invalid("profile and resources are for a context of its own; leave them out, or context"));
    }
    let new = NewSession {
        kind: said.kind.unwrap_or(Kind::Shared),
        name: said.name,
        context: said.context,
        profile: said.profile,
        heartbeat_seconds: said.heartbeat_seconds,
        request: session::Request {
            resources: said.resources.unwrap_or_default().0.into(),
            ttl: said.ttl,
            idle_timeout: said.idle_timeout,
            ..session::Request::default()
        },
    };
    let mut view = doors.sessions.create(&who, new, key.as_ref()).await?;
    if let Some(time) = wait {
        view = doors.sessions.wait(view.session.id, time, is_settled).await?.unwrap_or(view);
    }
    answer::created(&format!("{ROOT}/sessions/{}", view.session.id), Session::new(&view))
}

fn is_settled(view: &session::View) -> bool {
    view.state == SessionState::Idle || is_over(view.state)
}

/// One session. With `wait` the answer comes once it is idle or over.
#[utoipa::path(get, path = "/sessions/{id}", tag = "sessions", operation_id = "get_session", params(("id" = Uuid, Path), Waiting),
    responses((status = 200, body = Session)))]
async fn get(
    State(doors): State<Doors>,
    Who(who): Who,
    Named(id): Named<Uuid>,
    Asked(waiting): Asked<Waiting>,
) -> Result<Json<Session>, Fault> {
    let wait = waiting.time(doors.limits.wait.0)?;
    let session = open::<View>(&doors, &who, id).await?;
    match wait {
        Some(time) => {
            let waited = doors.sessions.wait(id.into(), time, is_settled).await?;
            Ok(Json(Session::new(waited.as_ref().unwrap_or(&session))))
        }
        None => Ok(Json(Session::new(&session))),
    }
}

/// Ends a session, and its context when that is its own: 202 while it is ending, 200 once it is over.
#[utoipa::path(delete, path = "/sessions/{id}", tag = "sessions", operation_id = "delete_session",
    params(("id" = Uuid, Path), Waiting),
    responses((status = 200, body = Session), (status = 202, body = Session)))]
async fn delete(
    State(doors): State<Doors>,
    Who(who): Who,
    Named(id): Named<Uuid>,
    Asked(waiting): Asked<Waiting>,
) -> Result<Response, Fault> {
    let wait = waiting.time(doors.limits.wait.0)?.unwrap_or_default();
    let session = open::<Manage>(&doors, &who, id).await?;
    doors.sessions.stop(&session, "deleted").await?;
    let waited = doors.sessions.wait(id.into(), wait, |v| is_over(v.state)).await?;
    let view = waited.as_ref().unwrap_or(&session);
    Ok(answer::ended(is_over(view.state), Session::new(view)))
}

/// What the application of the session's context has logged.
#[utoipa::path(get, path = "/sessions/{id}/log", tag = "sessions", operation_id = "get_session_log",
    params(("id" = Uuid, Path), Lines), responses((status = 200, body = Log)))]
async fn log(
    State(doors): State<Doors>,
    Who(who): Who,
    Named(id): Named<Uuid>,
    Asked(lines): Asked<Lines>,
) -> Result<Json<Log>, Fault> {
    let wanted = lines.wanted()?;
    let session = open::<View>(&doors, &who, id).await?;
    Ok(Json(doors.sessions.log(&session, wanted).await?.into()))
}

/// Code that is being written.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Completion {
    /// The code so far.
    code: String,
    /// Where the cursor stands, in UTF-16 code units.
    #[schema(maximum = 2147483647)]
    cursor: u32,
    /// Which language the code is in; without it the session's own.
    #[serde(default, deserialize_with = "words::kind")]
    #[schema(schema_with = words::new_statement_kind)]
    kind: Option<Kind>,
}

/// What could stand at the cursor.
#[derive(Debug, Serialize, ToSchema)]
pub struct Candidates {
    candidates: Vec<String>,
}

/// Asks what could stand at the cursor.
#[utoipa::path(post, path = "/sessions/{id}/completion", tag = "sessions", operation_id = "complete",
    params(("id" = Uuid, Path)), request_body = Completion, responses((status = 200, body = Candidates)))]
async fn complete(
    State(doors): State<Doors>,
    Who(who): Who,
    Named(id): Named<Uuid>,
    Body { said, key }: Body<Completion>,
) -> Result<Json<Candidates>, Fault> {
    if let Some(key) = key {
        crate::store::idempotency::note(doors.contexts.pool(), &key).await?;
    }
    let session = open::<Attach>(&doors, &who, id).await?;
    let kind = said.kind.unwrap_or(session.session.kind);
    if matches!(kind, Kind::Shared | Kind::Sparkr) {
        return Err(Fault::invalid("kind: name one of spark, pyspark and sql"));
    }
    let candidates = doors.sessions.complete(&session, kind, &said.code, said.cursor).await?;
    Ok(Json(Candidates { candidates }))
}

/// Where to go on.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct After {
    /// As `Last-Event-ID`, for readers that cannot send it.
    #[param(minimum = 0)]
    after: Option<i64>,
}

/// The session's events as they happen, as server-sent events: `snapshot` (the session and its newest statements) first, then
/// `session`, `statement`, `output`, `progress`, and `end` when the session has ended. `ending` comes some time before a clock ends it (the
/// idle timeout, the ttl, the idle timeout of its context), once for each deadline: when a tenth of the clock's time is left, at most a
/// minute, at least five seconds or half of the time. What runs or is sent until then moves the deadline, but for that of the ttl;
/// `ends_at` of the session tells it at any time. Pieces of output carry their number as
/// event id: a reader that comes back with `Last-Event-ID` gets what it missed. A reader that was too slow is told by `missed`, and
/// gets a fresh `snapshot`.
#[utoipa::path(get, path = "/sessions/{id}/events", tag = "sessions", operation_id = "watch_session",
    params(("id" = Uuid, Path), After, ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event seen.")),
    responses((status = 200, content_type = "text/event-stream", body = events::Told),
              (status = 204, description = "The reader has seen the end.")))]
async fn watch(
    State(doors): State<Doors>,
    Who(who): Who,
    Named(id): Named<Uuid>,
    Asked(asked): Asked<After>,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let session = open::<View>(&doors, &who, id).await?;
    let last = headers.get("last-event-id").and_then(|v| v.to_str().ok());
    if last == Some(events::END) {
        // The status by which a browser's EventSource stops coming back.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let after = last.and_then(|l| l.parse().ok()).or(asked.after);
    if after.is_some_and(|after: i64| after < 0) {
        return Err(Fault::invalid("after: must not be negative"));
    }
    Ok(events::stream(doors, session, after).into_response())
}
