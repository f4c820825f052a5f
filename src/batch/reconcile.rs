//! Brings what runs in line with the rows: launches who is next, takes up what a former gateway left, ends who was told to end.
//!
//! One idempotent pass without input, as for contexts. A batch belongs to the state folder that its launch folder lies in, which
//! one gateway at a time holds; so nobody else launches it, follows it or ends it.

use std::collections::HashSet;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::{error, info, warn};

use super::service::Service;
use super::watch::Watched;
use super::{Batch, Error, State, store};
use crate::context;
use crate::context::launch::folder::Folder;
use crate::context::launch::follow;
use crate::context::launch::line::{self, Limits};
use crate::context::launch::process::{self, Status};
use crate::context::launch::start::{self, Starter, Wanted};
use crate::context::launch::submit::{self, Job};
use crate::id::BatchId;
use crate::life::Life;

/// How often a pass is made without a signal.
const EVERY: Duration = Duration::from_secs(1);
/// How long a program told to end may take before it is killed.
const GRACE: Duration = Duration::from_secs(8);
/// A batch whose log says nothing of Spark counts as running after this time.
const START: Duration = Duration::from_secs(15);

type Set = Arc<Mutex<HashSet<BatchId>>>;

/// Reconciles the batches of one state folder.
pub struct Reconciler {
    batches: Service,
    starter: Starter,
    life: Life,
    limits: Limits,
    /// Those whose programs are being started, followed and ended by tasks of this process.
    starting: Set,
    followed: Set,
    ending: Set,
}

impl Reconciler {
    /// A reconciler of the batches that lie below the starter's state folder.
    #[must_use]
    pub fn new(batches: Service, starter: Starter, life: Life) -> Self {
        let limits = Limits::new(batches.contexts().launch_config());
        let [starting, followed, ending] = [Set::default(), Set::default(), Set::default()];
        Self { batches, starter, life, limits, starting, followed, ending }
    }

