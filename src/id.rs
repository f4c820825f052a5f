//! Typed identifiers: a session's id cannot be passed where a context's is wanted.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo, PgValueRef};
use sqlx::{Decode, Encode, Postgres, Type};
use uuid::Uuid;

/// The identifier of a `T`: a UUID (RFC 9562, version 7: sortable by the time it was made).
pub struct Id<T>(pub Uuid, PhantomData<fn() -> T>);

/// What gateway ids name.
pub enum Gateway {}
/// What context ids name.
pub enum Context {}
/// What application ids name.
pub enum Application {}
/// What session ids name.
pub enum Session {}
/// What batch ids name.
pub enum Batch {}
/// What handle ids name.
pub enum Handle {}
/// What grant ids name.
pub enum Grant {}

/// One gateway process; random, never reused.
pub type GatewayId = Id<Gateway>;
/// A context.
pub type ContextId = Id<Context>;
/// One launch of a context.
pub type ApplicationId = Id<Application>;
/// A session.
pub type SessionId = Id<Session>;
/// A batch.
pub type BatchId = Id<Batch>;
/// A handle.
pub type HandleId = Id<Handle>;
/// A grant.
pub type GrantId = Id<Grant>;

/// The small integer by which Livy's clients know a session or a batch; never reused (clients parse it as an int32).
pub type LivyId = i32;

/// What a `T` is called in a request.
#[derive(Debug)]
pub enum Called<'a, T> {
    /// By Livy's id.
    Livy(LivyId),
    /// By its id.
    Id(Id<T>),
    /// By its name.
    Name(&'a str),
}

impl<T> Clone for Called<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Called<'_, T> {}

impl<T> fmt::Display for Called<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Livy(id) => id.fmt(f),
            Self::Id(id) => id.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl<'a, T> Called<'a, T> {
    /// Reads what a person writes: an id, Livy's number, else a name.
    #[must_use]
    pub fn read(text: &'a str) -> Self {
        match (Uuid::parse_str(text), text.parse()) {
            (Ok(id), _) => Self::Id(id.into()),
            (_, Ok(number)) => Self::Livy(number),
            _ => Self::Name(text),
        }
    }
}

impl<T> Id<T> {
    /// A new identifier.
    #[must_use]
    pub fn generate() -> Self {
        Self::from(Uuid::now_v7())
    }
}

impl<T> From<Uuid> for Id<T> {
    fn from(uuid: Uuid) -> Self {
        Self(uuid, PhantomData)
    }
}

impl<T> FromStr for Id<T> {
    type Err = uuid::Error;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(s).map(Self::from)
    }
}

impl<T> Clone for Id<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Id<T> {}
impl<T> PartialEq for Id<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<T> Eq for Id<T> {}
impl<T> Hash for Id<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
impl<T> fmt::Debug for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
impl<T> fmt::Display for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
impl<T> Serialize for Id<T> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(s)
    }
}
impl<'de, T> Deserialize<'de> for Id<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Uuid::deserialize(d).map(Self::from)
    }
}
impl<T> Type<Postgres> for Id<T> {
    fn type_info() -> PgTypeInfo {
        <Uuid as Type<Postgres>>::type_info()
    }
}
impl<T> Encode<'_, Postgres> for Id<T> {
    fn encode_by_ref(&self, buf: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        <Uuid as Encode<'_, Postgres>>::encode_by_ref(&self.0, buf)
    }
}
impl<'r, T> Decode<'r, Postgres> for Id<T> {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        <Uuid as Decode<'r, Postgres>>::decode(value).map(Self::from)
    }
}
