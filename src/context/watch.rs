//! Watches one launched application on this host: copies its log to Postgres and notices its end.
//!
//! The driver runs under `hearth child` and outlives the gateway; the gateway that comes next watches on from the offsets that the
//! row holds, so no line is lost or written twice.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::driver::Sink;
use super::launch::folder::Folder;
use super::launch::process::{self, Status};
use super::launch::tail;
use super::log::{self, Stream};
use super::service::Service;
use super::{Application, Context, store};
use crate::id::{ApplicationId, ContextId};

/// How often files are looked at.
const EVERY: Duration = Duration::from_millis(200);
/// Bytes of a log read at once.
const CHUNK: usize = 256 * 1024;

/// Lines in which the cause of an end is looked for.
const REMEMBERED: usize = 200;

/// Watches one application until it has ended and its end is written.
pub struct Watcher {
    contexts: Service,
    sink: Arc<dyn Sink>,
    context: ContextId,
    application: ApplicationId,
    folder: Folder,
    offsets: [u64; 2],
    lines: i64,
    last_lines: VecDeque<String>,
}

impl Watcher {
    /// A watcher that goes on where the row says the last one stopped.
    #[must_use]
    pub fn new(contexts: Service, sink: Arc<dyn Sink>, context: &Context, application: &Application) -> Self {
        Self {
            contexts,
            sink,
            context: context.id,
            application: application.id,
            folder: Folder::at(&application.launch_dir),
            offsets: [0, 0],
            lines: 0,
            last_lines: VecDeque::new(),
        }
    }

    /// Runs until the application is over, or for ever.
    pub async fn run(mut self) {
        while let Err(e) = self.load().await {
            warn!(error = %e, "Cannot read where a log stopped");
            tokio::time::sleep(EVERY * 5).await;
        }
        loop {
            // A folder that is gone can tell nothing any more.
            let status = process::status(&self.folder).unwrap_or(Status::Lost);
            let over = status.is_over();
            let more = match self.copy(over).await {
                Ok(more) => more,
                Err(e) => {
                    warn!(context.id = %self.context, error = %e, "Cannot write the log of context {} now", self.context);
                    tokio::time::sleep(EVERY * 5).await;
                    continue;
                }
            };
            if over && !more {
                match self.finish(&status).await {
                    Ok(()) => return,
                    Err(e) => {
                        warn!(context.id = %self.context, error = %e, "Cannot write the end of context {} now", self.context);
                        tokio::time::sleep(EVERY * 5).await;
                    }
                }
            } else if !more {
                tokio::time::sleep(EVERY).await;
            }
        }
    }

    async fn load(&mut self) -> Result<(), sqlx::Error> {
        let mut db = self.contexts.pool().acquire().await?;
        let at = store::load_log_position(&mut db, self.application).await?;
        self.offsets = [at.stdout_offset, at.stderr_offset].map(|o| u64::try_from(o).unwrap_or(0));
        self.lines = at.log_lines;
        Ok(())
    }

    /// Copies new lines; true when there is more to copy at once.
    async fn copy(&mut self, flush: bool) -> Result<bool, sqlx::Error> {
        let mut lines = Vec::new();
        let mut offsets = self.offsets;
        let mut more = false;
        let files = [(Stream::Stdout, self.folder.stdout()), (Stream::Stderr, self.folder.stderr())];
        for ((stream, file), offset) in files.into_iter().zip(offsets.iter_mut()) {
            if let Ok(read) = tail::read(&file, *offset, CHUNK, flush) {
                more |= read.more;
                *offset = read.offset;
                lines.extend(read.lines.into_iter().map(|l| (stream, l)));
            }
        }
        if lines.is_empty() {
            return Ok(more);
        }
        let mut tx = self.contexts.pool().begin().await?;
        log::append(&mut tx, self.application.0, self.lines, &lines, self.contexts.launch_config().log_lines).await?;
        let total = self.lines + i64::try_from(lines.len()).unwrap_or(0);
        store::set_log_position(&mut tx, self.application, offsets, total).await?;
        tx.commit().await?;
        self.offsets = offsets;
        self.lines = total;
        if let Some(live) = self.contexts.live().get(self.context) {
            live.log(lines.iter().map(|(_, l)| l.as_str()));
        }
        for (_, line) in lines {
            if self.last_lines.len() == REMEMBERED {
                self.last_lines.pop_front();
            }
            self.last_lines.push_back(line);
        }
        Ok(more)
    }

    async fn finish(&self, status: &Status) -> Result<(), sqlx::Error> {
        let live = self.contexts.live().get(self.context);
        let last_words = live.and_then(|l| l.facts().last_words.clone());
        let cause = cause(status, last_words.as_deref(), &self.last_lines);
        let exit_code = if let Status::Ended(exit) = status { exit.code } else { None };
        let mut tx = self.contexts.pool().begin().await?;
        store::end_application(&mut tx, self.application, exit_code, &cause).await?;
        let after = end(&mut tx, &*self.sink, self.context, &cause).await?;
        tx.commit().await?;
        self.contexts.links().close(self.context);
        super::driver::run_effects(after);
        info!(context.id = %self.context, cause, "Context {} is over", self.context);
        self.contexts.live().forget(self.context);
        self.contexts.wake();
        Ok(())
    }
}

/// Ends a context and all that lives in it, in the caller's transaction.
pub(super) async fn end(
    db: &mut sqlx::PgConnection,
    sink: &dyn Sink,
    context: ContextId,
    cause: &str,
) -> Result<super::driver::AfterCommit, sqlx::Error> {
    if !store::end_context(db, context, cause).await? {
        return Ok(Vec::new());
    }
    let cause = store::load_cause(db, context).await?.unwrap_or_else(|| cause.to_owned());
    sink.context_ended(db, context, &cause).await
}

/// Why a driver ended, for people.
#[must_use]
pub fn cause(status: &Status, last_words: Option<&str>, log: &VecDeque<String>) -> String {
    let mut cause = match status {
        Status::Ended(exit) => match (exit.code, exit.signal, &exit.error) {
            (_, _, Some(error)) => format!("the driver could not be started: {error}"),
            (Some(137), ..) | (_, Some(9), _) => {
                "the driver was killed (SIGKILL), by hand or for want of memory".to_owned()
            }
            (Some(143), ..) | (_, Some(15), _) => "the driver was terminated (SIGTERM)".to_owned(),
            (Some(0), ..) => "the driver ended by itself (exit code 0)".to_owned(),
            (Some(code), ..) => format!("the driver failed (exit code {code})"),
            (None, Some(signal), _) => format!("the driver was ended by signal {signal}"),
            (None, None, None) => "the driver ended".to_owned(),
        },
        _ => "the driver is gone, and nobody saw how it ended".to_owned(),
    };
    if log.iter().rev().any(|l| l.contains("java.lang.OutOfMemoryError")) {
        cause.push_str("; it ran out of Java heap: ask for more driverMemory");
    }
    let failed = !matches!(status, Status::Ended(e) if matches!(e.code, Some(0 | 143)));
    let last_error =
        || log.iter().rev().find(|l| l.contains(" ERROR ") || l.contains("Exception") || l.contains("Error:"));
    if let Some(words) = last_words {
        cause.push_str("; it said: ");
        cause.push_str(words);
    } else if failed && let Some(line) = last_error() {
        cause.push_str("; last error in its log: ");
        cause.extend(line.trim().chars().take(300));
    }
    cause
}
