//! Watches one launched application on this host: copies its log to Postgres and notices its end.
//!
//! The driver runs under `hearth child` and outlives the gateway; the gateway that comes next watches on from the offsets that the
//! row holds, so no line is lost or written twice.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::driver::Sink;
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

/// Watches one application until it has ended and its end is written.
pub struct Watcher {
    contexts: Service,
    sink: Arc<dyn Sink>,
    context: ContextId,
    application: ApplicationId,
    dir: PathBuf,
    offsets: [u64; 2],
    lines: i64,
    last_lines: Vec<String>,
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
            dir: PathBuf::from(&application.launch_dir),
            offsets: [0, 0],
            lines: 0,
            last_lines: Vec::new(),
        }
    }

    /// Runs until the application is over, or for ever.
    pub async fn run(mut self) {
        while let Err(e) = self.load().await {
            warn!(error = %e, "Cannot read where a log stopped");
            tokio::time::sleep(EVERY * 5).await;
        }
        loop {
            let status = process::status(&self.dir);
            let over = matches!(status, Status::Ended { .. } | Status::Lost);
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
        for ((stream, name), offset) in
            [(Stream::Stdout, "stdout"), (Stream::Stderr, "stderr")].into_iter().zip(offsets.iter_mut())
        {
            let read = tail::read(&self.dir.join(name), *offset, CHUNK, flush);
            if let Ok(read) = read {
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
            live.log(lines.iter().map(|(_, l)| l.as_slice()));
        }
        for (_, line) in lines {
            self.remember(&line);
        }
        Ok(more)
    }

    fn remember(&mut self, line: &[u8]) {
        if self.last_lines.len() == 200 {
            self.last_lines.remove(0);
        }
        self.last_lines.push(String::from_utf8_lossy(line).into_owned());
    }

    async fn finish(&self, status: &Status) -> Result<(), sqlx::Error> {
        let live = self.contexts.live().get(self.context);
        let last_words = live.and_then(|l| l.facts().last_words.clone());
        let cause = cause(status, last_words.as_deref(), &self.last_lines);
        let exit_code = if let Status::Ended { code, .. } = status { *code } else { None };
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
pub fn cause(status: &Status, last_words: Option<&str>, log: &[String]) -> String {
    let out_of_memory = log.iter().rev().any(|l| l.contains("java.lang.OutOfMemoryError"));
    let last_error = log.iter().rev().find(|l| l.contains("ERROR") || l.contains("Exception") || l.contains("Error:"));
    let how = match status {
        Status::Ended { signal: Some(9), .. } => "the driver was killed (signal 9), by hand or for want of memory".to_owned(),
        Status::Ended { signal: Some(n), .. } => format!("the driver was ended by signal {n}"),
        Status::Ended { code: Some(137), .. } => "the driver was killed (exit code 137), by hand or for want of memory".to_owned(),
        Status::Ended { code: Some(143), .. } => "the driver was terminated (exit code 143)".to_owned(),
        Status::Ended { code: Some(0), .. } => "the driver ended by itself (exit code 0)".to_owned(),
        Status::Ended { code: Some(code), .. } => format!("the driver failed (exit code {code})"),
        _ => "the driver is gone, and nobody saw how it ended".to_owned(),
    };
    let mut cause = how;
    if out_of_memory {
        cause.push_str("; it ran out of Java heap: ask for more driverMemory");
    }
    if let Some(words) = last_words {
        cause.push_str("; it said: ");
        cause.push_str(words);
    } else if !matches!(status, Status::Ended { code: Some(0 | 143), .. })
        && let Some(line) = last_error
    {
        cause.push_str("; last error in its log: ");
        cause.extend(line.trim().chars().take(300));
    }
    cause
}

/// The folder's name within the launches of a state folder.
#[must_use]
pub fn launch_dir(home: &Path, id: impl std::fmt::Display) -> PathBuf {
    home.join("launch").join(id.to_string())
}
