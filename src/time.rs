//! Time: the clock as a value, and spans as people write them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A moment, in UTC.
pub type Timestamp = DateTime<Utc>;

/// The present moment by this machine's clock. Leases never use it: they live on the database's time.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place that asks the machine")]
pub fn now() -> Timestamp {
    Utc::now()
}

/// Milliseconds since 1970, as Livy's `started` and `completed` carry them; 0 when unset.
#[must_use]
pub fn millis(at: Option<Timestamp>) -> i64 {
    at.map_or(0, |t| t.timestamp_millis())
}

/// A length of time written as Livy and Spark write it: `100ms`, `30s`, `15m`, `1h`, `2d`; a bare number is seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Span(pub Duration);

/// A text that is no [`Span`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a time: write a number with ms, s, m, h or d, such as \"90s\" or \"1h\"")]
pub struct BadSpan(String);

impl FromStr for Span {
    type Err = BadSpan;

    fn from_str(text: &str) -> Result<Self, BadSpan> {
        let bad = || BadSpan(text.chars().take(40).collect());
        let lower = text.trim().to_ascii_lowercase();
        let digits = lower.find(|c: char| !c.is_ascii_digit()).unwrap_or(lower.len());
        let (number, unit) = lower.split_at(digits);
        let number: u64 = number.parse().map_err(|_| bad())?;
        let millis = match unit.trim() {
            "ms" => 1,
            "" | "s" | "sec" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(bad()),
        };
        // A hundred years bounds every arithmetic that follows.
        let total = number.checked_mul(millis).filter(|ms| *ms <= 3_153_600_000_000).ok_or_else(bad)?;
        Ok(Self(Duration::from_millis(total)))
    }
}

impl Span {
    /// Milliseconds, as the database keeps them.
    #[must_use]
    pub fn as_millis(self) -> i64 {
        i64::try_from(self.0.as_millis()).unwrap_or(i64::MAX)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
        let whole = units.into_iter().find(|(unit, _)| millis > 0 && millis.is_multiple_of(*unit));
        let (unit, name) = whole.unwrap_or((1, "ms"));
        write!(f, "{}{name}", millis / unit)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Seconds(u64),
            Text(String),
        }
        match Written::deserialize(d)? {
            Written::Seconds(s) => Ok(Self(Duration::from_secs(s.min(3_153_600_000)))),
            Written::Text(t) => t.parse().map_err(serde::de::Error::custom),
        }
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_livy_writes_them() {
        for (text, ms) in
            [("100ms", 100), ("30s", 30_000), ("15m", 900_000), ("1h", 3_600_000), ("2d", 172_800_000), ("7", 7_000)]
        {
            assert_eq!(text.parse::<Span>().unwrap().as_millis(), ms, "{text}");
        }
        for text in ["", "h", "1y", "-1s", "99999999999999999999d", "1.5h"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }
}
