//! What sort of failure an error is, whatever slice it comes from and whichever door shows it.
//!
//! A slice's error enum implements [`Classify`]; a front door renders the [`Kind`] in its own dialect (Livy's `{"msg": …}`,
//! `application/problem+json`). Nothing here knows HTTP.

use std::time::Duration;

/// The sort of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The request itself is wrong; the message says what and how to mend it.
    Invalid,
    /// Nobody proved who is asking.
    Unauthenticated,
    /// The thing may be seen, the action is not allowed.
    Denied,
    /// No such thing, or one that the caller may not see.
    NotFound,
    /// The thing is in a state that does not allow the action.
    Conflict,
    /// The thing is over for good; the message says who or what ended it, when and why.
    Gone,
    /// The same `Idempotency-Key` came with another body.
    KeyReused,
    /// The request is larger than a limit.
    TooLarge,
    /// A limit on how much is reached; later it may work.
    TooMany {
        /// How long to wait before the next try.
        retry_after: Duration,
    },
    /// Something that Hearth needs (the database, a driver) is away for now.
    Unavailable {
        /// How long to wait before the next try.
        retry_after: Duration,
    },
    /// Something was asked for it and has not answered: it may have been done, or not.
    Unanswered,
    /// Known to the API, not offered by this version.
    NotOffered,
    /// A defect of Hearth. Its text goes to the log, never to the caller.
    Internal,
}

/// An error that knows its [`Kind`].
pub trait Classify: std::error::Error {
    /// The sort of this failure.
    fn kind(&self) -> Kind;
}
