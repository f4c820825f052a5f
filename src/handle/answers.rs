//! What drivers answer of handles.

use serde::Deserialize;
use serde_json::value::RawValue;

/// An entry of pairs.
#[derive(Debug, Deserialize)]
pub struct Entry {
    /// Its key, JSON.
    pub key: Box<RawValue>,
    /// Its value, JSON.
    pub value: Box<RawValue>,
}

/// Entries that were found.
#[derive(Debug, Deserialize)]
pub struct Entries {
    /// The version they are of.
    pub version: i64,
    /// Those that there are.
    pub entries: Vec<Entry>,
}

/// What a change has led to.
#[derive(Debug, Deserialize)]
pub struct Changed {
    /// The new version.
    pub version: i64,
}

/// How many rows.
#[derive(Debug, Deserialize)]
pub struct Counted {
    /// The version that was counted.
    pub version: i64,
    /// Its rows.
    pub count: i64,
}

/// Some rows.
#[derive(Debug, Deserialize)]
pub struct Rows {
    /// The version they are of.
    pub version: i64,
    /// Name, type and class of each column, JSON.
    pub columns: Box<RawValue>,
    /// An array of arrays, JSON.
    pub rows: Box<RawValue>,
    /// Whether there are more.
    pub more: bool,
}
