//! The body of a request: its bytes, within the limit.

use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use bytes::Bytes;

use super::fault::Fault;
use crate::http::Doors;
use crate::http::body::{self, Unread};

/// The whole body, whatever its Content-Type says: clients send JSON under many names, and nothing with none.
#[derive(Debug)]
pub struct Content(pub Bytes);

impl FromRequest<Doors> for Content {
    type Rejection = Fault;

    async fn from_request(request: Request, doors: &Doors) -> Result<Self, Fault> {
        let read = body::read(request.into_body(), doors.limits.body).await;
        read.map(Self).map_err(|e| {
            let status = match e {
                Unread::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
                Unread::TooSlow => StatusCode::REQUEST_TIMEOUT,
                Unread::Broken => StatusCode::BAD_REQUEST,
            };
            Fault::message(status, e.to_string())
        })
    }
}
