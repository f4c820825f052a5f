//! Reads the body of a request within the limits, the same at every door.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Body as _;

/// How long a body may pause.
const PAUSE: Duration = Duration::from_secs(30);
/// How long all of it may take: whoever sends a byte now and then would hold their place for ever.
const WHOLE: Duration = Duration::from_secs(300);

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// Larger than the limit.
    #[error("the body is larger than {0} bytes, which is the limit (http.limits.body)")]
    TooLarge(usize),
    /// It paused for too long, or took too long.
    #[error("the body did not arrive in time")]
    TooSlow,
    /// The connection ended within it.
    #[error("the body broke off")]
    Broken,
}

/// The whole body.
///
/// # Errors
/// See [`Unread`].
pub async fn read(body: Body, limit: usize) -> Result<Bytes, Unread> {
    tokio::time::timeout(WHOLE, whole(body, limit)).await.unwrap_or(Err(Unread::TooSlow))
}

async fn whole(mut body: Body, limit: usize) -> Result<Bytes, Unread> {
    let declared = body.size_hint().lower();
    if declared > limit as u64 {
        return Err(Unread::TooLarge(limit));
    }
    let mut content = BytesMut::with_capacity(usize::try_from(declared).unwrap_or(0).min(limit));
    while let Some(data) = next(&mut body).await? {
        if content.len() + data.len() > limit {
            return Err(Unread::TooLarge(limit));
        }
        content.extend_from_slice(&data);
    }
    Ok(content.freeze())
}

async fn next(body: &mut Body) -> Result<Option<Bytes>, Unread> {
    loop {
        let frame = match tokio::time::timeout(PAUSE, body.frame()).await {
            Err(_) => return Err(Unread::TooSlow),
            Ok(None) => return Ok(None),
            Ok(Some(Err(_))) => return Err(Unread::Broken),
            Ok(Some(Ok(frame))) => frame,
        };
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
    }
}
