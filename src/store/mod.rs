//! Postgres: the pool, migrations, what its errors mean, and paging. No domain SQL: each slice keeps its own in `store.rs`.

pub mod database;
pub mod embedded;
pub mod idempotency;
pub mod notify;

use std::str::FromStr;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection, PgPool};

use crate::kind::{Classify, Kind};

static MIGRATOR: Migrator = sqlx::migrate!("./migrations");

/// How long a caller is asked to wait while the database is away.
pub const RETRY_AFTER: Duration = Duration::from_secs(2);

/// A failure of the database.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It does not answer, or is stopping or starting.
    #[error("the database does not answer; nothing was lost, try again")]
    Away(#[source] sqlx::Error),
    /// It refused a value, such as a text with a NUL character.
    #[error("the database refuses this value: {0}")]
    Refused(String),
    /// What is about to be done cannot be written into the audit, so it is not done.
    #[error("the audit cannot be written, so nothing was done; tell those who run Hearth, and try again later")]
    Unaudited(#[source] sqlx::Error),
    /// A defect, or a schema of another version.
    #[error("the database answered with an error")]
    Failed(#[source] sqlx::Error),
}

impl Classify for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::Away(_) | Self::Unaudited(_) => Kind::Unavailable { retry_after: RETRY_AFTER },
            Self::Refused(_) => Kind::Invalid,
            Self::Failed(_) => Kind::Internal,
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(e: sqlx::Error) -> Self {
        let e = match e {
            sqlx::Error::Decode(inner) => match inner.downcast() {
                // One of these, on its way through Error::into_sqlx.
                Ok(own) => return *own,
                Err(inner) => sqlx::Error::Decode(inner),
            },
            e => e,
        };
        match &e {
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Protocol(_) => {
                Self::Away(e)
            }
            sqlx::Error::Database(db) => match db.code().as_deref() {
                // Class 08 connection, 53 resources (disk full, too many connections), 57 intervention (shutdown, start-up, cancelled),
                // 58 the system's own errors, 25006 read only standby, 40001 and 40P01 serialization and deadlock: all pass with time.
                Some(c) if ["08", "53", "57", "58"].iter().any(|class| c.starts_with(class)) => Self::Away(e),
                Some("25006" | "40001" | "40P01" | "55P03") => Self::Away(e),
                // Class 22: the value itself (NUL in text, number out of range). Class 54: larger than the database can hold.
                Some(c) if c.starts_with("22") || c.starts_with("54") => Self::Refused(db.message().to_owned()),
                _ => Self::Failed(e),
            },
            // A value that the protocol has no room for, such as a time a million years ahead.
            sqlx::Error::Encode(why) => Self::Refused(why.to_string()),
            _ => Self::Failed(e),
        }
    }
}

impl Error {
    /// The error of the database below, for those who speak its language (a link tells what passes from what does not).
    #[must_use]
    pub fn into_sqlx(self) -> sqlx::Error {
        match self {
            Self::Away(e) | Self::Failed(e) => e,
            Self::Refused(_) | Self::Unaudited(_) => sqlx::Error::Decode(Box::new(self)),
        }
    }
}

/// The name of the constraint an error speaks of, when it is a violated constraint.
#[must_use]
pub fn constraint(e: &sqlx::Error) -> Option<&str> {
    match e {
        sqlx::Error::Database(db) => db.constraint(),
        _ => None,
    }
}

/// Where the database is.
#[derive(Debug, Clone)]
pub struct Address(PgConnectOptions);

impl Address {
    /// Reads a `postgres://` URL. The URL may hold a password, so errors do not repeat it.
    ///
    /// # Errors
    /// When it is no such URL.
    pub fn from_url(url: &SecretString) -> Result<Self, BadUrl> {
        PgConnectOptions::from_str(url.expose_secret()).map(Self).map_err(|_| BadUrl)
    }

    /// Wraps options made elsewhere (the embedded server).
    #[must_use]
    pub fn from_options(options: PgConnectOptions) -> Self {
        Self(options)
    }

    /// Options for one connection.
    #[must_use]
    pub fn options(&self) -> PgConnectOptions {
        self.0.clone().application_name("hearth")
    }

    /// Asks the server for its version, and what it lacks of the schema, over a connection of its own.
    ///
    /// # Errors
    /// When it does not answer, or not to this user.
    pub async fn look(&self) -> Result<(String, Result<(), NotMigrated>), sqlx::Error> {
        let mut db = PgConnection::connect_with(&self.options()).await?;
        let version = sqlx::query_scalar("show server_version").fetch_one(&mut db).await?;
        let schema = check_schema(&mut db).await?;
        db.close().await?;
        Ok((version, schema))
    }
}

/// The database URL could not be read.
#[derive(Debug, thiserror::Error)]
#[error("the database URL is not of the form postgres://user:password@host:port/database")]
pub struct BadUrl;

/// Opens a pool. It connects when first used.
#[must_use]
pub fn pool(address: &Address, connections: u32) -> PgPool {
    PgPoolOptions::new()
        .max_connections(connections)
        .min_connections(1)
        .acquire_timeout(Duration::from_secs(3))
        .test_before_acquire(false)
        .max_lifetime(Duration::from_secs(3600))
        .connect_lazy_with(address.options())
}

/// Brings the schema up to this version.
///
/// # Errors
/// When the database is away or a migration fails.
pub async fn migrate(pool: &PgPool) -> Result<(), sqlx::migrate::MigrateError> {
    MIGRATOR.run(pool).await
}

/// Whether the schema is one that this version can work on: its own, or a newer one.
///
/// # Errors
/// [`NotMigrated`] within `Ok`; the database's.
pub async fn check_schema(db: &mut PgConnection) -> Result<Result<(), NotMigrated>, sqlx::Error> {
    let there: bool =
        sqlx::query_scalar("select to_regclass('_sqlx_migrations') is not null").fetch_one(&mut *db).await?;
    let done: Vec<i64> = match there {
        true => sqlx::query_scalar("select version from _sqlx_migrations where success").fetch_all(db).await?,
        false => Vec::new(),
    };
    let missing = MIGRATOR.iter().filter(|migration| !done.contains(&migration.version)).count();
    Ok(match (done.len(), missing) {
        (_, 0) => Ok(()),
        (0, _) => Err(NotMigrated::Empty),
        (_, missing) => Err(NotMigrated::Old(missing)),
    })
}

/// The schema is not what this version needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotMigrated {
    /// There is nothing yet.
    #[error("the database is empty: run `hearth migrate` once, or set database.migrate")]
    Empty,
    /// That of an older version lacks this many steps.
    #[error(
        "the schema is that of an older Hearth, {0} migrations behind: run `hearth migrate`, or set database.migrate"
    )]
    Old(usize),
}

/// Whether the database answers now.
///
/// # Errors
/// When it does not.
pub async fn ask(pool: &PgPool) -> Result<(), Error> {
    sqlx::query_scalar!(r#"select 1 as "one!""#).fetch_one(pool).await?;
    Ok(())
}

/// One page of a list.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// How many rows the caller could see in all.
    pub total: i64,
}

/// Which rows of a list are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// How many to pass over.
    pub from: i64,
    /// How many to give at most.
    pub size: i64,
}
