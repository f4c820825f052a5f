//! Slows down who guesses passwords: a user and an address together, never one of them alone, and nobody for good.
//!
//! After some wrong passwords the pair waits before the next is looked at, twice as long each time up to half a minute. Others who log
//! in as that user from elsewhere, or as others from that address, do not notice.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use moka::sync::Cache;

/// Wrong passwords that cost nothing: people mistype.
const FREE: u32 = 5;
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A pair that stays quiet this long starts anew.
const FORGET: Duration = Duration::from_secs(600);
const PAIRS: u64 = 100_000;
/// Wrong passwords of one address, of whatever users, after which its logins share the narrow way to the directory.
const SUSPECT: u32 = 50;

/// Counts failures. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Brake {
    pairs: Cache<(String, Option<IpAddr>), (u32, Instant)>,
    addresses: Cache<Option<IpAddr>, u32>,
}

impl Default for Brake {
    fn default() -> Self {
        Self {
            pairs: Cache::builder().max_capacity(PAIRS).time_to_idle(FORGET).build(),
            addresses: Cache::builder().max_capacity(PAIRS).time_to_idle(FORGET).build(),
        }
    }
}

impl Brake {
    /// How long this pair has to wait before a password of theirs is looked at.
    #[must_use]
    pub fn wait(&self, user: &str, address: Option<IpAddr>) -> Option<Duration> {
        let (failures, last) = self.pairs.get(&(user.to_owned(), address))?;
        let over = failures.checked_sub(FREE)?;
        let wait = FIRST_WAIT.saturating_mul(1_u32.checked_shl(over).unwrap_or(u32::MAX)).min(LONGEST_WAIT);
        wait.checked_sub(last.elapsed()).filter(|left| !left.is_zero())
    }

    /// Whether this address has failed so often that it must not fill the way to the directory.
    #[must_use]
    pub fn suspects(&self, address: Option<IpAddr>) -> bool {
        self.addresses.get(&address).is_some_and(|failures| failures >= SUSPECT)
    }

    /// A wrong password.
    pub fn failed(&self, user: &str, address: Option<IpAddr>) {
        let pair = (user.to_owned(), address);
        self.pairs.entry(pair).and_upsert_with(|old| {
            let failures = old.map_or(0, |entry| entry.into_value().0);
            (failures.saturating_add(1), Instant::now())
        });
        self.addresses
            .entry(address)
            .and_upsert_with(|old| old.map_or(0, |entry| entry.into_value()).saturating_add(1));
    }

    /// A right one: the pair starts anew.
    pub fn passed(&self, user: &str, address: Option<IpAddr>) {
        self.pairs.invalidate(&(user.to_owned(), address));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_slowed_and_nobody_else() {
        let brake = Brake::default();
        let (here, there) = (Some([10, 0, 0, 1].into()), Some([10, 0, 0, 2].into()));
        for _ in 0..FREE {
            brake.failed("ann", here);
        }
        assert!(brake.wait("ann", here).is_some_and(|wait| wait <= FIRST_WAIT));
        for _ in 0..40 {
            brake.failed("ann", here);
        }
        assert!(brake.wait("ann", here).is_some_and(|wait| wait <= LONGEST_WAIT && wait > FIRST_WAIT));
        assert_eq!((brake.wait("ann", there), brake.wait("bob", here)), (None, None));
        brake.passed("ann", here);
        assert_eq!(brake.wait("ann", here), None);
    }

    #[test]
    fn an_address_that_tries_everybody_is_suspected() {
        let brake = Brake::default();
        let here = Some([10, 0, 0, 1].into());
        for user in 0..SUSPECT {
            brake.failed(&format!("user{user}"), here);
        }
        assert!(brake.suspects(here) && !brake.suspects(None));
        assert_eq!(brake.wait("user1", here), None);
    }
}
