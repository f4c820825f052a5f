//! The description's frame, and what holds of many operations and is said in this one place: errors and the `Idempotency-Key`.

use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, Ref, Type};
use utoipa::openapi::{HeaderBuilder, Info, License, OpenApi, OpenApiBuilder, RefOr, Required, ResponseBuilder};
use utoipa::{PartialSchema as _, ToSchema as _};

use super::events::Ending;
use crate::http::fault::{Code, PROBLEM, Problem};

/// Operations that a driver answers.
const ASK_DRIVERS: [&str; 7] = [
    "get_entries",
    "get_many_entries",
    "put_entries",
    "delete_entries",
    "count_handle",
    "get_handle_rows",
    "delete_handle",
];

/// Operations that a thing which is over for good refuses, beside those.
const LIVE: [&str; 4] = ["restart_context", "create_session", "create_statement", "complete"];

/// What the API is.
#[must_use]
pub fn about() -> OpenApi {
    let mut info = Info::new("Hearth", env!("CARGO_PKG_VERSION"));
    info.description = Some("Spark as a service: contexts, sessions, statements, batches and handles.".to_owned());
    info.license = Some(License::new("Apache-2.0"));
    OpenApiBuilder::new().info(info).build()
}

/// Adds what holds of many operations.
pub fn complete(api: &mut OpenApi) {
    let components = api.components.get_or_insert_default();
    components.schemas.insert(Problem::name().into_owned(), Problem::schema());
    components.schemas.insert(Code::name().into_owned(), Code::schema());
    // Of events, which are texts in a stream.
    components.schemas.insert(Ending::name().into_owned(), Ending::schema());
    for item in api.paths.paths.values_mut() {
        let PathItem { get, post, put, delete, .. } = item;
        for operation in [get, delete].into_iter().flatten() {
            add_errors(operation, false);
        }
        for operation in [post, put].into_iter().flatten() {
            add_key(operation);
            add_errors(operation, true);
        }
    }
}

fn add_key(operation: &mut Operation) {
    let key = ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(255))
        .pattern(Some("^[!-~]+$"))
        .build();
    let parameter = ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "A repeated request with the same key, within a day, gives the answer of the first and does nothing again.",
        ))
        .schema(Some(key))
        .build();
    operation.parameters.get_or_insert_default().push(RefOr::T(parameter));
}

/// Every error that an operation of this shape can answer with.
fn add_errors(operation: &mut Operation, acts: bool) {
    let parameters = operation.parameters.as_deref().unwrap_or_default();
    let is_in = |place: ParameterIn| parameters.iter().any(|p| matches!(p, RefOr::T(p) if p.parameter_in == place));
    let mut statuses = vec![
        ("401", "Nobody has shown who is asking, or not by a credential that is good; WWW-Authenticate says how."),
        ("403", "Not allowed, such as a request of a foreign page."),
        ("500", "A defect of Hearth."),
    ];
    if operation.operation_id.as_deref().is_some_and(|id| ASK_DRIVERS.contains(&id)) {
        statuses.push(("504", "The driver was asked and has not answered: it may have been done, or not."));
    }
    if operation.operation_id.as_deref() != Some("get_version") {
        statuses
            .push(("503", "The database or a driver does not answer now; try again after the time in Retry-After."));
    }
    if is_in(ParameterIn::Query) || is_in(ParameterIn::Header) || operation.request_body.is_some() {
        statuses.push(("400", "The request is wrong; the detail says what and how to mend it."));
    }
    if is_in(ParameterIn::Path) {
        statuses.push(("404", "There is no such thing, or none that the caller may see."));
    }
    if operation.operation_id.as_deref().is_some_and(|id| LIVE.contains(&id) || ASK_DRIVERS.contains(&id)) {
        statuses.push((
            "410",
            "What it is asked of, or lives in, is over for good; the detail says who or what ended it, when and why.",
        ));
    }
    if acts {
        statuses.push(("422", "The Idempotency-Key came before with another body."));
    }
    if operation.request_body.is_some() {
        statuses.extend([
            ("404", "Something that the request names does not exist."),
            ("408", "The body did not arrive in time."),
            ("409", "The state does not allow this, or the name is taken."),
            ("413", "The body is larger than the limit."),
            ("415", "The body is not JSON by its Content-Type."),
            ("429", "A limit is reached; try again after the time in Retry-After."),
        ]);
    }
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        if status.starts_with(['4', '5']) {
            let described = std::mem::take(&mut response.content).into_values();
            response.content = described.map(|content| (PROBLEM.to_owned(), content)).collect();
        }
        if response.description.is_empty() {
            response.description = match status.as_str() {
                "201" => "It is made; Location says where it is.",
                "202" => "It is ending.",
                _ => "What was asked for.",
            }
            .to_owned();
        }
    }
    for (status, description) in statuses {
        let reference = RefOr::Ref(Ref::from_schema_name(Problem::name()));
        let mut response = ResponseBuilder::new()
            .description(description)
            .content(PROBLEM, ContentBuilder::new().schema(Some(reference)).build());
        if matches!(status, "429" | "503") {
            let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).build();
            let header = HeaderBuilder::new().schema(Some(seconds)).description(Some("Seconds.")).build();
            response = response.header("Retry-After", header);
        }
        operation.responses.responses.insert(status.to_owned(), RefOr::T(response.build()));
    }
}
