//! Use cases of sessions: create, find, list, wait, stop.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use sqlx::PgConnection;
use tokio::time::Instant;
use uuid::Uuid;

use super::completion::Completions;
use super::live::{Live, LiveSession};
use super::{Error, Kind, Limits, NewSession, Session, State, View, is_over, store};
use crate::access::resource::Kind as Thing;
use crate::access::{self, Action, Allowed, Attach, CreateSession, Manage, Verb};
use crate::audit::{Entry, Event};
use crate::context::clock::Clock;
use crate::context::driver::Signal;
use crate::context::launch::Admitted;
use crate::context::live::Facts;
use crate::context::log::{LogPage, Wanted};
use crate::context::{self, By, Ending, Share};
use crate::id::{self, ContextId, SessionId};
use crate::identity::Principal;
use crate::store::{Page, Range, constraint, idempotency};
use crate::time::Span;

/// How often a wait looks at the rows of a session that another gateway answers for.
const LOOK: Duration = Duration::from_millis(200);

/// What a session is called in a request.
pub type Called<'a> = id::Called<'a, id::Session>;

/// Use cases of sessions. Cheap to clone.
#[derive(Clone)]
pub struct Service(Arc<Parts>);

struct Parts {
    contexts: context::service::Service,
    limits: Limits,
    live: Live,
    completions: Completions,
}

/// Where a new session is to live.
enum Place {
    /// In a context that is there.
    In(Box<Allowed<Attach, context::Context>>),
    /// In one of its own.
    New(Box<Admitted>),
}

impl Service {
    /// Sessions in these contexts.
    #[must_use]
    pub fn new(contexts: context::service::Service, limits: Limits) -> Self {
        let (live, completions) = (Live::default(), Completions::default());
        Self(Arc::new(Parts { contexts, limits, live, completions }))
    }

    /// The contexts that the sessions live in.
    #[must_use]
    pub fn contexts(&self) -> &context::service::Service {
        &self.0.contexts
    }

    /// The sessions that this gateway answers for.
    #[must_use]
    pub fn live(&self) -> &Live {
        &self.0.live
    }

    pub(super) fn completions(&self) -> &Completions {
        &self.0.completions
    }

    /// The section `session`.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// Creates a session, with a context of its own unless it names one.
    ///
    /// # Errors
    /// A bad name, kind, time, profile or request; a taken name; a context that is not there; the database.
    pub async fn create(
        &self,
        who: &Principal,
        new: NewSession,
        key: Option<&idempotency::Key>,
    ) -> Result<View, Error> {
        let names_none = new.context.is_none();
        match self.create_once(who, new.clone(), key).await {
            // By now it is there to be found.
            Err(Error::Context(context::Error::SharedMeanwhile)) => self.create_once(who, new, key).await,
            // The one that was found to be shared was told to end at this moment: by now it is not found, and another is made.
            Err(Error::Context(context::Error::Over(..) | context::Error::Ended(..))) if names_none => {
                self.create_once(who, new, key).await
            }
            outcome => outcome,
        }
    }

    async fn create_once(
        &self,
        who: &Principal,
        mut new: NewSession,
        key: Option<&idempotency::Key>,
    ) -> Result<View, Error> {
        if new.kind == Kind::Sparkr {
            return Err(Error::NotOffered(new.kind));
        }
        if let Some(name) = new.name.as_ref().filter(|n| !context::is_name(n)) {
            return Err(Error::BadName(name.chars().take(140).collect()));
        }
        let ttl = time("ttl", new.request.ttl.as_deref(), self.0.limits.ttl)?;
        let idle = time("idleTimeout", new.request.idle_timeout.as_deref(), self.0.limits.idle_timeout)?;
        // Decided before the transaction, which holds the only connection this call takes.
        let attach = match &new.context {
            Some(called) => Some(self.0.contexts.open::<Attach>(who, called).await?),
            None => self.shared(who, &mut new).await?,
        };
        let profile = attach.as_ref().map(|c| c.profile.as_str()).or(new.profile.as_deref());
        let profile = self.0.contexts.choose::<CreateSession>(who, profile).await?;
        // Looked at before the transaction, and told after the key: what was made once is made, whatever became of its files.
        let place = match attach {
            Some(context) => Ok(Place::In(Box::new(context))),
            None => {
                let resources = new.request.resources.clone();
                self.0
                    .contexts
                    .may_ask(who, &profile, resources, Vec::new())
                    .await
                    .map(|admitted| Place::New(Box::new(admitted)))
            }
        };
        let held_here = match &place {
            Ok(Place::In(context)) => context.held_by == Some(self.0.contexts.me()),
            _ => true,
        };
        let id = SessionId::generate();
        let mut tx = self.0.contexts.pool().begin().await?;
        if let Some(key) = key
            && let Some(made) = idempotency::claim(&mut tx, key, &id.to_string()).await?
        {
            let made = made.parse().map_err(|_| Error::Inconsistent(id))?;
            drop(tx);
            return self.view(made).await?.ok_or(Error::Inconsistent(id));
        }
        let (context_id, number, run_as) = self.place(&mut tx, who, place?).await?;
        let row = store::New {
            id,
            context_id,
            number,
            who,
            run_as: &run_as,
            name: new.name.as_deref(),
            kind: new.kind,
            request: &new.request,
            heartbeat: Span(Duration::from_secs(u64::from(new.heartbeat_seconds))),
            idle,
            ttl,
        };
        if let Err(e) = store::insert_session(&mut tx, row).await {
            drop(tx);
            return Err(self.name_taken(who, new.name, e).await);
        }
        let session = store::load_session(&mut tx, id).await?.ok_or(Error::Inconsistent(id))?;
        let entry = Entry::done(Event::SessionCreated, who).by(profile.policies()).on("session", id);
        self.0.contexts.access().audit().record(&mut tx, entry.with(format!("runs as {run_as}"))).await?;
        tx.commit().await?;
        if held_here {
            self.0.live.keep_new(session, self.0.contexts.live().keep(context_id));
        }
        self.0.contexts.signal(context_id, Signal::Look);
        self.0.contexts.wake();
        self.view(id).await?.ok_or(Error::Inconsistent(id))
    }

