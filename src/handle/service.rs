//! Use cases of handles: find, list, read, change, take the name away.

use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;
use sqlx::PgConnection;
use uuid::Uuid;

pub use super::answers::{Changed, Counted, Entries, Entry, Rows};
use super::durable::Writes;
use super::reads::Reads;
use super::requests::{Requests, Unanswered};
use super::rooms::Full;
use super::streams::{Relayed, Streams, Unopened};
use super::{Error, Handle, State, fit, is_name, kept, store};
use crate::access::explain::somebody;
use crate::access::{Action, Allowed, Manage, Read, View, Write};
use crate::audit::Event;
use crate::context::driver::wire::Outgoing;
use crate::context::driver::wire::handle::{Op, OpenStream, Request};
use crate::context::share::Reader;
use crate::context::{self, ending};
use crate::id::{ContextId, HandleId};
use crate::identity::{Principal, Scope};
use crate::session;
use crate::session::service::Called;
use crate::store::{Page, Range, idempotency};

/// Bytes of the keys and values of one request.
const LARGEST: usize = 8 << 20;
/// Keys or entries of one request.
pub const MOST_KEYS: usize = 100_000;

/// Use cases of handles. Cheap to clone.
#[derive(Clone)]
pub struct Service(Arc<Parts>);

struct Parts {
    sessions: session::service::Service,
    requests: Requests,
    streams: Streams,
    reads: Reads,
    writes: Writes,
}

/// Where a handle is looked for by name.
#[derive(Clone, Copy)]
pub enum Place<'a> {
    /// A context, by id, or by the name of a living one.
    Context(&'a str),
    /// A session, whose context it is.
    Session(Called<'a>),
}

/// The form of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Arrow IPC stream.
    Arrow,
    /// JSON lines.
    Jsonl,
    /// Comma-separated values.
    Csv,
}

impl Format {
    fn as_str(self) -> &'static str {
        match self {
            Self::Arrow => "arrow",
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
        }
    }
}

/// What a reader wants of a handle's rows.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Rows at most; none: all, as far as the form allows.
    pub limit: Option<i64>,
    /// Columns; none: all.
    pub columns: Option<Vec<String>>,
}

impl Service {
    /// The handles of the contexts that these sessions live in. A reader of a stream may take nothing of it for `patience`.
    #[must_use]
    pub fn new(sessions: session::service::Service, patience: Duration) -> Self {
        let (requests, streams) = (Requests::default(), Streams::new(patience));
        let (reads, writes) = (Reads::default(), Writes::default());
        Self(Arc::new(Parts { sessions, requests, streams, reads, writes }))
    }

    /// The contexts that handles live in.
    #[must_use]
    pub fn contexts(&self) -> &context::service::Service {
        self.0.sessions.contexts()
    }

    /// The streams that are relayed here.
    #[must_use]
    pub fn streams(&self) -> &Streams {
        &self.0.streams
    }

    pub(super) fn requests(&self) -> &Requests {
        &self.0.requests
    }

    pub(super) fn reads(&self) -> &Reads {
        &self.0.reads
    }

    pub(super) fn writes(&self) -> &Writes {
        &self.0.writes
    }

    /// The folder for durable handles of a context, if its profile has such a place.
    pub(super) async fn folder_of(
        &self,
        db: &mut PgConnection,
        context: ContextId,
    ) -> Result<Option<String>, sqlx::Error> {
        let Some(profile) = kept::profile_of(db, context).await? else { return Ok(None) };
        let store = self.contexts().profiles().get(&profile).map_or("", |p| p.handle_store.trim_end_matches('/'));
        Ok((!store.is_empty()).then(|| format!("{store}/{context}")))
    }

    /// Finds a handle by id and decides whether `who` may do `A` to it.
    ///
    /// # Errors
    /// Not found, denied, the database.
    pub async fn open<A: Action>(&self, who: &Principal, id: HandleId) -> Result<Allowed<A, Handle>, Error> {
        let mut db = self.contexts().pool().acquire().await?;
        let handle = store::load_handle(&mut db, id).await?.filter(|h| h.state != State::Gone);
        drop(db);
        self.decide(who, handle, &id.to_string()).await
    }

