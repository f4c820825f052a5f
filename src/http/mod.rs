//! The front doors: protocol in, domain call, protocol out.
//!
//! Surface rules. A door knows no SQL and decides nothing: it reads its protocol, calls a use case with the [`crate::identity::Principal`] of
//! the request, and renders the answer or the [`crate::kind::Kind`] of the error in its own dialect. The whole URL space stands in [`router`].
//! Every route but those of [`ops`] and [`login`] needs a principal; the driver's door needs an application's token instead.

pub mod api;
pub mod authenticate;
pub mod body;
pub mod bounded;
pub mod cookie;
pub mod driver;
pub mod extract;
pub mod fault;
pub mod forwarded;
pub mod guard;
pub mod limits;
pub mod listener;
pub mod livy;
pub mod login;
pub mod measure;
pub mod ops;
pub mod patient;
pub mod peer;
pub mod proxy_protocol;
pub mod request;
pub mod tls;
pub mod unread;

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use ipnet::IpNet;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};
use tower_http::decompression::RequestDecompressionLayer;

use crate::audit::refusals::Refusals;
use crate::context::driver::Door;
use crate::identity::chain::Chain;
use crate::life::Life;
use crate::telemetry::metrics::Metrics;
use crate::{batch, context, handle, session, statement};

/// What every door works with. Cheap to clone.
#[derive(Clone)]
pub struct Doors(Arc<Parts>);

/// The parts of [`Doors`].
pub struct Parts {
    /// Who is asking.
    pub identity: Chain,
    /// Where refused credentials are written down.
    pub refusals: Refusals,
    /// Proxies before the gateway whose `X-Forwarded-For` is believed.
    pub forwarders: Vec<IpNet>,
    /// Names by which browsers reach the gateway.
    pub names: Vec<String>,
    /// Contexts.
    pub contexts: context::service::Service,
    /// Sessions.
    pub sessions: session::service::Service,
    /// Statements.
    pub statements: statement::service::Service,
    /// Handles.
    pub handles: handle::service::Service,
    /// Batches.
    pub batches: batch::service::Service,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where tasks of requests run, and what tells that the gateway stops.
    pub life: Life,
    /// The agents' door.
    pub door: Door,
    /// Bounds on requests.
    pub limits: limits::Limits,
    /// Whether the Livy door wants `X-Requested-By`.
    pub csrf_protection: bool,
}

impl Doors {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl std::ops::Deref for Doors {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// The whole URL space.
pub fn router(doors: Doors) -> Router {
    let guarded =
        livy::router(&doors).merge(login::router(&doors)).layer(from_fn_with_state(doors.clone(), guard::guard));
    // Gzip comes in as it goes out. What is no encoding at all passes: Livy's own clients name a character set there.
    let unpacked = RequestDecompressionLayer::new().pass_through_unaccepted(true);
    let people = guarded.merge(api::router(&doors)).layer(unpacked);
    Router::new()
        .merge(people)
        .merge(driver::router())
        .merge(ops::router())
        .fallback(livy::surface::unknown_path)
        .layer(axum::extract::DefaultBodyLimit::max(doors.limits.body))
        // Small answers are not worth the work; events must not be held back; Arrow is as small as its maker wants it.
        .layer(
            CompressionLayer::new().compress_when(
                SizeAbove::new(1024)
                    .and(NotForContentType::new("text/event-stream"))
                    .and(NotForContentType::const_new("application/vnd.apache.arrow.stream")),
            ),
        )
        .layer(CatchPanicLayer::custom(extract::panicked))
        .layer(from_fn_with_state(doors.clone(), measure::measure))
        .layer(from_fn(unread::take))
        .with_state(doors)
}