    /// The context that the caller's sessions of the profile share, if it is there already: it is as the first of them has asked.
    async fn shared(
        &self,
        who: &Principal,
        new: &mut NewSession,
    ) -> Result<Option<Allowed<Attach, context::Context>>, Error> {
        let profile = new.profile.as_deref().unwrap_or(context::service::DEFAULT_PROFILE);
        let shared = self.0.contexts.shared(who, profile).await?;
        if shared.as_ref().is_some_and(|context| new.request.resources != context.request) {
            new.request.notices.push(
                "Hearth: this session lives in a context that sessions of this profile share, which was there before: memory, cores, files and \
                 conf of this request change nothing"
                    .to_owned(),
            );
        }
        Ok(shared)
    }

    /// The context, the session's number in it, and whose identity it has.
    async fn place(
        &self,
        db: &mut PgConnection,
        who: &Principal,
        place: Place,
    ) -> Result<(ContextId, i32, String), Error> {
        let (id, run_as) = match place {
            Place::In(context) => (context.id, context.run_as.clone()),
            Place::New(admitted) => {
                let share = self.0.contexts.profile(&admitted.profile)?.share.clone();
                let outlives_sessions = share != Share::Session;
                let place = context::service::Place { outlives_sessions, share, ..Default::default() };
                let made = self.0.contexts.insert(db, who, ContextId::generate(), place, *admitted).await?;
                (made.id, made.run_as)
            }
        };
        let number = context::store::take_session_number(db, id).await?;
        match number {
            Some(number) => Ok((id, number, run_as)),
            None => {
                let over = context::store::load_context(db, id).await?.ok_or(context::Error::Inconsistent(id))?;
                Err(over.refusal().into())
            }
        }
    }

    async fn name_taken(&self, who: &Principal, name: Option<String>, e: sqlx::Error) -> Error {
        let (Some("session_name_per_tenant"), Some(name)) = (constraint(&e), name) else { return e.into() };
        let taken = async {
            let mut db = self.0.contexts.pool().acquire().await?;
            store::find_by_name(&mut db, &who.tenant, &name).await
        };
        match taken.await {
            Ok(found) => Error::NameTaken { livy_id: found.map_or(-1, |(_, livy_id)| livy_id), name },
            Err(e) => e.into(),
        }
    }

    /// Finds a session and decides whether `who` may do `A` to it.
    ///
    /// # Errors
    /// Not found, denied, the database.
    pub async fn open<A: Action>(&self, who: &Principal, called: Called<'_>) -> Result<Allowed<A, View>, Error> {
        let live = match called {
            Called::Livy(id) => self.0.live.get_by_livy_id(id),
            Called::Id(id) => self.0.live.get(id),
            Called::Name(_) => None,
        };
        let view = match live {
            Some(live) => live.view(),
            None => self.find(who, called).await?.ok_or_else(|| Error::NotFound(called.to_string()))?,
        };
        let access = self.0.contexts.access();
        let allowed = access.require(who, view).await.map_err(|r| Error::refused(r, &called.to_string()))?;
        if A::VERB == Verb::Attach {
            self.check_context(who, &allowed.session).await?;
        }
        // By whatever it is called, and by nobody who may not.
        if let Some(live) = self.0.live.get(allowed.session.id) {
            live.called();
        }
        Ok(allowed)
    }

