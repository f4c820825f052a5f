//! Batches: jars and Python files, run by `spark-submit`.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
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
use super::request::{Asked, Body, Lines, Named, PagedLiving, Waiting, range};
use super::resources::Resources;
use super::words;
use crate::access::{Action, Allowed, Manage, View};
use crate::batch::service::Called;
use crate::batch::{self, NewBatch};
use crate::context;
use crate::http::Doors;
use crate::http::bounded;
use crate::http::extract::Who;
use crate::http::fault::Fault;
use crate::identity::Principal;

/// The routes.
pub fn router() -> OpenApiRouter<Doors> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, delete)).routes(routes!(log))
}

/// One `spark-submit` of a jar or a Python file.
#[derive(Debug, Serialize, ToSchema)]
pub struct Batch {
    id: Uuid,
    /// The number by which clients of the Livy door know it.
    livy_id: i32,
    /// Unique in the tenant among the living.
    name: Option<String>,
    owner: String,
    /// The identity that its application has on the cluster.
    run_as: String,
    profile: String,
    file: String,
    args: Vec<String>,
    class_name: Option<String>,
    #[schema(value_type = Resources)]
    resources: context::launch::resources::Resources,
    #[schema(schema_with = words::batch_state)]
    state: &'static str,
    /// Why it waits for its launch, and its place in the line.
    waits: Option<String>,
    /// Why it ended, unless in success.
    cause: Option<String>,
    /// Who ended it. Null: nobody did.
    ended_by: Option<EndedBy>,
    /// Exit status of its program.
    exit_code: Option<i32>,
    /// The cluster's id of its application.
    app_id: Option<String>,
    ui_url: Option<String>,
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    /// The last lines of its log.
    log: Vec<String>,
}

impl Batch {
    fn new(view: batch::View) -> Self {
        let b = view.batch;
        Self {
            id: b.id.0,
            livy_id: b.livy_id,
            name: b.name,
            owner: b.owner,
            run_as: b.run_as,
            profile: b.profile,
            file: b.request.file,
            args: b.request.args,
            class_name: b.request.class_name,
            resources: b.request.resources.shown(),
            state: b.state.as_str(),
            waits: view.waits.map(|w| w.to_string()),
            cause: b.cause,
            ended_by: b.ended_by.as_ref().map(EndedBy::from),
            exit_code: b.exit_code,
            app_id: b.cluster_id,
            ui_url: b.ui_url,
            created_at: b.created_at,
            started_at: b.started_at,
            ended_at: b.ended_at,
            log: b.tail,
        }
    }
}

/// What a new batch is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewBatch)]
#[serde(deny_unknown_fields)]
pub struct New {
    /// A jar or a Python file: an absolute path on the machine where Hearth runs, or a URL.
    #[schema(min_length = 1, max_length = 4096)]
    file: String,
    /// Arguments of the program. Everybody on the machine can read them while it runs.
    #[serde(default, deserialize_with = "bounded::list::<_, _, 1000>")]
    #[schema(max_items = 1000)]
    args: Vec<String>,
    /// Main class of a jar whose manifest names none.
    #[serde(default)]
    #[schema(max_length = 500)]
    class_name: Option<String>,
    #[serde(default)]
    #[schema(schema_with = words::new_name)]
    name: Option<String>,
    /// One of the gateway's profiles; without it `default`.
    #[serde(default)]
    #[schema(example = "default")]
    profile: Option<String>,
    #[serde(default)]
    #[schema(value_type = Resources)]
    resources: Object<Resources>,
}

async fn open<A: Action>(doors: &Doors, who: &Principal, id: Uuid) -> Result<Allowed<A, batch::View>, Fault> {
    Ok(doors.batches.open(who, Called::Id(id.into())).await?)
}

/// The caller's batches, oldest first.
#[utoipa::path(get, path = "/batches", tag = "batches", operation_id = "list_batches", params(PagedLiving),
    responses((status = 200, body = List<Batch>)))]
