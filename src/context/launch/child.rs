//! `hearth child FOLDER`: starts one program, outlives the gateway, and writes down how the program ended.
//!
//! It leads a session of its own, so that no Ctrl-C and no hang-up of the gateway's terminal reaches it or the program, and
//! it collects the program's orphans, so that whatever the program started can be found and ended with it. It holds no pipe
//! to the gateway: output goes to files. It must never be killed to stop the program: nobody would record the exit.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::{Mode, umask};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, setsid};
use tokio::signal::unix::{SignalKind, signal};

use super::folder::{Exit, Folder, Processes, Spec};
use super::table::{self, Process};
use crate::shim::Program;
use crate::time;

/// How long what the program left behind may take to end when asked, before it is killed.
const LEFTOVER_GRACE: Duration = Duration::from_secs(3);

/// Runs the program of a launch folder to its end. The exit status says only whether the watch itself worked.
#[must_use]
pub fn run(folder: &Path) -> ExitCode {
    match watch(&Folder::at(folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn watch(folder: &Folder) -> io::Result<()> {
    // Fails only for one that leads a process group already, as a shell with job control starts it.
    let _ = setsid();
    umask(Mode::S_IRWXG | Mode::S_IRWXO);
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_child_subreaper(true)?;
    let own = i32::try_from(std::process::id()).map_err(io::Error::other)?;
    let shim = table::find(own).ok_or(io::ErrorKind::NotFound)?.process;
    let mut processes = Processes { shim: shim.clone(), program: None };
    folder.processes().write(&processes)?;

    let spec = folder.spec().read()?.ok_or(io::ErrorKind::NotFound)?;
    let pid = match ignore_signals().and_then(|()| start(folder, &spec)) {
        Ok(pid) => pid,
        Err(e) => {
            let program = spec.argv.first().map_or("", String::as_str);
            let error = Some(format!("{program} could not be started: {e}"));
            return folder.exit().write(&Exit { code: None, signal: None, error, at: time::now() });
        }
    };
    // A program that has ended already has no start to read; its exit follows at once.
    processes.program = table::find(pid).map(|entry| entry.process);
    folder.processes().write(&processes)?;

    let (code, signal) = wait(pid)?;
    folder.exit().write(&Exit { code, signal, error: None, at: time::now() })?;
    end_leftovers(&shim);
    Ok(())
}

/// Makes this process deaf to what would end it before the program, and undoes an inherited deafness of the program: a
/// signal that is *handled* here is at its default there, one that was *ignored* (as a shell does for `hearth serve &`)
/// would stay so, and Python could not be interrupted.
fn ignore_signals() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _context = runtime.enter();
    for kind in [SignalKind::interrupt(), SignalKind::quit(), SignalKind::hangup(), SignalKind::terminate()] {
        // The handler stays when this receiver is gone.
        drop(signal(kind)?);
    }
    Ok(())
}

fn start(folder: &Folder, spec: &Spec) -> io::Result<i32> {
    let (program, arguments) = spec.argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = match &spec.user {
        None => Command::new(program),
        Some(user) => Program::current()?.run_as(user, program),
    };
    let child = command
        .args(arguments)
        .env_clear()
        .envs(&spec.env)
        .current_dir(&spec.cwd)
        .stdin(Stdio::null())
        .stdout(append(&folder.stdout())?)
        .stderr(append(&folder.stderr())?)
        .spawn()?;
    i32::try_from(child.id()).map_err(io::Error::other)
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// Waits for the program and collects every orphan that ends meanwhile.
fn wait(program: i32) -> io::Result<(Option<i32>, Option<i32>)> {
    loop {
        match waitpid(None, None) {
            Ok(WaitStatus::Exited(pid, code)) if pid.as_raw() == program => return Ok((Some(code), None)),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid.as_raw() == program => {
                return Ok((None, Some(signal as i32)));
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// Ends what the program left running: Python workers of a killed driver, a user's forgotten `sleep`.
fn end_leftovers(shim: &Process) {
    let began = Instant::now();
    let mut asked = false;
    loop {
        while matches!(waitpid(None, Some(WaitPidFlag::WNOHANG)), Ok(status) if status != WaitStatus::StillAlive) {}
        let left = table::family(shim);
        let patience = began.elapsed() < LEFTOVER_GRACE;
        if left.is_empty() || began.elapsed() > LEFTOVER_GRACE * 2 {
            return;
        }
        if !asked || !patience {
            let how = if patience { Signal::SIGTERM } else { Signal::SIGKILL };
            for process in left {
                let _ = kill(Pid::from_raw(process.pid), how);
            }
            asked = true;
        }
        thread::sleep(Duration::from_millis(50));
    }
}
