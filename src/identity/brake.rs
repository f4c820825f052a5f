//! Slows down who guesses credentials: a user and an address together, never one of them alone, and nobody for good.
//!
//! After some wrong ones the pair waits before the next is looked at, twice as long each time up to half a minute. Others who log
//! in as that user from elsewhere, or as others from that address, do not notice. What shows no name (an API token, a ticket) is counted by scheme
//! and address. Of all but passwords only what is wrong is put off: a good token is good beside any number of bad ones.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::sync::Cache;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::attempt::Refusal;
use super::{Scheme, is_user_name};

/// Wrong credentials that cost nothing: people mistype.
const FREE: u32 = 5;
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A pair that stays quiet this long starts anew.
const FORGET: Duration = Duration::from_secs(600);
const PAIRS: u64 = 100_000;
/// Wrong credentials of one address, of whatever users, after which it shares the narrow way to whoever is asked.
const SUSPECT: u32 = 50;
/// How many of those who share it ask a directory at once.
const SUSPECTS_AT_ONCE: usize = 2;
/// How many of them show a token or a ticket at once, for which nobody far away is asked: passwords do not stand in their way.
const QUICK_AT_ONCE: usize = 8;
/// How long they wait for a place.
const PATIENCE: Duration = Duration::from_secs(5);
/// What one is told to wait who found none.
const NO_PLACE: Duration = Duration::from_secs(2);

/// Whose credential somebody tries, as far as they say.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Tried {
    /// That of a user of this name, by this scheme.
    User(Scheme, String),
    /// Somebody's, by a scheme that shows no name before it is checked.
    Anybody(Scheme),
}

impl Tried {
    /// That of a user. Directories do not mind the case of a name, so neither may the brake; what can be no name is nobody's in particular,
    /// and is not kept.
    #[must_use]
    pub fn user(name: &str, scheme: Scheme) -> Self {
        if is_user_name(name) { Self::User(scheme, name.to_lowercase()) } else { Self::Anybody(scheme) }
    }
}

/// Counts failures. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Brake {
    pairs: Cache<(Tried, Option<IpAddr>), (u32, Instant)>,
    addresses: Cache<Option<IpAddr>, u32>,
    directory: Arc<Semaphore>,
    tickets: Arc<Semaphore>,
    tokens: Arc<Semaphore>,
}

impl Default for Brake {
    fn default() -> Self {
        Self {
            pairs: Cache::builder().max_capacity(PAIRS).time_to_idle(FORGET).build(),
            addresses: Cache::builder().max_capacity(PAIRS).time_to_idle(FORGET).build(),
            directory: Arc::new(Semaphore::new(SUSPECTS_AT_ONCE)),
            tickets: Arc::new(Semaphore::new(QUICK_AT_ONCE)),
            tokens: Arc::new(Semaphore::new(QUICK_AT_ONCE)),
        }
    }
}

impl Brake {
    /// How long this pair has to wait before a credential of theirs is looked at.
    #[must_use]
    pub fn wait(&self, tried: &Tried, address: Option<IpAddr>) -> Option<Duration> {
        let (failures, last) = self.pairs.get(&(tried.clone(), address))?;
        let over = failures.checked_sub(FREE)?;
        let wait = FIRST_WAIT.saturating_mul(1_u32.checked_shl(over).unwrap_or(u32::MAX)).min(LONGEST_WAIT);
        wait.checked_sub(last.elapsed()).filter(|left| !left.is_zero())
    }

    /// Whether this address has failed so often that it must not fill the way to the directory.
    #[must_use]
    pub fn suspects(&self, address: Option<IpAddr>) -> bool {
        self.addresses.get(&address).is_some_and(|failures| failures >= SUSPECT)
    }

