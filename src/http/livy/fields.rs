//! The fields of a JSON object, read as Livy reads them: no unknown ones, numbers as text and text as numbers.
//!
//! Errors are bare JSON texts that begin with the words of Livy's JSON reader, by which some clients know them.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::error::Category;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::fault::Fault;
use crate::http::bounded;

/// Fields of an object, and items of a list: more than any field may hold.
const MOST: usize = 10_000;

/// An object, as it stands in the body.
#[derive(Deserialize)]
#[serde(transparent)]
struct Whole(#[serde(deserialize_with = "bounded::map::<_, _, MOST>")] BTreeMap<String, Box<RawValue>>);

/// A list, its items as they stand in the body.
#[derive(Deserialize)]
#[serde(transparent)]
struct Items(#[serde(deserialize_with = "bounded::list::<_, _, MOST>")] Vec<Box<RawValue>>);

/// An object's fields, taken one by one.
#[derive(Debug)]
pub struct Fields(BTreeMap<String, Box<RawValue>>);

impl Fields {
    /// Reads an object that has no fields but `known`.
    ///
    /// # Errors
    /// No JSON, no object, or an unknown field, which is named.
    pub fn parse(body: &[u8], known: &[&str]) -> Result<Self, Fault> {
        if body.trim_ascii().is_empty() {
            return Err(bad("No content to map due to end-of-input: a JSON object is expected"));
        }
        let Whole(fields) = serde_json::from_slice(body).map_err(|e| match e.classify() {
            Category::Eof => bad(format!("Unexpected end-of-input: {e}")),
            Category::Data => bad(format!("Cannot read the body: a JSON object is expected ({e})")),
            Category::Syntax | Category::Io => bad(format!("Unexpected character: {e}")),
        })?;
        match fields.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => {
                let name: String = name.chars().take(80).collect();
                let count = known.len();
                Err(bad(format!(
                    "Unrecognized field {name:?}, not marked as ignorable ({count} known properties: {})",
                    known.iter().map(|k| format!("{k:?}")).collect::<Vec<_>>().join(", ")
                )))
            }
            None => Ok(Self(fields)),
        }
    }

    /// A field as it stands in the body; none when it is missing or null.
    pub fn raw(&mut self, name: &str) -> Option<Box<RawValue>> {
        self.0.remove(name).filter(|value| value.get() != "null")
    }

    /// A field as it stands in the body, left there.
    #[must_use]
    pub fn peek(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.get())
    }

    /// A text. A number or a truth value is taken as it is written.
    ///
    /// # Errors
    /// Another type.
    pub fn text(&mut self, name: &str) -> Result<Option<String>, Fault> {
        self.value(name)?.map(|value| scalar(name, value)).transpose()
    }

    /// A number that is not negative. A text of digits is one too (Airflow, Zeppelin).
    ///
    /// # Errors
    /// Another type, or a number that is negative or beyond an int32.
    pub fn number(&mut self, name: &str) -> Result<Option<u32>, Fault> {
        let Some(value) = self.value(name)? else { return Ok(None) };
        let number = match &value {
            Value::Number(n) => n.as_u64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        let fits = number.and_then(|n| u32::try_from(n).ok()).filter(|n| i32::try_from(*n).is_ok());
        fits.map(Some).ok_or_else(|| wrong(name, "a whole number from 0 to 2147483647", &value))
    }

    /// A list of texts. One text alone is a list of one (Hue).
    ///
    /// # Errors
    /// Another type.
    pub fn texts(&mut self, name: &str) -> Result<Vec<String>, Fault> {
        match self.value(name)? {
            None => Ok(Vec::new()),
            Some(Value::Array(values)) => values.into_iter().map(|value| scalar(name, value)).collect(),
            Some(value @ Value::String(_)) => Ok(vec![scalar(name, value)?]),
            Some(value) => Err(wrong(name, "a list of texts", &value)),
        }
    }

    /// An object of texts; a value that is null is as if it were not there.
    ///
    /// # Errors
    /// Another type.
    pub fn pairs(&mut self, name: &str) -> Result<BTreeMap<String, String>, Fault> {
        match self.value(name)? {
            None => Ok(BTreeMap::new()),
            Some(Value::Object(pairs)) => pairs
                .into_iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| Ok((printable(name, key)?, scalar(name, value)?)))
                .collect(),
            Some(value) => Err(wrong(name, "an object of texts", &value)),
        }
    }

    fn value(&mut self, name: &str) -> Result<Option<Value>, Fault> {
        let Some(raw) = self.raw(name) else { return Ok(None) };
        read(raw.get()).map(Some).map_err(|e| bad(format!("Cannot read {name}: {e}{}", chain(name))))
    }
}

