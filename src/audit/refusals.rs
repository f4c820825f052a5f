//! Refused credentials: the first of them one by one, those of a flood as counts.
//!
//! Anybody who reaches the port can be refused, as often as they like; the table must not grow as they like. So of each sort (event, scheme,
//! address, reason) a few are written as they come, and the rest are counted: one row for each sort and window says how many. Windows
//! and sorts are bounded too, so all the addresses of the world together add some hundred rows a minute.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::PgPool;
use tracing::warn;

use super::{Audit, Entry, Event};
use crate::identity::{Origin, Principal, Scheme};
use crate::life::Life;
use crate::time::{self, Timestamp};

/// How long refusals are counted together.
const WINDOW: Duration = Duration::from_secs(60);
/// Of one sort this many are written one by one, until it has been quiet for a window.
const EACH: u32 = 5;
/// Of all sorts together, in a window.
const ALL: u32 = 100;
/// Sorts that are counted apart; the rest are counted without their addresses.
const SORTS: usize = 500;

/// A credential that was refused.
#[derive(Debug, Clone, Copy)]
pub struct Refused<'a> {
    /// What was wanted.
    pub event: Event,
    /// Who wanted it, as far as that is known.
    pub who: &'a Principal,
    /// Why not, in a word.
    pub why: &'static str,
    /// What else is worth knowing; never a secret.
    pub detail: Option<&'a str>,
}

/// What is counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Sort {
    event: Event,
    scheme: Scheme,
    address: Option<IpAddr>,
    why: &'static str,
}

/// What is known of a sort.
#[derive(Debug)]
struct Counted {
    /// How many were written one by one.
    written: u32,
    /// How many were only counted, in this window.
    held: u64,
    /// How many came in this window.
    seen: u64,
    /// Whose name they bore; none: of several.
    name: Option<Arc<str>>,
    first: Timestamp,
    last: Timestamp,
}

#[derive(Debug, Default)]
struct Window {
    written: u32,
    sorts: HashMap<Sort, Counted>,
}

impl Window {
    /// Counts one; whether it is to be written now.
    fn admit(&mut self, refused: &Refused<'_>, now: Timestamp) -> bool {
        let Refused { event, who, why, .. } = *refused;
        let sort = Sort { event, scheme: who.scheme, address: who.origin.address, why };
        let sort = if self.sorts.len() < SORTS || self.sorts.contains_key(&sort) {
            sort
        } else {
            Sort { address: None, ..sort }
        };
        let counted = match self.sorts.entry(sort) {
            Slot::Occupied(slot) => slot.into_mut(),
            Slot::Vacant(slot) => slot.insert(Counted {
                written: 0,
                held: 0,
                seen: 0,
                name: Some(who.user.clone()),
                first: now,
                last: now,
            }),
        };
        counted.seen += 1;
        counted.last = now;
        // Who has to wait is a flood already.
        if why != SLOWED && counted.written < EACH && self.written < ALL {
            counted.written += 1;
            self.written += 1;
            return true;
        }
        if counted.held == 0 {
            counted.first = now;
            counted.name = Some(who.user.clone());
        } else if counted.name.as_ref().is_some_and(|name| *name != who.user) {
            counted.name = None;
        }
        counted.held += 1;
        false
    }

    /// Begins the next window; what was only counted in this one. A sort that came goes on being counted, one that was quiet is forgotten.
    fn turn(&mut self) -> Vec<(Sort, Counted)> {
        self.written = 0;
        self.sorts.retain(|_, counted| counted.seen > 0);
        let mut told = Vec::new();
        for (sort, counted) in &mut self.sorts {
            let next = Counted { held: 0, seen: 0, name: counted.name.clone(), ..*counted };
            let was = std::mem::replace(counted, next);
            if was.held > 0 {
                told.push((sort.clone(), was));
            }
        }
        told
    }

    /// Takes back what could not be written.
    fn restore(&mut self, untold: Vec<(Sort, Counted)>) {
        for (sort, was) in untold {
            match self.sorts.entry(sort) {
                Slot::Occupied(mut slot) => {
                    let now = slot.get_mut();
                    now.held += was.held;
                    now.seen += was.seen;
                    now.first = was.first;
                    now.name = was.name.filter(|name| now.name.as_ref() == Some(name));
                }
                Slot::Vacant(slot) => drop(slot.insert(was)),
            }
        }
    }
}

/// The reason of those who have to wait: none is written one by one.
pub const SLOWED: &str = "slowed";

/// Writes refused credentials down. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Refusals(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    pool: PgPool,
    audit: Audit,
    window: Mutex<Window>,
}

