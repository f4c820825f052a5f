//! Rows of handles: counted, described, given as JSON, or streamed as CSV, JSON lines or Arrow.

use std::collections::HashSet;

use axum::Json;
use axum::extract::State;
use axum::http::header::ACCEPT;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::handles::{Column, open};
use super::relay::{self, ARROW, JSONL, Reader, VERSION};
use super::request::{Asked, Named};
use super::words;
use crate::access::Read;
use crate::handle::service::{Format, Wanted};
use crate::http::Doors;
use crate::http::extract::Who;
use crate::http::fault::{Code, Fault};

const JSON: &str = "application/json";
const CSV: &str = "text/csv";

/// Rows as JSON, when the query names no limit, and at most.
const PAGE: i64 = 100;
const LARGEST_PAGE: i64 = 10_000;
/// Rows that a stream may be limited to: the agent counts them in an int32.
const MOST_ROWS: i64 = i32::MAX as i64;
/// Characters in which columns may be named.
const LONGEST_COLUMNS: usize = 4000;

/// The routes.
pub fn router() -> OpenApiRouter<Doors> {
    OpenApiRouter::new().routes(routes!(count)).routes(routes!(schema)).routes(routes!(rows))
}

/// How many rows a version has.
#[derive(Debug, Serialize, ToSchema)]
pub struct Counted {
    version: i64,
    count: i64,
}

/// Counts the rows.
#[utoipa::path(get, path = "/handles/{id}/count", tag = "handles", operation_id = "count_handle", params(("id" = Uuid, Path)),
    responses((status = 200, body = Counted),
              (status = 409, body = crate::http::fault::Problem, description = "Its driver cannot do it, or its context has ended and can begin again.")))]
async fn count(State(doors): State<Doors>, Who(who): Who, Named(id): Named<Uuid>) -> Result<Json<Counted>, Fault> {
    let handle = open::<Read>(&doors, &who, id).await?;
    let counted = relay::told(&doors, &handle, doors.handles.count(&handle)).await?;
    Ok(Json(Counted { version: counted.version, count: counted.count }))
}

/// What a handle's rows look like.
#[derive(Debug, Serialize, ToSchema)]
pub struct Schema {
    version: i64,
    #[schema(schema_with = words::handle_kind)]
    kind: &'static str,
    /// Null where the kind has none, or nobody knows yet.
    #[schema(value_type = Option<Vec<Column>>)]
    columns: Option<Box<RawValue>>,
    /// Type of the keys of pairs.
    key: Option<String>,
}

/// The columns of a handle.
#[utoipa::path(get, path = "/handles/{id}/schema", tag = "handles", operation_id = "get_handle_schema", params(("id" = Uuid, Path)),
    responses((status = 200, body = Schema)))]
async fn schema(State(doors): State<Doors>, Who(who): Who, Named(id): Named<Uuid>) -> Result<Json<Schema>, Fault> {
    let handle = open::<Read>(&doors, &who, id).await?;
    let (columns, key) = (handle.columns.clone(), handle.key_type.clone());
    Ok(Json(Schema { version: handle.version, kind: handle.kind.as_str(), columns, key }))
}

/// Which rows.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Which {
    /// How many at most. As JSON 100 unless it says otherwise, and never more than 10000; a stream has all unless it says otherwise.
    #[param(minimum = 0, maximum = 2147483647_i64)]
    limit: Option<i64>,
    /// Columns, separated by commas; without it all.
    #[param(example = "key,value", max_length = 4000)]
    columns: Option<String>,
}

impl Which {
    fn wanted(&self) -> Result<Wanted, Fault> {
        if self.limit.is_some_and(|limit| limit < 0) {
            return Err(Fault::invalid("limit: must not be negative"));
        }
        if self.limit.is_some_and(|limit| limit > MOST_ROWS) {
            return Err(Fault::invalid(format!("limit: at most {MOST_ROWS}; a stream without it has all rows")));
        }
        if self.columns.as_ref().is_some_and(|list| list.chars().count() > LONGEST_COLUMNS) {
            return Err(Fault::invalid(format!("columns: at most {LONGEST_COLUMNS} characters")));
        }
        let columns: Option<Vec<String>> =
            self.columns.as_ref().map(|list| list.split(',').map(|c| c.trim().to_owned()).collect());
        if columns.as_ref().is_some_and(|c| c.iter().any(String::is_empty)) {
            return Err(Fault::invalid("columns: name them, separated by commas, such as columns=key,value"));
        }
        let mut named = HashSet::new();
        if let Some(twice) = columns.iter().flatten().find(|column| !named.insert(column.as_str())) {
            return Err(Fault::invalid(format!("columns: {twice:?} is named twice")));
        }
        Ok(Wanted { limit: self.limit, columns })
    }
}

/// Some rows.
#[derive(Debug, Serialize, ToSchema)]
pub struct Rows {
    version: i64,
    #[schema(value_type = Vec<Column>)]
    columns: Box<RawValue>,
    #[schema(value_type = Vec<Vec<serde_json::Value>>)]
    rows: Box<RawValue>,
    /// Whether there are more.
    more: bool,
}

