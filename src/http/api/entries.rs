//! Entries of key-value handles: got, put and deleted by key.

use std::fmt;
use std::time::Duration;

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::handles::open;
use super::relay;
use super::request::{Asked, Named, Sent, Waiting};
use crate::access::{Read, Write};
use crate::handle::durable::Durability;
use crate::handle::{self, Handle, service};
use crate::http::Doors;
use crate::http::authenticate;
use crate::http::bounded;
use crate::http::extract::Who;
use crate::http::fault::Fault;

/// Keys in a query at most.
const MOST_KEYS: usize = 1000;
/// Seconds that a change may take to become durable, when the query names none.
const PATIENCE: f64 = 30.0;

/// The routes.
pub fn router() -> OpenApiRouter<Doors> {
    OpenApiRouter::new().routes(routes!(get, put)).routes(routes!(get_many)).routes(routes!(delete))
}

/// Entries of a version.
#[derive(Debug, Serialize, ToSchema)]
pub struct Entries {
    version: i64,
    /// Those that there are; keys without a value are left out.
    entries: Vec<Entry>,
}

/// A key and its value.
#[derive(Debug, Serialize, ToSchema)]
pub struct Entry {
    #[schema(value_type = serde_json::Value)]
    key: Box<RawValue>,
    #[schema(value_type = serde_json::Value)]
    value: Box<RawValue>,
}

impl From<service::Entries> for Entries {
    fn from(found: service::Entries) -> Self {
        let entries = found.entries.into_iter().map(|e| Entry { key: e.key, value: e.value }).collect();
        Self { version: found.version, entries }
    }
}

/// What a change has led to.
#[derive(Debug, Serialize, ToSchema)]
pub struct Changed {
    /// The version from which on it holds.
    version: i64,
    /// Whether this version is written to the handle store by now. Until it is, the change is lost if the driver dies.
    durable: bool,
    /// The newest version that is written, as far as the gateway knows: null for a handle that is not durable.
    durable_version: Option<i64>,
    /// What to do where it was to be durable and is not yet.
    reason: Option<String>,
}

/// Whether to wait for a change to be durable.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Keeping {
    /// Answers once the change is written to the handle store. The handle has to be durable.
    #[param(default = false)]
    durable: bool,
    /// Seconds to wait at most for that, and never longer than `http.limits.wait`; then the answer is 202 if it is not written yet.
    #[param(minimum = 0, maximum = 3600, default = 30)]
    wait: Option<f64>,
}

impl Keeping {
    /// How long to wait; none: not at all.
    fn time(&self, limit: Duration) -> Result<Option<Duration>, Fault> {
        if !self.durable {
            return match self.wait {
                None => Ok(None),
                Some(_) => Err(Fault::invalid("wait: for what? Say durable=true as well")),
            };
        }
        Waiting { wait: self.wait.or(Some(PATIENCE)) }.time(limit)
    }
}

/// Makes a change; with `time` the answer waits until it is durable.
async fn changed(
    doors: &Doors,
    handle: &Handle,
    time: Option<Duration>,
    change: impl Future<Output = Result<service::Changed, handle::Error>>,
) -> Result<Response, Fault> {
    let watch = time.map(|time| Ok::<_, Fault>((doors.handles.watch(handle)?, time))).transpose()?;
    let service::Changed { version } = change.await?;
    let now = match watch {
        None => Durability::of(handle, version),
        Some((watch, time)) => watch.until(version, time).await?,
    };
    let is_late = time.is_some() && !now.is_durable;
    let reason = is_late.then(|| {
        format!(
            "version {version} is made, but not written yet: repeat this under the same Idempotency-Key, which changes nothing again and tells \
             once it is"
        )
    });
    let status = if is_late { StatusCode::ACCEPTED } else { StatusCode::OK };
    let changed = Changed { version, durable: now.is_durable, durable_version: now.version, reason };
    Ok((status, Json(changed)).into_response())
}

