//! The accept loop: limits on connections and request heads, and an orderly end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONNECTION, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use ipnet::IpNet;
use nix::unistd::Uid;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tracing::{debug, warn};

use super::authenticate::Connection;
use super::limits::Limits;
use super::patient::Patient;
use super::tls::Tls;
use super::{peer, proxy_protocol, request};
use crate::life::Life;

/// Where agents dial.
const DRIVER_DOOR: &str = "/driver/";
/// After a failed accept (no file descriptors), a pause.
const PAUSE: Duration = Duration::from_millis(100);
/// A connection on which nothing was asked for as long is let go of, between this and twice as long after the last request.
const IDLE: Duration = Duration::from_secs(120);

/// Accepts connections until the gateway stops.
pub struct Listener {
    socket: TcpListener,
    local: SocketAddr,
    limits: Arc<Limits>,
    life: Life,
}

/// How connections are served.
#[derive(Clone)]
pub struct Manner {
    /// Path before every route.
    pub prefix: Arc<str>,
    /// TLS, when it is on.
    pub tls: Option<Arc<Tls>>,
    /// Without a scheme: the OS users of drivers, whose agents may dial; of others only root and the gateway's own may connect. None
    /// with a scheme.
    pub local_users: Option<Vec<Uid>>,
    /// Proxies that begin each connection with the PROXY protocol.
    pub proxy_protocol: Arc<[IpNet]>,
}

impl Listener {
    /// Binds the address.
    ///
    /// # Errors
    /// The system's, such as a port that is taken.
    pub async fn bind(address: SocketAddr, limits: Limits, life: Life) -> std::io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        let local = socket.local_addr()?;
        Ok(Self { socket, local, limits: Arc::new(limits), life })
    }

    /// The address that is listened on.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Serves until the gateway stops; requests that are being answered are finished.
    pub async fn serve(self, router: Router, manner: Manner) {
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
            let who = manner.local_users.as_ref().map_or(Who::Anybody, |drivers| who(remote, self.local, drivers));
            if who == Who::Stranger {
                warn!(peer = %remote, "A connection of another OS user is refused: no authentication is configured");
                continue;
            }
            let (router, manner, limits, stopping) =
                (router.clone(), manner.clone(), self.limits.clone(), stopping.clone());
            self.life.spawn_short("connection", async move {
                let _place = place;
                connection(stream, (remote, who), router, manner, &limits, stopping).await;
            });
        }
    }
}

/// Who is at the other end, where the system tells and no scheme does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    /// One who may ask for anything: the gateway's own user, root; with a scheme, whoever the scheme knows.
    Anybody,
    /// An OS user of drivers: the agents may dial, and the code beside them in the driver may do nothing else.
    Driver,
    /// Another OS user.
    Stranger,
}

fn who(remote: SocketAddr, local: SocketAddr, drivers: &[Uid]) -> Who {
    match peer::owner(remote, local) {
        peer::Owner::Uid(uid) => match Uid::from_raw(uid) {
            uid if uid.is_root() || uid == Uid::effective() => Who::Anybody,
            uid if drivers.contains(&uid) => Who::Driver,
            _ => Who::Stranger,
        },
        peer::Owner::Nobody => Who::Stranger,
        peer::Owner::Untold => Who::Anybody,
    }
}

