//! Reading the audit.

use sqlx::PgPool;

use super::chain::Written;
use super::store;

pub use super::store::Wanted;

/// Events, oldest first.
///
/// # Errors
/// The database's.
pub async fn read(pool: &PgPool, wanted: &Wanted) -> Result<Vec<Written>, crate::store::Error> {
    Ok(store::events(pool, wanted).await?)
}

/// From which number on the last `most` events are.
///
/// # Errors
/// The database's.
pub async fn before_last(pool: &PgPool, most: i64) -> Result<i64, crate::store::Error> {
    Ok(store::before_last(pool, most).await?)
}
