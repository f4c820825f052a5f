//! The database of this process: the one of a URL, or the embedded server when no URL is given.

use std::ffi::OsString;

use secrecy::{ExposeSecret, SecretString};

use super::embedded::{self, Embedded};
use super::{Address, BadUrl};
use crate::home::Home;
use crate::life::Life;
use crate::shim::Program;

/// A database, and the server when it is our own.
#[derive(Debug)]
pub struct Database {
    address: Address,
    embedded: Option<Embedded>,
}

/// Why there is no database.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL is none.
    #[error("database.url: {0}")]
    Url(#[from] BadUrl),
    /// The embedded server.
    #[error(transparent)]
    Embedded(#[from] embedded::Error),
}

impl Database {
    /// Takes the database of `url`, or starts the embedded server when that is empty. See [`Embedded::start`].
    ///
    /// # Errors
    /// When the URL cannot be read or the server cannot be started. A database elsewhere is not connected to yet.
    pub async fn open(
        url: &SecretString,
        config: &embedded::Config,
        path: Option<OsString>,
        home: &Home,
        program: &Program,
        life: &Life,
    ) -> Result<Self, Error> {
        if url.expose_secret().is_empty() {
            let embedded = Embedded::start(config, path, home, program, life).await?;
            return Ok(Self { address: embedded.address(), embedded: Some(embedded) });
        }
        Ok(Self { address: Address::from_url(url)?, embedded: None })
    }

    /// How to connect.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Whether the server is our own, whose schema is then ours to bring up to date.
    #[must_use]
    pub fn is_embedded(&self) -> bool {
        self.embedded.is_some()
    }

    /// Stops the server when it is our own; to be called when the tasks that use it have ended.
    pub async fn close(self) {
        if let Some(embedded) = self.embedded {
            embedded.stop().await;
        }
    }
}
