//! What may they do. The one place that decides.
//!
//! A check returns a value and the action takes that value: [`Allowed`] can only be made here, so a use case that wants one
//! cannot be called without a decision. What one may not see is *not found*; what one may see but not do is *denied*.
//!
//! The rule so far is ownership within a tenant. Grants and site policies will widen it here, behind the same two functions.

use std::marker::PhantomData;
use std::ops::Deref;

use crate::identity::Principal;
use crate::kind::{Classify, Kind};

/// Something that belongs to somebody.
pub trait Resource {
    /// The tenant it lives in.
    fn tenant(&self) -> &str;
    /// The principal who owns it.
    fn owner(&self) -> &str;
}

/// An action on a resource.
pub trait Action {}

/// See it exists, read its state, output and logs.
pub enum View {}
/// Run code in it.
pub enum Attach {}
/// Share it, stop it.
pub enum Manage {}

impl Action for View {}
impl Action for Attach {}
impl Action for Manage {}

/// Proof that somebody may do `A` to the resource inside.
#[derive(Debug)]
pub struct Allowed<A, R> {
    on: R,
    act: PhantomData<fn() -> A>,
}

impl<A, R> Deref for Allowed<A, R> {
    type Target = R;
    fn deref(&self) -> &R {
        &self.on
    }
}

/// Why an action was not allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Missing, or not to be seen by the caller: the two are not told apart.
    #[error("not found")]
    NotFound,
    /// To be seen, but not allowed.
    #[error("not allowed")]
    Denied,
}

impl Classify for Refused {
    fn kind(&self) -> Kind {
        match self {
            Self::NotFound => Kind::NotFound,
            Self::Denied => Kind::Denied,
        }
    }
}

/// Decides whether `who` may do `A` to `on`.
///
/// # Errors
/// [`Refused::NotFound`] when they may not even see it.
pub fn require<A: Action, R: Resource>(who: &Principal, on: R) -> Result<Allowed<A, R>, Refused> {
    if sees(who, &on) { Ok(Allowed { on, act: PhantomData }) } else { Err(Refused::NotFound) }
}

/// Whether `who` may see `on`; lists use it for each row of a page.
pub fn sees<R: Resource>(who: &Principal, on: &R) -> bool {
    on.tenant() == &*who.tenant && on.owner() == &*who.user
}
