//! The program as its own helper: the hidden command `hearth child`.
//!
//! `hearth child FOLDER` watches one launched program (`context::launch::child`); `hearth child --as USER -- PROGRAM …`
//! becomes another OS user and then that program; `hearth child --enter` does so by what its standard input says
//! (`context::launch::enter`). A process of its own does the change of user, because in Rust the moment between fork and exec
//! is open to unsafe code only.

pub mod privilege;

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::{Uid, User};

use self::privilege::Reduced;

/// Where the `hearth` program is, to start its helper forms.
#[derive(Debug, Clone)]
pub struct Program(PathBuf);

impl Program {
    /// The running program. On Linux this is its `/proc` link, which stays right when the file is replaced by an upgrade.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub fn current() -> io::Result<Self> {
        let link = Path::new("/proc/self/exe");
        if link.exists() { Ok(Self(link.to_path_buf())) } else { std::env::current_exe().map(Self) }
    }

    /// The program at a path.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// `hearth child FOLDER`.
    #[must_use]
    pub fn watch(&self, folder: &Path) -> Command {
        let mut command = self.child();
        command.arg(folder);
        command
    }

    /// `hearth child FOLDER --gateway USER`: as [`Program::watch`], privileged, for the gateway of that OS user. What to run stands in its
    /// standard input.
    #[must_use]
    pub fn watch_for(&self, folder: &Path, gateway: &str) -> Command {
        let mut command = self.watch(folder);
        command.arg("--gateway").arg(gateway);
        command
    }

    /// `hearth child --enter`: becomes the user and the program that its standard input names.
    #[must_use]
    pub fn enter(&self) -> Command {
        let mut command = self.child();
        command.arg("--enter");
        command
    }

    /// `hearth COMMAND`: arguments may be added.
    #[must_use]
    pub fn command(&self, name: &str) -> Command {
        let mut command = Command::new(&self.0);
        command.arg0("hearth").arg(name);
        command
    }

    /// `hearth child --as USER -- PROGRAM`: arguments may be added. Only root can run it.
    #[must_use]
    pub fn run_as(&self, user: &str, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.child();
        command.arg("--as").arg(user).arg("--").arg(program);
        command
    }

    fn child(&self) -> Command {
        self.command("child")
    }
}

/// Why the process could not become another user.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such user.
    #[error("there is no OS user \"{0}\" on this machine")]
    NoUser(String),
    /// Only root may.
    #[error("only root can run a program as the OS user \"{0}\"")]
    NotRoot(String),
    /// No program was named.
    #[error("no program to run was named")]
    NoProgram,
    /// The system refused.
    #[error("cannot become the OS user \"{0}\": {1}")]
    Refused(String, nix::Error),
    /// The program cannot be started.
    #[error("cannot start {program}: {source}")]
    NoStart {
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },
}

/// The OS user of a name.
///
/// # Errors
/// [`Error::NoUser`].
pub fn user(name: &str) -> Result<User, Error> {
    User::from_name(name).ok().flatten().ok_or_else(|| Error::NoUser(name.to_owned()))
}

/// Becomes the user, with all of their groups and a HOME, USER and LOGNAME that fit, and then the program. Returns only to
/// say why it could not.
///
/// # Errors
/// See [`Error`].
pub fn exec_as(name: &str, argv: &[OsString]) -> Result<Infallible, Error> {
    let (program, arguments) = argv.split_first().ok_or(Error::NoProgram)?;
    let user = user(name)?;
    let mut command = Command::new(program);
    command.args(arguments);
    exec(&user, command)
}

/// Becomes the user, as [`exec_as`] does, and then what the command says. Returns only to say why it could not.
///
/// # Errors
/// See [`Error`].
pub fn exec(user: &User, mut command: Command) -> Result<Infallible, Error> {
    if user.uid != Uid::effective() {
        if !Uid::effective().is_root() && !Reduced::is_possible() {
            return Err(Error::NotRoot(user.name.clone()));
        }
        privilege::become_user(user).map_err(|e| Error::Refused(user.name.clone(), e))?;
    }
    let program = command.get_program().to_string_lossy().into_owned();
    let source = command.env("HOME", &user.dir).env("USER", &user.name).env("LOGNAME", &user.name).exec();
    Err(Error::NoStart { program, source })
}
