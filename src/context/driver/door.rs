//! Who may hold a link: checks the token, the protocol and the incarnation, and takes the context over.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use subtle::ConstantTimeEq;
use tracing::{info, warn};

use super::wire::{self, Envelope, Hello, Outgoing, Welcome};
use super::{Links, Sink, link};
use crate::context::{application, lease};
use crate::id::{ApplicationId, ContextId, GatewayId};
use crate::kind::{Classify, Kind};
use crate::life::Life;
use crate::telemetry::metrics::Metrics;

/// How long an agent may take to say hello.
const HELLO: Duration = Duration::from_secs(10);
/// Silence after which an end gives the link up.
pub(super) const DEAD: Duration = Duration::from_millis(1500);

/// What an agent shows at the door.
#[derive(Debug, Clone)]
pub struct Credentials {
    application: ApplicationId,
    token_hash: [u8; 32],
}

impl Credentials {
    /// From the two headers; the token itself is not kept.
    #[must_use]
    pub fn new(application: ApplicationId, token: &str) -> Self {
        Self { application, token_hash: Sha256::digest(token.as_bytes()).into() }
    }
}

/// Why an agent was not let in, before the WebSocket is opened.
#[derive(Debug, thiserror::Error)]
pub enum Rejected {
    /// The token opens nothing.
    #[error("this token does not open that application's link")]
    BadToken,
    /// It was good, for an application that is over.
    #[error("the application of this token is over, and with it all that the token opened")]
    Over,
    /// The database.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
}

impl Classify for Rejected {
    fn kind(&self) -> Kind {
        match self {
            Self::BadToken | Self::Over => Kind::Unauthenticated,
            Self::Store(e) => e.kind(),
        }
    }
}

/// The driver's door.
#[derive(Clone)]
pub struct Door {
    pub(super) pool: PgPool,
    pub(super) links: Links,
    pub(super) sink: Arc<dyn Sink>,
    pub(super) life: Life,
    pub(super) me: GatewayId,
    pub(super) metrics: Arc<Metrics>,
    orphan: Duration,
}

/// A link that has been let in.
pub(super) struct Granted {
    pub application: ApplicationId,
    pub context: ContextId,
    pub epoch: i64,
    pub received: i64,
    pub hello: Hello,
}

impl Door {
    /// A door for the agents of this gateway's contexts.
    #[must_use]
    pub fn new(
        pool: PgPool,
        links: Links,
        sink: Arc<dyn Sink>,
        life: Life,
        me: GatewayId,
        metrics: Arc<Metrics>,
        orphan: Duration,
    ) -> Self {
        Self { pool, links, sink, life, me, metrics, orphan }
    }

    /// Checks the token of an application that lives; its context. Code may hold on to the token of one that is over.
    ///
    /// # Errors
    /// [`Rejected`].
    pub async fn check(&self, shown: &Credentials) -> Result<ContextId, Rejected> {
        let row = self.row(shown).await?;
        if row.over { Err(Rejected::Over) } else { Ok(row.context_id) }
    }

    /// Checks the token of an agent that dials, whether or not its application is over: that it is, and that the agent is to stop
    /// itself, is told by the code with which its link is closed.
    ///
    /// # Errors
    /// [`Rejected`], but never that it is over.
    pub async fn check_dialling(&self, shown: &Credentials) -> Result<(), Rejected> {
        self.row(shown).await.map(drop)
    }

    /// The row of the application, the same error whether that is unknown or the token wrong.
    async fn row(&self, shown: &Credentials) -> Result<application::LinkRow, Rejected> {
        let mut db = self.pool.acquire().await.map_err(crate::store::Error::from)?;
        let row = application::load_for_link(&mut db, shown.application).await.map_err(crate::store::Error::from)?;
        let known = row.as_ref().map_or(&[][..], |r| &r.token_hash);
        let is_good = bool::from(known.ct_eq(&shown.token_hash));
        row.filter(|_| is_good).ok_or(Rejected::BadToken)
    }