/// The first form of `Accept` that there is; JSON when nothing is asked for.
fn form(headers: &HeaderMap) -> Result<Option<Format>, Fault> {
    let asked = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let asked: Vec<&str> = asked.flat_map(|value| value.split(',')).map(str::trim).filter(|f| !f.is_empty()).collect();
    if asked.is_empty() {
        return Ok(None);
    }
    for asked in asked {
        let mut parts = asked.split(';').map(|part| part.trim().to_ascii_lowercase());
        let form = parts.next().unwrap_or_default();
        // By `q=0` it is refused.
        if parts.filter_map(|part| part.strip_prefix("q=").and_then(|q| q.parse::<f32>().ok())).any(|q| q <= 0.0) {
            continue;
        }
        match form.as_str() {
            JSON | "application/*" | "*/*" => return Ok(None),
            CSV | "text/*" => return Ok(Some(Format::Csv)),
            JSONL => return Ok(Some(Format::Jsonl)),
            ARROW => return Ok(Some(Format::Arrow)),
            _ => {}
        }
    }
    Err(Fault::new(Code::NotAcceptable, format!("Accept: there are {JSON}, {CSV}, {JSONL} and {ARROW}")))
}

/// Rows, in the form that `Accept` names: as JSON, or streamed as CSV, JSON lines or Arrow, each version as its header says.
#[utoipa::path(get, path = "/handles/{id}/rows", tag = "handles", operation_id = "get_handle_rows", params(("id" = Uuid, Path), Which),
    responses((status = 200, content((Rows = "application/json"), (String = "text/csv"), (String = "application/x-ndjson"),
                  (Vec<u8> = "application/vnd.apache.arrow.stream")), headers(("X-Hearth-Handle-Version" = i64))),
              (status = 406, body = crate::http::fault::Problem, description = "There is no form that `Accept` takes."),
              (status = 409, body = crate::http::fault::Problem, description = "Its driver cannot do it, or its context has ended and can begin again."),
              (status = 429, body = crate::http::fault::Problem, description = "Too many streams are under way: of the caller, of the context, or through the gateway.")))]
async fn rows(
    State(doors): State<Doors>,
    Who(who): Who,
    Named(id): Named<Uuid>,
    Asked(which): Asked<Which>,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let (wanted, form) = (which.wanted()?, form(&headers)?);
    let handle = open::<Read>(&doors, &who, id).await?;
    let Some(format) = form else {
        let limit = wanted.limit.unwrap_or(PAGE);
        if limit > LARGEST_PAGE {
            return Err(Fault::invalid(format!(
                "limit: at most {LARGEST_PAGE} as JSON; ask for {ARROW} or {CSV} for more"
            )));
        }
        let wanted = Wanted { limit: Some(limit), ..wanted };
        let got = relay::told(&doors, &handle, doors.handles.rows(&handle, &wanted)).await?;
        let rows = Rows { version: got.version, columns: got.columns, rows: got.rows, more: got.more };
        return Ok(([(VERSION, HeaderValue::from(got.version))], Json(rows)).into_response());
    };
    relay::stream(&doors, handle, format, &wanted, Reader::Caller).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_form_that_there_is_is_taken() {
        let of = |accept: &'static str| form(&HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]));
        assert_eq!(form(&HeaderMap::new()).unwrap(), None);
        assert_eq!(of("*/*").unwrap(), None);
        assert_eq!(of("text/html, text/csv;q=0.9, */*").unwrap(), Some(Format::Csv));
        assert_eq!(of(ARROW).unwrap(), Some(Format::Arrow));
        assert_eq!(of("application/x-ndjson").unwrap(), Some(Format::Jsonl));
        assert_eq!(of("text/csv;q=0, */*;q=0.1").unwrap(), None);
        assert_eq!(of("TEXT/CSV; charset=utf-8; Q=0.2").unwrap(), Some(Format::Csv));
        assert_eq!(of(" , ").unwrap(), None);
        for none in ["image/png", "text/csv;q=0", "text/csv;q=0.0, application/json;q=0"] {
            assert_eq!(of(none).unwrap_err().into_response().status(), 406, "{none}");
        }
    }

    #[test]
    fn odd_limits_and_columns_are_refused() {
        let wanted = |limit, columns: Option<&str>| Which { limit, columns: columns.map(str::to_owned) }.wanted();
        let fine = wanted(Some(MOST_ROWS), Some("key, value")).unwrap();
        assert_eq!((fine.limit, fine.columns.unwrap()), (Some(MOST_ROWS), vec!["key".to_owned(), "value".to_owned()]));
        assert!(wanted(Some(0), None).is_ok());
        for (limit, columns) in [
            (Some(-1), None),
            (Some(MOST_ROWS + 1), None),
            (None, Some("")),
            (None, Some("key,,value")),
            (None, Some("key, key")),
            (None, Some(&*"x".repeat(LONGEST_COLUMNS + 1))),
        ] {
            assert!(wanted(limit, columns).is_err(), "{limit:?} {columns:?}");
        }
    }
}
