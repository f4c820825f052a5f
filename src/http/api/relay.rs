//! Data of handles on their way out: told for as long as whoever asked may have them.
//!
//! A stream may take hours and an answer minutes. A grant that is revoked meanwhile, a login or token that ends, and an application whose
//! code reads and that is over end a stream within a second or two: it breaks off, so that nobody takes it for the whole.

use std::io;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream as streams};

use crate::access::{Allowed, Read};
use crate::context::driver::Credentials;
use crate::handle::service::{Format, Wanted};
use crate::handle::streams::Relayed;
use crate::handle::{self, Handle};
use crate::http::Doors;
use crate::http::fault::{Code, Fault};
use crate::id::ContextId;

/// The version of a handle that an answer's rows are of.
pub const VERSION: &str = "x-hearth-handle-version";
/// The type of an Arrow IPC stream.
pub const ARROW: &str = "application/vnd.apache.arrow.stream";
/// The type of lines of JSON.
pub const JSONL: &str = "application/x-ndjson";

/// How long what was decided is believed.
const LOOK: Duration = Duration::from_secs(1);

/// Who reads a stream.
pub(in crate::http) enum Reader {
    /// Whoever made the request.
    Caller,
    /// Code of this context, by the token of its application.
    Code(ContextId, Credentials),
}

/// Answers with the stream of a handle's rows.
pub(in crate::http) async fn stream(
    doors: &Doors,
    handle: Allowed<Read, Handle>,
    format: Format,
    wanted: &Wanted,
    reader: Reader,
) -> Result<Response, Fault> {
    let decided = Instant::now();
    let code_of = match &reader {
        Reader::Caller => None,
        Reader::Code(context, _) => Some(*context),
    };
    let (version, rows) = doors.handles.stream(&handle, format, wanted, code_of).await?;
    let kind = match format {
        Format::Arrow => ARROW,
        Format::Jsonl => JSONL,
        Format::Csv => "text/csv; charset=utf-8",
    };
    let head = [(CONTENT_TYPE.as_str(), HeaderValue::from_static(kind)), (VERSION, HeaderValue::from(version))];
    let relay = Relay { doors: doors.clone(), handle, reader, rows, decided };
    Ok((head, Body::from_stream(relay.pieces())).into_response())
}

/// What was asked of a handle's data; where that took long, only if whoever asked may still have it.
pub(super) async fn told<T>(
    doors: &Doors,
    handle: &Allowed<Read, Handle>,
    answer: impl Future<Output = Result<T, handle::Error>>,
) -> Result<T, Fault> {
    let decided = Instant::now();
    let answer = answer.await;
    if decided.elapsed() >= LOOK {
        may_still(doors, handle, &Reader::Caller).await?;
    }
    Ok(answer?)
}

async fn may_still(doors: &Doors, handle: &Allowed<Read, Handle>, reader: &Reader) -> Result<(), Fault> {
    match reader {
        Reader::Caller => {
            let is_good = doors.identity.is_good_still(handle.who()).await;
            if !is_good.map_err(|e| Fault::of(&*e))? {
                return Err(Fault::new(Code::Unauthenticated, "the credential that was shown has ended meanwhile"));
            }
        }
        Reader::Code(_, shown) => drop(doors.door.check(shown).await?),
    }
    Ok(doors.handles.may_still(handle).await?)
}

/// A stream on its way.
struct Relay {
    doors: Doors,
    handle: Allowed<Read, Handle>,
    reader: Reader,
    rows: Relayed,
    /// When it was last decided that it may go on.
    decided: Instant,
}

impl Relay {
    /// The pieces as they come. Nothing follows an error.
    fn pieces(self) -> impl Stream<Item = io::Result<Bytes>> {
        streams::unfold(Some(self), |relay| async {
            let mut relay = relay?;
            let piece = relay.next().await?;
            let goes_on = piece.is_ok();
            Some((piece, goes_on.then_some(relay)))
        })
        .fuse()
    }

    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            if self.decided.elapsed() >= LOOK {
                if may_still(&self.doors, &self.handle, &self.reader).await.is_err() {
                    return Some(Err(io::Error::new(io::ErrorKind::PermissionDenied, "the reader may not go on")));
                }
                self.decided = Instant::now();
            }
            // Also while nothing comes.
            if let Ok(piece) = tokio::time::timeout(LOOK, self.rows.next()).await {
                return piece;
            }
        }
    }
}
