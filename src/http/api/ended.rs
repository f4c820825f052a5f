//! Who or what has ended something, as answers say it.

use serde::Serialize;
use utoipa::ToSchema;

use super::words;
use crate::context::By;

/// Who or what has ended something: a person, or a clock.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct EndedBy {
    /// Who told it to end.
    user: Option<String>,
    /// The trusted proxy that spoke for them.
    via: Option<String>,
    /// Which clock has ended it.
    #[schema(schema_with = words::clock_or_null)]
    clock: Option<&'static str>,
}

impl From<&By> for EndedBy {
    fn from(by: &By) -> Self {
        match by {
            By::Person { user, via } => Self { user: Some(user.clone()), via: via.clone(), clock: None },
            By::Clock { clock } => Self { clock: Some(clock.as_str()), ..Self::default() },
        }
    }
}
