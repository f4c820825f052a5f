//! Handles: named data in contexts, found by id, or by name in a context or a session's context.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::answer::{Address, List};
use super::request::{Asked, Named, Paged, range};
use super::words;
use crate::access::{Action, Allowed, Manage, View};
use crate::handle;
use crate::handle::service::Place;
use crate::http::Doors;
use crate::http::extract::Who;
use crate::http::fault::Fault;
use crate::id::Called;
use crate::identity::Principal;

/// The routes.
pub fn router() -> OpenApiRouter<Doors> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get, delete))
        .routes(routes!(list_of_context))
        .routes(routes!(find_in_context))
        .routes(routes!(find_in_session))
}

/// Named data in a context: a DataFrame, an RDD, a key-value RDD or a small value. Whoever may attach to the context may read and change it;
/// grants on the handle let others do so, through the gateway alone.
#[derive(Debug, Serialize, ToSchema)]
pub struct Handle {
    id: Uuid,
    /// The context it lives in.
    context: Uuid,
    context_name: Option<String>,
    /// Unique among the living in its context.
    name: String,
    #[schema(schema_with = words::handle_kind)]
    kind: &'static str,
    /// Rises with each change; readers keep the one they began with.
    version: i64,
    #[schema(schema_with = words::handle_state)]
    state: &'static str,
    /// Why it is lost, or what of it is not there or not shown.
    reason: Option<String>,
    /// Name, type and class of each column; null where there are none, or too many to be kept. A list leaves out those of more than 4 KiB.
    #[schema(value_type = Option<Vec<Column>>)]
    columns: Option<Box<RawValue>>,
    /// Type of the keys of pairs.
    key: Option<String>,
    partitions: i32,
    /// Spark's storage level.
    storage: String,
    memory_bytes: i64,
    disk_bytes: i64,
    /// From 0 to 1.
    cached_fraction: f64,
    /// How long it lives from then on when it was shared.
    ttl_ms: Option<i64>,
    /// When it ends by itself, whatever is put until then and whether its driver is there or not.
    expires_at: Option<DateTime<Utc>>,
    /// Whether it opens again after its driver has died.
    durable: bool,
    /// The version that is written to the handle store, as which it opens again: puts are durable once it has reached theirs.
    durable_version: Option<i64>,
    owner: String,
    tenant: String,
    created_at: DateTime<Utc>,
    created_by_session: Option<Uuid>,
    created_by_statement: Option<i32>,
    /// Who last read it through the gateway.
    last_read_by: Option<String>,
    last_read_at: Option<DateTime<Utc>>,
    /// When code last used it.
    last_used_at: Option<DateTime<Utc>>,
    /// When its newest version came.
    updated_at: DateTime<Utc>,
}

/// A column.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it describes what drivers say, which is passed on as it is")]
pub struct Column {
    name: String,
    /// As Spark writes it.
    r#type: String,
    /// `text`, `number`, `time`, `boolean`, `binary`, `nested` or `other`.
    class: String,
}

impl From<handle::Handle> for Handle {
    fn from(h: handle::Handle) -> Self {
        Self {
            id: h.id.0,
            context: h.context_id.0,
            context_name: h.context_name,
            name: h.name,
            kind: h.kind.as_str(),
            version: h.version,
            state: h.state.as_str(),
            reason: h.reason,
            columns: h.columns,
            key: h.key_type,
            partitions: h.partitions,
            storage: h.storage,
            memory_bytes: h.memory_bytes,
            disk_bytes: h.disk_bytes,
            cached_fraction: h.cached_fraction,
            ttl_ms: h.ttl_ms,
            expires_at: h.expires_at,
            durable: h.durable_path.is_some(),
            durable_version: h.durable_version,
            owner: h.owner,
            tenant: h.tenant,
            created_at: h.created_at,
            created_by_session: h.session_id.map(|s| s.0),
            created_by_statement: h.statement,
            last_read_by: h.last_read_by,
            last_read_at: h.last_read_at,
            last_used_at: h.last_used_at,
            updated_at: h.updated_at,
        }
    }
}

