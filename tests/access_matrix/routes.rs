//! The routes of every door, what each asks of the caller, and that none is without its row.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use hearth::access::Verb;

/// What a route asks of the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asks {
    /// Nothing: it is open.
    Nothing,
    /// To be the driver of an application: a token that no person has.
    Application,
    /// To be somebody.
    Somebody,
    /// To be somebody, to be told that there is no such path.
    Absent,
    /// To be an operator, or an admin of one's tenant.
    Reader,
    /// To be allowed an action on the thing in its path.
    On(Verb),
}
use Asks::{Absent, Application, Nothing, On, Reader, Somebody};

/// Method, path, what it asks, and a body that makes nothing.
pub const ROUTES: &[(&str, &str, Asks, &str)] = &[
    ("GET", "/", Nothing, ""),
    ("GET", "/healthz", Nothing, ""),
    ("GET", "/readyz", Nothing, ""),
    ("GET", "/metrics", Nothing, ""),
    ("GET", "/login", Nothing, ""),
    ("GET", "/login/callback", Nothing, ""),
    ("GET", "/driver/link", Application, ""),
    ("POST", "/driver/streams/{stream}", Application, ""),
    ("GET", "/driver/handles/{context}/{name}", Application, ""),
    ("GET", "/version", Somebody, ""),
    ("GET", "/sessions", Somebody, ""),
    ("POST", "/sessions", Somebody, r#"{"kind": "cobol"}"#),
    ("GET", "/sessions/{session}", On(Verb::View), ""),
    ("DELETE", "/sessions/{session}", On(Verb::Manage), ""),
    ("GET", "/sessions/{session}/state", On(Verb::View), ""),
    ("GET", "/sessions/{session}/log", On(Verb::View), ""),
    ("POST", "/sessions/{session}/stop", On(Verb::Manage), "{}"),
    ("POST", "/sessions/{session}/interrupt", On(Verb::Manage), "{}"),
    ("POST", "/sessions/{session}/connect", On(Verb::Attach), "{}"),
    ("GET", "/sessions/{session}/statements", On(Verb::View), ""),
    ("POST", "/sessions/{session}/statements", On(Verb::Attach), r#"{"code": "1"}"#),
    ("GET", "/sessions/{session}/statements/{statement}", On(Verb::View), ""),
    ("POST", "/sessions/{session}/statements/{statement}/cancel", On(Verb::Attach), "{}"),
    ("POST", "/sessions/{session}/completion", On(Verb::Attach), r#"{"code": "1", "kind": "spark", "cursor": 1}"#),
    ("GET", "/sessions/{session}/jobs/{job}", On(Verb::Attach), ""),
    ("POST", "/sessions/{session}/jobs/{job}/cancel", On(Verb::Attach), "{}"),
    ("POST", "/sessions/{session}/submit-job", On(Verb::Attach), "{}"),
    ("POST", "/sessions/{session}/run-job", On(Verb::Attach), "{}"),
    ("POST", "/sessions/{session}/upload-jar", On(Verb::Attach), "{}"),
    ("POST", "/sessions/{session}/upload-file", On(Verb::Attach), "{}"),
    ("POST", "/sessions/{session}/upload-pyfile", On(Verb::Attach), "{}"),
    ("POST", "/sessions/{session}/add-jar", On(Verb::Attach), "{}"),
    ("POST", "/sessions/{session}/add-pyfile", On(Verb::Attach), "{}"),
    ("POST", "/sessions/{session}/add-file", On(Verb::Attach), "{}"),
    ("GET", "/batches", Somebody, ""),
    ("POST", "/batches", Somebody, "{}"),
    ("GET", "/batches/{batch}", On(Verb::View), ""),
    ("DELETE", "/batches/{batch}", On(Verb::Manage), ""),
    ("GET", "/batches/{batch}/state", On(Verb::View), ""),
    ("GET", "/batches/{batch}/log", On(Verb::View), ""),
    ("GET", "/api/v1", Absent, ""),
    ("GET", "/api/v1/{*unknown}", Absent, ""),
    ("GET", "/api/v1/openapi.json", Somebody, ""),
    ("GET", "/api/v1/version", Somebody, ""),
    ("GET", "/api/v1/login", Somebody, ""),
    ("DELETE", "/api/v1/login", Somebody, ""),
    ("GET", "/api/v1/tokens", Somebody, ""),
    ("POST", "/api/v1/tokens", Somebody, r#"{"name": ""}"#),
    ("DELETE", "/api/v1/tokens/{token}", Somebody, ""),
    ("GET", "/api/v1/logins", Somebody, ""),
    ("DELETE", "/api/v1/logins/{login}", Somebody, ""),
    ("GET", "/api/v1/policies", Reader, ""),
    ("GET", "/api/v1/audit", Reader, ""),
    ("GET", "/api/v1/policies/explain", Somebody, ""),
    ("POST", "/api/v1/policies/try", Reader, r#"{"files": {}}"#),
    ("GET", "/api/v1/contexts", Somebody, ""),
    ("POST", "/api/v1/contexts", Somebody, r#"{"name": "7"}"#),
    ("GET", "/api/v1/contexts/{id}", On(Verb::View), ""),
    ("DELETE", "/api/v1/contexts/{id}", On(Verb::Manage), ""),
    ("GET", "/api/v1/contexts/{id}/log", On(Verb::View), ""),
    ("POST", "/api/v1/contexts/{id}/restart", On(Verb::Manage), ""),
    ("GET", "/api/v1/contexts/{id}/grants", On(Verb::ViewGrants), ""),
    ("POST", "/api/v1/contexts/{id}/grants", On(Verb::Share), r#"{"level": "view", "user": "nobody"}"#),
    ("DELETE", "/api/v1/contexts/{id}/grants/{grant}", On(Verb::Share), ""),
    ("GET", "/api/v1/sessions", Somebody, ""),
    ("POST", "/api/v1/sessions", Somebody, r#"{"name": "7"}"#),
    ("GET", "/api/v1/sessions/{id}", On(Verb::View), ""),
    ("DELETE", "/api/v1/sessions/{id}", On(Verb::Manage), ""),
    ("GET", "/api/v1/sessions/{id}/log", On(Verb::View), ""),
    ("GET", "/api/v1/sessions/{id}/events", On(Verb::View), ""),
    ("POST", "/api/v1/sessions/{id}/completion", On(Verb::Attach), r#"{"code": "1", "kind": "spark", "cursor": 1}"#),
    ("GET", "/api/v1/sessions/{id}/statements", On(Verb::View), ""),
    ("POST", "/api/v1/sessions/{id}/statements", On(Verb::Attach), r#"{"code": "1"}"#),
    ("GET", "/api/v1/sessions/{id}/statements/{number}", On(Verb::View), ""),
    ("GET", "/api/v1/sessions/{id}/statements/{number}/output", On(Verb::View), ""),
    ("POST", "/api/v1/sessions/{id}/statements/{number}/cancel", On(Verb::Attach), "{}"),
    ("GET", "/api/v1/sessions/{id}/grants", On(Verb::ViewGrants), ""),
    ("POST", "/api/v1/sessions/{id}/grants", On(Verb::Share), r#"{"level": "view", "user": "nobody"}"#),
    ("DELETE", "/api/v1/sessions/{id}/grants/{grant}", On(Verb::Share), ""),
    ("GET", "/api/v1/batches", Somebody, ""),
    ("POST", "/api/v1/batches", Somebody, r#"{"file": ""}"#),
    ("GET", "/api/v1/batches/{id}", On(Verb::View), ""),
    ("DELETE", "/api/v1/batches/{id}", On(Verb::Manage), ""),
    ("GET", "/api/v1/batches/{id}/log", On(Verb::View), ""),
    ("GET", "/api/v1/batches/{id}/grants", On(Verb::ViewGrants), ""),
    ("POST", "/api/v1/batches/{id}/grants", On(Verb::Share), r#"{"level": "view", "user": "nobody"}"#),
    ("DELETE", "/api/v1/batches/{id}/grants/{grant}", On(Verb::Share), ""),
    ("GET", "/api/v1/handles", Somebody, ""),
    ("GET", "/api/v1/contexts/{id}/handles", On(Verb::View), ""),
    ("GET", "/api/v1/contexts/{id}/handles/{name}", On(Verb::View), ""),
    ("GET", "/api/v1/sessions/{id}/handles/{name}", On(Verb::View), ""),
    ("GET", "/api/v1/handles/{id}", On(Verb::View), ""),
    ("DELETE", "/api/v1/handles/{id}", On(Verb::Manage), ""),
    ("GET", "/api/v1/handles/{id}/entries", On(Verb::Read), ""),
    ("POST", "/api/v1/handles/{id}/entries/get", On(Verb::Read), r#"{"keys": ["a"]}"#),
    ("PUT", "/api/v1/handles/{id}/entries", On(Verb::Write), r#"{"entries": {"a": 1}}"#),
    ("POST", "/api/v1/handles/{id}/entries/delete", On(Verb::Write), r#"{"keys": ["a"]}"#),
    ("GET", "/api/v1/handles/{id}/count", On(Verb::Read), ""),
    ("GET", "/api/v1/handles/{id}/schema", On(Verb::Read), ""),
    ("GET", "/api/v1/handles/{id}/rows", On(Verb::Read), ""),
    ("GET", "/api/v1/handles/{id}/grants", On(Verb::ViewGrants), ""),
    ("POST", "/api/v1/handles/{id}/grants", On(Verb::Share), r#"{"level": "read", "user": "nobody"}"#),
    ("DELETE", "/api/v1/handles/{id}/grants/{grant}", On(Verb::Share), ""),
];

/// The routes there are, as method and path.
fn routes() -> BTreeSet<(String, String)> {
    let description: serde_json::Value = serde_json::from_str(&hearth::http::api::description().unwrap()).unwrap();
    let mut found = BTreeSet::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys().filter(|k| *k != "parameters") {
            found.insert((method.to_uppercase(), path.clone()));
        }
    }
    let mut places = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http")];
    while let Some(place) = places.pop() {
        if place.is_dir() {
            places.extend(fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            found.extend(routes_of(&place));
        }
    }
    found
}

/// The routes that a file writes out.
fn routes_of(file: &Path) -> Vec<(String, String)> {
    let text = fs::read_to_string(file).unwrap();
    let text = text.split("#[cfg(test)]").next().unwrap();
    for other in [".route_service(", ".nest_service(", "MethodFilter", ".nest(\""] {
        assert!(!text.contains(other), "{}: {other} makes routes that are not seen here", file.display());
    }
    let mut found = Vec::new();
    for route in text.split(".route(").skip(1) {
        let path = route.strip_prefix('"').and_then(|r| r.split('"').next());
        let path = path.unwrap_or_else(|| panic!("{}: write the path of a route as it is", file.display()));
        let handlers = route.split('"').nth(2).unwrap().split([';', '}']).next().unwrap();
        for other in ["head(", "options(", "trace("] {
            assert!(!handlers.contains(other), "{}: {path}: {other} is not looked for here", file.display());
        }
        for (call, method) in
            [("get", "GET"), ("post", "POST"), ("put", "PUT"), ("patch", "PATCH"), ("delete", "DELETE"), ("any", "GET")]
        {
            if handlers.contains(&format!("{call}(")) {
                found.push((method.to_owned(), path.to_owned()));
            }
        }
    }
    found
}

#[test]
fn every_route_has_its_row() {
    let rows: BTreeSet<_> =
        ROUTES.iter().map(|(method, path, ..)| ((*method).to_owned(), (*path).to_owned())).collect();
    assert_eq!(rows.len(), ROUTES.len(), "a row stands twice");
    let routes = routes();
    let missing: Vec<_> = routes.difference(&rows).collect();
    let gone: Vec<_> = rows.difference(&routes).collect();
    assert!(missing.is_empty() && gone.is_empty(), "without a row: {missing:?}; without a route: {gone:?}");
}
