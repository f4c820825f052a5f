//! `GET /version`.

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use serde::Serialize;

use super::wire;
use crate::http::Doors;

/// The version of Livy whose API this is, and Hearth's own behind it.
///
/// Zeppelin reads three numbers before a hyphen. pylivy compares the parts as text, so that `0.10.0` is older than `0.5.0` to it, and
/// then sends neither SQL nor shared sessions: the second part has to be one digit, 5 or more.
pub const VERSION: &str = concat!("0.9.0-hearth-", env!("CARGO_PKG_VERSION"));

#[derive(Debug, Serialize)]
struct Version {
    version: &'static str,
    user: &'static str,
    revision: &'static str,
    branch: &'static str,
    date: &'static str,
    url: &'static str,
}

/// The routes.
pub fn router() -> Router<Doors> {
    Router::new().route("/version", get(version))
}

async fn version() -> Response {
    wire::ok(&Version { version: VERSION, user: "", revision: "", branch: "", date: "", url: "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_parsers_read_it_as_new_enough() {
        let zeppelin: Vec<u32> = VERSION.split('-').next().unwrap().split('.').map(|n| n.parse().unwrap()).collect();
        assert!(zeppelin.len() == 3 && zeppelin > vec![0, 5, 0]);
        let pylivy: Vec<&str> = VERSION.splitn(3, '.').collect();
        assert!(pylivy > vec!["0", "5", "0"]);
    }
}
