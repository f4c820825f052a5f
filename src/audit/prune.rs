//! The end of what is old: a signed checkpoint says where each chain begins from now on.

use sqlx::PgPool;

use super::key::Key;
use super::store;
use crate::time::Timestamp;

/// Removes events from before a moment, as far as each chain has nothing newer before them. Returns how many.
///
/// # Errors
/// The database's.
pub async fn prune(pool: &PgPool, key: &Key, before: Timestamp) -> Result<u64, crate::store::Error> {
    let mut gone = 0;
    for gateway in store::chains(pool).await? {
        let mut tx = pool.begin().await?;
        if let Some((place, hash)) = store::last_before(&mut tx, gateway, before).await? {
            gone += store::cut(&mut tx, &key.sign(gateway, place, hash)).await?;
        }
        tx.commit().await?;
    }
    Ok(gone)
}