    /// Whoever runs code in a session that lives in another's context runs it as that context: a grant on that which was revoked or
    /// has expired ends it.
    async fn check_context(&self, who: &Principal, session: &Session) -> Result<(), Error> {
        if session.context_owner == session.owner {
            return Ok(());
        }
        match self.0.contexts.open::<Attach>(who, &session.context_id.to_string()).await {
            Ok(_) => Ok(()),
            Err(context::Error::NotFound(_)) => Err(Error::Denied(format!(
                "this session lives in a context of {}, which is not shared with you: its owner can grant attach on the context",
                session.context_owner
            ))),
            Err(e) => Err(e.into()),
        }
    }

    /// The context that a session lives in. Nothing is decided.
    ///
    /// # Errors
    /// The database's.
    pub async fn locate(&self, who: &Principal, called: Called<'_>) -> Result<Option<ContextId>, Error> {
        Ok(self.find(who, called).await?.map(|view| view.session.context_id))
    }

    async fn find(&self, who: &Principal, called: Called<'_>) -> Result<Option<View>, Error> {
        let mut db = self.0.contexts.pool().acquire().await?;
        let id = match called {
            Called::Id(id) => Some(id),
            Called::Livy(id) => store::find_by_livy_id(&mut db, id).await?,
            Called::Name(name) => store::find_by_name(&mut db, &who.tenant, name).await?.map(|(id, _)| id),
        };
        drop(db);
        match id {
            Some(id) => self.view(id).await,
            None => Ok(None),
        }
    }

    /// A session as doors show it: from memory, else from its rows.
    ///
    /// # Errors
    /// The database's.
    pub async fn view(&self, id: SessionId) -> Result<Option<View>, Error> {
        if let Some(live) = self.0.live.get(id) {
            return Ok(Some(live.view()));
        }
        let mut db = self.0.contexts.pool().acquire().await?;
        let Some(session) = store::load_session(&mut db, id).await? else { return Ok(None) };
        Ok(self.views(&mut db, vec![session]).await?.pop())
    }

    /// Views of rows: from memory where they are live, else three queries for all of them.
    async fn views(&self, db: &mut PgConnection, rows: Vec<Session>) -> Result<Vec<View>, Error> {
        let stored: Vec<Uuid> =
            rows.iter().filter(|s| self.0.live.get(s.id).is_none()).map(|s| s.context_id.0).collect();
        let shown: HashMap<_, _> =
            context::application::shown_of(db, &stored).await?.into_iter().map(|s| (s.context_id, s)).collect();
        let applications: Vec<Uuid> = shown.values().map(|s| s.application_id.0).collect();
        let tails = context::log::tails(db, &applications, context::live::TAIL as i64).await?;
        let living = |s: &&Session| s.state.takes_statements();
        let ids: Vec<Uuid> = rows.iter().filter(living).map(|s| s.id.0).collect();
        let busy = store::busy_among(db, &ids).await?;
        let contexts: Vec<_> = rows.iter().filter(living).map(|s| s.context_id).collect();
        let deadlines = self.0.contexts.deadlines(db, &contexts).await?;
        let view = |session: Session| {
            if let Some(live) = self.0.live.get(session.id) {
                return live.view();
            }
            let shown = shown.get(&session.context_id);
            let facts = shown.map_or_else(Facts::default, |s| Facts {
                app_id: s.cluster_id.clone(),
                ui_url: s.ui_url.clone(),
                ..Facts::default()
            });
            let tail = shown.and_then(|s| tails.get(&s.application_id.0).cloned()).unwrap_or_default();
            let is_busy = busy.contains(&session.id.0);
            let state = if is_busy && session.state == State::Idle { State::Busy } else { session.state };
            let tail = tail.into_iter().map(Arc::from).collect();
            let context = deadlines.get(&session.context_id).copied();
            let ends = session.deadline(session.last_active_at, is_busy, context);
            View { state, facts: Arc::new(facts), tail, ends, session: Arc::new(session) }
        };
        Ok(rows.into_iter().map(view).collect())
    }

    /// The sessions that the caller may see; ended and deleted ones only when `all`.
    ///
    /// # Errors
    /// The database's.
    pub async fn list(&self, who: &Principal, range: Range, all: bool) -> Result<Page<View>, Error> {
        let access = self.0.contexts.access();
        let reach = access.reach(who, Thing::Session).await?;
        let reach = &reach;
        let fetch = |range| async move {
            let mut db = self.0.contexts.pool().acquire().await?;
            store::list_sessions(&mut db, who, reach, range, all, self.0.limits.retain).await
        };
        let Page { rows, total } = access.page(who, range, fetch).await?;
        let mut db = self.0.contexts.pool().acquire().await?;
        Ok(Page { rows: self.views(&mut db, rows).await?, total })
    }