    /// Finds a handle by its name in a context, and decides whether `who` may do `A` to it. They need no right on the context.
    ///
    /// # Errors
    /// Not found, denied, the database.
    pub async fn find<A: Action>(
        &self,
        who: &Principal,
        place: Place<'_>,
        name: &str,
    ) -> Result<Allowed<A, Handle>, Error> {
        let shown: String = name.chars().take(140).collect();
        if !is_name(name) {
            return Err(Error::NotFound(shown));
        }
        let context = match place {
            Place::Context(called) => self.contexts().locate(who, called).await?,
            Place::Session(called) => self.0.sessions.locate(who, called).await?,
        };
        let Some(context) = context else { return Err(Error::NotFound(shown)) };
        let mut db = self.contexts().pool().acquire().await?;
        let handle = match store::find_by_name(&mut db, context, name).await? {
            Some(id) => store::load_handle(&mut db, id).await?,
            None => None,
        };
        drop(db);
        self.decide(who, handle, &shown).await
    }

    /// Finds a handle for code of another context, as whom that reads: in the groups that `look_up` tells of a user, and to be read.
    ///
    /// # Errors
    /// Not found, denied, the database.
    pub async fn find_for(
        &self,
        asking: ContextId,
        (called, name): (&str, &str),
        look_up: impl AsyncFnOnce(&str) -> Vec<String>,
    ) -> Result<Allowed<Read, Handle>, Error> {
        let asking = self.contexts().some(vec![asking.0]).await?.pop();
        let asking = asking.ok_or_else(|| Error::NotFound(name.chars().take(140).collect()))?;
        let Reader { tenant, user, group } = asking.reader();
        let groups = match group {
            Some(group) => vec![group],
            None => look_up(&user).await,
        };
        let who = Principal { scope: Scope::View, ..somebody(&tenant, &user, groups) };
        self.find(&who, Place::Context(called), name).await
    }

    /// Decides anew what was allowed of a handle, for what takes long, whatever has become of its name meanwhile: who reads a version goes on
    /// reading it.
    ///
    /// # Errors
    /// As [`Service::open`].
    pub async fn may_still<A: Action>(&self, allowed: &Allowed<A, Handle>) -> Result<(), Error> {
        let mut db = self.contexts().pool().acquire().await?;
        let handle = store::load_handle(&mut db, allowed.id).await?;
        drop(db);
        self.decide::<A>(allowed.who(), handle, &allowed.id.to_string()).await.map(drop)
    }

    async fn decide<A: Action>(
        &self,
        who: &Principal,
        handle: Option<Handle>,
        called: &str,
    ) -> Result<Allowed<A, Handle>, Error> {
        let handle = handle.ok_or_else(|| Error::NotFound(called.to_owned()))?;
        self.contexts().access().require(who, handle).await.map_err(|r| Error::refused(r, called))
    }

    /// The handles that the caller may see, newest first: of one context, or of all.
    ///
    /// # Errors
    /// The database's.
    pub async fn list(&self, who: &Principal, context: Option<&str>, range: Range) -> Result<Page<Handle>, Error> {
        let context = match context {
            Some(called) => match self.contexts().locate(who, called).await? {
                Some(id) => Some(id),
                None => return Err(context::Error::NotFound(called.chars().take(140).collect()).into()),
            },
            None => None,
        };
        let load = |ids: Vec<Uuid>| async move {
            let mut db = self.contexts().pool().acquire().await?;
            let ids = store::with_handles(&mut db, &ids, context).await?;
            drop(db);
            Ok::<_, Error>(self.contexts().some(ids).await?)
        };
        let access = self.contexts().access();
        let reach = &access.reach_handles(who, load).await?;
        let fetch = |range| async move {
            let mut db = self.contexts().pool().acquire().await?;
            store::list_handles(&mut db, who, reach, context, range).await
        };
        let page = access.page(who, range, fetch).await?;
        // Whoever may see nothing in a context is not told that it exists.
        if let (Some(id), 0) = (context, page.total) {
            self.contexts().open::<View>(who, &id.to_string()).await?;
        }
        Ok(page)
    }

