//! Basic (RFC 7617): a name and a password that the directory knows.
//!
//! A right password is remembered for a while, under a hash whose key nobody outside this process knows; a wrong one is not. Those who
//! guess are slowed by [`Brake`] before anything is looked up, and addresses that guess much share a narrow way to the directory.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use moka::future::Cache;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::{Semaphore, SemaphorePermit};
use tracing::warn;

use super::attempt::Refusal;
use super::brake::Brake;
use super::ldap::{Client, Config};
use super::{Person, Scheme, is_user_name};

/// Questions to the directory at once.
const AT_ONCE: usize = 32;
/// How many of them for addresses that have guessed much.
const SUSPECTS_AT_ONCE: usize = 2;
const REMEMBERED: u64 = 20_000;
/// What a suspect is told to wait who found no place.
const NO_PLACE: Duration = Duration::from_secs(2);

/// Checks names and passwords.
pub struct Basic {
    directory: Client,
    patience: Duration,
    brake: Brake,
    wide: Semaphore,
    narrow: Semaphore,
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
    /// Passwords that this directory knows.
    #[must_use]
    pub fn new(directory: Client, config: &Config) -> Self {
        let key: [u8; 32] = rand::random();
        Self {
            directory,
            patience: config.timeout.0,
            brake: Brake::default(),
            wide: Semaphore::new(AT_ONCE),
            narrow: Semaphore::new(SUSPECTS_AT_ONCE),
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
            known: Cache::builder().max_capacity(REMEMBERED).time_to_live(config.cache.0).build(),
        }
    }

    /// Whose password this is.
    ///
    /// # Errors
    /// It is nobody's, the directory is away, or too many were wrong before.
    pub async fn check(&self, user: &str, password: &SecretString, address: Option<IpAddr>) -> Result<Shown, Refusal> {
        if !is_user_name(user) || password.expose_secret().is_empty() {
            return Err(Refusal::Wrong(Scheme::Basic));
        }
        // Directories do not mind the case, so neither may the brake. It stands before what is remembered: otherwise a guess that is
        // right would be seen at once however many were wrong.
        let counted = user.to_lowercase();
        self.brake(&counted, address)?;
        let ask = self.ask(user, password, &counted, address);
        match self.known.entry(self.digest(user, password)).or_try_insert_with(ask).await {
            Ok(entry) => Ok(Shown { is_fresh: entry.is_fresh(), person: entry.into_value() }),
            Err(why) => Err(Refusal::clone(&why)),
        }
    }

    async fn ask(
        &self,
        user: &str,
        password: &SecretString,
        counted: &str,
        address: Option<IpAddr>,
    ) -> Result<Arc<Person>, Refusal> {
        let _places = self.places(address).await?;
        // Others of the same pair may have been wrong while this one waited.
        self.brake(counted, address)?;
        match self.directory.verify(user, password).await {
            Ok(Some(entry)) => {
                self.brake.passed(counted, address);
                let (branch, groups) = (Some(entry.dn), entry.groups);
                Ok(Arc::new(Person { branch, groups, ..Person::named(&entry.user) }))
            }
            Ok(None) => {
                self.brake.failed(counted, address);
                Err(Refusal::Wrong(Scheme::Basic))
            }
            Err(e) => {
                warn!(error = %e, "The directory cannot be asked");
                Err(Refusal::Away(Scheme::Basic))
            }
        }
    }

    fn brake(&self, user: &str, address: Option<IpAddr>) -> Result<(), Refusal> {
        self.brake.wait(user, address).map_or(Ok(()), |wait| Err(Refusal::Slow(wait)))
    }

    /// A place among those who ask the directory at once, and for suspects one among their few first.
    async fn places(
        &self,
        address: Option<IpAddr>,
    ) -> Result<(Option<SemaphorePermit<'_>>, SemaphorePermit<'_>), Refusal> {
        let is_suspect = self.brake.suspects(address);
        let full = if is_suspect { Refusal::Slow(NO_PLACE) } else { Refusal::Away(Scheme::Basic) };
        let acquire = async {
            let narrow = if is_suspect { Some(self.narrow.acquire().await.ok()?) } else { None };
            Some((narrow, self.wide.acquire().await.ok()?))
        };
        tokio::time::timeout(self.patience, acquire).await.ok().flatten().ok_or(full)
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