    /// Makes passes until the gateway stops.
    pub async fn run(self) {
        let stopping = self.life.stopping();
        loop {
            if let Err(e) = self.pass().await {
                warn!(error = %e, "The batches could not be looked after now");
            }
            tokio::select! {
                () = stopping.cancelled() => return,
                () = self.batches.woken() => {}
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    async fn pass(&self) -> Result<(), Error> {
        let mut db = self.batches.contexts().pool().acquire().await?;
        let (host, launches) = (self.batches.contexts().host(), self.batches.contexts().launches());
        let living = store::living_in(&mut db, host, launches).await?;
        drop(db);
        for batch in living.iter().filter(|b| b.state != State::Waiting && !lock(&self.starting).contains(&b.id)) {
            let folder = Folder::at(&batch.launch_dir);
            match process::status(&folder) {
                Ok(Status::Running { .. }) if batch.state == State::Starting => self.running(batch).await?,
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    self.never_started(batch).await?;
                    continue;
                }
                Err(e) => {
                    warn!(batch.id = %batch.id, error = %e, "The launch folder of batch {} cannot be read now", batch.id);
                    continue;
                }
            }
            self.follow(batch, &folder);
            if batch.state == State::ShuttingDown {
                self.end(batch, folder);
            }
        }
        if living.iter().any(|b| b.state == State::Waiting) {
            self.launch(&living).await?;
        }
        Ok(())
    }

    /// The program runs, and its log has not said so for long: Spark may be told to log nothing.
    async fn running(&self, batch: &Batch) -> Result<(), Error> {
        let age = batch.started_at.and_then(|at| (crate::time::now() - at).to_std().ok());
        if age.is_some_and(|age| age > START) {
            let mut db = self.batches.contexts().pool().acquire().await?;
            store::move_state(&mut db, batch.id, State::Starting, State::Running).await?;
            self.batches.changed();
        }
        Ok(())
    }

    /// A gateway died before it had started what it had chosen, or the launch folder of what ran is gone.
    async fn never_started(&self, batch: &Batch) -> Result<(), Error> {
        let mut db = self.batches.contexts().pool().acquire().await?;
        match batch.state {
            State::Starting => {
                store::move_state(&mut db, batch.id, State::Starting, State::Waiting).await?;
            }
            _ => {
                let cause = "its launch folder is gone, so nobody can tell how it ended";
                store::end_batch(&mut db, batch.id, State::Dead, Some(cause), None).await?;
            }
        }
        self.batches.wake();
        Ok(())
    }

    fn follow(&self, batch: &Batch, folder: &Folder) {
        if !lock(&self.followed).insert(batch.id) {
            return;
        }
        let program = Watched::new(self.batches.clone(), batch.id);
        let contexts = self.batches.contexts();
        let (pool, keep) = (contexts.pool().clone(), contexts.launch_config().log_lines);
        let (set, id, folder, stopping) = (self.followed.clone(), batch.id, folder.clone(), self.life.stopping());
        self.life.spawn_short("batch watch", async move {
            tokio::select! {
                () = follow::run(&pool, &folder, keep, &program) => {}
                () = stopping.cancelled() => {}
            }
            lock(&set).remove(&id);
        });
    }

    /// Ends a program with all that it started; a failed try is made again by a later pass.
    fn end(&self, batch: &Batch, folder: Folder) {
        if !lock(&self.ending).insert(batch.id) {
            return;
        }
        let (set, id, stopping) = (self.ending.clone(), batch.id, self.life.stopping());
        let starter = self.starter.clone();
        self.life.spawn_short("batch end", async move {
            tokio::select! {
                ended = process::terminate(&folder, GRACE, starter.launcher()) => {
                    if let Err(e) = ended {
                        error!(batch.id = %id, error = %e, "Batch {id} could not be ended");
                    }
                }
                () = stopping.cancelled() => {}
            }
            lock(&set).remove(&id);
        });
    }

    /// Launches as many of the line as may start, and tells the others why they wait.
    async fn launch(&self, living: &[Batch]) -> Result<(), Error> {
        let contexts = self.batches.contexts();
        let mut tx = contexts.pool().begin().await?;
        let line = line::lock(&mut tx, contexts.host(), contexts.launches()).await?;
        let may_start = line.may_start(self.limits);
        let mut chosen = Vec::new();
        for (place, waiting) in line.waiting.iter().enumerate().filter(|(_, w)| w.is_batch) {
            let Some(batch) = living.iter().find(|b| b.id == BatchId::from(waiting.id)) else { continue };
            if place >= may_start {
                self.batches.waits(batch.id, Some(line.reason(place, self.limits)));
            } else if store::move_state(&mut tx, batch.id, State::Waiting, State::Starting).await? {
                chosen.push(batch.clone());
            }
        }
        lock(&self.starting).extend(chosen.iter().map(|b| b.id));
        let committed = tx.commit().await;
        for batch in chosen {
            if committed.is_ok() {
                self.batches.waits(batch.id, None);
                self.start(batch);
            } else {
                lock(&self.starting).remove(&batch.id);
            }
        }
        Ok(committed?)
    }

    fn start(&self, batch: Batch) {
        let (starter, batches, set) = (self.starter.clone(), self.batches.clone(), self.starting.clone());
        self.life.spawn_short("batch start", async move {
            let id = batch.id;
            match start(&starter, &batches, &batch).await {
                Ok(()) => info!(batch.id = %id, "Batch {id} is launched"),
                Err(e) => {
                    warn!(batch.id = %id, error = %e, "Batch {id} could not be launched");
                    if let Err(e) = fail(&batches, id, &format!("it could not be launched: {e}")).await {
                        error!(batch.id = %id, error = %e, "A failed launch could not be written");
                    }
                }
            }
            lock(&set).remove(&id);
            batches.wake();
        });
    }
}

/// Starts the program of a batch that is `starting`.
async fn start(starter: &Starter, batches: &Service, batch: &Batch) -> Result<(), start::Error> {
    let contexts = batches.contexts();
    let profile = contexts.profile(&batch.profile)?;
    let installed = starter.installed(&batch.profile, profile).await?;
    // What a gateway left that died before it had started anything.
    starter.remove(&Folder::at(&batch.launch_dir)).await?;
    let folder = starter.folder(batch.id.0, profile)?;
    let request = &batch.request;
    let unnamed = format!("hearth-batch-{}", batch.livy_id);
    let name = batch.name.as_deref();
    let wanted = Wanted { profile, resources: &request.resources, run_as: &batch.run_as, name, unnamed: &unnamed };
    let setting = starter.setting(&installed, wanted, &folder, contexts.host());
    let job = Job { file: &request.file, class_name: request.class_name.as_deref(), args: &request.args };
    let submission = submit::batch(&setting, &job).map_err(context::Error::from)?;
    let state = async {
        let mut db = contexts.pool().acquire().await?;
        store::load_state(&mut db, batch.id).await
    };
    // When it has been told to end meanwhile the next pass ends it; when the database is away a later one launches it anew.
    if !matches!(state.await, Ok(Some(State::Starting))) {
        return starter.remove(&folder).await;
    }
    starter.run((&batch.profile, profile), &folder, submission).await
}

async fn fail(batches: &Service, id: BatchId, cause: &str) -> Result<(), sqlx::Error> {
    let mut db = batches.contexts().pool().acquire().await?;
    store::end_batch(&mut db, id, State::Dead, Some(cause), None).await?;
    Ok(())
}

fn lock(set: &Set) -> MutexGuard<'_, HashSet<BatchId>> {
    set.lock().unwrap_or_else(PoisonError::into_inner)
}
