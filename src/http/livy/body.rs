//! The body of a request: its bytes, within the limit.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Body as _;

use super::fault::Fault;
use crate::http::Doors;

/// How much of a body that is too large is read and thrown away. A client that still writes when the connection closes would see that
/// instead of the answer.
const DRAIN: usize = 256 << 20;
/// How long that may take.
const DRAIN_TIME: Duration = Duration::from_secs(20);
/// How long a body may pause.
const PAUSE: Duration = Duration::from_secs(30);

/// The whole body, whatever its Content-Type says: clients send JSON under many names, and nothing with none.
#[derive(Debug)]
pub struct Content(pub Bytes);

impl FromRequest<Doors> for Content {
    type Rejection = Fault;

    async fn from_request(request: Request, doors: &Doors) -> Result<Self, Fault> {
        let limit = doors.limits.body;
        let mut body = request.into_body();
        let declared = body.size_hint().lower();
        if declared > limit as u64 && declared > DRAIN as u64 {
            return Err(too_large(limit));
        }
        let mut content = BytesMut::with_capacity(usize::try_from(declared).unwrap_or(0).min(limit));
        while let Some(data) = next(&mut body).await? {
            if content.len() + data.len() > limit {
                drop(content);
                let _ = tokio::time::timeout(DRAIN_TIME, drain(&mut body)).await;
                return Err(too_large(limit));
            }
            content.extend_from_slice(&data);
        }
        Ok(Self(content.freeze()))
    }
}

async fn next(body: &mut Body) -> Result<Option<Bytes>, Fault> {
    loop {
        let frame = match tokio::time::timeout(PAUSE, body.frame()).await {
            Err(_) => return Err(Fault::message(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time")),
            Ok(None) => return Ok(None),
            Ok(Some(Err(_))) => return Err(Fault::invalid("the body broke off")),
            Ok(Some(Ok(frame))) => frame,
        };
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
    }
}

async fn drain(body: &mut Body) {
    let mut drained = 0;
    while drained < DRAIN {
        match body.frame().await {
            Some(Ok(frame)) => drained += frame.data_ref().map_or(0, Bytes::len),
            Some(Err(_)) | None => return,
        }
    }
}

fn too_large(limit: usize) -> Fault {
    Fault::message(
        StatusCode::PAYLOAD_TOO_LARGE,
        format!("the body is larger than {limit} bytes, which is the limit (http.limits.body)"),
    )
}
