//! What an answer is besides its body: statuses, `Location`, `Link`.

use axum::Json;
use axum::extract::{FromRequestParts, OriginalUri};
use axum::http::header::{HeaderValue, LINK, LOCATION};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::Doors;
use crate::http::fault::Fault;
use crate::store::{Page, Range};

/// Where the own API begins.
pub const ROOT: &str = "/api/v1";

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct List<T> {
    /// How many were passed over.
    #[schema(minimum = 0)]
    from: i64,
    /// How many could be given.
    #[schema(minimum = 1)]
    size: i64,
    /// How many there are in all.
    #[schema(minimum = 0)]
    total: i64,
    /// This page.
    items: Vec<T>,
}

/// The request's address as the client wrote it.
#[derive(Debug)]
pub struct Address(Uri);

impl FromRequestParts<Doors> for Address {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, doors: &Doors) -> Result<Self, Self::Rejection> {
        let OriginalUri(uri) = OriginalUri::from_request_parts(parts, doors).await?;
        Ok(Self(uri))
    }
}

impl Address {
    /// Its path.
    #[must_use]
    pub fn path(&self) -> &str {
        self.0.path()
    }

    /// Answers with a page of a list, and says by `Link` (RFC 8288) where the next one is.
    pub fn list<S, T: Serialize>(&self, range: Range, page: Page<S>, show: impl Fn(S) -> T) -> Response {
        let Page { rows, total } = page;
        let next = range.from.saturating_add(range.size);
        let mut headers = HeaderMap::new();
        if next < total
            && let Ok(link) = HeaderValue::from_str(&format!("<{}>; rel=\"next\"", self.page(next, range.size)))
        {
            headers.insert(LINK, link);
        }
        let items = rows.into_iter().map(show).collect();
        (headers, Json(List { from: range.from, size: range.size, total, items })).into_response()
    }

    fn page(&self, from: i64, size: i64) -> String {
        let others = self.0.query().unwrap_or_default().split('&').filter(|pair| {
            let name = pair.split('=').next().unwrap_or_default();
            !matches!(name, "" | "from" | "size")
        });
        let query: Vec<String> =
            others.map(str::to_owned).chain([format!("from={from}"), format!("size={size}")]).collect();
        format!("{}?{}", self.0.path(), query.join("&"))
    }
}

/// 201, and where the new thing is.
///
/// # Errors
/// Never, with a path of ours.
pub fn created(path: &str, body: impl Serialize) -> Result<Response, Fault> {
    let location = HeaderValue::from_str(path).map_err(|_| Fault::invalid("this cannot be an address"))?;
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(body)).into_response())
}

/// What a DELETE has led to: 200 when it is over, 202 while it is ending.
pub fn ended(is_over: bool, body: impl Serialize) -> Response {
    let status = if is_over { StatusCode::OK } else { StatusCode::ACCEPTED };
    (status, Json(body)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_keeps_the_rest_of_the_query() {
        let address = Address("/api/v1/sessions?all=true&from=0&size=2".parse().unwrap());
        let page = Page { rows: vec![1, 2], total: 3 };
        let answer = address.list(Range { from: 0, size: 2 }, page, |n| n);
        assert_eq!(answer.headers()[LINK], "</api/v1/sessions?all=true&from=2&size=2>; rel=\"next\"");
        let last = address.list(Range { from: 2, size: 2 }, Page { rows: vec![3], total: 3 }, |n| n);
        assert!(!last.headers().contains_key(LINK));
    }
}
