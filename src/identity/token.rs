//! API tokens: made by their owner for a program, with a scope and an end, shown once and kept as a hash.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use moka::future::Cache;
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::secret::{self, Hash, TOKEN_PREFIX};
use super::{BELIEF, Person, Principal, Scheme, Scope, store};
use crate::kind::{Classify, Kind};
use crate::store::{Page, Range, constraint};
use crate::time::Span;

/// Tokens that are remembered in memory; the rest are looked up.
const REMEMBERED: u64 = 20_000;
/// Tokens that an owner may have at once.
const MOST: i64 = 200;
const LONGEST_NAME: usize = 128;

/// A token, without its secret, which nobody keeps.
#[derive(Debug, Clone)]
pub struct Token {
    /// Its id.
    pub id: Uuid,
    /// Tenant of its owner.
    pub tenant: String,
    /// Whose it is.
    pub owner: String,
    /// Their groups when it was made.
    pub groups: Vec<String>,
    /// Whether some of them stay as they were then.
    pub keeps_groups: bool,
    /// Who made it.
    pub made_by: String,
    /// What its owner calls it.
    pub name: String,
    /// The most it may be used for.
    pub scope: Scope,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
}

/// What a token is to be.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// What its owner calls it.
    pub name: String,
    /// The most it may be used for.
    pub scope: Scope,
    /// How long it lives; none: as long as the configuration allows.
    pub ttl: Option<Duration>,
}

/// A token was not made or not ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name cannot be used.
    #[error("a token's name has 1 to 128 characters and no control characters")]
    BadName,
    /// The name is taken.
    #[error("you have a token named {0:?}; revoke it first, or choose another name")]
    NameTaken(String),
    /// The life is longer than allowed.
    #[error("a token lives at least a minute and at most {0} here (auth.token_ttl)")]
    BadTtl(Span),
    /// More than the credential of the caller may do.
    #[error("this credential is for {0:?} at most: it cannot make a token for more")]
    BeyondScope(&'static str),
    /// Too many tokens.
    #[error("you have {MOST} tokens; revoke some")]
    TooMany,
    /// The proxy asks for a lasting credential of somebody else.
    #[error("a proxy cannot make tokens for those it speaks for")]
    ThroughProxy,
    /// No scheme tells people apart.
    #[error("tokens are off: auth.schemes does not have \"token\"")]
    Off,
    /// No such token that the caller may know of.
    #[error("there is no such token")]
    NotFound,
    /// The database.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
}

impl Classify for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::BadName | Self::BadTtl(_) => Kind::Invalid,
            Self::NameTaken(_) | Self::TooMany | Self::Off => Kind::Conflict,
            Self::BeyondScope(_) | Self::ThroughProxy => Kind::Denied,
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

/// A token that is revoked once the transaction is committed.
#[derive(Debug)]
pub struct Revoked(Vec<u8>);

/// The tokens. Cheap to clone.
#[derive(Clone)]
pub struct Tokens {
    pool: PgPool,
    longest: Span,
    known: Cache<Hash, Option<(Uuid, Arc<Person>)>>,
}

impl Tokens {
    /// Tokens that live for `longest` at most.
    #[must_use]
    pub fn new(pool: PgPool, longest: Span) -> Self {
        Self { pool, longest, known: Cache::builder().max_capacity(REMEMBERED).time_to_live(BELIEF).build() }
    }

    /// Whether a text is meant to be a token.
    #[must_use]
    pub fn is_token(text: &SecretString) -> bool {
        text.expose_secret().starts_with(TOKEN_PREFIX)
    }

    /// Whose token this is; none when it is unknown, revoked or over.
    ///
    /// # Errors
    /// The database's.
    pub async fn find(&self, token: &SecretString) -> Result<Option<Arc<Person>>, Arc<crate::store::Error>> {
        self.find_by_hash(secret::hash(token.expose_secret())).await
    }

    /// Whose token has this hash; none when it is unknown, revoked or over.
    ///
    /// # Errors
    /// The database's.
    pub async fn find_by_hash(&self, hash: Hash) -> Result<Option<Arc<Person>>, Arc<crate::store::Error>> {
        let found = self.known.try_get_with(hash, async {
            let found = store::use_token(&self.pool, &hash).await?;
            Ok(found.map(|(id, person)| (id, Arc::new(person))))
        });
        Ok(found.await?.map(|(_, person)| person))
    }

    /// Makes a token of `who` in a transaction of `made_by`, and returns its secret, which is never shown again.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn create(
        &self,
        db: &mut PgConnection,
        who: &Principal,
        made_by: &str,
        new: NewToken,
    ) -> Result<(Token, SecretString), Error> {
        if new.name.is_empty() || new.name.chars().count() > LONGEST_NAME || new.name.chars().any(char::is_control) {
            return Err(Error::BadName);
        }
        if who.scheme == Scheme::Local {
            return Err(Error::Off);
        }
        if who.via.is_some() {
            return Err(Error::ThroughProxy);
        }
        if new.scope > who.scope {
            return Err(Error::BeyondScope(who.scope.as_str()));
        }
        let ttl = new.ttl.unwrap_or(self.longest.0);
        if ttl < Duration::from_secs(60) || ttl > self.longest.0 {
            return Err(Error::BadTtl(self.longest));
        }
        if store::count_tokens(&mut *db, &who.tenant, Some(&who.user)).await? >= MOST {
            return Err(Error::TooMany);
        }
        let token = secret::generate(TOKEN_PREFIX);
        let (id, hash) = (Uuid::now_v7(), secret::hash(token.expose_secret()));
        match store::insert_token(db, (id, &hash), who, made_by, &new, Span(ttl)).await {
            Ok(made) => Ok((made, token)),
            Err(e) if constraint(&e) == Some("api_token_name") => Err(Error::NameTaken(new.name)),
            Err(e) => Err(e.into()),
        }
    }

    /// Tokens that are neither revoked nor over, newest first: a user's, or everybody's of the tenant.
    ///
    /// # Errors
    /// The database's.
    pub async fn list(&self, tenant: &str, owner: Option<&str>, range: Range) -> Result<Page<Token>, Error> {
        Ok(store::list_tokens(&self.pool, tenant, owner, range).await?)
    }

    /// Tenant and name of whose token has this id.
    ///
    /// # Errors
    /// The database's.
    pub async fn owner(&self, id: Uuid) -> Result<Option<(String, String)>, Error> {
        Ok(store::token_owner(&self.pool, id).await?)
    }

    /// Revokes the token of this id, which is `owner`'s, in a transaction of `by`. After its commit it is over within a second on every gateway.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn revoke(
        &self,
        db: &mut PgConnection,
        owner: (&str, &str),
        id: Uuid,
        by: &Principal,
    ) -> Result<Revoked, Error> {
        store::revoke_token(db, owner, id, &by.user).await?.map(Revoked).ok_or(Error::NotFound)
    }

    /// Forgets a token whose revocation is committed: here it is over at once.
    pub async fn forget(&self, Revoked(hash): Revoked) {
        if let Ok(hash) = Hash::try_from(hash) {
            self.known.invalidate(&hash).await;
        }
    }
}
