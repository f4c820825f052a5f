//! What a person calls the thing that they ask about: `session/0`, `context/etl`, `profile/default`.

use std::fmt;
use std::str::FromStr;

/// A thing, as a person names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A context, by id, or by the name of a living one.
    Context(String),
    /// A session, by id, by Livy's number or by name.
    Session(String),
    /// A batch, by id, by Livy's number or by name.
    Batch(String),
    /// A handle, by id.
    Handle(String),
    /// A profile, by name.
    Profile(String),
    /// A user of the tenant that is asked about, as the owner of API tokens.
    Account(String),
    /// A tenant, by name.
    Tenant(String),
}

/// A text that names no thing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} names nothing: write context/…, session/…, batch/…, handle/…, profile/…, account/… or tenant/…, such as session/0"
)]
pub struct BadTarget(String);

impl FromStr for Target {
    type Err = BadTarget;

    fn from_str(text: &str) -> Result<Self, BadTarget> {
        let bad = || BadTarget(text.chars().take(80).collect());
        let (kind, name) = text.split_once('/').filter(|(_, name)| !name.is_empty()).ok_or_else(bad)?;
        let name = name.to_owned();
        Ok(match kind {
            "context" => Self::Context(name),
            "session" => Self::Session(name),
            "batch" => Self::Batch(name),
            "handle" => Self::Handle(name),
            "profile" => Self::Profile(name),
            "account" => Self::Account(name),
            "tenant" => Self::Tenant(name),
            _ => return Err(bad()),
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Context(name) => write!(f, "context/{name}"),
            Self::Session(name) => write!(f, "session/{name}"),
            Self::Batch(name) => write!(f, "batch/{name}"),
            Self::Handle(name) => write!(f, "handle/{name}"),
            Self::Profile(name) => write!(f, "profile/{name}"),
            Self::Account(name) => write!(f, "account/{name}"),
            Self::Tenant(name) => write!(f, "tenant/{name}"),
        }
    }
}
