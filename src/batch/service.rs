//! Use cases of batches: create, find, list, wait, stop, read the log.

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::{Batch, Error, NewBatch, State, View, store};
use crate::access::resource::Kind;
use crate::access::{self, Action, Allowed, CreateBatch, Manage};
use crate::audit::{Entry, Event};
use crate::context::log::{self, LogPage, Wanted};
use crate::context::{self, Ending};
use crate::id::{self, BatchId};
use crate::identity::Principal;
use crate::store::{Page, Range, constraint, idempotency};
use crate::time::Span;

/// How often a wait looks at the row without a signal: another gateway may look after the batch.
const LOOK: Duration = Duration::from_millis(500);

/// What a batch is called in a request.
pub type Called<'a> = id::Called<'a, id::Batch>;

/// Use cases of batches. Cheap to clone.
#[derive(Clone)]
pub struct Service(Arc<Parts>);

struct Parts {
    contexts: context::service::Service,
    retain: Span,
    waits: DashMap<BatchId, Arc<str>>,
    changes: watch::Sender<u64>,
    wake: Notify,
}

impl Service {
    /// Batches beside these contexts; the Livy door shows ended ones for `retain`.
    #[must_use]
    pub fn new(contexts: context::service::Service, retain: Span) -> Self {
        let (waits, changes, wake) = (DashMap::new(), watch::Sender::new(0), Notify::new());
        Self(Arc::new(Parts { contexts, retain, waits, changes, wake }))
    }

    /// The contexts that stand in the same line.
    #[must_use]
    pub fn contexts(&self) -> &context::service::Service {
        &self.0.contexts
    }

    /// Wakes the reconciler and all who wait: rows have changed.
    pub(super) fn wake(&self) {
        self.0.wake.notify_one();
        self.changed();
    }

    /// Wakes all who wait.
    pub(super) fn changed(&self) {
        self.0.changes.send_modify(|v| *v += 1);
    }

    /// Remembers why a batch waits, or that it waits no longer.
    pub(super) fn waits(&self, id: BatchId, reason: Option<String>) {
        match reason {
            Some(reason) => drop(self.0.waits.insert(id, reason.into())),
            None => drop(self.0.waits.remove(&id)),
        }
    }

    /// Waits until [`Service::wake`] is called.
    pub(super) async fn woken(&self) {
        self.0.wake.notified().await;
    }

    /// Creates a batch, in line for its launch.
    ///
    /// # Errors
    /// A bad name, profile or request, a file that is not there, a taken name, a full line, the database.
    pub async fn create(&self, who: &Principal, new: NewBatch, key: Option<&idempotency::Key>) -> Result<View, Error> {
        if let Some(name) = new.name.as_ref().filter(|n| !context::is_name(n)) {
            return Err(Error::BadName(name.chars().take(140).collect()));
        }
        let profile = self.0.contexts.choose::<CreateBatch>(who, new.profile.as_deref()).await?;
        let mut request = new.request;
        // Looked at before the transaction, and told after the key: what was made once is made, whatever became of its files.
        let checked = async {
            let file = request.check()?;
            self.0.contexts.may_ask(who, &profile, request.resources.clone(), file).await
        };
        let checked = checked.await;
        let id = BatchId::generate();
        let mut tx = self.0.contexts.pool().begin().await?;
        if let Some(key) = key
            && let Some(made) = idempotency::claim(&mut tx, key, &id.to_string()).await?
        {
            let made = made.parse().map_err(|_| Error::Inconsistent(id))?;
            let batch = store::load_batch(&mut tx, made).await?.ok_or(Error::Inconsistent(id))?;
            return Ok(self.shown(batch));
        }
        let admitted = checked?;
        request.resources = admitted.resources;
        let profile = profile.0.as_str();
        self.0.contexts.admit(&mut tx, profile).await?;
        let host = self.0.contexts.host();
        let dir = self.0.contexts.launches().join(id.to_string());
        let launch_dir = &*dir.to_string_lossy();
        let (name, request, run_as) = (new.name.as_deref(), &request, &*admitted.run_as);
        let row = store::New { id, who, run_as, name, profile, request, host, launch_dir };
        if let Err(e) = store::insert_batch(&mut tx, row).await {
            drop(tx);
            return Err(self.name_taken(who, new.name, e).await);
        }
        let batch = store::load_batch(&mut tx, id).await?.ok_or(Error::Inconsistent(id))?;
        let entry = Entry::done(Event::BatchCreated, who).by(&admitted.by).on("batch", id);
        let entry = entry.with(format!("runs as {}", admitted.run_as));
        self.0.contexts.access().audit().record(&mut tx, entry).await?;
        tx.commit().await?;
        self.wake();
        Ok(self.shown(batch))
    }

    async fn name_taken(&self, who: &Principal, name: Option<String>, e: sqlx::Error) -> Error {
        let (Some("batch_name_per_tenant"), Some(name)) = (constraint(&e), name) else { return e.into() };
        let taken = async {
            let mut db = self.0.contexts.pool().acquire().await?;
            store::find_by_name(&mut db, &who.tenant, &name).await
        };
        match taken.await {
            Ok(found) => Error::NameTaken { livy_id: found.map_or(-1, |(_, livy_id)| livy_id), name },
            Err(e) => e.into(),
        }
    }

