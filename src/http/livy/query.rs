//! The query of a request, and the session or batch that its path names.

use std::time::Duration;

use axum::extract::{FromRequestParts, Query};
use axum::http::HeaderMap;
use axum::http::header::USER_AGENT;
use axum::http::request::Parts;
use serde::Deserialize;

use super::fault::Fault;
use crate::context;
use crate::context::log::Wanted;
use crate::http::Doors;
use crate::id::Called;
use crate::store::Range;

/// Rows of a list that names no size.
const PAGE: i64 = 100;
/// Rows of one answer at most. Clients page until a page is short (livy-uploads), so this is beyond what they ask for.
const LARGEST_PAGE: i64 = 10_000;

/// What a query may say; each route takes what it knows.
#[derive(Debug, Default, Deserialize)]
pub struct Asked {
    from: Option<String>,
    size: Option<String>,
    order: Option<String>,
    wait: Option<String>,
    #[serde(rename = "doAs")]
    do_as: Option<String>,
}

impl FromRequestParts<Doors> for Asked {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _doors: &Doors) -> Result<Self, Fault> {
        if parts.uri.query().is_none() {
            return Ok(Self::default());
        }
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(asked)) => Ok(asked),
            Err(e) => Err(Fault::invalid(e.body_text())),
        }
    }
}

impl Asked {
    /// Rows of a list: the first hundred unless it says otherwise.
    ///
    /// # Errors
    /// A text that is no number, or a negative number.
    pub fn range(&self) -> Result<Range, Fault> {
        let from = number(self.from.as_deref())?.unwrap_or(0);
        let size = number(self.size.as_deref())?.unwrap_or(PAGE);
        if from < 0 || size < 0 {
            return Err(Fault::invalid("from and size must not be negative"));
        }
        Ok(Range { from, size: size.min(LARGEST_PAGE) })
    }

    /// Whether it says nothing of which rows.
    #[must_use]
    pub fn is_unpaged(&self) -> bool {
        self.from.is_none() && self.size.is_none()
    }

    /// Lines of a log: the last hundred unless it says otherwise; a negative `from` is the tail, a negative size is all.
    ///
    /// # Errors
    /// A text that is no number.
    pub fn lines(&self) -> Result<Wanted, Fault> {
        let from = number(self.from.as_deref())?.filter(|from| *from >= 0);
        let size = Some(number(self.size.as_deref())?.unwrap_or(PAGE)).filter(|size| *size >= 0);
        Ok(Wanted { from, size })
    }

    /// Whether the newest come first.
    #[must_use]
    pub fn newest_first(&self) -> bool {
        self.order.as_deref().is_some_and(|o| o.eq_ignore_ascii_case("desc"))
    }

    /// How long to wait for the end of what is asked for, never longer than `limit`; none: answer at once.
    ///
    /// # Errors
    /// A text that is no number of seconds.
    pub fn wait(&self, limit: Duration) -> Result<Option<Duration>, Fault> {
        let Some(text) = self.wait.as_deref() else { return Ok(None) };
        let seconds = text.parse::<f64>().ok().filter(|s| s.is_finite() && *s >= 0.0);
        let seconds = seconds.ok_or_else(|| {
            Fault::invalid(format!("wait must be a number of seconds, such as ?wait=30, not {:?}", short(text)))
        })?;
        Ok(Some(Duration::try_from_secs_f64(seconds).unwrap_or(limit).min(limit)))
    }

    /// On whose behalf the caller acts; wins over `proxyUser` of a body.
    ///
    /// # Errors
    /// A text that is no user's name.
    pub fn do_as(&self) -> Result<Option<&str>, Fault> {
        match self.do_as.as_deref().filter(|user| !user.is_empty()) {
            Some(user) if !is_user(user) => Err(Fault::invalid("doAs is not a user's name")),
            user => Ok(user),
        }
    }
}

/// Whether a text can be a user's name, here or on a cluster.
#[must_use]
pub fn is_user(name: &str) -> bool {
    name.len() <= 256 && !name.chars().any(char::is_control)
}

/// A number of Livy's, in its words when it is none.
fn number(text: Option<&str>) -> Result<Option<i64>, Fault> {
    let Some(text) = text else { return Ok(None) };
    let number: i32 = text.parse().map_err(|_| Fault::invalid(format!("For input string: \"{}\"", short(text))))?;
    Ok(Some(number.into()))
}

fn short(text: &str) -> String {
    text.chars().take(80).collect()
}

/// What a path calls a session or batch: digits are Livy's id, anything else is a name.
///
/// # Errors
/// A text that can be neither is the name of nothing.
pub fn called<T>(text: &str) -> Result<Called<'_, T>, Fault> {
    if let Ok(id) = text.parse()
        && text.bytes().all(|b| b.is_ascii_digit())
    {
        return Ok(Called::Livy(id));
    }
    if context::is_name(text) { Ok(Called::Name(text)) } else { Err(Fault::no_session(text)) }
}

/// The number of a statement in a path.
///
/// # Errors
/// A text that is no number.
pub fn statement_number(text: &str) -> Result<i32, Fault> {
    text.parse().map_err(|_| Fault::invalid(format!("For input string: \"{}\"", short(text))))
}

/// Livy's own Java client. Its JSON reader refuses fields that it does not know, and its released version knows nine of a session's.
#[derive(Debug, Clone, Copy)]
pub struct JavaClient(pub bool);

impl FromRequestParts<Doors> for JavaClient {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _doors: &Doors) -> Result<Self, Self::Rejection> {
        Ok(Self(is_java_client(&parts.headers)))
    }
}

fn is_java_client(headers: &HeaderMap) -> bool {
    headers.get(USER_AGENT).is_some_and(|agent| agent.as_bytes().starts_with(b"livy-client-http"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(query: &str) -> Asked {
        Query::try_from_uri(&format!("/x?{query}").parse().unwrap()).unwrap().0
    }

    #[test]
    fn pages_are_livys() {
        assert_eq!(asked("").range().unwrap(), Range { from: 0, size: 100 });
        assert_eq!(asked("from=3&size=5").range().unwrap(), Range { from: 3, size: 5 });
        for bad in ["from=abc", "from=-1", "size=-1", "from=99999999999"] {
            assert!(asked(bad).range().is_err(), "{bad}");
        }
        let tail = asked("from=-1&size=-1").lines().unwrap();
        assert_eq!((tail.from, tail.size), (None, None));
    }

    #[test]
    fn waits_are_bounded() {
        let limit = Duration::from_secs(120);
        assert_eq!(asked("").wait(limit).unwrap(), None);
        assert_eq!(asked("wait=0.5").wait(limit).unwrap(), Some(Duration::from_millis(500)));
        assert_eq!(asked("wait=1e300").wait(limit).unwrap(), Some(limit));
        for bad in ["wait=", "wait=x", "wait=-1", "wait=NaN"] {
            assert!(asked(bad).wait(limit).is_err(), "{bad}");
        }
    }

    #[test]
    fn paths_name_ids_and_names() {
        let called = called::<crate::id::Session>;
        assert!(matches!(called("7"), Ok(Called::Livy(7))));
        assert!(matches!(called("etl 7"), Ok(Called::Name("etl 7"))));
        for nothing in ["99999999999", "+7", "a\0b", ""] {
            assert!(!matches!(called(nothing), Ok(Called::Livy(_))), "{nothing:?}");
        }
        assert!(called("a\0b").is_err());
    }
}
