//! Makes requests plain before they are routed: a prefix, a trailing slash, an overridden method.

use axum::extract::Request;
use axum::http::uri::PathAndQuery;
use axum::http::{Method, Uri};

/// The header by which clients behind old proxies name the method they mean (Livy's servlets take it).
const METHOD_OVERRIDE: &str = "x-http-method-override";

/// Removes the configured prefix and a trailing slash, and applies the method override of a POST.
#[must_use]
pub fn plain<B>(mut request: Request<B>, prefix: &str) -> Request<B> {
    if let Some(uri) = plain_uri(request.uri(), prefix) {
        *request.uri_mut() = uri;
    }
    if request.method() == Method::POST
        && let Some(meant) = request.headers().get(METHOD_OVERRIDE).and_then(|m| Method::from_bytes(m.as_bytes()).ok())
        && matches!(meant, Method::DELETE | Method::PUT | Method::PATCH)
    {
        *request.method_mut() = meant;
    }
    request
}

fn plain_uri(uri: &Uri, prefix: &str) -> Option<Uri> {
    let path = uri.path();
    let inner = match path.strip_prefix(prefix) {
        Some(rest) if !prefix.is_empty() && (rest.is_empty() || rest.starts_with('/')) => rest,
        _ => path,
    };
    let trimmed = inner.strip_suffix('/').unwrap_or(inner);
    let trimmed = if trimmed.is_empty() { "/" } else { trimmed };
    if trimmed == path {
        return None;
    }
    let mut parts = uri.clone().into_parts();
    let query = uri.query().map(|q| format!("?{q}")).unwrap_or_default();
    parts.path_and_query = Some(PathAndQuery::try_from(format!("{trimmed}{query}")).ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_and_prefixes_go() {
        let plain = |uri: &str, prefix| plain_uri(&uri.parse().unwrap(), prefix).map(|u| u.to_string());
        assert_eq!(plain("/sessions/?a=1", ""), Some("/sessions?a=1".into()));
        assert_eq!(plain("/livy/sessions", "/livy"), Some("/sessions".into()));
        assert_eq!(plain("/livy", "/livy"), Some("/".into()));
        assert_eq!(plain("/livyx", "/livy"), None);
        assert_eq!(plain("/", ""), None);
        assert_eq!(plain("/sessions", ""), None);
    }
}