    /// A place among the few suspects who may ask at once; nobody else needs one.
    ///
    /// # Errors
    /// [`Refusal::Slow`] when there was none for a while.
    pub async fn place(&self, scheme: Scheme, address: Option<IpAddr>) -> Result<Option<SemaphorePermit<'_>>, Refusal> {
        if !self.suspects(address) {
            return Ok(None);
        }
        let narrow = match scheme {
            Scheme::Basic => &self.directory,
            Scheme::Negotiate => &self.tickets,
            _ => &self.tokens,
        };
        let place = tokio::time::timeout(PATIENCE, narrow.acquire()).await.ok().and_then(Result::ok);
        place.map(Some).ok_or(Refusal::Slow { scheme, wait: NO_PLACE })
    }

    /// What becomes of a credential that was looked at and is wrong: refused, or put off while the pair has to wait.
    #[must_use]
    pub fn wrong(&self, tried: &Tried, scheme: Scheme, address: Option<IpAddr>) -> Refusal {
        if let Some(wait) = self.wait(tried, address) {
            return Refusal::Slow { scheme, wait };
        }
        self.failed(tried, address);
        Refusal::Wrong(scheme)
    }

    /// A wrong one.
    pub fn failed(&self, tried: &Tried, address: Option<IpAddr>) {
        let pair = (tried.clone(), address);
        self.pairs.entry(pair).and_upsert_with(|old| {
            let failures = old.map_or(0, |entry| entry.into_value().0);
            (failures.saturating_add(1), Instant::now())
        });
        self.addresses
            .entry(address)
            .and_upsert_with(|old| old.map_or(0, |entry| entry.into_value()).saturating_add(1));
    }

    /// A right one: the pair starts anew.
    pub fn passed(&self, tried: &Tried, address: Option<IpAddr>) {
        self.pairs.invalidate(&(tried.clone(), address));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> Tried {
        Tried::user(name, Scheme::Basic)
    }

    #[test]
    fn a_pair_is_slowed_and_nobody_else() {
        let brake = Brake::default();
        let (here, there) = (Some([10, 0, 0, 1].into()), Some([10, 0, 0, 2].into()));
        for _ in 0..FREE {
            brake.failed(&user("ann"), here);
        }
        assert!(brake.wait(&user("ANN"), here).is_some_and(|wait| wait <= FIRST_WAIT));
        for _ in 0..40 {
            brake.failed(&user("ann"), here);
        }
        assert!(brake.wait(&user("ann"), here).is_some_and(|wait| wait <= LONGEST_WAIT && wait > FIRST_WAIT));
        assert_eq!((brake.wait(&user("ann"), there), brake.wait(&user("bob"), here)), (None, None));
        brake.passed(&user("ann"), here);
        assert_eq!(brake.wait(&user("ann"), here), None);
    }

    #[test]
    fn an_address_that_tries_everybody_is_suspected() {
        let brake = Brake::default();
        let here = Some([10, 0, 0, 1].into());
        for number in 0..SUSPECT {
            brake.failed(&user(&format!("user{number}")), here);
        }
        assert!(brake.suspects(here) && !brake.suspects(None));
        assert_eq!(brake.wait(&user("user1"), here), None);
    }

    #[tokio::test]
    async fn suspects_with_passwords_leave_the_way_of_tokens_and_tickets_free() {
        let brake = Brake::default();
        for number in 0..SUSPECT {
            brake.failed(&user(&format!("user{number}")), None);
        }
        let mut held = Vec::new();
        for _ in 0..SUSPECTS_AT_ONCE {
            held.push(brake.place(Scheme::Basic, None).await.unwrap());
        }
        assert!(futures_util::FutureExt::now_or_never(brake.place(Scheme::Basic, None)).is_none());
        for scheme in [Scheme::Token, Scheme::Negotiate] {
            let place = futures_util::FutureExt::now_or_never(brake.place(scheme, None));
            assert!(place.is_some_and(|place| place.is_ok_and(|place| place.is_some())), "{scheme:?}");
        }
    }

    #[test]
    fn what_shows_no_name_is_counted_by_its_scheme() {
        let brake = Brake::default();
        let wrong = |scheme| brake.wrong(&Tried::Anybody(scheme), scheme, None);
        for _ in 0..FREE {
            assert_eq!(wrong(Scheme::Token), Refusal::Wrong(Scheme::Token));
        }
        assert!(matches!(wrong(Scheme::Token), Refusal::Slow { scheme: Scheme::Token, .. }));
        assert_eq!(wrong(Scheme::Bearer), Refusal::Wrong(Scheme::Bearer));
        assert_eq!(Tried::user(&"x".repeat(40_000), Scheme::Basic), Tried::Anybody(Scheme::Basic), "it is not kept");
    }
}