impl Refusals {
    /// None so far.
    #[must_use]
    pub fn new(pool: PgPool, audit: Audit) -> Self {
        Self(Arc::new(Parts { pool, audit, window: Mutex::default() }))
    }

    /// Writes one down, or counts it.
    ///
    /// # Errors
    /// The database's.
    pub async fn note(&self, refused: Refused<'_>) -> Result<(), crate::store::Error> {
        let is_written = self.window().admit(&refused, time::now());
        if !is_written {
            return Ok(());
        }
        let entry = Entry::refused(refused.event, refused.who).with(refused.detail.unwrap_or(refused.why));
        let mut db = self.0.pool.acquire().await?;
        Ok(self.0.audit.record(&mut db, entry).await?)
    }

    /// Writes the counts at the end of each window, and once more at the end.
    pub async fn run(self, life: Life) {
        let stopping = life.stopping();
        loop {
            tokio::select! {
                () = stopping.cancelled() => break,
                () = tokio::time::sleep(WINDOW) => {}
            }
            self.turn().await;
        }
        self.turn().await;
    }

    async fn turn(&self) {
        let told = self.window().turn();
        if let Err(e) = self.write(&told).await {
            warn!(error = %e, "Refused credentials could not be recorded; they are counted on");
            self.window().restore(told);
        }
    }

    async fn write(&self, told: &[(Sort, Counted)]) -> Result<(), crate::store::Error> {
        if told.is_empty() {
            return Ok(());
        }
        let mut tx = self.0.pool.begin().await?;
        for (sort, counted) in told {
            let origin = Origin { address: sort.address, request: None };
            let who = Principal::unknown(counted.name.as_deref(), sort.scheme, &origin);
            let Counted { held, first, last, .. } = counted;
            let (first, last) = (first.format("%H:%M:%S"), last.format("%H:%M:%S"));
            let told = format!("{}: {held} more, from {first} to {last} UTC", sort.why);
            self.0.audit.record(&mut tx, Entry::refused(sort.event, &who).with(told)).await?;
        }
        Ok(tx.commit().await?)
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        self.0.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(name: &str, address: [u8; 4]) -> Principal {
        let origin = Origin { address: Some(address.into()), request: None };
        Principal::unknown(Some(name), Scheme::Basic, &origin)
    }

    fn admit(window: &mut Window, who: &Principal, why: &'static str) -> bool {
        window.admit(&Refused { event: Event::Login, who, why, detail: None }, time::now())
    }

    #[test]
    fn the_first_are_written_and_the_rest_are_counted() {
        let mut window = Window::default();
        let ann = who("ann", [10, 0, 0, 1]);
        let written = (0..1000).filter(|_| admit(&mut window, &ann, "wrong")).count();
        assert_eq!(written, EACH as usize);
        assert!(!admit(&mut window, &ann, SLOWED), "who has to wait is counted only");
        let told = window.turn();
        let mut counts: Vec<_> = told.iter().map(|(sort, c)| (sort.why, c.held, c.name.as_deref())).collect();
        counts.sort_unstable();
        assert_eq!(counts, [(SLOWED, 1, Some("ann")), ("wrong", 995, Some("ann"))]);
        // Goes on: counted from the beginning, and under no name when there are several.
        assert!(!admit(&mut window, &ann, "wrong") && !admit(&mut window, &who("bob", [10, 0, 0, 1]), "wrong"));
        let told = window.turn();
        assert_eq!((told[0].1.held, told[0].1.name.as_deref()), (2, None));
        // Quiet for a window: forgotten.
        assert!(window.turn().is_empty());
        assert!(admit(&mut window, &ann, "wrong"));
    }

    #[test]
    fn all_addresses_together_are_bounded() {
        let mut window = Window::default();
        let mut written = 0;
        for number in 0..20_000_u32 {
            let [_, b, c, d] = number.to_be_bytes();
            written += u32::from(admit(&mut window, &who("ann", [10, b, c, d]), "wrong"));
        }
        assert_eq!(written, ALL);
        let told = window.turn();
        assert!(told.len() <= SORTS + 1, "{}", told.len());
        assert_eq!(told.iter().map(|(_, counted)| counted.held).sum::<u64>(), 20_000 - u64::from(ALL));
    }

    #[test]
    fn what_could_not_be_written_is_counted_on() {
        let mut window = Window::default();
        let ann = who("ann", [10, 0, 0, 1]);
        assert_eq!((0..10).filter(|_| admit(&mut window, &ann, "wrong")).count(), EACH as usize);
        let untold = window.turn();
        admit(&mut window, &ann, "wrong");
        window.restore(untold);
        assert_eq!(window.turn()[0].1.held, 6);
    }
}
