//! The end of what is old: a signed checkpoint says where each chain begins from now on.

use sqlx::PgPool;

use super::key::Key;
use super::{Audit, Entry, Event, store};
use crate::identity::Principal;
use crate::time::Timestamp;

/// Removes events from before a moment, as far as each chain has nothing newer before them, and writes down that `who` did. Returns how many.
///
/// # Errors
/// The database's.
pub async fn prune(
    pool: &PgPool,
    audit: Audit,
    key: &Key,
    who: &Principal,
    before: Timestamp,
) -> Result<u64, crate::store::Error> {
    let mut gone = 0;
    for gateway in store::chains(pool).await? {
        let mut tx = pool.begin().await?;
        if let Some((place, hash)) = store::last_before(&mut tx, gateway, before).await? {
            let removed = store::cut(&mut tx, &key.sign(gateway, place, hash)).await?;
            let told = format!("{removed} events from before {}, up to place {place}", before.to_rfc3339());
            audit.record(&mut tx, Entry::done(Event::AuditPruned, who).on("chain", gateway).with(told)).await?;
            gone += removed;
        }
        tx.commit().await?;
    }
    Ok(gone)
}
