//! A foreign page can do nothing.
//!
//! Browsers send requests to loopback for any page. So on every unsafe method a foreign `Origin`, or a `Sec-Fetch-Site` other than
//! `same-origin` or `none`, is refused (clients that are not browsers send neither), and without an authentication scheme the
//! `Host` must be a loopback name on every method, which ends DNS rebinding.

use axum::Extension;
use axum::extract::Request;
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Why a request was refused; goes with the answer, for doors that word it otherwise.
#[derive(Debug, Clone, Copy)]
pub struct Refused(pub &'static str);

/// Refuses what a foreign page sends.
pub async fn guard(request: Request, next: Next) -> Response {
    match refusal(request.method().is_safe(), request.headers(), request.uri()) {
        Some(why) => {
            let body = axum::Json(serde_json::json!({ "msg": why }));
            (StatusCode::FORBIDDEN, Extension(Refused(why)), body).into_response()
        }
        None => next.run(request).await,
    }
}

fn refusal(safe: bool, headers: &HeaderMap, uri: &Uri) -> Option<&'static str> {
    let host = headers.get(HOST).map(|h| h.to_str().unwrap_or("?")).or_else(|| uri.authority().map(|a| a.as_str()));
    if let Some(host) = host
        && !is_loopback(host)
    {
        return Some("this gateway answers on loopback names only, because no authentication is configured");
    }
    if safe {
        return None;
    }
    let site = headers.get("sec-fetch-site").map(|v| v.as_bytes());
    if site.is_some_and(|s| s != b"same-origin" && s != b"none") {
        return Some("a page of another site may not do this");
    }
    let origin = headers.get(ORIGIN)?.to_str().unwrap_or("null");
    let own =
        host.is_some_and(|h| origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")) == Some(h));
    (!own).then_some("a page of another origin may not do this")
}

fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|h| h.split_once(']')) {
        Some((v6, _)) => v6,
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(safe: bool, pairs: &[(&'static str, &str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, value.parse().unwrap());
        }
        refusal(safe, &headers, &"/sessions".parse().unwrap()).is_none()
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
}
