//! Contexts: Spark applications that sessions live in.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::answer::{self, Address, List, ROOT};
use super::ended::EndedBy;
use super::log::Log;
use super::object::Object;
use super::request::{Asked, Body, Lines, Named, Paged, Waiting, range};
use super::resources::Resources;
use super::words;
use crate::access::{Manage, View};
use crate::context::clock::Deadline;
use crate::context::{self, NewContext};
use crate::http::Doors;
use crate::http::extract::{Who, idempotency_key};
use crate::http::fault::Fault;
use crate::id::ContextId;

/// The routes.
pub fn router() -> OpenApiRouter<Doors> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, delete))
        .routes(routes!(log))
        .routes(routes!(restart))
}

/// A Spark application that sessions live in.
#[derive(Debug, Serialize, ToSchema)]
pub struct Context {
    id: Uuid,
    /// Unique in the tenant among the living.
    name: Option<String>,
    owner: String,
    /// The identity that its application has on the cluster.
    run_as: String,
    profile: String,
    /// Whether it lives on after its last session.
    outlives_sessions: bool,
    /// Whose sessions come here without naming it, as its profile says (`share`): those of its owner (`user`), of the members of a group that
    /// owns it (`group`), or of everybody in the tenant (`service`). null: nobody's.
    #[schema(schema_with = words::shared_with)]
    shared_with: Option<&'static str>,
    /// It ends after so many milliseconds without work; 0: never.
    idle_timeout_ms: i64,
    /// Which application of it this is, from 1; null before its first launch.
    attempt: Option<i32>,
    #[schema(schema_with = words::context_state)]
    state: &'static str,
    /// Why it waits for its launch, and its place in the line.
    waits: Option<String>,
    /// Why it ended, or is ending.
    cause: Option<String>,
    /// Who or what ended it. Null: nobody did; the cause says what became of its driver.
    ended_by: Option<EndedBy>,
    #[schema(value_type = Resources)]
    resources: context::launch::resources::Resources,
    /// The cluster's id of its application.
    app_id: Option<String>,
    spark_version: Option<String>,
    ui_url: Option<String>,
    /// When it will end by its idle timeout if nothing happens. Null: that does not run now.
    ends_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    ready_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
}

impl Context {
    /// As it is shown, with the deadline of its clock.
    async fn shown(c: context::Context, doors: &Doors) -> Result<Self, Fault> {
        let deadlines = doors.contexts.deadlines_of(std::slice::from_ref(&c)).await?;
        Ok(Self::new(c, &deadlines, doors))
    }

    fn new(c: context::Context, deadlines: &HashMap<ContextId, Deadline>, doors: &Doors) -> Self {
        let live = doors.contexts.live().get(c.id);
        let application = c.application;
        Self {
            id: c.id.0,
            name: c.name,
            owner: c.owner,
            run_as: c.run_as,
            profile: c.profile,
            outlives_sessions: c.outlives_sessions,
            shared_with: c.share.as_str(),
            idle_timeout_ms: c.idle.as_millis(),
            attempt: application.as_ref().map(|a| a.attempt),
            state: c.state.as_str(),
            waits: live.and_then(|l| l.facts().waits.clone()).filter(|_| c.state == context::State::Waiting),
            cause: c.cause,
            ended_by: c.ended_by.as_ref().map(EndedBy::from),
            resources: c.request.shown(),
            app_id: application.as_ref().and_then(|a| a.cluster_id.clone()),
            spark_version: application.as_ref().and_then(|a| a.spark_version.clone()),
            ui_url: application.and_then(|a| a.ui_url),
            ends_at: deadlines.get(&c.id).map(|deadline| deadline.at),
            created_at: c.created_at,
            ready_at: c.ready_at,
            ended_at: c.ended_at,
        }
    }
}

/// What a new context is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewContext)]
#[serde(deny_unknown_fields)]
pub struct New {
    #[schema(schema_with = words::new_name)]
    name: Option<String>,
    /// One of the gateway's profiles; without it `default`.
    #[schema(example = "default")]
    profile: Option<String>,
    /// Whether it ends with its last session.
    #[serde(default)]
    #[schema(default = false)]
    ends_with_sessions: bool,
    /// It ends after this time without work, such as `90s` or `1h`; `0s`: never. Without it the profile decides. Not for one that ends with
    /// its sessions.
    #[schema(example = "1h", max_length = 40)]
    idle_timeout: Option<String>,
    #[serde(default)]
    #[schema(value_type = Resources)]
    resources: Object<Resources>,
}

/// The caller's contexts, newest first.
#[utoipa::path(get, path = "/contexts", tag = "contexts", operation_id = "list_contexts", params(Paged),
    responses((status = 200, body = List<Context>)))]
async fn list(
    State(doors): State<Doors>,
    Who(who): Who,
    Asked(paged): Asked<Paged>,
    address: Address,
) -> Result<Response, Fault> {
    let range = range(paged.from, paged.size)?;
    let page = doors.contexts.list(&who, range).await?;
    let deadlines = doors.contexts.deadlines_of(&page.rows).await?;
    Ok(address.list(range, page, |c| Context::new(c, &deadlines, &doors)))
}

/// Creates a context. With `wait` the answer comes once it is ready or over.
#[utoipa::path(post, path = "/contexts", tag = "contexts", operation_id = "create_context", params(Waiting), request_body = New,
    responses((status = 201, body = Context, headers(("Location" = String)))))]
