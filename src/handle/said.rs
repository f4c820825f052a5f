//! What agents say of their handles, written to the rows.
//!
//! User code shares the agent's process: a message can only touch handles of the context whose token opened the link, its sizes and the
//! number of handles are bounded, and no identity is taken from it. Owner is whose session made the handle: who shares other data under the
//! name of another's takes the name, and makes a handle of their own.

use serde::Deserialize;
use serde_json::value::RawValue;
use sqlx::PgConnection;
use tracing::info;

use super::store::{self, Columns, SHORT_COLUMNS, Told};
use super::{Kind, LONGEST_REASON, State, fit, is_name, service::Service};
use crate::context::driver::wire::handle::{Answer, Handle, Usage};
use crate::context::driver::wire::{self, Envelope};
use crate::context::driver::{Untaken, told};
use crate::id::ContextId;

/// The reason that a handle gets whose columns are not kept.
const NOT_KEPT: &str = "its columns are too many to be shown";
/// Living handles of one context.
const MOST: i64 = 1000;
/// Ended handles of a context that are remembered.
const MOST_ENDED: i64 = 1000;
/// Bytes of a handle's columns that are kept.
const LONGEST_COLUMNS: usize = 64 << 10;
/// Bytes of the columns of all handles of a context. Beyond it only short ones are kept.
const ALL_COLUMNS: i64 = 8 << 20;
/// Bytes of a message on the use of all handles.
const LONGEST_USAGE: usize = 1 << 20;
/// Bytes of an address.
const LONGEST_PATH: usize = 4000;
/// The longest time to live, ms: a hundred years.
const LONGEST_TTL: i64 = 100 * 366 * 24 * 3600 * 1000;
/// What an agent is told of all durable handles fits into the longest frame that it takes.
const _: () = assert!(
    MOST as usize * (2 * LONGEST_PATH + SHORT_COLUMNS + 1024) + (ALL_COLUMNS as usize) < wire::LONGEST_TO_AGENT
);
/// Types of keys.
const KEY_TYPES: [&str; 6] = ["string", "long", "double", "boolean", "binary", "tuple"];

/// Whether a message speaks of handles.
pub(super) fn concerns(envelope: &Envelope) -> bool {
    matches!(envelope.kind.as_str(), "handle" | "handle_usage" | "handle_answer")
}

fn nonsense<T>(why: impl Into<String>) -> Result<T, Untaken> {
    Err(Untaken::Nonsense(why.into()))
}

impl Service {
    /// Writes what one message says.
    pub(super) async fn apply_one(
        &self,
        db: &mut PgConnection,
        context: ContextId,
        envelope: &Envelope,
    ) -> Result<(), Untaken> {
        match envelope.kind.as_str() {
            "handle" => self.version(db, context, envelope).await,
            "handle_usage" => {
                if envelope.body.as_ref().is_some_and(|body| body.get().len() > LONGEST_USAGE) {
                    return nonsense("it is longer than all that can be said of the use of handles");
                }
                let usage: Usage = envelope.body()?;
                if usage.handles.len() > usize::try_from(MOST).unwrap_or(usize::MAX) {
                    return nonsense("it speaks of more handles than there may be");
                }
                let mut used = usage.handles;
                used.retain(|u| is_name(&u.name));
                Ok(store::set_usage(db, context, &used).await?)
            }
            // Handed over as it came.
            _ => Ok(()),
        }
    }

