//! Logins: what a cookie stands for, so that the KDC or the provider is not asked at every call.
//!
//! The cookie is a random secret; its row says who it is, and is gone at logout on every gateway within a second.

use std::sync::Arc;

use moka::future::Cache;
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::PgPool;

use super::secret::{self, Hash};
use super::{BELIEF, Person, Principal, Scheme, store};
use crate::time::Span;

/// Forgets logins that were over a day ago, and tokens that were over a month ago.
///
/// # Errors
/// The database's.
pub async fn forget_old(pool: &PgPool) -> Result<(), crate::store::Error> {
    Ok(store::forget_old(pool).await?)
}

/// Logins at once that are remembered in memory; the rest are looked up.
const REMEMBERED: u64 = 20_000;

/// The logins. Cheap to clone.
#[derive(Clone)]
pub struct Logins {
    pool: PgPool,
    idle: Span,
    ttl: Span,
    known: Cache<Hash, Option<Arc<Person>>>,
}

impl Logins {
    /// Logins that end after `idle` without a call, and `ttl` after they began.
    #[must_use]
    pub fn new(pool: PgPool, idle: Span, ttl: Span) -> Self {
        Self { pool, idle, ttl, known: Cache::builder().max_capacity(REMEMBERED).time_to_live(BELIEF).build() }
    }

    /// Whose login this is; none when it is unknown or over.
    ///
    /// # Errors
    /// The database's.
    pub async fn find(&self, cookie: &SecretString) -> Result<Option<Arc<Person>>, Arc<crate::store::Error>> {
        let hash = secret::hash(cookie.expose_secret());
        self.known
            .try_get_with(hash, async {
                let found = store::use_login(&self.pool, &hash, self.idle).await?;
                Ok(found.map(Arc::new))
            })
            .await
    }

    /// Begins one, and returns what the cookie holds.
    ///
    /// # Errors
    /// The database's.
    pub async fn begin(&self, who: &Principal, by: Scheme) -> Result<SecretString, crate::store::Error> {
        let cookie = secret::generate("");
        store::insert_login(&self.pool, &secret::hash(cookie.expose_secret()), who, by, self.ttl).await?;
        Ok(cookie)
    }

    /// Ends one: logout. On other gateways it is over within a second.
    ///
    /// # Errors
    /// The database's.
    pub async fn end(&self, cookie: &SecretString) -> Result<(), crate::store::Error> {
        let hash = secret::hash(cookie.expose_secret());
        store::end_login(&self.pool, &hash).await?;
        self.known.invalidate(&hash).await;
        Ok(())
    }

    /// How long a cookie lives at most, seconds.
    #[must_use]
    pub fn max_age(&self) -> u64 {
        self.ttl.0.as_secs()
    }
}
