//! `hearth child FOLDER`: starts one program, outlives the gateway, and writes down how the program ended.
//!
//! It leads a session of its own, so that no Ctrl-C and no hang-up of the gateway's terminal reaches it or the program, and
//! it collects the program's orphans, so that whatever the program started can be found and ended with it. It holds no pipe
//! to the gateway: output goes to files. It must never be killed to stop the program: nobody would record the exit.
//!
//! Where the program runs as another OS user, this process is the gateway's user with the one capability to signal what it has
//! started (`CAP_KILL`); the gateway asks it to.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
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
use tokio::signal::unix::{Signal as Listener, SignalKind, signal};

use super::enter;
use super::folder::{Exit, Folder, Processes, Spec};
use super::table::{self, Process};
use crate::shim::privilege::Reduced;
use crate::shim::{self, Program};
use crate::time;

/// How long what the program left behind may take to end when asked, before it is killed.
const LEFTOVER_GRACE: Duration = Duration::from_secs(3);

/// Runs the program of a launch folder to its end. With `gateway`, the name of that OS user, this process is privileged: it works as
/// that user, and what to run stands in its standard input. The exit status says only whether the watch itself worked.
#[must_use]
pub fn run(folder: &Path, gateway: Option<&str>) -> ExitCode {
    match watch(&Folder::at(folder), gateway) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn watch(folder: &Folder, gateway: Option<&str>) -> io::Result<()> {
    // Fails only for one that leads a process group already, as a shell with job control starts it.
    let _ = setsid();
    umask(Mode::S_IRWXG | Mode::S_IRWXO);
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_child_subreaper(true)?;
    // Before the first file is touched: the folder is the gateway's, and nothing in it is believed by root.
    let (order, reduced) = match gateway {
        None => (Order::Own(folder.spec().read()?.ok_or(io::ErrorKind::NotFound)?), None),
        Some(name) => {
            let mut entry = Vec::new();
            io::stdin().take(enter::LARGEST).read_to_end(&mut entry)?;
            let user = shim::user(name).map_err(io::Error::other)?;
            (Order::Entry(entry), Some(Reduced::to(&user)?))
        }
    };
    let own = i32::try_from(std::process::id()).map_err(io::Error::other)?;
    let watcher = table::find(own).ok_or(io::ErrorKind::NotFound)?.process;
    let mut processes = Processes { shim: watcher.clone(), program: None };
    folder.processes().write(&processes)?;

    // All on this one thread: capabilities are a thread's own.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let Some((code, signal)) = runtime.block_on(async {
        let mut heard = Heard::listen()?;
        let pid = match start(folder, order) {
            Ok(pid) => pid,
            Err(e) => {
                let error = Some(format!("the program could not be started: {e}"));
                folder.exit().write(&Exit { code: None, signal: None, error, at: time::now() })?;
                return Ok(None);
            }
        };
        if let Some(reduced) = reduced {
            reduced.keep_only_kill()?;
        }
        // A program that has ended already has no start to read; its exit follows at once.
        processes.program = table::find(pid).map(|entry| entry.process);
        folder.processes().write(&processes)?;
        wait(pid, &watcher, &mut heard).await.map(Some)
    })?
    else {
        return Ok(());
    };
    folder.exit().write(&Exit { code, signal, error: None, at: time::now() })?;
    end_leftovers(&watcher);
    Ok(())
}

/// What to run.
enum Order {
    /// A program of this process's own user.
    Own(Spec),
    /// A program of another: what `hearth child --enter` is to read.
    Entry(Vec<u8>),
}

/// The signals that this process waits for. Those that would end it before the program are among them, and so it is deaf to them.
/// That also undoes an inherited deafness of the program: a signal that is *handled* here is at its default there, one that was
/// *ignored* (as a shell does for `hearth serve &`) would stay so, and Python could not be interrupted.
struct Heard {
    child: Listener,
    /// The gateway asks to end the program: it may signal this process, which is of its own user, but not the program.
    ask: Listener,
    kill: Listener,
}

impl Heard {
    fn listen() -> io::Result<Self> {
        for kind in [SignalKind::interrupt(), SignalKind::quit(), SignalKind::hangup(), SignalKind::terminate()] {
            // The handler stays when this receiver is gone.
            drop(signal(kind)?);
        }
        Ok(Self {
            child: signal(SignalKind::child())?,
            ask: signal(SignalKind::user_defined1())?,
            kill: signal(SignalKind::user_defined2())?,
        })
    }
}

fn start(folder: &Folder, order: Order) -> io::Result<i32> {
    let (mut command, entry) = match &order {
        Order::Own(spec) => {
            let (program, arguments) = spec.argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
            let mut command = Command::new(program);
            command.args(arguments).env_clear().envs(&spec.env).current_dir(&spec.cwd).stdin(Stdio::null());
            (command, None)
        }
        Order::Entry(entry) => {
            let mut command = Program::current()?.enter();
            command.env_clear().current_dir("/").stdin(Stdio::piped());
            (command, Some(entry))
        }
    };
    command.stdout(append(&folder.stdout())?).stderr(append(&folder.stderr())?);
    let mut child = command
        .spawn()
        .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", command.get_program().to_string_lossy())))?;
    if let (Some(mut input), Some(entry)) = (child.stdin.take(), entry) {
        input.write_all(entry)?;
    }
    i32::try_from(child.id()).map_err(io::Error::other)
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// Waits for the program, collects every orphan that ends meanwhile, and ends the program when the gateway asks for it.
async fn wait(program: i32, watcher: &Process, heard: &mut Heard) -> io::Result<(Option<i32>, Option<i32>)> {
    loop {
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) if pid.as_raw() == program => return Ok((Some(code), None)),
                Ok(WaitStatus::Signaled(pid, signal, _)) if pid.as_raw() == program => {
                    return Ok((None, Some(signal as i32)));
                }
                Ok(WaitStatus::StillAlive) => break,
                Ok(_) | Err(Errno::EINTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        tokio::select! {
            _ = heard.child.recv() => {}
            _ = heard.ask.recv() => send(&table::family(watcher), Signal::SIGTERM),
            _ = heard.kill.recv() => send(&table::family(watcher), Signal::SIGKILL),
        }
    }
}

fn send(to: &[Process], signal: Signal) {
    for process in to {
        let _ = kill(Pid::from_raw(process.pid), signal);
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
            send(&left, how);
            asked = true;
        }
        thread::sleep(Duration::from_millis(50));
    }
}
