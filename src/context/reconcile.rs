//! Brings what runs in line with the rows: launches who is next, adopts what a former gateway left, ends who was told to end.
//!
//! One idempotent pass without input, woken by a signal for speed and by a timer for truth. The same pass serves the happy case,
//! the restart after kill -9, and the take-over from another gateway of this host.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracing::{error, info, warn};

use super::driver::wire::Outgoing;
use super::driver::{Signal, Sink};
use super::launch::folder::Folder;
use super::launch::follow;
use super::launch::line::{self, Limits};
use super::launch::process;
use super::launch::start::Starter;
use super::service::Service;
use super::watch::{self, Watched};
use super::{Application, Context, Ending, State, application, lease, store};
use crate::id::{ApplicationId, ContextId, GatewayId};
use crate::life::Life;

/// How often a pass is made without a signal.
const EVERY: Duration = Duration::from_secs(2);
/// How long a driver told to end may take before it is killed.
const GRACE: Duration = Duration::from_secs(8);

/// How often ending a driver is tried before a later pass begins anew.
const TRIES: u32 = 5;

/// Reconciles the contexts of this host.
pub struct Reconciler {
    contexts: Service,
    sink: Arc<dyn Sink>,
    starter: Starter,
    life: Life,
    limits: Limits,
    former: Option<GatewayId>,
    watched: Arc<Mutex<HashSet<ApplicationId>>>,
    /// Contexts whose launch is being made by this process.
    starting: Arc<Mutex<HashSet<ContextId>>>,
    /// Contexts whose applications are being ended by tasks of this process, or have been.
    ending: Arc<Mutex<HashSet<ContextId>>>,
}

impl Reconciler {
    /// A reconciler that hands what it finds to `sink`. `former` is the gateway that had this state folder before and is dead for
    /// sure: its leases need not run out.
    #[must_use]
    pub fn new(
        contexts: Service,
        sink: Arc<dyn Sink>,
        starter: Starter,
        life: Life,
        former: Option<GatewayId>,
    ) -> Self {
        let limits = Limits::new(contexts.launch_config());
        Self {
            contexts,
            sink,
            starter,
            life,
            limits,
            former,
            watched: Arc::default(),
            starting: Arc::default(),
            ending: Arc::default(),
        }
    }

