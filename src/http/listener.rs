//! The accept loop: limits on connections and request heads, and an orderly end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use nix::unistd::Uid;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tower::ServiceExt;
use tracing::{debug, warn};

use super::limits::Limits;
use super::{peer, request};
use crate::life::Life;

/// Where agents dial.
const DRIVER_DOOR: &str = "/driver/";
/// After a failed accept (no file descriptors), a pause.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections until the gateway stops.
pub struct Listener {
    socket: TcpListener,
    local: SocketAddr,
    prefix: Arc<str>,
    limits: Limits,
    life: Life,
}

impl Listener {
    /// Binds the address.
    ///
    /// # Errors
    /// The system's, such as a port that is taken.
    pub async fn bind(address: SocketAddr, prefix: &str, limits: Limits, life: Life) -> std::io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        let local = socket.local_addr()?;
        Ok(Self { socket, local, prefix: prefix.trim_end_matches('/').into(), limits, life })
    }

    /// The address that is listened on.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Serves until the gateway stops; requests that are being answered are finished. `drivers` are the OS users of drivers, which
    /// must be able to dial the gateway.
    pub async fn serve(self, router: Router, drivers: Vec<Uid>) {
        let stopping = self.life.stopping();
        let places = Arc::new(Semaphore::new(self.limits.connections));
        loop {
            let Ok(place) = places.clone().acquire_owned().await else { return };
            let (stream, remote) = tokio::select! {
                () = stopping.cancelled() => return,
                accepted = self.socket.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(e) => {
                        warn!(error = %e, "Cannot accept a connection");
                        tokio::time::sleep(PAUSE).await;
                        continue;
                    }
                },
            };
            let peer = peer(remote, self.local, &drivers);
            if peer == Peer::Stranger {
                warn!(peer = %remote, "A connection of another OS user is refused: no authentication is configured");
                continue;
            }
            let (router, prefix, limits, stopping) =
                (router.clone(), self.prefix.clone(), self.limits.clone(), stopping.clone());
            self.life.spawn_short("connection", async move {
                let _place = place;
                connection(stream, router, prefix, peer, &limits, stopping).await;
            });
        }
    }
}

/// Who is at the other end, where no scheme tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Peer {
    /// The gateway's own user, root, or one of whom the system tells nothing.
    Own,
    /// An OS user of drivers: their agents may dial, and the code beside them in the driver may do nothing else.
    Driver,
    /// Another OS user.
    Stranger,
}

fn peer(remote: SocketAddr, local: SocketAddr, drivers: &[Uid]) -> Peer {
    match peer::uid(remote, local).map(Uid::from_raw) {
        None => Peer::Own,
        Some(uid) if uid.is_root() || uid == Uid::effective() => Peer::Own,
        Some(uid) if drivers.contains(&uid) => Peer::Driver,
        Some(_) => Peer::Stranger,
    }
}

async fn connection(
    stream: TcpStream,
    router: Router,
    prefix: Arc<str>,
    peer: Peer,
    limits: &Limits,
    stopping: tokio_util::sync::CancellationToken,
) {
    let _ = stream.set_nodelay(true);
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let request = request::plain(request, &prefix);
        let refused = peer == Peer::Driver && !request.uri().path().starts_with(DRIVER_DOOR);
        let answer = router.clone().oneshot(request);
        async move {
            if refused {
                return Ok(StatusCode::FORBIDDEN.into_response());
            }
            answer.await.map(closing)
        }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.header_timeout.0).max_buf_size(64 * 1024);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(Duration::from_secs(30)).max_concurrent_streams(256);
    let served = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = stopping.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(e) = ended {
        debug!(error = %e, "A connection ended badly");
    }
}

/// Says that the connection closes when a body was not read to its end: a client that kept it would lose its next request.
fn closing(mut answer: Response) -> Response {
    if matches!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT) {
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}
