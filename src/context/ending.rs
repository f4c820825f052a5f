//! Who or what ends something, and why: what is kept of it, and what those are told who come afterwards.

use std::fmt;

use chrono::SecondsFormat;
use serde::{Deserialize, Serialize};

use super::clock::Clock;
use crate::identity::Principal;
use crate::time::Timestamp;

/// Who or what has ended something. What ended by itself (its driver died, its program was done) was ended by nobody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum By {
    /// Somebody told it to.
    Person {
        /// Who.
        user: String,
        /// The proxy that spoke for them.
        via: Option<String>,
    },
    /// A clock.
    Clock {
        /// Which.
        clock: Clock,
    },
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person { user, via: Some(via) } => write!(f, "{user} through {via}"),
            Self::Person { user, via: None } => f.write_str(user),
            Self::Clock { clock } => write!(f, "the clock {}", clock.as_str()),
        }
    }
}

/// How something ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// Why, for people: a sentence about "it".
    pub cause: String,
    /// Who or what ended it.
    pub by: Option<By>,
}

impl Ending {
    /// It ends by itself, or with what it lives in.
    pub fn itself(cause: impl Into<String>) -> Self {
        Self { cause: cause.into(), by: None }
    }

    /// Somebody ends it; `how` is a participle, such as "deleted".
    #[must_use]
    pub fn person(how: &str, who: &Principal) -> Self {
        let by = By::Person { user: who.user.to_string(), via: who.via.as_deref().map(str::to_owned) };
        Self { cause: format!("it was {how} by {by}"), by: Some(by) }
    }

    /// A clock ends it.
    #[must_use]
    pub fn clock(clock: Clock, cause: String) -> Self {
        Self { cause, by: Some(By::Clock { clock }) }
    }

    /// How a session ends whose context ends like this. A driver that dies is told as it is.
    #[must_use]
    pub fn of_context(&self) -> Self {
        match &self.by {
            None => self.clone(),
            Some(by) => Self { cause: format!("its context ended: {}", self.cause), by: Some(by.clone()) },
        }
    }
}

/// When and why something has ended, for those who come afterwards: the rest of a sentence that begins with its name.
#[must_use]
pub fn told(at: Option<Timestamp>, cause: Option<&str>) -> String {
    let at = at.map_or(String::new(), |at| format!(" at {}", moment(at)));
    format!("ended{at}: {}", cause.unwrap_or("nobody said why"))
}

/// A moment, as people are told of it.
#[must_use]
pub fn moment(at: Timestamp) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// That something is being ended, and why, for those who want something of it.
#[must_use]
pub fn told_early(cause: Option<&str>) -> String {
    cause.map_or_else(|| "being ended".to_owned(), |cause| format!("being ended: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alice(via: Option<&str>) -> Principal {
        Principal { user: "alice".into(), via: via.map(Into::into), ..Principal::local() }
    }

    #[test]
    fn it_is_told_who_when_and_why() {
        let ending = Ending::person("deleted", &alice(Some("hue")));
        let at = chrono::DateTime::from_timestamp(1_795_983_543, 0);
        assert_eq!(told(at, Some(&ending.cause)), "ended at 2026-11-29T20:19:03Z: it was deleted by alice through hue");
        assert_eq!(
            Ending::person("stopped", &alice(None)).of_context().cause,
            "its context ended: it was stopped by alice"
        );
        assert_eq!(Ending::itself("the driver ended").of_context().cause, "the driver ended");
    }

    #[test]
    fn what_is_kept_is_read_again() {
        for (by, text) in [
            (Ending::person("deleted", &alice(None)).by, r#"{"user":"alice","via":null}"#),
            (Ending::clock(Clock::ContextIdle, String::new()).by, r#"{"clock":"context_idle"}"#),
        ] {
            let by = by.unwrap();
            assert_eq!(serde_json::to_string(&by).unwrap(), text);
            assert_eq!(serde_json::from_str::<By>(text).unwrap(), by);
        }
    }
}