    /// The values of keys, as far as there are any.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn get(&self, handle: &Allowed<Read, Handle>, keys: &[Box<RawValue>]) -> Result<Entries, Error> {
        check_keys(keys)?;
        self.note_read(handle).await?;
        self.ask(handle, |request| Request { keys: Some(keys), ..request }, Op::Get).await
    }

    /// How many rows.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn count(&self, handle: &Allowed<Read, Handle>) -> Result<Counted, Error> {
        self.note_read(handle).await?;
        self.ask(handle, |request| request, Op::Count).await
    }

    /// Some rows.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn rows(&self, handle: &Allowed<Read, Handle>, wanted: &Wanted) -> Result<Rows, Error> {
        self.note_read(handle).await?;
        let columns = wanted.columns.as_deref();
        self.ask(handle, |request| Request { limit: wanted.limit, columns, ..request }, Op::Rows).await
    }

    /// All rows, or some, as a stream: the version that is read, and the bytes. `code_of` is the context whose code reads, unless a person does.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn stream(
        &self,
        handle: &Allowed<Read, Handle>,
        format: Format,
        wanted: &Wanted,
        code_of: Option<ContextId>,
    ) -> Result<(i64, Relayed), Error> {
        match code_of {
            None => self.note_read(handle).await?,
            // Whoever may run code there reads what its identity may: written down whosesoever the handle is.
            Some(context) => {
                self.note(handle, Event::Read, format!("by code of the context {context}")).await?;
                self.0.reads.note(handle.id, &handle.who().user);
            }
        }
        check_alive(handle)?;
        let message = |stream| {
            let (format, columns) = (format.as_str(), wanted.columns.as_deref());
            let (name, share) = (handle.name.as_str(), handle.share_id);
            let body = OpenStream { stream, name, share, format, limit: wanted.limit, columns };
            Outgoing::new("open_stream", &body)
        };
        let opened =
            self.0.streams.open(self.contexts(), (handle.who(), code_of.is_some()), handle.context_id, message).await;
        opened.map_err(|e| match e {
            Unopened::Away => Error::Away(handle.name.clone()),
            Unopened::Busy(Full::Person) => Error::Busy("as many streams as one person may have (16)"),
            Unopened::Busy(Full::PersonInContext) => {
                Error::Busy("as many streams of one context as one person may have (4)")
            }
            Unopened::Busy(Full::Context) => Error::Busy("as many streams as one context may have (16)"),
            Unopened::Busy(Full::All) => Error::Busy("as many streams as this gateway may relay (64)"),
            Unopened::Said(failure) => Error::said(&handle.name, failure),
        })
    }

    /// Gives keys new values. A repeat under the same key changes nothing again and gives the answer of the first, as far as the driver
    /// remembers it.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn put(
        &self,
        handle: &Allowed<Write, Handle>,
        entries: &[(Box<RawValue>, Box<RawValue>)],
        key: Option<&idempotency::Key>,
    ) -> Result<Changed, Error> {
        check_size(entries.len(), entries.iter().map(|(key, value)| key.get().len() + value.get().len()).sum())?;
        let each = entries.iter().enumerate();
        let each = each.flat_map(|(at, (key, value))| [("the key of ", at, &**key), ("the value of ", at, &**value)]);
        fit::check_each("entries", each)?;
        check_alive(handle)?;
        let id = self.begin(handle, Event::HandlePut, format!("{} entries", entries.len()), key).await?;
        self.ask_as(id, handle, |request| Request { entries: Some(entries), ..request }, Op::Put).await
    }

    /// Leaves keys out. A repeat is as one of [`Service::put`].
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn delete(
        &self,
        handle: &Allowed<Write, Handle>,
        keys: &[Box<RawValue>],
        key: Option<&idempotency::Key>,
    ) -> Result<Changed, Error> {
        check_keys(keys)?;
        check_alive(handle)?;
        let id = self.begin(handle, Event::HandleDeleted, format!("{} keys", keys.len()), key).await?;
        self.ask_as(id, handle, |request| Request { keys: Some(keys), ..request }, Op::Delete).await
    }

    /// Takes the name away; what is kept as the reason. Where there is no driver that holds the data, the catalogue alone is told, and the files
    /// of a durable handle stay until the next application of its context finds that nothing names them.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn unshare(&self, handle: &Allowed<Manage, Handle>) -> Result<String, Error> {
        let by = format!("it was unshared by {}", handle.who().user);
        if handle.context_ended_at.is_some() || handle.state == State::Lost {
            let reason = match (&handle.durable_path, handle.context_restarts) {
                (None, _) => by,
                (Some(_), true) => format!("{by}; its files are deleted when its context begins again"),
                (Some(_), false) => {
                    format!("{by}; its files stay in the handle store, for its context does not begin again")
                }
            };
            let access = self.contexts().access();
            let mut tx = self.contexts().pool().begin().await?;
            store::end_handle(&mut tx, handle.id, &reason).await?;
            access.audit().record(&mut tx, handle.entry(Event::HandleUnshared)).await?;
            tx.commit().await?;
            return Ok(reason);
        }
        self.note(handle, Event::HandleUnshared, handle.name.clone()).await?;
        let _nothing: serde::de::IgnoredAny = self.ask(handle, |request| request, Op::Unshare).await?;
        let mut db = self.contexts().pool().acquire().await?;
        store::end_handle(&mut db, handle.id, &by).await?;
        Ok(by)
    }

    /// Writes down who reads: at once for others than the owner, and soon as the last reader.
    async fn note_read(&self, handle: &Allowed<Read, Handle>) -> Result<(), Error> {
        self.contexts().access().note_read(handle).await?;
        self.0.reads.note(handle.id, &handle.who().user);
        self.touch(handle);
        Ok(())
    }

    /// The clock of its context begins anew.
    fn touch(&self, handle: &Handle) {
        if let Some(live) = self.contexts().live().get(handle.context_id) {
            live.touch();
        }
    }

    async fn note<A>(&self, handle: &Allowed<A, Handle>, event: Event, detail: String) -> Result<(), Error> {
        Ok(self.contexts().access().note(handle.entry(event).with(detail)).await?)
    }

    /// Writes a change down that is about to be asked for, unless it is a repeat; the id by which it is asked for.
    async fn begin(
        &self,
        handle: &Allowed<Write, Handle>,
        event: Event,
        detail: String,
        key: Option<&idempotency::Key>,
    ) -> Result<Uuid, Error> {
        let Some(key) = key else {
            self.note(handle, event, detail).await?;
            return Ok(Uuid::now_v7());
        };
        let mut tx = self.contexts().pool().begin().await?;
        if idempotency::claim(&mut tx, key, "").await?.is_none() {
            self.contexts().access().audit().record(&mut tx, handle.entry(event).with(detail)).await?;
        }
        tx.commit().await?;
        Ok(key.id())
    }

    async fn ask<'a, A, T: serde::de::DeserializeOwned>(
        &self,
        handle: &'a Allowed<A, Handle>,
        fill: impl FnOnce(Request<'a>) -> Request<'a>,
        op: Op,
    ) -> Result<T, Error> {
        self.ask_as(Uuid::now_v7(), handle, fill, op).await
    }

    async fn ask_as<'a, A, T: serde::de::DeserializeOwned>(
        &self,
        request: Uuid,
        handle: &'a Allowed<A, Handle>,
        fill: impl FnOnce(Request<'a>) -> Request<'a>,
        op: Op,
    ) -> Result<T, Error> {
        check_alive(handle)?;
        self.touch(handle);
        let name = handle.name.as_str();
        let bare = Request {
            request,
            op,
            name,
            share: handle.share_id,
            keys: None,
            entries: None,
            limit: None,
            columns: None,
        };
        let message = Outgoing::new("handle_request", &fill(bare));
        let answer = match self.0.requests.ask(self.contexts(), handle.who(), handle.context_id, request, message).await
        {
            Ok(answer) => answer.map_err(|failure| Error::said(name, failure))?,
            Err(Unanswered::Away) => return Err(Error::Away(name.to_owned())),
            Err(Unanswered::Silent) => return Err(Error::Unanswered(name.to_owned())),
            Err(Unanswered::Busy(Full::Context)) => {
                return Err(Error::Busy("as many requests for handles as one context may have (32)"));
            }
            Err(Unanswered::Busy(_)) => {
                return Err(Error::Busy("as many requests for handles of one context as one person may have (8)"));
            }
        };
        // Whoever holds the application's token could answer anything.
        let unfit = |_| Error::Failed { name: name.to_owned(), message: "an answer of another shape".to_owned() };
        serde_json::from_str(answer.get()).map_err(unfit)
    }
}

