//! The life of the process: named, supervised tasks, and how it stops.
//!
//! Two stops. **Drain** (SIGTERM): stop accepting, finish what is being answered, leave the drivers to the gateway that comes
//! next. **Shut** (SIGINT, Ctrl-C, a terminal that closes): the same, and end every driver that runs on this host first. A task that ends by itself or
//! panics stops the gateway, by name: nothing dies in silence.

use std::future::Future;
use std::io::IsTerminal;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

/// How long running tasks may take to end after a stop.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why the gateway stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// SIGTERM: drivers stay for the next gateway.
    Drain,
    /// SIGINT: drivers end too.
    Shut,
    /// A supervised task ended that should not have.
    Failed,
}

/// Spawns named tasks and stops them together. Cheap to clone.
#[derive(Clone)]
pub struct Life {
    soft: CancellationToken,
    tracker: TaskTracker,
    ended: mpsc::UnboundedSender<&'static str>,
}

/// Receives what [`Life`] needs to wait for; owned by the one who runs the process.
pub struct Watch(mpsc::UnboundedReceiver<&'static str>);

/// The signals that ask for the end. To be made first of all: one that comes while the gateway is still starting is kept, and
/// ends it in order as soon as it has.
pub struct Signals {
    term: Signal,
    int: Signal,
    /// Of a terminal that closes, which ends what was run in it as Ctrl-C does.
    hangup: Option<Signal>,
}

impl Signals {
    /// Listens from now on. Without `hangup` SIGHUP does not end what runs in a terminal: it is for the policies.
    ///
    /// # Errors
    /// When signal handlers cannot be installed.
    pub fn listen(hangup: bool) -> std::io::Result<Self> {
        let hangup = (hangup && std::io::stdin().is_terminal()).then(|| signal(SignalKind::hangup())).transpose()?;
        Ok(Self { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())?, hangup })
    }
}

impl Life {
    /// A new life, and what watches over it.
    #[must_use]
    pub fn new() -> (Self, Watch) {
        let (ended, watch) = mpsc::unbounded_channel();
        (Self { soft: CancellationToken::new(), tracker: TaskTracker::new(), ended }, Watch(watch))
    }

    /// Cancelled when the gateway begins to stop.
    #[must_use]
    pub fn stopping(&self) -> CancellationToken {
        self.soft.clone()
    }

    /// Runs a task for as long as the gateway lives. If it ends before, the gateway stops.
    pub fn spawn<F>(&self, name: &'static str, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (soft, ended) = (self.soft.clone(), self.ended.clone());
        let handle = self.tracker.spawn(task);
        // The watcher outlives a panic of the task itself.
        self.tracker.spawn(async move {
            let outcome = handle.await;
            if soft.is_cancelled() {
                return;
            }
            match outcome {
                Ok(()) => error!(task = name, "Task {name} ended by itself"),
                Err(e) => error!(task = name, error = %e, "Task {name} crashed"),
            }
            let _ = ended.send(name);
        });
    }

    /// Runs a task that may end at any time (one connection, one link, one launch); stopping waits for it.
    pub fn spawn_short<F>(&self, name: &'static str, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let handle = self.tracker.spawn(task);
        self.tracker.spawn(async move {
            if let Err(e) = handle.await
                && e.is_panic()
            {
                error!(task = name, error = %e, "Task {name} crashed");
            }
        });
    }

    /// Makes a piece of work to its end, even when the caller goes away meanwhile (a client that closes its connection); none: it crashed.
    pub async fn complete<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let made = self.tracker.spawn(work).await;
        made.map_err(|e| error!(task = name, error = %e, "Task {name} crashed")).ok()
    }

    /// Waits until a signal or a failed task asks for the end.
    pub async fn until_stop(&self, watch: &mut Watch, signals: &mut Signals) -> Stop {
        let hung_up = async {
            match &mut signals.hangup {
                Some(hangup) => drop(hangup.recv().await),
                None => std::future::pending().await,
            }
        };
        let stop = tokio::select! {
            () = hung_up => Stop::Shut,
            _ = signals.term.recv() => Stop::Drain,
            _ = signals.int.recv() => Stop::Shut,
            name = watch.0.recv() => {
                error!(task = name.unwrap_or("?"), "Stopping because a task ended");
                Stop::Failed
            }
        };
        info!(?stop, "Stopping");
        stop
    }

    /// Tells every task to end and waits for them, at most ten seconds.
    pub async fn end(&self) {
        self.soft.cancel();
        self.tracker.close();
        if tokio::time::timeout(PATIENCE, self.tracker.wait()).await.is_err() {
            warn!(left = self.tracker.len(), "Some tasks did not end in time");
        }
    }
}
