//! Exchanges recorded from a real Livy (0.10 snapshot, Spark 3.5, local mode), one in a file.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

/// One exchange.
#[derive(Debug, Deserialize)]
pub struct Recording {
    pub request: Request,
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    /// JSON, a text when it was none, null when it was empty.
    pub body: Value,
}

#[derive(Debug, Deserialize)]
pub struct Request {
    pub method: String,
    pub path: String,
    /// JSON; a text is sent as it stands.
    #[serde(default)]
    pub body: Option<Value>,
}

impl Recording {
    /// Ids of session and statement, when it is a GET of one statement.
    pub fn statement(&self) -> Option<(u32, u32)> {
        let parts: Vec<&str> = self.request.path.split('/').collect();
        match parts[..] {
            ["", "sessions", session, "statements", statement] if self.request.method == "GET" => {
                Some((session.parse().ok()?, statement.parse().ok()?))
            }
            _ => None,
        }
    }
}

/// Every recording by name.
pub fn all() -> BTreeMap<String, Recording> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/livy-wire");
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let recording = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        all.insert(path.file_stem().unwrap().to_string_lossy().into_owned(), recording);
    }
    all
}
