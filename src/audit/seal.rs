//! Gives events their places in the chain, signs the head, and writes it to a file: every second, and once more at the end.
//!
//! Transactions commit in another order than their events are numbered, so the chain follows the order in which events are found. What an
//! incarnation that died left without a place, the next one that lives seals into its own chain.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::PgPool;
use tracing::{debug, warn};

use super::chain::{self, START};
use super::key::{Key, Signed};
use super::store;
use crate::id::GatewayId;
use crate::life::Life;

const EVERY: Duration = Duration::from_secs(1);
/// Events sealed in one transaction.
const BATCH: i64 = 1_000;
/// The file of heads in the state folder: one JSON object a line.
pub const HEADS: &str = "audit.heads";
/// Above this size the file is begun anew, with the newest head; the one before is kept beside it.
const LARGEST: u64 = 16 << 20;

/// Seals. One for each incarnation.
pub struct Sealer {
    pool: PgPool,
    gateway: GatewayId,
    key: Key,
    heads: PathBuf,
}

impl Sealer {
    /// A sealer whose key and file of heads are in the state folder.
    ///
    /// # Errors
    /// The key cannot be read or made.
    pub fn new(pool: PgPool, gateway: GatewayId, home: &Path) -> io::Result<Self> {
        Ok(Self { pool, gateway, key: Key::open(home)?, heads: home.join(HEADS) })
    }

    /// Seals until the gateway stops.
    pub async fn run(self, life: Life) {
        let stopping = life.stopping();
        let mut was_well = true;
        loop {
            match self.pass().await {
                Ok(_) => was_well = true,
                Err(e) => {
                    if was_well {
                        warn!(error = %e, "Events of the audit cannot be sealed now");
                    }
                    was_well = false;
                }
            }
            tokio::select! {
                () = stopping.cancelled() => break,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
        if let Err(e) = self.pass().await {
            debug!(error = %e, "The last events of the audit are sealed by the next gateway");
        }
    }

    /// Seals all there is; how many.
    ///
    /// # Errors
    /// The database's, or the file's.
    pub async fn pass(&self) -> Result<usize, crate::store::Error> {
        let mut sealed = 0;
        loop {
            let mut tx = self.pool.begin().await?;
            let events = store::unsealed(&mut tx, self.gateway, BATCH).await?;
            if events.is_empty() {
                return Ok(sealed);
            }
            let (mut place, mut hash) = store::last_link(&mut tx, self.gateway.0).await?.unwrap_or((0, START));
            let (mut places, mut ids, mut hashes) = (Vec::new(), Vec::new(), Vec::new());
            for event in &events {
                place += 1;
                hash = chain::link(&hash, place, event);
                places.push(place);
                ids.push(event.event_id);
                hashes.push(hash.to_vec());
            }
            let head = self.key.sign(self.gateway.0, place, hash);
            store::seal(&mut tx, self.gateway, &places, &ids, &hashes).await?;
            store::put_head(&mut tx, &head).await?;
            tx.commit().await?;
            sealed += events.len();
            if let Err(e) = self.export(&head) {
                warn!(error = %e, file = %self.heads.display(), "The head of the audit cannot be written");
            }
        }
    }

    /// Appends the head to the file, which no one who can write the database alone can cut.
    fn export(&self, head: &Signed) -> io::Result<()> {
        if fs::metadata(&self.heads).is_ok_and(|file| file.len() > LARGEST) {
            fs::rename(&self.heads, self.heads.with_extension("heads.1"))?;
        }
        let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(&self.heads)?;
        writeln!(file, "{}", serde_json::to_string(head)?)
    }
}