    /// Finds a batch and decides whether `who` may do `A` to it.
    ///
    /// # Errors
    /// Not found, denied, the database.
    pub async fn open<A: Action>(&self, who: &Principal, called: Called<'_>) -> Result<Allowed<A, View>, Error> {
        let mut db = self.0.contexts.pool().acquire().await?;
        let id = match called {
            Called::Id(id) => Some(id),
            Called::Livy(id) => store::find_by_livy_id(&mut db, id).await?,
            Called::Name(name) => store::find_by_name(&mut db, &who.tenant, name).await?.map(|(id, _)| id),
        };
        let found = match id {
            Some(id) => store::load_batch(&mut db, id).await?,
            None => None,
        };
        drop(db);
        let batch = found.ok_or_else(|| Error::NotFound(called.to_string()))?;
        let access = self.0.contexts.access();
        access.require(who, self.shown(batch)).await.map_err(|r| Error::refused(r, &called.to_string()))
    }

    /// The batches that the caller may see; ended and deleted ones only when `all`.
    ///
    /// # Errors
    /// The database's.
    pub async fn list(&self, who: &Principal, range: Range, all: bool) -> Result<Page<View>, Error> {
        let access = self.0.contexts.access();
        let reach = access.reach(who, Kind::Batch).await?;
        let reach = &reach;
        let fetch = |range| async move {
            let mut db = self.0.contexts.pool().acquire().await?;
            store::list_batches(&mut db, who, reach, range, all, self.0.retain).await
        };
        let Page { rows, total } = access.page(who, range, fetch).await?;
        Ok(Page { rows: rows.into_iter().map(|b| self.shown(b)).collect(), total })
    }

    fn shown(&self, batch: Batch) -> View {
        let waits = self.0.waits.get(&batch.id).map(|w| w.clone()).filter(|_| batch.state == State::Waiting);
        View { batch, waits }
    }

    /// Waits until `done` holds of the batch, or the time is over; gives the last view either way.
    ///
    /// # Errors
    /// The database's.
    pub async fn wait(
        &self,
        id: BatchId,
        limit: Duration,
        done: impl Fn(&View) -> bool,
    ) -> Result<Option<View>, Error> {
        let until = Instant::now() + limit;
        let mut changes = self.0.changes.subscribe();
        loop {
            changes.mark_unchanged();
            let view = self.view(id).await?;
            let stopping = self.0.contexts.stopping();
            if view.as_ref().is_none_or(&done) || Instant::now() >= until || stopping.is_cancelled() {
                return Ok(view);
            }
            let change = tokio::time::timeout_at(until.min(Instant::now() + LOOK), changes.changed());
            let _ = stopping.run_until_cancelled(change).await;
        }
    }

    async fn view(&self, id: BatchId) -> Result<Option<View>, Error> {
        let mut db = self.0.contexts.pool().acquire().await?;
        Ok(store::load_batch(&mut db, id).await?.map(|b| self.shown(b)))
    }

    /// Tells a batch to end, with all that it started. `how` is a participle, such as "deleted". Does nothing to one that is over or ending.
    ///
    /// # Errors
    /// The database's.
    pub async fn stop(&self, batch: &Allowed<Manage, View>, how: &str) -> Result<(), Error> {
        let mut tx = self.0.contexts.pool().begin().await?;
        if store::mark_ending(&mut tx, batch.batch.id, &Ending::person(how, batch.who())).await? {
            self.0.contexts.access().audit().record(&mut tx, batch.entry(Event::BatchStopped)).await?;
            tx.commit().await?;
            self.waits(batch.batch.id, None);
            self.wake();
        }
        Ok(())
    }

    /// Hides a batch from the Livy door, whose clients expect 404 after a DELETE.
    ///
    /// # Errors
    /// The database's.
    pub async fn hide(&self, batch: &Allowed<Manage, View>) -> Result<(), Error> {
        let mut db = self.0.contexts.pool().acquire().await?;
        Ok(store::mark_deleted(&mut db, batch.batch.id).await?)
    }

    /// A page of the batch's log.
    ///
    /// # Errors
    /// The database's.
    pub async fn log(&self, batch: &Allowed<access::View, View>, wanted: Wanted) -> Result<LogPage, Error> {
        self.0.contexts.access().note_read(batch).await?;
        let mut db = self.0.contexts.pool().acquire().await?;
        Ok(log::read(&mut db, batch.batch.id.0, wanted).await?)
    }
}

impl Service {
    /// Tells every living batch of this gateway's state folder to end.
    ///
    /// # Errors
    /// The database's.
    pub async fn stop_all(&self, cause: &str) -> Result<(), Error> {
        let (ending, mut db) = (Ending::itself(cause), self.0.contexts.pool().acquire().await?);
        for batch in store::living_in(&mut db, self.0.contexts.host(), self.0.contexts.launches()).await? {
            store::mark_ending(&mut db, batch.id, &ending).await?;
        }
        self.wake();
        Ok(())
    }

    /// How many batches of this gateway's state folder are alive.
    ///
    /// # Errors
    /// The database's.
    pub async fn count_living(&self) -> Result<usize, Error> {
        let mut db = self.0.contexts.pool().acquire().await?;
        Ok(store::living_in(&mut db, self.0.contexts.host(), self.0.contexts.launches()).await?.len())
    }
}
