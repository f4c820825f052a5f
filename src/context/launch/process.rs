//! Launched programs, as the gateway sees them: start, look, signal, end.
//!
//! All of it goes by the launch folder, so a gateway that comes back treats a program as the one that started it did.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Child;
use tokio::time::{Instant, sleep};

use super::folder::{Exit, Folder, Spec};
use super::launcher::{self, Client};
use super::table::{self, Process};
use crate::life::Life;
use crate::shim::Program;

/// A launch that has not even recorded its watcher after this long never will.
const START_PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at a program that is to end.
const LOOK: Duration = Duration::from_millis(50);
/// How long a killed program may take to be gone.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// Where a launched program stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Not yet running.
    Starting,
    /// Running.
    Running {
        /// The program's pid.
        pid: i32,
    },
    /// Over, and it is known how.
    Ended(Exit),
    /// Over, and nobody saw how: its watcher was killed too, or the machine was switched off.
    Lost,
}

impl Status {
    /// Whether it is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Ended(_) | Self::Lost)
    }
}

/// Starts the program of a launch folder under `hearth child`, as this process's own user. Returns once that is started, not the
/// program.
///
/// # Errors
/// When the folder cannot be written or no process can be made. A program that cannot be started shows as [`Status::Ended`]
/// with an error.
pub fn start(program: &Program, life: &Life, folder: &Folder, spec: &Spec) -> io::Result<()> {
    folder.spec().write(spec)?;
    let mut command = tokio::process::Command::from(program.watch(folder.path()));
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    collect(life, command.spawn()?);
    Ok(())
}

/// As [`start`], as the OS user of the launch, by the launcher.
///
/// # Errors
/// What the launcher refuses, and as [`start`].
pub async fn start_as(
    launcher: &Client,
    folder: &Folder,
    spec: &Spec,
    start: launcher::Start,
) -> Result<(), launcher::Error> {
    // Its age tells a launch that is about to start from one that never will.
    folder.spec().write(spec)?;
    launcher.start(start).await
}

/// Collects the exit status of a watcher, so that no zombie stays. Who stops leaves that to the system.
pub(super) fn collect(life: &Life, mut child: Child) {
    let stopping = life.stopping();
    life.spawn_short("launch", async move {
        tokio::select! {
            _ = child.wait() => {}
            () = stopping.cancelled() => {}
        }
    });
}

/// Where the program of a launch folder stands.
///
/// # Errors
/// When the folder is gone or cannot be read.
pub fn status(folder: &Folder) -> io::Result<Status> {
    if let Some(exit) = folder.exit().read()? {
        return Ok(Status::Ended(exit));
    }
    let Some(processes) = folder.processes().read()? else {
        let age = folder.spec().age().ok_or(io::ErrorKind::NotFound)?;
        return Ok(if age < START_PATIENCE { Status::Starting } else { Status::Lost });
    };
    let shim = processes.shim.lives();
    match processes.program {
        // While the watcher lives a program that is gone is about to be recorded as ended.
        Some(program) if shim || program.lives() => Ok(Status::Running { pid: program.pid }),
        None if shim => Ok(Status::Starting),
        // It may have been written since we looked.
        _ => Ok(folder.exit().read()?.map_or(Status::Lost, Status::Ended)),
    }
}

/// What became of a signal.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sent {
    /// How many processes have it.
    pub count: usize,
    /// Those of another OS user, who may not be signalled by this process.
    pub refused: Vec<Process>,
}

/// Sends a signal to the program and to all that it started.
///
/// # Errors
/// When the folder cannot be read, or the system refuses the signal for another reason than whose the process is.
pub fn signal(folder: &Folder, signal: Signal) -> io::Result<Sent> {
    let mut sent = Sent::default();
    for process in members(folder)? {
        match kill(Pid::from_raw(process.pid), signal) {
            Ok(()) => sent.count += 1,
            Err(Errno::ESRCH) => {}
            Err(Errno::EPERM) => sent.refused.push(process),
            Err(e) => return Err(e.into()),
        }
    }
    Ok(sent)
}

/// Ends processes of another OS user: by their watcher, which is of this process's user and listens; where that is gone, by the
/// launcher.
async fn end_refused(folder: &Folder, refused: Vec<Process>, hard: bool, launcher: Option<&Client>) -> io::Result<()> {
    let watcher = folder.processes().read()?.map(|p| p.shim).filter(Process::lives);
    if let Some(watcher) = watcher {
        let ask = if hard { Signal::SIGUSR2 } else { Signal::SIGUSR1 };
        return Ok(kill(Pid::from_raw(watcher.pid), ask)?);
    }
    match (launcher, folder.stranger()) {
        (Some(launcher), Some(owner)) => launcher.end(owner, refused, hard).await.map_err(io::Error::other),
        _ => Err(io::ErrorKind::PermissionDenied.into()),
    }
}

/// The program and all that it started and that still lives; never its watcher.
fn members(folder: &Folder) -> io::Result<Vec<Process>> {
    Ok(folder.processes().read()?.map(|p| table::family(&p.shim)).unwrap_or_default())
}

/// Ends the program and all that it started: SIGTERM, and after the grace SIGKILL. Returns how it ended. What runs as another OS user
/// than this process is ended through its watcher, or through the launcher.
///
/// # Errors
/// When the folder cannot be read, the system refuses a signal, or a killed process does not go away.
pub async fn terminate(folder: &Folder, grace: Duration, launcher: Option<&Client>) -> io::Result<Status> {
    let began = Instant::now();
    let mut asked = false;
    loop {
        let status = status(folder)?;
        let left = members(folder)?.len();
        if status.is_over() && left == 0 {
            return Ok(status);
        }
        let late = began.elapsed() >= grace;
        if late || (!asked && left > 0) {
            let how = if late { Signal::SIGKILL } else { Signal::SIGTERM };
            let sent = signal(folder, how)?;
            asked |= sent.count + sent.refused.len() > 0;
            if !sent.refused.is_empty() {
                end_refused(folder, sent.refused, late, launcher).await?;
            }
        }
        if began.elapsed() > grace + KILL_PATIENCE {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "a killed process does not go away"));
        }
        sleep(LOOK).await;
    }
}