/// Opens the handle of a path.
pub(super) async fn open<A: Action>(
    doors: &Doors,
    who: &Principal,
    id: Uuid,
) -> Result<Allowed<A, handle::Handle>, Fault> {
    Ok(doors.handles.open(who, id.into()).await?)
}

/// The handles that the caller may see, newest first: those that are lost among them, with the reason.
#[utoipa::path(get, path = "/handles", tag = "handles", operation_id = "list_handles", params(Paged),
    responses((status = 200, body = List<Handle>)))]
async fn list(
    State(doors): State<Doors>,
    Who(who): Who,
    Asked(paged): Asked<Paged>,
    address: Address,
) -> Result<Response, Fault> {
    let range = range(paged.from, paged.size)?;
    let page = doors.handles.list(&who, None, range).await?;
    Ok(address.list(range, page, Handle::from))
}

/// One handle.
#[utoipa::path(get, path = "/handles/{id}", tag = "handles", operation_id = "get_handle", params(("id" = Uuid, Path)),
    responses((status = 200, body = Handle)))]
async fn get(State(doors): State<Doors>, Who(who): Who, Named(id): Named<Uuid>) -> Result<Json<Handle>, Fault> {
    Ok(Json(open::<View>(&doors, &who, id).await?.clone().into()))
}

/// Takes the name away from its data, which is freed when its last reader is done.
///
/// The driver deletes the files of a durable handle. Where there is no driver, for the context has ended, only the catalogue is told: the
/// files stay in the handle store until the context begins again, and then go; the answer's `reason` says so.
#[utoipa::path(delete, path = "/handles/{id}", tag = "handles", operation_id = "delete_handle", params(("id" = Uuid, Path)),
    responses((status = 200, body = Handle, description = "It was there until now; `reason` says what becomes of its files."),
              (status = 409, body = crate::http::fault::Problem, description = "Its driver cannot do it.")))]
async fn delete(State(doors): State<Doors>, Who(who): Who, Named(id): Named<Uuid>) -> Result<Json<Handle>, Fault> {
    let handle = open::<Manage>(&doors, &who, id).await?;
    let reason = Some(doors.handles.unshare(&handle).await?);
    Ok(Json(Handle { state: handle::State::Gone.as_str(), reason, ..handle.clone().into() }))
}

/// The handles of a context that the caller may see, newest first. The context is named by id, or by the name of a living one.
#[utoipa::path(get, path = "/contexts/{id}/handles", tag = "handles", operation_id = "list_context_handles",
    params(("id" = String, Path), Paged), responses((status = 200, body = List<Handle>)))]
async fn list_of_context(
    State(doors): State<Doors>,
    Who(who): Who,
    Named(context): Named<String>,
    Asked(paged): Asked<Paged>,
    address: Address,
) -> Result<Response, Fault> {
    let range = range(paged.from, paged.size)?;
    let page = doors.handles.list(&who, Some(&context), range).await?;
    Ok(address.list(range, page, Handle::from))
}

/// The handle of that name in a context, which is named by id, or by the name of a living one. To find it takes no right in the context.
#[utoipa::path(get, path = "/contexts/{id}/handles/{name}", tag = "handles", operation_id = "find_context_handle",
    params(("id" = String, Path), ("name" = String, Path)), responses((status = 200, body = Handle)))]
async fn find_in_context(
    State(doors): State<Doors>,
    Who(who): Who,
    Named((context, name)): Named<(String, String)>,
) -> Result<Json<Handle>, Fault> {
    Ok(Json(doors.handles.find::<View>(&who, Place::Context(&context), &name).await?.clone().into()))
}

/// The handle of that name in the context of a session, which is named by id, Livy's number or name. To find it takes no right in the session.
#[utoipa::path(get, path = "/sessions/{id}/handles/{name}", tag = "handles", operation_id = "find_session_handle",
    params(("id" = String, Path), ("name" = String, Path)), responses((status = 200, body = Handle)))]
async fn find_in_session(
    State(doors): State<Doors>,
    Who(who): Who,
    Named((session, name)): Named<(String, String)>,
) -> Result<Json<Handle>, Fault> {
    let place = Place::Session(Called::read(&session));
    Ok(Json(doors.handles.find::<View>(&who, place, &name).await?.clone().into()))
}
