//! Waking other gateways. `NOTIFY` only shortens a wait: the rows and the timers are the truth.
//!
//! One connection per gateway sends, outside any statement's transaction (inside one it would take a lock on the whole database at
//! commit), a batch at a time; another listens. Both must be direct connections: a transaction pooler breaks `LISTEN`.

use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::sync::mpsc;
use tracing::{debug, warn};
use uuid::Uuid;

use crate::life::Life;

const CHANNEL: &str = "hearth";
/// Ids that may wait to be sent; more are dropped, since timers look anyway.
const BACKLOG: usize = 4096;
const PAUSE: Duration = Duration::from_secs(1);

/// Tells other gateways to look at the rows of something.
#[derive(Debug, Clone)]
pub struct Notifier(mpsc::Sender<Uuid>);

impl Notifier {
    /// A notifier and the task behind it.
    #[must_use]
    pub fn new(pool: PgPool, life: &Life) -> Self {
        let (send, mut wanted) = mpsc::channel(BACKLOG);
        let stopping = life.stopping();
        life.spawn_short("notify", async move {
            let mut batch = Vec::new();
            loop {
                tokio::select! {
                    () = stopping.cancelled() => return,
                    n = wanted.recv_many(&mut batch, 256) => if n == 0 { return },
                }
                let ids: Vec<String> = batch.drain(..).map(|id: Uuid| id.to_string()).collect();
                let sent = sqlx::query!("select pg_notify($1, id) from unnest($2::text[]) as id", CHANNEL, &ids);
                if let Err(e) = sent.fetch_all(&pool).await {
                    debug!(error = %e, "Other gateways could not be told");
                }
            }
        });
        Self(send)
    }

    /// Tells, some time soon.
    pub fn tell(&self, id: Uuid) {
        let _ = self.0.try_send(id);
    }
}

/// Calls `heard` with each id that any gateway tells, and with none whenever some may have been or may now be missed.
pub async fn listen(pool: PgPool, life: Life, heard: impl Fn(Option<Uuid>)) {
    let stopping = life.stopping();
    loop {
        let ended = tokio::select! {
            () = stopping.cancelled() => return,
            ended = listen_once(&pool, &heard) => ended,
        };
        heard(None);
        warn!(error = %ended, "Not listening to other gateways now");
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

async fn listen_once(pool: &PgPool, heard: &impl Fn(Option<Uuid>)) -> sqlx::Error {
    let mut listener = match PgListener::connect_with(pool).await {
        Ok(listener) => listener,
        Err(e) => return e,
    };
    listener.ignore_pool_close_event(true);
    if let Err(e) = listener.listen(CHANNEL).await {
        return e;
    }
    heard(None);
    loop {
        match listener.try_recv().await {
            Ok(Some(told)) => {
                if let Ok(id) = told.payload().parse() {
                    heard(Some(id));
                }
            }
            // The connection broke and was made anew.
            Ok(None) => heard(None),
            Err(e) => return e,
        }
    }
}
