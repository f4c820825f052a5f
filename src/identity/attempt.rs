//! What a request shows of who is asking, whatever the protocol.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;
use std::sync::Arc;

use super::{Origin, Scheme};

/// Largest value of an `Authorization` header, bytes. Kerberos tickets of people in many groups have some 12 KiB.
const LONGEST: usize = 48 * 1024;

/// What a request shows.
#[derive(Debug, Clone, Default)]
pub struct Attempt {
    /// The client's certificate (DER), which TLS has verified.
    pub certificate: Option<Arc<[u8]>>,
    /// The login's cookie.
    pub cookie: Option<SecretString>,
    /// What `Authorization` says.
    pub authorization: Option<Authorization>,
    /// What binds a Kerberos token to this TLS connection (RFC 5929, `tls-server-end-point`).
    pub bindings: Option<Arc<[u8]>>,
    /// For whom the caller wants to act (`doAs`).
    pub do_as: Option<String>,
    /// Where it came from.
    pub origin: Origin,
}

/// The value of an `Authorization` header.
#[derive(Debug, Clone)]
pub enum Authorization {
    /// RFC 6750: an API token, or a JWT.
    Bearer(SecretString),
    /// RFC 4559: a GSS token.
    Negotiate(Vec<u8>),
    /// RFC 7617.
    Basic {
        /// The user's name.
        user: String,
        /// The password, or an API token.
        password: SecretString,
    },
}

/// Why an `Authorization` header cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// None of the schemes that there are.
    #[error("Authorization must be Bearer, Negotiate or Basic")]
    Scheme,
    /// What follows the scheme is not what it has to be.
    #[error("the value of Authorization is malformed")]
    Value,
    /// It is too long.
    #[error("the value of Authorization is longer than 48 KiB")]
    TooLong,
    /// There is more than one.
    #[error("there is more than one Authorization header")]
    Repeated,
    /// The caller acts for more than one.
    #[error("doAs stands in the query more than once")]
    RepeatedDoAs,
}

impl Authorization {
    /// Reads the header's value.
    ///
    /// # Errors
    /// See [`Malformed`].
    pub fn parse(value: &str) -> Result<Self, Malformed> {
        if value.len() > LONGEST {
            return Err(Malformed::TooLong);
        }
        let (scheme, rest) = value.trim().split_once(' ').ok_or(Malformed::Value)?;
        let rest = rest.trim();
        let decoded = || STANDARD.decode(rest).map_err(|_| Malformed::Value);
        match scheme.to_ascii_lowercase().as_str() {
            "bearer" if rest.bytes().all(|b| b.is_ascii_graphic()) => Ok(Self::Bearer(rest.into())),
            "negotiate" => Ok(Self::Negotiate(decoded()?)),
            "basic" => {
                let text = String::from_utf8(decoded()?).map_err(|_| Malformed::Value)?;
                let (user, password) = text.split_once(':').ok_or(Malformed::Value)?;
                Ok(Self::Basic { user: user.to_owned(), password: password.into() })
            }
            "bearer" => Err(Malformed::Value),
            _ => Err(Malformed::Scheme),
        }
    }
}

/// Why nobody is known to ask.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No credential was shown.
    #[error("authentication is required")]
    Nothing,
    /// A credential that is not good. Why, is for the log alone.
    #[error("the credentials are not accepted")]
    Wrong(Scheme),
    /// A scheme that is not configured.
    #[error("this scheme is not configured here (auth.schemes)")]
    NotOffered,
    /// Two credentials, of two people.
    #[error("the credentials of this request are of different users")]
    Conflict,
    /// Too many that were not good.
    #[error("too many wrong credentials; wait before you try again")]
    Slow {
        /// The scheme of them.
        scheme: Scheme,
        /// How long.
        wait: Duration,
    },
    /// What the scheme asks (the KDC, the directory, the database) is away.
    #[error("the credentials cannot be checked now")]
    Away(Scheme),
    /// The caller may not act for that user.
    #[error("User '{user}' not allowed to impersonate 'Some({wanted})'.")]
    Impersonation {
        /// The caller.
        user: String,
        /// For whom.
        wanted: String,
    },
    /// The name of whom to act for is none.
    #[error("doAs is not a user's name")]
    BadName,
}

impl Refusal {
    /// The scheme of a credential that is not good.
    #[must_use]
    pub fn wrong(&self) -> Option<Scheme> {
        if let Self::Wrong(scheme) = self { Some(*scheme) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    #[test]
    fn authorization_is_read_or_refused() {
        let Ok(Authorization::Basic { user, password }) = Authorization::parse("basic YW5uOnA6dw==") else {
            unreachable!("it is fine")
        };
        assert_eq!((user.as_str(), password.expose_secret()), ("ann", "p:w"));
        assert!(matches!(Authorization::parse("Bearer a.b.c"), Ok(Authorization::Bearer(_))));
        assert!(matches!(Authorization::parse("Negotiate YII="), Ok(Authorization::Negotiate(_))));
        let why = |value: &str| Authorization::parse(value).unwrap_err();
        assert_eq!(why("Digest x"), Malformed::Scheme);
        assert_eq!(why("Negotiate"), Malformed::Value);
        assert_eq!(why("Negotiate !!"), Malformed::Value);
        assert_eq!(why("Basic YW5u"), Malformed::Value);
        assert_eq!(why("Bearer a b"), Malformed::Value);
        assert_eq!(why(&format!("Bearer {}", "a".repeat(50_000))), Malformed::TooLong);
    }
}