    async fn version(&self, db: &mut PgConnection, context: ContextId, envelope: &Envelope) -> Result<(), Untaken> {
        let said: Handle<'_> = envelope.body()?;
        if !is_name(&said.name) {
            return nonsense("that is no name of a handle");
        }
        let (Some(kind), Some(state)) = (Kind::parse(&said.kind), State::parse(&said.state)) else {
            return nonsense("kind or state is not known");
        };
        let columns = said.columns.filter(|c| c.get() != "null");
        if said.version < 1 || !are_columns(columns) || !is_storage(&said.storage) {
            return nonsense("version, columns or storage cannot be");
        }
        if said.key.as_deref().is_some_and(|key| !KEY_TYPES.contains(&key)) {
            return nonsense("the type of its keys is not known");
        }
        if said.ttl_ms.is_some_and(|ttl| !(0..=LONGEST_TTL).contains(&ttl)) {
            return nonsense("its time to live cannot be");
        }
        if let Some(durable) = &said.durable {
            if !self.is_stored(db, context, &durable.path).await? {
                return nonsense("it is not written where durable handles of its context are");
            }
            if !(1..=said.version).contains(&durable.version) {
                return nonsense("a version is written that there is not");
            }
        }
        let columns = self.kept(db, context, &said.name, columns).await?;
        let reason = match (said.reason, columns) {
            (Some(reason), _) => Some(told(&reason, LONGEST_REASON)),
            (None, Columns::TooMany) => Some(NOT_KEPT.to_owned()),
            (None, _) => None,
        };
        let told = Told {
            name: &said.name,
            kind,
            share_id: said.share,
            version: said.version,
            state,
            reason: reason.as_deref(),
            columns,
            key_type: said.key.as_deref(),
            partitions: said.partitions,
            storage: &said.storage,
            ttl_ms: said.ttl_ms,
            begins_to_live: said.shared || said.share.is_none(),
            durable_path: said.durable.as_ref().map(|d| d.path.as_str()),
            durable_version: said.durable.as_ref().map(|d| d.version),
        };
        if let Some(session) = envelope.session.filter(|_| said.shared && state == State::Ready) {
            // Other data of another: what was granted of those before is not granted of these.
            let Some(sharer) = store::owner_of_session(db, context, session).await? else {
                return nonsense("its session is not of this context");
            };
            store::end_of_others(db, context, &told, &sharer).await?;
        }
        if store::update_handle(db, context, &told).await? || state == State::Gone {
            return Ok(());
        }
        if store::count_living(db, context).await? >= MOST {
            return nonsense(format!("its context has {MOST} handles already, which is the limit"));
        }
        let statement = envelope.statement.filter(|n| envelope.session.is_some() && *n >= 0);
        if !store::insert_handle(db, context, envelope.session, statement, &told).await? {
            return nonsense("its session is not of this context");
        }
        Ok(store::trim_ended(db, context, MOST_ENDED).await?)
    }

    /// What is kept of a handle's columns: whoever lists handles, and the agent that comes next, read those of all.
    async fn kept<'a>(
        &self,
        db: &mut PgConnection,
        context: ContextId,
        name: &str,
        columns: Option<&'a RawValue>,
    ) -> Result<Columns<'a>, sqlx::Error> {
        let Some(json) = columns.map(RawValue::get) else { return Ok(Columns::Unsaid) };
        let mut fits = json.len() <= LONGEST_COLUMNS;
        if fits && json.len() > SHORT_COLUMNS {
            let others = store::sum_columns(db, context, name).await?;
            fits = others + i64::try_from(json.len()).unwrap_or(i64::MAX) <= ALL_COLUMNS;
        }
        if !fits {
            info!(context.id = %context, handle = name, bytes = json.len(), "Columns of a handle are too many to be kept");
        }
        Ok(if fits { Columns::Are(json) } else { Columns::TooMany })
    }

    /// Whether an address is below the folder that this context was told to write to.
    async fn is_stored(&self, db: &mut PgConnection, context: ContextId, path: &str) -> Result<bool, sqlx::Error> {
        let Some(store) = self.folder_of(db, context).await? else { return Ok(false) };
        let below = path.strip_prefix(store.as_str()).and_then(|rest| rest.strip_prefix('/'));
        Ok(path.len() <= LONGEST_PATH
            && !path.chars().any(char::is_control)
            && below.is_some_and(|rest| rest.split('/').all(|part| !matches!(part, "" | "." | ".."))))
    }

    /// Hands an answer to whoever waits for it.
    pub(super) fn answered(&self, context: ContextId, envelope: &Envelope) {
        if let Ok(answer) = envelope.body::<Answer<'_>>() {
            let result = match answer.error {
                Some(failure) => Err(failure),
                None => Ok(answer.result.map_or_else(|| RawValue::NULL.to_owned(), ToOwned::to_owned)),
            };
            self.requests().answered(context, answer.request, result);
        }
    }
}

fn is_storage(text: &str) -> bool {
    text.len() <= 64 && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
}

/// Whether it is a list of columns, or nothing.
fn are_columns(json: Option<&RawValue>) -> bool {
    #[derive(Deserialize)]
    struct Column {
        #[serde(rename = "name")]
        _name: String,
        #[serde(rename = "type")]
        _type: String,
    }
    // The agents that come later are told them as they are. What is too long is not kept, so nobody has to read it.
    json.is_none_or(|json| {
        json.get().len() > LONGEST_COLUMNS
            || serde_json::from_str::<Vec<Column>>(json.get()).is_ok() && fit::check(json).is_ok()
    })
}
