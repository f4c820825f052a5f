//! A foreign page can do nothing.
//!
//! Browsers send requests to loopback, and to any name that a page's owner points here, for any page. So on every unsafe method a foreign
//! `Origin`, or a `Sec-Fetch-Site` other than `same-origin` or `none`, is refused (clients that are not browsers send neither). Against
//! names that are pointed here (DNS rebinding): without an authentication scheme the `Host` must be a loopback name on every request; with one
//! it must be a known name wherever a browser speaks, whose credentials go along by themselves.

use std::net::IpAddr;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Doors;

/// Why a request was refused; goes with the answer, for doors that word it otherwise.
#[derive(Debug, Clone, Copy)]
pub struct Refused(pub &'static str);

/// Refuses what a foreign page sends.
pub async fn guard(State(doors): State<Doors>, request: Request, next: Next) -> Response {
    let names = doors.identity.is_on().then_some(doors.names.as_slice());
    match refusal(request.method().is_safe(), request.headers(), request.uri(), names) {
        Some(why) => {
            let body = axum::Json(serde_json::json!({ "msg": why }));
            (StatusCode::FORBIDDEN, Extension(Refused(why)), body).into_response()
        }
        None => next.run(request).await,
    }
}

/// `names`: the gateway's own, where a scheme is configured.
fn refusal(safe: bool, headers: &HeaderMap, uri: &Uri, names: Option<&[String]>) -> Option<&'static str> {
    let host = headers.get(HOST).map(|h| h.to_str().unwrap_or("?")).or_else(|| uri.authority().map(|a| a.as_str()));
    let site = headers.get("sec-fetch-site").map(|v| v.as_bytes());
    let origin = headers.get(ORIGIN).map(|origin| origin.to_str().unwrap_or("null"));
    match (host, names) {
        (Some(host), None) if !is_loopback(host) => {
            return Some("this gateway answers on loopback names only, because no authentication is configured");
        }
        (Some(host), Some(names)) if (site.is_some() || origin.is_some()) && !is_known(host, names) => {
            return Some("this is not a name of this gateway; its names for browsers are in http.names");
        }
        _ => {}
    }
    if safe {
        return None;
    }
    if site.is_some_and(|s| s != b"same-origin" && s != b"none") {
        return Some("a page of another site may not do this");
    }
    let origin = origin?;
    let own =
        host.is_some_and(|h| origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")) == Some(h));
    (!own).then_some("a page of another origin may not do this")
}

/// A name that nobody else can point here: configured, loopback, or an address.
fn is_known(host: &str, names: &[String]) -> bool {
    let name = name_of(host);
    is_loopback(host) || name.parse::<IpAddr>().is_ok() || names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

fn name_of(host: &str) -> &str {
    match host.strip_prefix('[').and_then(|h| h.split_once(']')) {
        Some((v6, _)) => v6,
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    }
}

fn is_loopback(host: &str) -> bool {
    let name = name_of(host);
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(safe: bool, pairs: &[(&'static str, &str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, value.parse().unwrap());
        }
        refusal(safe, &headers, &"/sessions".parse().unwrap(), None).is_none()
    }

    fn verdict_with_scheme(safe: bool, pairs: &[(&'static str, &str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, value.parse().unwrap());
        }
        refusal(safe, &headers, &"/sessions".parse().unwrap(), Some(&["hearth.example".to_owned()])).is_none()
    }

    #[test]
    fn programs_and_own_pages_pass() {
        assert!(verdict(false, &[("host", "127.0.0.1:8998")]));
        assert!(verdict(false, &[("host", "localhost:8998"), ("origin", "http://localhost:8998")]));
        assert!(verdict(false, &[("host", "[::1]:8998"), ("sec-fetch-site", "same-origin")]));
        assert!(verdict(true, &[("host", "localhost"), ("sec-fetch-site", "cross-site")]));
    }

    #[test]
    fn foreign_pages_and_rebound_names_do_not() {
        assert!(!verdict(false, &[("host", "localhost:8998"), ("origin", "https://evil.example")]));
        assert!(!verdict(false, &[("host", "localhost:8998"), ("origin", "null")]));
        assert!(!verdict(false, &[("host", "localhost:8998"), ("sec-fetch-site", "same-site")]));
        assert!(!verdict(true, &[("host", "evil.example:8998")]));
        assert!(!verdict(false, &[("host", "127.0.0.1.evil.example")]));
    }

    #[test]
    fn with_a_scheme_programs_may_use_any_name_and_browsers_a_known_one() {
        assert!(verdict_with_scheme(false, &[("host", "anything.example")]));
        assert!(verdict_with_scheme(false, &[("host", "hearth.example"), ("origin", "https://hearth.example")]));
        assert!(verdict_with_scheme(true, &[("host", "10.1.2.3:8998"), ("sec-fetch-site", "none")]));
        assert!(!verdict_with_scheme(false, &[("host", "hearth.example"), ("origin", "https://evil.example")]));
        assert!(!verdict_with_scheme(false, &[("host", "evil.example"), ("origin", "https://evil.example")]));
        assert!(!verdict_with_scheme(true, &[("host", "evil.example"), ("sec-fetch-site", "same-origin")]));
        assert!(!verdict_with_scheme(false, &[("host", "hearth.example"), ("sec-fetch-site", "cross-site")]));
    }
}