/// A value with its items or fields. What stands in those again is of no use to any field, and is left out.
fn read(json: &str) -> serde_json::Result<Value> {
    let shallow = |part: Box<RawValue>| match part.get().as_bytes().first() {
        Some(b'[') => Ok(Value::Array(Vec::new())),
        Some(b'{') => Ok(Value::Object(Map::new())),
        _ => serde_json::from_str(part.get()),
    };
    match json.as_bytes().first() {
        Some(b'[') => {
            let Items(items) = serde_json::from_str(json)?;
            Ok(Value::Array(items.into_iter().map(shallow).collect::<serde_json::Result<_>>()?))
        }
        Some(b'{') => {
            let Whole(fields) = serde_json::from_str(json)?;
            let fields = fields.into_iter().map(|(name, part)| Ok((name, shallow(part)?)));
            Ok(Value::Object(fields.collect::<serde_json::Result<_>>()?))
        }
        _ => serde_json::from_str(json),
    }
}

fn scalar(name: &str, value: Value) -> Result<String, Fault> {
    match value {
        Value::String(text) => printable(name, text),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(truth) => Ok(truth.to_string()),
        other => Err(wrong(name, "a text", &other)),
    }
}

/// Control characters have no place in what becomes options of a program, but for those of ordinary text.
fn printable(name: &str, text: String) -> Result<String, Fault> {
    if text.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r')) {
        return Err(bad(format!("Cannot read {name}: it holds a control character{}", chain(name))));
    }
    Ok(text)
}

/// What came is not repeated: a conf may hold a secret.
fn wrong(name: &str, wanted: &str, got: &Value) -> Fault {
    let got = match got {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number of that kind",
        Value::String(_) => "a text of that kind",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    bad(format!("Cannot read {name}: {wanted} is expected, not {got}{}", chain(name)))
}

fn chain(name: &str) -> String {
    format!(" (through reference chain: [{name:?}])")
}

fn bad(text: impl Into<std::borrow::Cow<'static, str>>) -> Fault {
    Fault::bare(StatusCode::BAD_REQUEST, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(body: &str) -> Fields {
        Fields::parse(body.as_bytes(), &["n", "t", "l", "p"]).unwrap()
    }

    #[test]
    fn clients_write_numbers_and_texts_as_they_like() {
        assert_eq!(fields(r#"{"n": 2}"#).number("n").unwrap(), Some(2));
        assert_eq!(fields(r#"{"n": "2"}"#).number("n").unwrap(), Some(2));
        assert_eq!(fields(r#"{"n": null}"#).number("n").unwrap(), None);
        assert_eq!(fields(r#"{"t": 512}"#).text("t").unwrap().as_deref(), Some("512"));
        assert_eq!(fields(r#"{"l": "a.py"}"#).texts("l").unwrap(), ["a.py"]);
        assert_eq!(fields(r#"{"l": null}"#).texts("l").unwrap(), Vec::<String>::new());
        let pairs = fields(r#"{"p": {"a": 1, "b": true, "c": null, "d": 1.50}}"#).pairs("p").unwrap();
        assert_eq!(
            pairs.into_iter().collect::<Vec<_>>(),
            [("a", "1"), ("b", "true"), ("d", "1.5")].map(|(k, v)| (k.into(), v.into()))
        );
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for body in
            ["", "  ", "null", "[]", "1", "{", r#"{"n":"#, r#"{"n" 1}"#, r#"{"n":1} x"#, r#"{"nope":1}"#, "\u{feff}{}"]
        {
            assert!(Fields::parse(body.as_bytes(), &["n"]).is_err(), "{body}");
        }
        assert!(Fields::parse(b"{\"n\": \"\xff\"}", &["n"]).is_err());
        for n in ["-1", "1.5", "[]", "{}", "true", "4294967295", "\"x\"", "\"\""] {
            assert!(fields(&format!(r#"{{"n": {n}}}"#)).number("n").is_err(), "{n}");
        }
        for t in ["[]", "{}", r#""a\u0000b""#, r#""\ud800""#] {
            assert!(fields(&format!(r#"{{"t": {t}}}"#)).text("t").is_err(), "{t}");
        }
        assert!(fields(r#"{"l": [["a"]]}"#).texts("l").is_err());
        let list = |item: &str, count| format!("{{\"l\": [{}]}}", vec![item; count].join(","));
        assert_eq!(fields(&list("1", MOST)).texts("l").unwrap().len(), MOST);
        assert!(fields(&list("1", MOST + 1)).texts("l").is_err());
        let many = format!("{{{}}}", vec!["\"n\": 1"; MOST + 1].join(","));
        assert!(Fields::parse(many.as_bytes(), &["n"]).is_err());
        assert!(fields(r#"{"p": "x"}"#).pairs("p").is_err());
        assert!(fields(r#"{"p": {"a": {}}}"#).pairs("p").is_err());
    }
}