async fn list(
    State(doors): State<Doors>,
    Who(who): Who,
    Asked(paged): Asked<PagedLiving>,
    address: Address,
) -> Result<Response, Fault> {
    let range = range(paged.from, paged.size)?;
    let page = doors.batches.list(&who, range, paged.all).await?;
    Ok(address.list(range, page, Batch::new))
}

/// Creates a batch. With `wait` the answer comes once it is over.
#[utoipa::path(post, path = "/batches", tag = "batches", operation_id = "create_batch", params(Waiting), request_body = New,
    responses((status = 201, body = Batch, headers(("Location" = String)))))]
async fn create(
    State(doors): State<Doors>,
    Who(who): Who,
    Asked(waiting): Asked<Waiting>,
    Body { said, key }: Body<New>,
) -> Result<Response, Fault> {
    let wait = waiting.time(doors.limits.wait.0)?;
    let new = NewBatch {
        name: said.name,
        profile: said.profile,
        request: batch::Request {
            notices: Vec::new(),
            file: said.file,
            args: said.args,
            class_name: said.class_name,
            resources: said.resources.0.into(),
            proxy_user: None,
        },
    };
    let mut view = doors.batches.create(&who, new, key.as_ref()).await?;
    if let Some(time) = wait {
        view = doors.batches.wait(view.batch.id, time, is_over).await?.unwrap_or(view);
    }
    answer::created(&format!("{ROOT}/batches/{}", view.batch.id), Batch::new(view))
}

fn is_over(view: &batch::View) -> bool {
    view.batch.state.is_over()
}

/// One batch. With `wait` the answer comes once it is over.
#[utoipa::path(get, path = "/batches/{id}", tag = "batches", operation_id = "get_batch", params(("id" = Uuid, Path), Waiting),
    responses((status = 200, body = Batch)))]
async fn get(
    State(doors): State<Doors>,
    Who(who): Who,
    Named(id): Named<Uuid>,
    Asked(waiting): Asked<Waiting>,
) -> Result<Json<Batch>, Fault> {
    let wait = waiting.time(doors.limits.wait.0)?;
    let mut view = open::<View>(&doors, &who, id).await?.clone();
    if let Some(time) = wait {
        view = doors.batches.wait(id.into(), time, is_over).await?.unwrap_or(view);
    }
    Ok(Json(Batch::new(view)))
}

/// Ends a batch with all that it started: 202 while it is ending, 200 once it is over.
#[utoipa::path(delete, path = "/batches/{id}", tag = "batches", operation_id = "delete_batch",
    params(("id" = Uuid, Path), Waiting),
    responses((status = 200, body = Batch), (status = 202, body = Batch)))]
async fn delete(
    State(doors): State<Doors>,
    Who(who): Who,
    Named(id): Named<Uuid>,
    Asked(waiting): Asked<Waiting>,
) -> Result<Response, Fault> {
    let wait = waiting.time(doors.limits.wait.0)?.unwrap_or_default();
    let batch = open::<Manage>(&doors, &who, id).await?;
    doors.batches.stop(&batch, "deleted").await?;
    let view = doors.batches.wait(id.into(), wait, is_over).await?.unwrap_or_else(|| batch.clone());
    Ok(answer::ended(is_over(&view), Batch::new(view)))
}

/// What the batch has printed.
#[utoipa::path(get, path = "/batches/{id}/log", tag = "batches", operation_id = "get_batch_log",
    params(("id" = Uuid, Path), Lines), responses((status = 200, body = Log)))]
async fn log(
    State(doors): State<Doors>,
    Who(who): Who,
    Named(id): Named<Uuid>,
    Asked(lines): Asked<Lines>,
) -> Result<Json<Log>, Fault> {
    let wanted = lines.wanted()?;
    let batch = open::<View>(&doors, &who, id).await?;
    Ok(Json(doors.batches.log(&batch, wanted).await?.into()))
}
