//! The clocks by which sessions and contexts end, and when the nearest of them strikes.
//!
//! Before one does, whoever reads the session's events is told (`ending`): once for each deadline, when a tenth of the clock's time is
//! left, but at most a minute and at least five seconds, or half of a time that is shorter than ten. The clock of the heartbeat gives no
//! warning: whoever listens is no silent client.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::{Span, Timestamp};

/// The longest time between a warning and the end.
const LONGEST_WARNING: Duration = Duration::from_secs(60);
/// The shortest, unless half of the clock's time is less.
const SHORTEST_WARNING: Duration = Duration::from_secs(5);

/// What ends sessions and contexts by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// Nothing ran in the session.
    Idle,
    /// The session's age.
    Ttl,
    /// The silence of the session's client.
    Heartbeat,
    /// Nothing ran in the context.
    ContextIdle,
}

impl Clock {
    /// Every clock.
    pub const ALL: [Self; 4] = [Self::Idle, Self::Ttl, Self::Heartbeat, Self::ContextIdle];

    /// The word on the wire and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Ttl => "ttl",
            Self::Heartbeat => "heartbeat",
            Self::ContextIdle => "context_idle",
        }
    }

    /// Whether it stands still while a statement runs or waits.
    #[must_use]
    pub const fn waits_for_statements(self) -> bool {
        !matches!(self, Self::Ttl)
    }

    /// Why something that has this time ends by it.
    #[must_use]
    pub fn cause(self, time: Span) -> String {
        let seconds = time.0.as_secs();
        match self {
            Self::Idle => format!("nothing ran in it for {seconds} s (idle timeout)"),
            Self::Ttl => format!("it reached its age limit (ttl) of {seconds} s"),
            Self::Heartbeat => format!("its client was silent for more than {seconds} s (heartbeat)"),
            Self::ContextIdle => format!("nothing ran in it for {seconds} s (idle timeout of the context)"),
        }
    }
}

/// When a clock strikes if nothing happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    /// When.
    pub at: Timestamp,
    /// Which clock.
    pub clock: Clock,
    /// The time that the clock gives.
    pub time: Span,
}

impl Deadline {
    /// A clock that gives this time from a moment on; none where it gives none.
    #[must_use]
    pub fn of(clock: Clock, since: Timestamp, time: Span) -> Option<Self> {
        (time.as_millis() > 0).then(|| Self { at: since + time.0, clock, time })
    }

    /// When those are told of it who listen.
    #[must_use]
    pub fn warns_at(&self) -> Timestamp {
        let warning = (self.time.0 / 10).max(SHORTEST_WARNING).min(self.time.0 / 2).min(LONGEST_WARNING);
        self.at - warning
    }

    /// Why it strikes, for people who can still do something about it.
    #[must_use]
    pub fn reason(&self) -> String {
        let seconds = self.time.0.as_secs();
        match self.clock {
            Clock::Idle => format!("nothing runs in this session (its idle timeout is {seconds} s)"),
            Clock::Ttl => format!("this session reaches its age limit (its ttl is {seconds} s)"),
            Clock::Heartbeat => format!("its client is silent (its heartbeat is {seconds} s)"),
            Clock::ContextIdle => {
                format!("nothing runs in the context of this session (the context's idle timeout is {seconds} s)")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_leaves_time_to_act() {
        let now = crate::time::now();
        for (time, warning) in [("8h", 60), ("10m", 60), ("5m", 30), ("60s", 6), ("20s", 5), ("4s", 2)] {
            let deadline = Deadline::of(Clock::Idle, now, time.parse().unwrap()).unwrap();
            assert_eq!((deadline.at - deadline.warns_at()).num_seconds(), warning, "{time}");
        }
        assert_eq!(Deadline::of(Clock::Ttl, now, Span::default()), None);
    }
}