    /// Serves one connection of a checked agent until it ends.
    pub async fn serve(self, mut socket: WebSocket, shown: Credentials) {
        let application = shown.application;
        match self.grant(&mut socket, application).await {
            Ok(granted) => {
                let context = granted.context;
                info!(context.id = %context, epoch = granted.epoch, "Agent of context {context} is connected");
                link::run(self, socket, granted).await;
                info!(context.id = %context, "Agent of context {context} is disconnected");
            }
            Err(code) => {
                warn!(application.id = %application, code, "Agent of application {application} is sent away");
                let frame = CloseFrame { code, reason: "".into() };
                let _ = socket.send(Message::Close(Some(frame))).await;
            }
        }
    }

    /// Reads hello and takes the context over, or says with which code to close.
    async fn grant(&self, socket: &mut WebSocket, application: ApplicationId) -> Result<Granted, u16> {
        let hello = match tokio::time::timeout(HELLO, socket.recv()).await {
            Ok(Some(Ok(Message::Text(text)))) => Envelope::parse(&text)
                .ok()
                .filter(|e| e.kind == "hello")
                .and_then(|e| e.body::<Hello>().ok())
                .ok_or(wire::close::PROTOCOL)?,
            Ok(Some(Ok(_))) => return Err(wire::close::PROTOCOL),
            // Late, or gone: a machine under load, not an agent of another protocol. It may dial again.
            Ok(Some(Err(_)) | None) | Err(_) => return Err(wire::close::GO_ELSEWHERE),
        };
        if hello.protocol != wire::PROTOCOL {
            return Err(wire::close::PROTOCOL);
        }
        let (context, epoch, received) = self.take(application, &hello).await.map_err(|e| match e {
            TakeError::Close(code) => code,
            TakeError::Sql(e) => {
                warn!(error = %e, "Cannot take a context over now");
                wire::close::GO_ELSEWHERE
            }
        })?;
        let dead_ms = u64::try_from(DEAD.as_millis()).unwrap_or(u64::MAX);
        let orphan_ms = u64::try_from(self.orphan.as_millis()).unwrap_or(u64::MAX);
        let welcome = Outgoing::new("welcome", &Welcome { epoch, acked: received, dead_ms, orphan_ms });
        socket.send(Message::Text(welcome.frame(0, epoch).into())).await.map_err(|_| wire::close::GO_ELSEWHERE)?;
        Ok(Granted { application, context, epoch, received, hello })
    }

    async fn take(&self, application: ApplicationId, hello: &Hello) -> Result<(ContextId, i64, i64), TakeError> {
        let mut tx = self.pool.begin().await?;
        let row =
            application::load_for_link(&mut tx, application).await?.ok_or(TakeError::Close(wire::close::BAD_TOKEN))?;
        if row.over {
            return Err(TakeError::Close(wire::close::APPLICATION_OVER));
        }
        // The context's row before the application's, as everywhere; a refusal takes the new epoch back.
        let epoch = lease::take_over(&mut tx, row.context_id, self.me)
            .await?
            .ok_or(TakeError::Close(wire::close::APPLICATION_OVER))?;
        if !application::claim_incarnation(&mut tx, application, hello.incarnation, hello.spark.as_deref()).await? {
            return Err(TakeError::Close(wire::close::OTHER_INCARNATION));
        }
        // Read again under the row's lock: an older link may have committed between the first look and the take-over.
        let received = application::load_for_link(&mut tx, application).await?.map_or(row.received, |r| r.received);
        self.sink.adopt(&mut tx, row.context_id).await?;
        tx.commit().await?;
        Ok((row.context_id, epoch, received))
    }
}

enum TakeError {
    Close(u16),
    Sql(sqlx::Error),
}

impl From<sqlx::Error> for TakeError {
    fn from(e: sqlx::Error) -> Self {
        Self::Sql(e)
    }
}
