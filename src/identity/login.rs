//! Logins: what a cookie stands for, so that the KDC or the provider is not asked at every call.
//!
//! The cookie is a random secret; its row says who it is, and is gone at logout, or when another ends it, on every gateway within a second.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use moka::future::Cache;
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::secret::{self, Hash};
use super::{BELIEF, Person, Principal, Scheme, store};
use crate::kind::{Classify, Kind};
use crate::store::{Page, Range};
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

/// A login, without its secret, which its browser alone has.
#[derive(Debug, Clone)]
pub struct Login {
    /// Its id.
    pub id: Uuid,
    /// Tenant of whose it is.
    pub tenant: String,
    /// Whose it is.
    pub owner: String,
    /// Their groups when it began.
    pub groups: Vec<String>,
    /// How they showed who they are.
    pub scheme: String,
    /// From where.
    pub address: Option<String>,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// When it was last used, to the minute; none: not since it began.
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
}

/// A login was not ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such login that the caller may know of.
    #[error("there is no such login")]
    NotFound,
    /// The database.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
}

impl Classify for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::NotFound => Kind::NotFound,
            Self::Store(e) => e.kind(),
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(e: sqlx::Error) -> Self {
        Self::Store(e.into())
    }
}

/// A login that is over once the transaction is committed.
#[derive(Debug)]
pub struct Ended(Vec<u8>);

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
        self.find_by_hash(secret::hash(cookie.expose_secret())).await
    }

    /// Whose login has this hash; none when it is unknown or over.
    ///
    /// # Errors
    /// The database's.
    pub async fn find_by_hash(&self, hash: Hash) -> Result<Option<Arc<Person>>, Arc<crate::store::Error>> {
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

    /// Logins that are not over, newest first: a user's, or everybody's of the tenant.
    ///
    /// # Errors
    /// The database's.
    pub async fn list(&self, tenant: &str, owner: Option<&str>, range: Range) -> Result<Page<Login>, Error> {
        Ok(store::list_logins(&self.pool, tenant, owner, self.idle, range).await?)
    }

    /// Tenant and name of whose login has this id.
    ///
    /// # Errors
    /// The database's.
    pub async fn owner(&self, id: Uuid) -> Result<Option<(String, String)>, Error> {
        Ok(store::login_owner(&self.pool, id).await?)
    }

    /// Ends the login of this id, which is `owner`'s, in a transaction of `by`.
    ///
    /// # Errors
    /// It is over already; the database's.
    pub async fn revoke(
        &self,
        db: &mut PgConnection,
        owner: (&str, &str),
        id: Uuid,
        by: &Principal,
    ) -> Result<Ended, Error> {
        store::end_login_of(db, owner, id, &by.user).await?.map(Ended).ok_or(Error::NotFound)
    }

    /// Forgets a login whose end is committed: here it is over at once.
    pub async fn forget(&self, Ended(hash): Ended) {
        if let Ok(hash) = Hash::try_from(hash) {
            self.known.invalidate(&hash).await;
        }
    }

    /// How long a login lives at most.
    #[must_use]
    pub fn ttl(&self) -> Duration {
        self.ttl.0
    }

    /// How long a cookie lives at most, seconds.
    #[must_use]
    pub fn max_age(&self) -> u64 {
        self.ttl.0.as_secs()
    }
}