/// What precedes HTTP on a connection, within the time that a head may take: who is behind a proxy, the TLS handshake.
async fn connection(
    mut stream: TcpStream,
    (remote, who): (SocketAddr, Who),
    router: Router,
    manner: Manner,
    limits: &Limits,
    stopping: CancellationToken,
) {
    let _ = stream.set_nodelay(true);
    let prelude = async {
        let from = remote.ip().to_canonical();
        let peer = if manner.proxy_protocol.iter().any(|network| network.contains(&from)) {
            proxy_protocol::read(&mut stream).await?.unwrap_or(remote)
        } else {
            remote
        };
        let Some(tls) = &manner.tls else { return Ok((stream, None, peer)) };
        let current = tls.current();
        Ok::<_, std::io::Error>((stream, Some(current), peer))
    };
    let Ok(Ok((stream, current, peer))) = tokio::time::timeout(limits.header_timeout.0, prelude).await else {
        debug!(peer = %remote, "A connection has not said who it is from");
        return;
    };
    let stream = Patient::new(stream, limits.stalled_reader.0);
    let Some(current) = current else {
        let from = Connection { peer, is_secure: false, certificate: None, bindings: None };
        return serve(stream, (from, who), router, manner.prefix, limits, stopping).await;
    };
    let handshake = TlsAcceptor::from(current.config.clone()).accept(stream);
    match tokio::time::timeout(limits.header_timeout.0, handshake).await {
        Ok(Ok(stream)) => {
            let certificates = stream.get_ref().1.peer_certificates();
            let certificate = certificates.and_then(|chain| chain.first()).map(|leaf| leaf.as_ref().into());
            let bindings = Some(current.bindings.clone());
            let from = Connection { peer, is_secure: true, certificate, bindings };
            serve(stream, (from, who), router, manner.prefix, limits, stopping).await;
        }
        Ok(Err(e)) => debug!(peer = %remote, error = %e, "A TLS handshake failed"),
        Err(_) => debug!(peer = %remote, "A TLS handshake took too long"),
    }
}

async fn serve<S>(
    stream: S,
    (from, who): (Connection, Who),
    router: Router,
    prefix: Arc<str>,
    limits: &Limits,
    stopping: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let is_secure = from.is_secure;
    let (asked, patience) = (Arc::new(AtomicU64::new(0)), limits.header_timeout.0);
    let asks = asked.clone();
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        asks.fetch_add(1, Ordering::Relaxed);
        let mut request = request::plain(request, &prefix);
        request.extensions_mut().insert(from.clone());
        let is_beside = who == Who::Driver && !request.uri().path().starts_with(DRIVER_DOOR);
        let answer = router.clone().oneshot(request);
        async move {
            if is_beside {
                return Ok(StatusCode::FORBIDDEN.into_response());
            }
            answer.await.map(|answer| dressed(closing(answer), is_secure))
        }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    // Of a connection that is kept this time begins with the answer before, not with the first byte of a head: with the limit of a head, a
    // client that asks again just then would lose its request.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(IDLE).max_buf_size(64 * 1024);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(Duration::from_secs(30)).max_concurrent_streams(256);
    let served = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::pin!(served);
    // The limit on a request's head begins with its first byte: whoever never sends one would hold their place for ever.
    let silence = async {
        tokio::time::sleep(patience).await;
        if asked.load(Ordering::Relaxed) > 0 {
            std::future::pending::<()>().await;
        }
    };
    // Over HTTP/2 a client that answers pings and asks nothing would hold its place for ever too. What is still being answered goes on.
    let idleness = async {
        let mut before = 0;
        loop {
            tokio::time::sleep(IDLE).await;
            let now = asked.load(Ordering::Relaxed);
            if now == std::mem::replace(&mut before, now) {
                return;
            }
        }
    };
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = silence => return debug!("A connection was silent for too long"),
        () = async { tokio::select! { () = stopping.cancelled() => {} () = idleness => {} } } => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(e) = ended {
        debug!(error = %e, "A connection ended badly");
    }
}

/// What every answer says to browsers and caches: it may be somebody's data.
fn dressed(mut answer: Response, is_secure: bool) -> Response {
    let headers = answer.headers_mut();
    headers.entry(X_CONTENT_TYPE_OPTIONS).or_insert(HeaderValue::from_static("nosniff"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if is_secure {
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    answer
}

/// Says that the connection closes when a body was not read to its end: a client that kept it would lose its next request.
fn closing(mut answer: Response) -> Response {
    if matches!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT) {
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}