/// Keys, as JSON values.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    #[schema(value_type = Vec<serde_json::Value>, min_items = 1, max_items = 100000)]
    #[serde(deserialize_with = "bounded::list::<_, _, { service::MOST_KEYS }>")]
    keys: Vec<Box<RawValue>>,
}

/// Entries to be put.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewEntries {
    /// A list of `[key, value]`, or an object where keys are texts.
    #[schema(value_type = serde_json::Value)]
    entries: Pairs,
}

/// Keys and values, in either form.
#[derive(Debug)]
struct Pairs(Vec<(Box<RawValue>, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Pairs {
    /// Keys and values stay as they are written, so that no number loses a digit.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EitherForm)
    }
}

struct EitherForm;

impl<'de> Visitor<'de> for EitherForm {
    type Value = Pairs;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of [key, value], or an object")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, from: A) -> Result<Pairs, A::Error> {
        bounded::items(from, service::MOST_KEYS).map(Pairs)
    }

    fn visit_map<A: MapAccess<'de>>(self, from: A) -> Result<Pairs, A::Error> {
        let named = bounded::fields::<_, Box<RawValue>>(from, service::MOST_KEYS)?;
        let raw = |(key, value): (String, _)| Ok((serde_json::value::to_raw_value(&key)?, value));
        named.into_iter().map(raw).collect::<serde_json::Result<_>>().map(Pairs).map_err(A::Error::custom)
    }
}

/// A key of a query: JSON where the handle's keys are not texts.
fn key(handle: &Handle, text: &str) -> Result<Box<RawValue>, Fault> {
    if handle.key_type.as_deref() != Some("string")
        && let Ok(key) = RawValue::from_string(text.to_owned())
    {
        return Ok(key);
    }
    serde_json::value::to_raw_value(text).map_err(|e| Fault::invalid(format!("key: {e}")))
}

/// The values of keys. A key is JSON where it can be and the handle's keys are not texts, else a text.
#[utoipa::path(get, path = "/handles/{id}/entries", tag = "handles", operation_id = "get_entries",
    params(("id" = Uuid, Path), ("key" = Vec<String>, Query, description = "A key; may come several times.")),
    responses((status = 200, body = Entries),
              (status = 409, body = crate::http::fault::Problem, description = "Its driver cannot do it, or its context has ended and can begin again.")))]
async fn get(
    State(doors): State<Doors>,
    Who(who): Who,
    Named(id): Named<Uuid>,
    OriginalUri(uri): OriginalUri,
) -> Result<Json<Entries>, Fault> {
    let mut texts = Vec::new();
    let uri = authenticate::without_do_as(&uri);
    for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
        if name != "key" {
            return Err(Fault::invalid(format!("the query: unknown field `{name}`, expected `key`")));
        }
        texts.push(value.into_owned());
    }
    if !(1..=MOST_KEYS).contains(&texts.len()) {
        return Err(Fault::invalid(format!(
            "key: name 1 to {MOST_KEYS}, such as ?key=ak&key=ca; for more POST …/entries/get"
        )));
    }
    let handle = open::<Read>(&doors, &who, id).await?;
    let keys = texts.iter().map(|text| key(&handle, text)).collect::<Result<Vec<_>, _>>()?;
    Ok(Json(relay::told(&doors, &handle, doors.handles.get(&handle, &keys)).await?.into()))
}

/// The values of many keys.
#[utoipa::path(post, path = "/handles/{id}/entries/get", tag = "handles", operation_id = "get_many_entries",
    params(("id" = Uuid, Path)), request_body = Keys, responses((status = 200, body = Entries)))]
async fn get_many(
    State(doors): State<Doors>,
    Who(who): Who,
    Named(id): Named<Uuid>,
    sent: Sent,
) -> Result<Json<Entries>, Fault> {
    let handle = open::<Read>(&doors, &who, id).await?;
    let said: Keys = sent.said()?;
    Ok(Json(relay::told(&doors, &handle, doors.handles.get(&handle, &said.keys)).await?.into()))
}