fn check_keys(keys: &[Box<RawValue>]) -> Result<(), Error> {
    check_size(keys.len(), keys.iter().map(|key| key.get().len()).sum())?;
    fit::check_each("keys", keys.iter().enumerate().map(|(at, key)| ("", at, &**key)))
}

fn check_size(count: usize, bytes: usize) -> Result<(), Error> {
    match count {
        0 => Err(Error::Invalid("name at least one key".to_owned())),
        n if n > MOST_KEYS => Err(Error::Invalid(format!("{n} keys are more than one request may have: {MOST_KEYS}"))),
        _ if bytes > LARGEST => Err(Error::TooLarge(bytes, LARGEST)),
        _ => Ok(()),
    }
}

fn check_alive(handle: &Handle) -> Result<(), Error> {
    let name = handle.name.clone();
    if handle.state == State::Ready {
        let Some(at) = handle.context_ended_at else { return Ok(()) };
        let told = ending::told(Some(at), handle.context_cause.as_deref());
        return Err(match handle.context_restarts {
            true => Error::ContextOver(name, told),
            false => Error::ContextGone(name, told),
        });
    }
    let at = format!(" since {}", ending::moment(handle.updated_at));
    let reason = handle.reason.clone().unwrap_or_else(|| "its driver said no more".to_owned());
    Err(Error::Over { name, state: handle.state.as_str(), at, reason })
}
