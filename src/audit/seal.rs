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
use super::{store, verify};
use crate::home;
use crate::id::GatewayId;
use crate::life::Life;

const EVERY: Duration = Duration::from_secs(1);
/// Events sealed in one transaction.
const BATCH: i64 = 1_000;
/// The file of heads in the state folder: one JSON object a line.
pub const HEADS: &str = "audit.heads";
/// Above this size the file is begun anew.
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
            begin_anew(&self.heads)?;
        }
        append(&self.heads, head)
    }
}

/// Begins the file anew with the newest head of each chain, those of former incarnations too: without them nobody would notice an end of theirs
/// that is cut off. The file of before is kept beside it.
fn begin_anew(heads: &Path) -> io::Result<()> {
    let before = heads.with_extension("heads.1");
    match fs::remove_file(&before) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => fs::hard_link(heads, &before)?,
    }
    let mut text = String::new();
    for head in verify::read_heads(heads)? {
        text.push_str(&serde_json::to_string(&head)?);
        text.push('\n');
    }
    // In one step: at every moment there is a file with all of them.
    home::write_private(heads, text.as_bytes())
}

fn append(heads: &Path, head: &Signed) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(heads)?;
    // In one piece: a line that is torn could not be read, nor the one behind it.
    file.write_all(format!("{}\n", serde_json::to_string(head)?).as_bytes())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_new_file_has_the_newest_head_of_each_chain() {
        let folder = tempfile::tempdir().unwrap();
        let (key, heads) = (Key::open(folder.path()).unwrap(), folder.path().join(HEADS));
        let chains = [Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3)];
        for place in 1..=50 {
            for chain in &chains[..if place > 20 { 1 } else { 3 }] {
                append(&heads, &key.sign(*chain, place, [7; 32])).unwrap();
            }
        }
        for _ in 0..2 {
            begin_anew(&heads).unwrap();
            append(&heads, &key.sign(chains[0], 51, [8; 32])).unwrap();
            let mut kept: Vec<_> =
                verify::read_heads(&heads).unwrap().iter().map(|head| (head.gateway, head.place)).collect();
            kept.sort_unstable();
            assert_eq!(kept, [(chains[0], 51), (chains[1], 20), (chains[2], 20)]);
        }
        assert_eq!(fs::read_to_string(&heads).unwrap().lines().count(), 4);
        assert!(heads.with_extension("heads.1").is_file());
    }
}