/// Gives keys new values.
///
/// A repeat under the same `Idempotency-Key` changes nothing again while the driver remembers it: the newest 10,000 changes of its context.
///
/// A durable handle is written soon after; `durable=true` waits for that.
#[utoipa::path(put, path = "/handles/{id}/entries", tag = "handles", operation_id = "put_entries",
    params(("id" = Uuid, Path), Keeping), request_body = NewEntries,
    responses((status = 200, body = Changed),
              (status = 202, body = Changed, description = "It is done, but was to be durable and is not yet."),
              (status = 409, body = crate::http::fault::Problem, description = "Its driver cannot do it, or has ended before what was to be durable was written.")))]
async fn put(
    State(doors): State<Doors>,
    Who(who): Who,
    Named(id): Named<Uuid>,
    Asked(keeping): Asked<Keeping>,
    sent: Sent,
) -> Result<Response, Fault> {
    let time = keeping.time(doors.limits.wait.0)?;
    let handle = open::<Write>(&doors, &who, id).await?;
    let said: NewEntries = sent.said()?;
    changed(&doors, &handle, time, doors.handles.put(&handle, &said.entries.0, sent.key.as_ref())).await
}

/// Deletes keys; those that are not there change nothing.
///
/// A repeat is as one of `put_entries`.
#[utoipa::path(post, path = "/handles/{id}/entries/delete", tag = "handles", operation_id = "delete_entries",
    params(("id" = Uuid, Path), Keeping), request_body = Keys,
    responses((status = 200, body = Changed),
              (status = 202, body = Changed, description = "It is done, but was to be durable and is not yet."),
              (status = 409, body = crate::http::fault::Problem, description = "Its driver cannot do it, or has ended before what was to be durable was written.")))]
async fn delete(
    State(doors): State<Doors>,
    Who(who): Who,
    Named(id): Named<Uuid>,
    Asked(keeping): Asked<Keeping>,
    sent: Sent,
) -> Result<Response, Fault> {
    let time = keeping.time(doors.limits.wait.0)?;
    let handle = open::<Write>(&doors, &who, id).await?;
    let said: Keys = sent.said()?;
    changed(&doors, &handle, time, doors.handles.delete(&handle, &said.keys, sent.key.as_ref())).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_in_either_form_and_lose_nothing() {
        for body in [
            r#"{"entries": [["a", 9007199254740993], ["b", null]]}"#,
            r#"{"entries": {"a": 9007199254740993, "b": null}}"#,
        ] {
            let Pairs(pairs) = serde_json::from_str::<NewEntries>(body).unwrap().entries;
            let read: Vec<_> = pairs.iter().map(|(key, value)| (key.get(), value.get())).collect();
            assert_eq!(read, [("\"a\"", "9007199254740993"), ("\"b\"", "null")]);
        }
        for body in [r#"{"entries": [["a"]]}"#, r#"{"entries": 1}"#, r#"{"entries": [["a", 1, 2]]}"#, "{}"] {
            assert!(serde_json::from_str::<NewEntries>(body).is_err(), "{body}");
        }
    }

    #[test]
    fn a_list_that_is_too_long_is_not_read_to_its_end() {
        let most = service::MOST_KEYS;
        let list = |item: &str, count| vec![item; count].join(",");
        let keys = format!("{{\"keys\": [{}]}}", list("1", most));
        assert_eq!(serde_json::from_str::<Keys>(&keys).unwrap().keys.len(), most);
        let pairs = format!("{{\"entries\": [{}]}}", list("[1, 1]", most));
        assert_eq!(serde_json::from_str::<NewEntries>(&pairs).unwrap().entries.0.len(), most);
        let refused = |e: serde_json::Error| assert!(e.to_string().contains("more than 100000"), "{e}");
        refused(serde_json::from_str::<Keys>(&format!("{{\"keys\": [{}, ?", list("1", most + 1))).unwrap_err());
        for entries in ["[", "{"] {
            let item = if entries == "[" { "[1, 1]" } else { "\"a\": 1" };
            let body = format!("{{\"entries\": {entries}{}, ?", list(item, most + 1));
            refused(serde_json::from_str::<NewEntries>(&body).unwrap_err());
        }
    }
}