async fn create(
    State(doors): State<Doors>,
    Who(who): Who,
    Asked(waiting): Asked<Waiting>,
    Body { said, key }: Body<New>,
) -> Result<Response, Fault> {
    let wait = waiting.time(doors.limits.wait.0)?;
    let idle = said.idle_timeout.map(|text| text.parse().map_err(|e| Fault::invalid(format!("idle_timeout: {e}"))));
    let new = NewContext {
        idle: idle.transpose()?,
        name: said.name,
        profile: said.profile,
        outlives_sessions: !said.ends_with_sessions,
        request: said.resources.0.into(),
    };
    let mut context = doors.contexts.create(&who, new, key.as_ref()).await?;
    if let Some(time) = wait {
        context = doors.contexts.wait(context.id, time, is_settled).await?.unwrap_or(context);
    }
    answer::created(&format!("{ROOT}/contexts/{}", context.id), Context::shown(context, &doors).await?)
}

fn is_settled(context: &context::Context) -> bool {
    matches!(context.state, context::State::Ready | context::State::Ended)
}

/// One context. With `wait` the answer comes once it is ready or over.
#[utoipa::path(get, path = "/contexts/{id}", tag = "contexts", operation_id = "get_context",
    params(("id" = String, Path, description = "Its id, or its name: of a living one, else of the newest."), Waiting),
    responses((status = 200, body = Context)))]
async fn get(
    State(doors): State<Doors>,
    Who(who): Who,
    Named(called): Named<String>,
    Asked(waiting): Asked<Waiting>,
) -> Result<Json<Context>, Fault> {
    let wait = waiting.time(doors.limits.wait.0)?;
    let mut context = doors.contexts.open::<View>(&who, &called).await?.clone();
    if let Some(time) = wait {
        context = doors.contexts.wait(context.id, time, is_settled).await?.unwrap_or(context);
    }
    Ok(Json(Context::shown(context, &doors).await?))
}

/// Ends a context, and its sessions with it: 202 while it is ending, 200 once it is over.
#[utoipa::path(delete, path = "/contexts/{id}", tag = "contexts", operation_id = "delete_context",
    params(("id" = String, Path, description = "Its id, or its name: of a living one, else of the newest."), Waiting),
    responses((status = 200, body = Context), (status = 202, body = Context)))]
async fn delete(
    State(doors): State<Doors>,
    Who(who): Who,
    Named(called): Named<String>,
    Asked(waiting): Asked<Waiting>,
) -> Result<Response, Fault> {
    let wait = waiting.time(doors.limits.wait.0)?.unwrap_or_default();
    let context = doors.contexts.open::<Manage>(&who, &called).await?;
    doors.contexts.stop(&context, "deleted").await?;
    let is_over = |c: &context::Context| c.state == context::State::Ended;
    let context = doors.contexts.wait(context.id, wait, is_over).await?.unwrap_or_else(|| context.clone());
    Ok(answer::ended(is_over(&context), Context::shown(context, &doors).await?))
}

/// Begins again: a new application in the same context, with its name and grants. Its sessions end; its durable handles are there again. Also
/// for a context that is over. With `wait` the answer comes once it is ready or over.
#[utoipa::path(post, path = "/contexts/{id}/restart", tag = "contexts", operation_id = "restart_context",
    params(("id" = String, Path, description = "Its id, or its name: of a living one, else of the newest."), Waiting),
    responses((status = 202, body = Context, description = "It begins again."),
              (status = 409, body = crate::http::fault::Problem, description = "It is being ended, or ends with its session.")))]
async fn restart(
    State(doors): State<Doors>,
    Who(who): Who,
    Named(called): Named<String>,
    Asked(waiting): Asked<Waiting>,
    address: Address,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let wait = waiting.time(doors.limits.wait.0)?.unwrap_or_default();
    let key = idempotency_key(&who, &headers, &format!("POST {}", address.path()), b"")?;
    let context = doors.contexts.open::<Manage>(&who, &called).await?;
    doors.contexts.restart(&context, key.as_ref()).await?;
    let before = context.application.as_ref().map(|a| a.id);
    // Its old application may still be ending, and the context ready by that.
    let is_new = |c: &context::Context| c.application.as_ref().map(|a| a.id) != before;
    let done = |c: &context::Context| is_settled(c) && (is_new(c) || c.state == context::State::Ended);
    let context = doors.contexts.wait(context.id, wait, done).await?.unwrap_or_else(|| context.clone());
    Ok((StatusCode::ACCEPTED, Json(Context::shown(context, &doors).await?)).into_response())
}

/// What the context's application has logged.
#[utoipa::path(get, path = "/contexts/{id}/log", tag = "contexts", operation_id = "get_context_log",
    params(("id" = String, Path, description = "Its id, or its name: of a living one, else of the newest."), Lines), responses((status = 200, body = Log)))]
async fn log(
    State(doors): State<Doors>,
    Who(who): Who,
    Named(called): Named<String>,
    Asked(lines): Asked<Lines>,
) -> Result<Json<Log>, Fault> {
    let wanted = lines.wanted()?;
    let context = doors.contexts.open::<View>(&who, &called).await?;
    Ok(Json(doors.contexts.log(&context, wanted).await?.into()))
}
