//! `hearth child --enter`: becomes the OS user that its standard input names, and does one thing as that user.
//!
//! Whatever touches a user's files or processes happens here, after the change of user: so the kernel decides what may be
//! read, made, removed or signalled, and no privileged process ever follows a path that a user has made. Nothing of it stands
//! on the command line. A program that is started so gets private folders of its own, and no set-user-id program helps it.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Pid, chdir};
use serde::{Deserialize, Serialize};

use super::files::{self, Found};
use super::folder::{self, Spec};
use super::table::Process;
use crate::shim;
use crate::shim::privilege;

/// The largest standard input that is read, bytes.
pub const LARGEST: u64 = 64 * 1024 * 1024;

/// Who is to do what.
#[derive(Serialize, Deserialize)]
pub struct Entry {
    /// The OS user to become.
    pub user: String,
    /// What to do then.
    pub task: Task,
}

/// What is done as the user.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Makes the private folders of a launch, writes files into them, and becomes a program.
    Run {
        /// The program; its working folder is the private folder.
        spec: Spec,
        /// Files of the private folder, such as the properties with the token. Secrets.
        files: BTreeMap<String, String>,
    },
    /// Says of each file whether it is there, may be read and lies below a root; as JSON on the standard output.
    Look {
        /// Absolute paths.
        files: Vec<PathBuf>,
        /// Where files may lie; none given: anywhere.
        roots: Option<Vec<PathBuf>>,
    },
    /// Removes what is in the private folder of a launch.
    Clear(PathBuf),
    /// Ends processes.
    End {
        /// Which.
        processes: Vec<Process>,
        /// Whether by SIGKILL; else they are asked, by SIGTERM.
        hard: bool,
    },
}

/// Does what the standard input says. Returns only from a task that is not a program.
#[must_use]
pub fn run() -> ExitCode {
    match enter() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("hearth: {e}");
            // As a shell says it: the program could not be run.
            ExitCode::from(126)
        }
    }
}

fn enter() -> io::Result<()> {
    let mut bytes = Vec::new();
    io::stdin().take(LARGEST).read_to_end(&mut bytes)?;
    let Entry { user, task } = serde_json::from_slice(&bytes)?;
    drop(bytes);
    let user = shim::user(&user).map_err(io::Error::other)?;
    if user.uid != nix::unistd::Uid::effective() {
        privilege::become_user(&user)?;
    }
    privilege::forbid_new_privileges()?;
    umask(Mode::S_IRWXG | Mode::S_IRWXO);
    match task {
        Task::Run { spec, files } => {
            prepare(&spec.cwd, &files)?;
            chdir(&spec.cwd)?;
            let Some((program, arguments)) = spec.argv.split_first() else {
                return Err(io::Error::other(shim::Error::NoProgram));
            };
            let mut command = Command::new(program);
            command.args(arguments).env_clear().envs(&spec.env).stdin(Stdio::null());
            let Err(e) = shim::exec(&user, command);
            Err(io::Error::other(e))
        }
        Task::Look { files, roots } => {
            let found: Vec<Found> = files.iter().map(|file| files::look(file, roots.as_deref())).collect();
            io::stdout().write_all(&serde_json::to_vec(&found)?)
        }
        Task::Clear(folder) => clear(&folder),
        Task::End { processes, hard } => {
            let how = if hard { Signal::SIGKILL } else { Signal::SIGTERM };
            for process in processes.iter().filter(|process| process.lives()) {
                let _ = kill(Pid::from_raw(process.pid), how);
            }
            Ok(())
        }
    }
}

/// Makes the private folder. One that is there already is somebody else's, or of a launch that has been.
fn prepare(private: &Path, files: &BTreeMap<String, String>) -> io::Result<()> {
    folder::make_private(private)?;
    for (name, text) in files {
        let path = private.join(name);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(text.as_bytes())?;
    }
    Ok(())
}

/// Empties the folder; the folder itself stands in the gateway's and is removed by the gateway.
fn clear(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            // Code may have taken its rights away from folders of its own.
            open_up(&entry.path());
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Gives the owner the rights back that a removal needs.
fn open_up(folder: &Path) {
    let _ = fs::set_permissions(folder, fs::Permissions::from_mode(0o700));
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.filter_map(Result::ok) {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            open_up(&entry.path());
        }
    }
}
