//! What a door did not read of a request is read before it is answered.
//!
//! Whoever is refused comes again: after a 401 with a ticket, on the same connection (requests-kerberos, sparkmagic, Java's clients). When the rest
//! of the body is still on its way at the time of the answer, the connection would be closed behind it, and the second request of a
//! client that writes head and body apart would find it closed. So a rest is waited for; before one that is too large or slow the answer says
//! that the connection ends (RFC 9112, 9.3 and 9.6).

use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CONNECTION, EXPECT};
use axum::http::{HeaderValue, Version};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Frame, SizeHint};

/// How much of a rest is read, bytes: a client that still writes when the connection closes would see that instead of the answer.
const MOST: u64 = 256 << 20;
/// How long that may take, and how long the rest may pause.
const WHOLE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_secs(2);

/// Waits for what the door left of the body. Not for what agents bring: they are told at once that nobody wants it any longer.
pub async fn take(request: Request, next: Next) -> Response {
    // A stream of HTTP/2 ends alone.
    let is_plain = request.version() <= Version::HTTP_11 && !request.uri().path().starts_with("/driver/");
    if !is_plain || request.body().is_end_stream() {
        return next.run(request).await;
    }
    // Whoever asks whether to send the body at all sends none to a refusal.
    let is_asking = request.headers().contains_key(EXPECT);
    let left = Left::default();
    let watched = |body| Body::new(Watched { body, left: left.clone(), is_over: false });
    let mut answer = next.run(request.map(watched)).await;
    let rest = mem::take(&mut *left.lock().unwrap_or_else(PoisonError::into_inner));
    let Some(rest) = rest.filter(|rest| !rest.is_end_stream()) else { return answer };
    let is_read = !is_asking && tokio::time::timeout(WHOLE, drain(rest)).await.unwrap_or(false);
    if !is_read {
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

/// Whether it came to its end.
async fn drain(mut body: Body) -> bool {
    let mut most = MOST;
    while body.size_hint().lower() <= most {
        match tokio::time::timeout(PAUSE, body.frame()).await {
            Ok(Some(Ok(frame))) => most = most.saturating_sub(frame.data_ref().map_or(0, |data| data.len() as u64)),
            Ok(None) => return true,
            Ok(Some(Err(_))) | Err(_) => return false,
        }
        if most == 0 {
            return false;
        }
    }
    false
}

type Left = Arc<Mutex<Option<Body>>>;

/// A body that is left there when nobody wants it any longer, unless it is over.
struct Watched {
    body: Body,
    left: Left,
    is_over: bool,
}

impl hyper::body::Body for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        // Of chunks hyper's own body does not say that they are over.
        self.is_over |= matches!(frame, Poll::Ready(None | Some(Err(_))));
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if !self.is_over {
            *self.left.lock().unwrap_or_else(PoisonError::into_inner) = Some(mem::take(&mut self.body));
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::http::StatusCode;
    use axum::middleware::from_fn;
    use axum::routing::post;
    use tokio::sync::mpsc;
    use tokio_stream::wrappers::ReceiverStream;
    use tower::ServiceExt as _;

    use super::*;

    type Chunks = mpsc::Sender<Result<Bytes, std::io::Error>>;

    /// A request whose body is still to come, to a door that reads none of it: what tells that the door has refused it, and its answer.
    fn refused(headers: &[(&str, &str)]) -> (Chunks, mpsc::Receiver<()>, impl Future<Output = Response>) {
        let (chunks, body) = mpsc::channel(4);
        let (said, refusals) = mpsc::channel(1);
        let door = move || async move {
            said.send(()).await.unwrap();
            StatusCode::UNAUTHORIZED
        };
        let router = Router::new().route("/", post(door)).layer(from_fn(take));
        let mut request = Request::post("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from_stream(ReceiverStream::new(body))).unwrap();
        (chunks, refusals, async move { router.oneshot(request).await.unwrap() })
    }

    #[tokio::test]
    async fn a_body_that_is_under_way_is_waited_for() {
        let (chunks, mut refusals, answer) = refused(&[]);
        let come = async move {
            refusals.recv().await.unwrap();
            // Nobody would take it, were the answer there already.
            chunks.send(Ok(Bytes::from_static(b"{}"))).await.unwrap();
        };
        let (answer, ()) = tokio::join!(answer, come);
        assert_eq!((answer.status(), answer.headers().get(CONNECTION)), (StatusCode::UNAUTHORIZED, None));
    }

    #[tokio::test]
    async fn before_one_that_does_not_come_the_answer_says_that_the_connection_ends() {
        let (_chunks, _refusals, answer) = refused(&[]);
        assert_eq!(answer.await.headers()[CONNECTION], "close");
        let (_chunks, _refusals, answer) = refused(&[("expect", "100-continue")]);
        assert_eq!(answer.await.headers()[CONNECTION], "close");
    }
}
