//! The words that fields may hold, described from the lists that the domain itself goes by.

use serde::{Deserialize, Deserializer};
use utoipa::openapi::schema::{Object, ObjectBuilder, SchemaType, Type};

use crate::access::Verb;
use crate::access::explain::Outcome;
use crate::access::grant::Level;
use crate::context::clock::Clock;
use crate::identity::Scope;
use crate::session::Kind;
use crate::{batch, context, handle, session, statement};

fn one_of<const N: usize>(words: [&'static str; N]) -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).build()
}

/// States of a context.
pub fn context_state() -> Object {
    one_of(context::State::ALL.map(context::State::as_str))
}

/// Whose sessions a context is found by, or null.
pub fn shared_with() -> Object {
    let words = [context::Share::User, context::Share::Group(String::new()), context::Share::Service];
    let mut all: Vec<_> = words.iter().filter_map(context::Share::as_str).map(Some).collect();
    all.push(None);
    let types = SchemaType::Array(vec![Type::String, Type::Null]);
    ObjectBuilder::new().schema_type(types).enum_values(Some(all)).build()
}

/// States of a session.
pub fn session_state() -> Object {
    one_of(session::State::ALL.map(session::State::as_str))
}

/// States of a statement.
pub fn statement_state() -> Object {
    one_of(statement::State::ALL.map(statement::State::as_str))
}

/// States of a batch.
pub fn batch_state() -> Object {
    one_of(batch::State::ALL.map(batch::State::as_str))
}

/// Clocks that end sessions and contexts.
pub fn clock() -> Object {
    one_of(Clock::ALL.map(Clock::as_str))
}

/// Clocks that end sessions and contexts, or none.
pub fn clock_or_null() -> Object {
    let types = SchemaType::from_iter([Type::String, Type::Null]);
    let words = Clock::ALL.map(|c| Some(c.as_str())).into_iter().chain([None]);
    ObjectBuilder::new().schema_type(types).enum_values(Some(words)).build()
}

/// Kinds of handles.
pub fn handle_kind() -> Object {
    one_of(handle::Kind::ALL.map(handle::Kind::as_str))
}

/// States of a handle.
pub fn handle_state() -> Object {
    one_of(handle::State::ALL.map(handle::State::as_str))
}

/// Levels of grants.
pub fn grant_level() -> Object {
    one_of(Level::ALL.map(Level::as_str))
}

/// Levels of grants, or none.
pub fn grant_level_or_null() -> Object {
    let types = SchemaType::from_iter([Type::String, Type::Null]);
    let words = Level::ALL.map(|l| Some(l.as_str())).into_iter().chain([None]);
    ObjectBuilder::new().schema_type(types).enum_values(Some(words)).build()
}

/// What comes of an action.
pub fn outcome() -> Object {
    one_of(Outcome::ALL.map(Outcome::as_str))
}

/// Actions.
pub fn action() -> Object {
    one_of(Verb::ALL.map(Verb::as_str))
}

/// Kinds of sessions.
pub fn session_kind() -> Object {
    one_of(Kind::ALL.map(Kind::as_str))
}

/// Kinds of statements.
pub fn statement_kind() -> Object {
    one_of(["spark", "pyspark", "sparkr", "sql"])
}

/// Kinds of sessions that can be asked for.
pub fn new_session_kind() -> Object {
    one_of(["spark", "pyspark", "sql", "shared"])
}

/// Kinds of statements that can be asked for.
pub fn new_statement_kind() -> Object {
    one_of(["spark", "pyspark", "sql"])
}

/// Names that people give: see [`context::is_name`].
pub fn new_name() -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .description(Some(
            "Unique in the tenant among the living; visible characters but `/`, `?` and `#`, not digits alone.",
        ))
        .min_length(Some(1))
        .max_length(Some(128))
        .pattern(Some(NAME))
        .build()
}

const NAME: &str = r"^(?![0-9]+$)[^\x00-\x20\x7f-\xa0/?#]([^\x00-\x1f\x7f-\x9f/?#]*[^\x00-\x20\x7f-\xa0/?#])?$";

/// Names of events.
pub fn event() -> Object {
    one_of(super::events::NAMES)
}

/// The most that a credential may be used for.
pub fn scope() -> Object {
    one_of([Scope::View, Scope::Attach, Scope::Manage].map(Scope::as_str))
}

/// Reads the canonical name of a kind.
///
/// # Errors
/// Names those there are.
pub fn kind<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Kind>, D::Error> {
    let text = String::deserialize(d)?;
    let names = Kind::ALL.map(Kind::as_str);
    let found = Kind::ALL.into_iter().find(|k| k.as_str() == text);
    found.map(Some).ok_or_else(|| {
        let text: String = text.chars().take(80).collect();
        serde::de::Error::custom(format!("{text:?} is no kind; there are {}", names.join(", ")))
    })
}