    /// Waits until `done` holds of the session's view, the time is over, or the gateway stops; gives the last view either way.
    ///
    /// # Errors
    /// The database's.
    pub async fn wait(
        &self,
        id: SessionId,
        limit: Duration,
        done: impl Fn(&View) -> bool,
    ) -> Result<Option<View>, Error> {
        let until = Instant::now() + limit;
        loop {
            let live = self.0.live.get(id);
            // Whoever waits is there, so the clock of the heartbeat stands still.
            let _attending = live.as_ref().map(|l| l.attend());
            let mut changes = live.as_ref().map(|l| l.changes());
            let view = self.view(id).await?;
            let stopping = self.0.contexts.stopping();
            if view.as_ref().is_none_or(&done) || Instant::now() >= until || stopping.is_cancelled() {
                return Ok(view);
            }
            let pause = if changes.is_some() { until } else { until.min(Instant::now() + LOOK) };
            let change = async {
                match &mut changes {
                    Some(c) => drop(c.changed().await),
                    None => std::future::pending().await,
                }
            };
            let _ = stopping.run_until_cancelled(tokio::time::timeout_at(pause, change)).await;
        }
    }

    /// Tells a session to end: with its context, when that is its own. `how` is a participle, such as "deleted".
    ///
    /// # Errors
    /// The database's.
    pub async fn stop(&self, session: &Allowed<Manage, View>, how: &str) -> Result<(), Error> {
        let ending = Ending::person(how, session.who());
        self.end_by(&session.session, &ending, Some(session.entry(Event::SessionStopped))).await
    }

    /// Ends a session whose clock has struck, unless a statement was taken meanwhile by which it stands still.
    pub(super) async fn end_by_clock(&self, session: &Session, clock: Clock, time: Span) -> Result<(), Error> {
        self.end_by(session, &Ending::clock(clock, clock.cause(time)), None).await
    }

    async fn end_by(&self, session: &Session, ending: &Ending, entry: Option<Entry<'_>>) -> Result<(), Error> {
        if is_over(session.state) {
            return Ok(());
        }
        let mut tx = self.0.contexts.pool().begin().await?;
        // Held, so that of two sessions that end at once one is the last.
        context::store::lock_context(&mut tx, session.context_id).await?;
        if let Some(By::Clock { clock }) = ending.by
            && clock.waits_for_statements()
        {
            // A statement that is being taken holds the session's row.
            store::lock_living(&mut tx, session.context_id).await?;
            if !store::busy_among(&mut tx, &[session.id.0]).await?.is_empty() {
                return Ok(());
            }
        }
        let is_first = store::mark_ending(&mut tx, session.id, ending).await?;
        let own = self.0.contexts.end_if_deserted(&mut tx, session.context_id, ending).await?;
        if let Some(entry) = entry {
            self.0.contexts.access().audit().record(&mut tx, entry).await?;
        }
        tx.commit().await?;
        if let Some(live) = self.0.live.get(session.id) {
            live.change(|s| {
                if !is_over(s.state) {
                    s.state = State::ShuttingDown;
                    if is_first {
                        (s.cause, s.ended_by) = (Some(ending.cause.clone()), ending.by.clone());
                    }
                }
            });
        }
        if own {
            self.0.contexts.wake();
        } else {
            self.0.contexts.signal(session.context_id, Signal::Look);
        }
        Ok(())
    }

    /// Hides a session from the Livy door, whose clients expect 404 after a DELETE.
    ///
    /// # Errors
    /// The database's.
    pub async fn hide(&self, session: &Allowed<Manage, View>) -> Result<(), Error> {
        let mut db = self.0.contexts.pool().acquire().await?;
        store::mark_deleted(&mut db, session.session.id).await?;
        if let Some(live) = self.0.live.get(session.session.id) {
            live.change(|s| s.deleted = true);
        }
        Ok(())
    }

    /// A page of the log of the session's context.
    ///
    /// # Errors
    /// The database's.
    pub async fn log(&self, session: &Allowed<access::View, View>, wanted: Wanted) -> Result<LogPage, Error> {
        let row = &session.session;
        if row.context_owner == row.owner {
            self.0.contexts.access().note_read(session).await?;
            return Ok(self.0.contexts.log_by_id(row.context_id, wanted).await?);
        }
        // It is the log of all that the other's context runs, and theirs to show.
        let context = self.0.contexts.open::<access::View>(session.who(), &row.context_id.to_string()).await?;
        Ok(self.0.contexts.log(&context, wanted).await?)
    }

    /// The session in memory, when this gateway answers for it.
    #[must_use]
    pub fn live_session(&self, id: SessionId) -> Option<Arc<LiveSession>> {
        self.0.live.get(id)
    }
}

fn time(field: &'static str, asked: Option<&str>, default: Span) -> Result<Span, Error> {
    asked.map_or(Ok(default), str::parse).map_err(|source| Error::BadTime { field, source })
}
