//! Basic (RFC 7617): a name and a password that the directory knows.
//!
//! A right password is remembered for a while, under a hash whose key nobody outside this process knows; a wrong one is not. Those who
//! guess are slowed by [`Brake`] before anything is looked up, and addresses that guess much share its narrow way to the directory.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use moka::future::Cache;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::{Semaphore, SemaphorePermit};
use tracing::warn;

use super::attempt::Refusal;
use super::brake::{Brake, Tried};
use super::ldap::{Client, Config};
use super::{Person, Scheme, is_user_name};

/// Questions to the directory at once.
const AT_ONCE: usize = 32;
const REMEMBERED: u64 = 20_000;
/// What a suspect is told to wait who found no place.
const NO_PLACE: Duration = Duration::from_secs(2);

/// Checks names and passwords.
pub struct Basic {
    directory: Client,
    patience: Duration,
    brake: Brake,
    wide: Semaphore,
    key: hmac::Key,
    known: Cache<Vec<u8>, Arc<Person>>,
}

/// A password that is right.
pub struct Shown {
    /// Whose.
    pub person: Arc<Person>,
    /// Whether the directory was asked just now.
    pub is_fresh: bool,
}

impl Basic {
    /// Passwords that this directory knows; `brake` slows those who guess them.
    #[must_use]
    pub fn new(directory: Client, config: &Config, brake: Brake) -> Self {
        let key: [u8; 32] = rand::random();
        Self {
            directory,
            patience: config.timeout.0,
            brake,
            wide: Semaphore::new(AT_ONCE),
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
            known: Cache::builder().max_capacity(REMEMBERED).time_to_live(config.cache.0).build(),
        }
    }

    /// Whose password this is.
    ///
    /// # Errors
    /// It is nobody's, the directory is away, or too many were wrong before.
    pub async fn check(&self, user: &str, password: &SecretString, address: Option<IpAddr>) -> Result<Shown, Refusal> {
        // It stands before what is remembered: otherwise a guess that is right would be seen at once however many were wrong.
        let tried = Tried::user(user, Scheme::Basic);
        self.brake(&tried, address)?;
        if !is_user_name(user) || password.expose_secret().is_empty() {
            self.brake.failed(&tried, address);
            return Err(Refusal::Wrong(Scheme::Basic));
        }
        let ask = self.ask(user, password, &tried, address);
        match self.known.entry(self.digest(user, password)).or_try_insert_with(ask).await {
            Ok(entry) => Ok(Shown { is_fresh: entry.is_fresh(), person: entry.into_value() }),
            Err(why) => Err(Refusal::clone(&why)),
        }
    }

    async fn ask(
        &self,
        user: &str,
        password: &SecretString,
        tried: &Tried,
        address: Option<IpAddr>,
    ) -> Result<Arc<Person>, Refusal> {
        let _places = self.places(address).await?;
        // Others of the same pair may have been wrong while this one waited.
        self.brake(tried, address)?;
        match self.directory.verify(user, password).await {
            Ok(Some(entry)) => {
                self.brake.passed(tried, address);
                let (branch, groups) = (Some(entry.dn), entry.groups);
                Ok(Arc::new(Person { branch, groups, ..Person::named(&entry.user) }))
            }
            Ok(None) => {
                self.brake.failed(tried, address);
                Err(Refusal::Wrong(Scheme::Basic))
            }
            Err(e) => {
                warn!(error = %e, "The directory cannot be asked");
                Err(Refusal::Away(Scheme::Basic))
            }
        }
    }

    fn brake(&self, tried: &Tried, address: Option<IpAddr>) -> Result<(), Refusal> {
        let slow = |wait| Err(Refusal::Slow { scheme: Scheme::Basic, wait });
        self.brake.wait(tried, address).map_or(Ok(()), slow)
    }

    /// A place among those who ask the directory at once, and for suspects one among their few first.
    async fn places(
        &self,
        address: Option<IpAddr>,
    ) -> Result<(Option<SemaphorePermit<'_>>, SemaphorePermit<'_>), Refusal> {
        let narrow = self.brake.place(Scheme::Basic, address).await?;
        let full = match narrow {
            Some(_) => Refusal::Slow { scheme: Scheme::Basic, wait: NO_PLACE },
            None => Refusal::Away(Scheme::Basic),
        };
        let wide = tokio::time::timeout(self.patience, self.wide.acquire()).await.ok().and_then(Result::ok);
        Ok((narrow, wide.ok_or(full)?))
    }

    /// What a name and a password are remembered by.
    fn digest(&self, user: &str, password: &SecretString) -> Vec<u8> {
        let mut digest = hmac::Context::with_key(&self.key);
        // No name has the byte that parts them.
        digest.update(user.as_bytes());
        digest.update(&[0]);
        digest.update(password.expose_secret().as_bytes());
        digest.sign().as_ref().to_vec()
    }
}
