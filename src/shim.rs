//! The program as its own helper: the hidden command `hearth child`.
//!
//! `hearth child FOLDER` watches one launched program (`context::launch::child`); `hearth child --as USER -- PROGRAM …`
//! becomes another OS user and then that program. A process of its own does the change of user, because in Rust the moment
//! between fork and exec is open to unsafe code only.

use std::convert::Infallible;
use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::{Uid, User};

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

    /// `hearth child --as USER -- PROGRAM`: arguments may be added. Only root can run it.
    #[must_use]
    pub fn run_as(&self, user: &str, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.child();
        command.arg("--as").arg(user).arg("--").arg(program);
        command
    }

    fn child(&self) -> Command {
        let mut command = Command::new(&self.0);
        command.arg0("hearth").arg("child");
        command
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
    if user.uid != Uid::effective() {
        if !Uid::effective().is_root() {
            return Err(Error::NotRoot(name.to_owned()));
        }
        become_user(&user).map_err(|e| Error::Refused(name.to_owned(), e))?;
    }
    let source = Command::new(program)
        .args(arguments)
        .env("HOME", &user.dir)
        .env("USER", &user.name)
        .env("LOGNAME", &user.name)
        .exec();
    Err(Error::NoStart { program: program.to_string_lossy().into_owned(), source })
}

#[cfg(not(any(target_os = "macos", target_os = "ios")))]
fn become_user(user: &User) -> nix::Result<()> {
    use nix::unistd::{getgrouplist, setgid, setgroups, setuid};
    let name = CString::new(user.name.as_str()).map_err(|_| nix::Error::EINVAL)?;
    // Groups first: once the user is changed, neither may be.
    setgroups(&getgrouplist(&name, user.gid)?)?;
    setgid(user.gid)?;
    setuid(user.uid)
}

/// The system library of these offers no list of groups through a safe call.
#[cfg(any(target_os = "macos", target_os = "ios"))]
fn become_user(_: &User) -> nix::Result<()> {
    Err(nix::Error::ENOSYS)
}