    /// Makes passes until the gateway stops.
    pub async fn run(mut self) {
        let stopping = self.life.stopping();
        loop {
            if let Err(e) = self.pass().await {
                warn!(error = %e, "The contexts could not be looked after now");
            }
            tokio::select! {
                () = stopping.cancelled() => return,
                () = self.contexts.woken() => {}
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    async fn pass(&mut self) -> Result<(), super::Error> {
        let (host, me) = (self.contexts.host().to_owned(), self.contexts.me());
        let mut db = self.contexts.pool().acquire().await?;
        lease::renew_leases(&mut db, me).await?;
        if let Some(former) = self.former {
            for id in lease::take_from(&mut db, former, me).await? {
                info!(context.id = %id, "Context {id} is taken over from the gateway before this one");
            }
            self.former = None;
        }
        for id in lease::take_lapsed(&mut db, &host, me).await? {
            info!(context.id = %id, "Context {id} is taken over: its gateway is silent");
        }
        // A signal may have been lost with the client whose request sent it.
        for id in self.sink.owing(&mut db, me).await? {
            self.contexts.links().tell(id, Signal::Look);
        }
        // Before the rows: what is launched after they are read is not taken for what nobody launches.
        let starting = lock(&self.starting).clone();
        let living = store::living_on(&mut db, &host).await?;
        drop(db);
        lock(&self.ending).retain(|id| living.iter().any(|c| c.id == *id && c.state == State::Stopping));
        for context in living.iter().filter(|c| c.held_by == Some(me)) {
            if self.contexts.live().get(context.id).is_none()
                && let Err(e) = self.adopt(context.id).await
            {
                // It is looked after none the less, and so are the others.
                warn!(context.id = %context.id, error = %e, "What context {} holds cannot be read now", context.id);
            }
            if starting.contains(&context.id) {
                continue;
            }
            match running(context) {
                Some(application) if never_started(context, application) => {
                    self.back_in_line(context.id, Some(application)).await?;
                    continue;
                }
                Some(application) => self.watch(context, application),
                None if context.state == State::Starting => self.back_in_line(context.id, None).await?,
                None => {}
            }
            match context.state {
                State::Stopping => self.end(context).await?,
                State::Starting => self.give_up(context).await?,
                State::Waiting | State::Ready | State::Ended => {}
            }
        }
        if living.iter().any(|c| c.state == State::Waiting) {
            self.launch(&living).await?;
        }
        Ok(())
    }

    /// Remembers what a context holds that this gateway answers for. Its row is locked until that is done, so an agent that dials
    /// meanwhile changes nothing between the rows and the memory of them.
    async fn adopt(&self, id: ContextId) -> Result<(), super::Error> {
        let mut tx = self.contexts.pool().begin().await?;
        if store::lock_context(&mut tx, id).await? == Some(Some(self.contexts.me())) {
            self.sink.adopt(&mut tx, id).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// A gateway died before it had launched what it had chosen; nothing of it ran.
    async fn back_in_line(&self, id: ContextId, application: Option<&Application>) -> Result<(), super::Error> {
        let mut tx = self.contexts.pool().begin().await?;
        let moved = store::move_state(&mut tx, id, State::Starting, State::Waiting).await?;
        if let Some(application) = application.filter(|_| moved) {
            application::forget_unstarted(&mut tx, application.id).await?;
        }
        tx.commit().await?;
        if let Some(application) = application.filter(|_| moved)
            && let Err(e) = Folder::at(&application.launch_dir).remove()
        {
            warn!(context.id = %id, error = %e, "What is left of a launch that was not made cannot be removed");
        }
        self.contexts.wake();
        Ok(())
    }

    fn watch(&self, context: &Context, application: &Application) {
        if !lock(&self.watched).insert(application.id) {
            return;
        }
        let watched = Watched::new(self.contexts.clone(), self.sink.clone(), context, application);
        let folder = Folder::at(&application.launch_dir);
        let (pool, keep) = (self.contexts.pool().clone(), self.contexts.launch_config().log_lines);
        let (set, id, stopping) = (self.watched.clone(), application.id, self.life.stopping());
        self.life.spawn_short("application watch", async move {
            tokio::select! {
                () = follow::run(&pool, &folder, keep, &watched) => {}
                () = stopping.cancelled() => {}
            }
            lock(&set).remove(&id);
        });
    }

    /// Ends a context that was told to: at once when it never ran, else through its agent, then by force.
    async fn end(&self, context: &Context) -> Result<(), super::Error> {
        let cause = context.cause.clone().unwrap_or_else(|| "stopped".to_owned());
        let Some(application) = running(context) else {
            let mut tx = self.contexts.pool().begin().await?;
            let after = watch::end(&mut tx, &*self.sink, context.id, &cause).await?;
            tx.commit().await?;
            super::driver::run_effects(after);
            self.contexts.live().forget(context.id);
            self.contexts.wake();
            return Ok(());
        };
        if lock(&self.ending).insert(context.id) {
            let body = serde_json::json!({ "reason": cause });
            self.contexts.links().tell(context.id, Signal::Send(Outgoing::new("shutdown", &body)));
            let (folder, starter) = (Folder::at(&application.launch_dir), self.starter.clone());
            let (set, id) = (self.ending.clone(), context.id);
            self.life.spawn_short("application end", async move {
                for _ in 0..TRIES {
                    match process::terminate(&folder, GRACE, starter.launcher()).await {
                        Ok(_) => return,
                        // Its program may be about to start.
                        Err(e) => {
                            error!(context.id = %id, error = %e, "The application of context {id} could not be ended")
                        }
                    }
                    tokio::time::sleep(EVERY).await;
                }
                // A later pass tries again.
                lock(&set).remove(&id);
            });
        }
        Ok(())
    }

    async fn give_up(&self, context: &Context) -> Result<(), super::Error> {
        let limit = self.contexts.launch_config().start_timeout;
        let mut db = self.contexts.pool().acquire().await?;
        if application::is_starting_too_long(&mut db, context.id, limit.as_millis()).await? {
            let cause = format!("Spark was not ready {} s after its start (launch.start_timeout)", limit.0.as_secs());
            store::mark_stopping(&mut db, context.id, &Ending::itself(cause)).await?;
            self.contexts.wake();
        }
        Ok(())
    }

    /// Launches as many of the line as may start, and tells the others why they wait.
    async fn launch(&self, living: &[Context]) -> Result<(), super::Error> {
        let mut tx = self.contexts.pool().begin().await?;
        let line = line::lock(&mut tx, self.contexts.host(), self.contexts.launches()).await?;
        let may_start = line.may_start(self.limits);
        let mut chosen = Vec::new();
        for (place, waiting) in line.waiting.iter().enumerate().filter(|(_, w)| !w.is_batch) {
            let id = ContextId::from(waiting.id);
            let Some(context) = living.iter().find(|c| c.id == id) else { continue };
            if place < may_start {
                if store::move_state(&mut tx, id, State::Waiting, State::Starting).await? {
                    chosen.push(context.clone());
                }
            } else if let Some(live) = self.contexts.live().get(id) {
                let reason = line.reason(place, self.limits);
                live.learn(|f| f.waits = Some(reason.clone()));
            }
        }
        tx.commit().await?;
        for context in chosen {
            if let Some(live) = self.contexts.live().get(context.id) {
                live.learn(|f| f.waits = None);
            }
            let (starter, contexts, sink) = (self.starter.clone(), self.contexts.clone(), self.sink.clone());
            let starting = self.starting.clone();
            lock(&starting).insert(context.id);
            self.life.spawn_short("application start", async move {
                let started = async {
                    let mut db = contexts.pool().acquire().await.map_err(super::Error::from)?;
                    let first = sink.first_session(&mut db, context.id).await.map_err(super::Error::from)?;
                    drop(db);
                    starter.start(&contexts, &first, &context).await
                };
                if let Err(e) = started.await {
                    warn!(context.id = %context.id, error = %e, "Context {} could not be launched", context.id);
                    let cause = format!("it could not be launched: {e}");
                    if let Err(e) = contexts.stop_by_id(context.id, &cause).await {
                        error!(context.id = %context.id, error = %e, "A failed launch could not be written");
                    }
                }
                lock(&starting).remove(&context.id);
                contexts.wake();
            });
        }
        Ok(())
    }
}

/// The application of a context, unless that is over: then the context waits for the next.
fn running(context: &Context) -> Option<&Application> {
    context.application.as_ref().filter(|application| !application.is_over)
}

/// Whether a gateway died between the row of an application and its launch: the launch folder says what to run from the moment on at which
/// it may run.
fn never_started(context: &Context, application: &Application) -> bool {
    context.state == State::Starting && !Folder::at(&application.launch_dir).is_launched()
}

fn lock<T>(set: &Mutex<HashSet<T>>) -> std::sync::MutexGuard<'_, HashSet<T>> {
    set.lock().unwrap_or_else(PoisonError::into_inner)
}
