//! `Idempotency-Key`: a repeated POST gives the answer of the first and does nothing again.
//!
//! The key's row is written in the transaction that creates the resource, so there is no moment at which one exists without the
//! other. A second request with the same key waits on the unique index until the first has committed.

use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::kind::{Classify, Kind};

/// A key as the client sent it, bound to its principal and route.
#[derive(Debug, Clone)]
pub struct Key {
    tenant: String,
    principal: String,
    route: String,
    key: String,
    body_hash: [u8; 32],
}

/// A key that is not usable.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The header is empty, too long, or holds other than visible ASCII.
    #[error("Idempotency-Key must be 1 to 255 visible ASCII characters")]
    Malformed,
    /// The key came before with another body.
    #[error("this Idempotency-Key was used before with another body; use a new key for a new request")]
    Reused,
    /// The database.
    #[error(transparent)]
    Store(#[from] super::Error),
}

impl Classify for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::Malformed => Kind::Invalid,
            Self::Reused => Kind::KeyReused,
            Self::Store(e) => e.kind(),
        }
    }
}

impl Key {
    /// Binds a header's value to who sent it (tenant and user), the route (method and path) and the body.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn new((tenant, user): (&str, &str), route: &str, key: &str, body: &[u8]) -> Result<Self, Error> {
        if key.is_empty() || key.len() > 255 || !key.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Error::Malformed);
        }
        Ok(Self {
            tenant: tenant.to_owned(),
            principal: user.to_owned(),
            route: route.to_owned(),
            key: key.to_owned(),
            body_hash: Sha256::digest(body).into(),
        })
    }

    /// An id that each repeat of the request has and no other request: by it whoever is asked to do something knows that it was asked before.
    #[must_use]
    pub fn id(&self) -> Uuid {
        // None of them holds a NUL.
        let whole = [&*self.tenant, &self.principal, &self.route, &self.key].join("\0");
        let [id @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = <[u8; 32]>::from(Sha256::digest(whole));
        Uuid::new_v8(id)
    }
}

/// Claims the key for `resource` in this transaction, or says which resource it made before.
///
/// # Errors
/// [`Error::Reused`] when the first request had another body.
pub async fn claim(db: &mut PgConnection, key: &Key, resource: &str) -> Result<Option<String>, Error> {
    let inserted = sqlx::query!(
        "insert into idempotency (tenant, principal, route, key, body_hash, resource)
         values ($1, $2, $3, $4, $5, $6) on conflict do nothing",
        key.tenant,
        key.principal,
        key.route,
        key.key,
        key.body_hash.as_slice(),
        resource
    )
    .execute(&mut *db)
    .await
    .map_err(super::Error::from)?;
    if inserted.rows_affected() == 1 {
        return Ok(None);
    }
    let row = sqlx::query!(
        "select body_hash, resource from idempotency where tenant = $1 and principal = $2 and route = $3 and key = $4",
        key.tenant,
        key.principal,
        key.route,
        key.key
    )
    .fetch_one(&mut *db)
    .await
    .map_err(super::Error::from)?;
    if row.body_hash == key.body_hash { Ok(Some(row.resource)) } else { Err(Error::Reused) }
}

/// Names the resource of a key claimed in this transaction, where its name was not known before.
///
/// # Errors
/// The database's.
pub async fn name(db: &mut PgConnection, key: &Key, resource: &str) -> Result<(), super::Error> {
    sqlx::query!(
        "update idempotency set resource = $5 where tenant = $1 and principal = $2 and route = $3 and key = $4",
        key.tenant,
        key.principal,
        key.route,
        key.key,
        resource
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Claims the key of an action that makes no resource and does no harm when it is done again.
///
/// # Errors
/// [`Error::Reused`] when the first request had another body.
pub async fn note(pool: &PgPool, key: &Key) -> Result<(), Error> {
    let mut db = pool.acquire().await.map_err(super::Error::from)?;
    claim(&mut db, key, "").await.map(drop)
}

/// Forgets keys older than a day.
///
/// # Errors
/// The database's.
pub async fn forget_old(db: &mut PgConnection) -> Result<u64, super::Error> {
    let done =
        sqlx::query!("delete from idempotency where created_at < now() - interval '24 hours'").execute(db).await?;
    Ok(done.rows_affected())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_that_of_the_repeats_alone() {
        let of = |who: (&str, &str), route: &str, key: &str, body: &str| {
            Key::new(who, route, key, body.as_bytes()).unwrap().id()
        };
        let first = of(("acme", "ann"), "PUT /h/1/entries", "k", "a");
        assert_eq!(of(("acme", "ann"), "PUT /h/1/entries", "k", "b"), first, "the body is compared by the claim");
        for other in [
            of(("acme", "bob"), "PUT /h/1/entries", "k", "a"),
            of(("acm", "eann"), "PUT /h/1/entries", "k", "a"),
            of(("acme", "ann"), "PUT /h/2/entries", "k", "a"),
            of(("acme", "ann"), "PUT /h/1/entries", "l", "a"),
        ] {
            assert_ne!(other, first);
        }
    }
}
