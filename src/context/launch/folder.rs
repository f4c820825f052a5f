//! The folder of one launch: what the gateway, `hearth child` and the program leave there for each other.
//!
//! Everything that is believed later (who the processes are, how it ended) is written by `hearth child` as the gateway's own
//! user. A program that runs as another OS user owns only `work/` and the files made for it.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, chown};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::table::Process;
use crate::home;
use crate::time::Timestamp;

/// What to run.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// Program and arguments. Everybody on the machine can read these: no secrets.
    pub argv: Vec<String>,
    /// The whole environment; nothing is inherited.
    pub env: BTreeMap<String, String>,
    /// Working folder.
    pub cwd: PathBuf,
    /// OS user to become; none: as the gateway.
    pub user: Option<String>,
}

impl std::fmt::Debug for Spec {
    /// Values of the environment may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let env: Vec<&String> = self.env.keys().collect();
        f.debug_struct("Spec").field("argv", &self.argv).field("env", &env).field("user", &self.user).finish()
    }
}

/// Who runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Processes {
    /// `hearth child`.
    pub shim: Process,
    /// The program, once it is started.
    pub program: Option<Process>,
}

/// How the program ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Exit status, when it ended by itself.
    pub code: Option<i32>,
    /// Number of the signal that ended it.
    pub signal: Option<i32>,
    /// Why it could not be started at all.
    pub error: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// The folder of one launch: `<home>/launch/<uuid>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes the folder of a new launch and its `work/` for the program.
    ///
    /// # Errors
    /// When it exists, the user is unknown, or the disk says no.
    pub fn create(home: &Path, id: Uuid, user: Option<&str>) -> io::Result<Self> {
        let owner = owner(user)?;
        // Another OS user must pass through to what is its own; it cannot list.
        let mode = if owner.is_some() { 0o711 } else { 0o700 };
        let all = Self::all(home);
        DirBuilder::new()
            .recursive(true)
            .mode(if nix::unistd::Uid::effective().is_root() { 0o711 } else { 0o700 })
            .create(&all)?;
        let folder = Self(all.join(id.to_string()));
        DirBuilder::new().mode(mode).create(&folder.0)?;
        let made = [folder.work(), folder.temporary(), folder.scratch()].iter().try_for_each(|own| {
            DirBuilder::new().mode(0o700).create(own)?;
            give(own, owner.as_ref())
        });
        if made.is_err() {
            folder.remove()?;
        }
        made.map(|()| folder)
    }

    /// Where a state folder keeps the folders of all launches.
    #[must_use]
    pub fn all(home: &Path) -> PathBuf {
        home.join("launch")
    }

    /// The folder of an earlier launch.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The program's own: scratch space and working folder.
    #[must_use]
    pub fn work(&self) -> PathBuf {
        self.0.join("work")
    }

    /// Where the program's temporary files go (`java.io.tmpdir`, `TMPDIR`).
    #[must_use]
    pub fn temporary(&self) -> PathBuf {
        self.work().join("tmp")
    }

    /// Where the agent keeps classes and spilled output.
    #[must_use]
    pub fn scratch(&self) -> PathBuf {
        self.work().join("scratch")
    }

    /// What the program wrote to its standard output.
    #[must_use]
    pub fn stdout(&self) -> PathBuf {
        self.0.join("stdout")
    }

    /// What the program wrote to its standard error.
    #[must_use]
    pub fn stderr(&self) -> PathBuf {
        self.0.join("stderr")
    }

    /// Writes a file that only the program (and the gateway) can read, such as its properties with the token.
    ///
    /// # Errors
    /// When the user is unknown or the disk says no.
    pub fn hand_over(&self, name: &str, bytes: &[u8], user: Option<&str>) -> io::Result<PathBuf> {
        let path = self.0.join(name);
        home::write_private(&path, bytes)?;
        give(&path, owner(user)?.as_ref())?;
        Ok(path)
    }

    /// Removes the folder and all in it; one that is gone is no error.
    ///
    /// # Errors
    /// As the system says.
    pub fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.0) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    /// Whether it says what to run. From then on it may have run.
    #[must_use]
    pub fn is_launched(&self) -> bool {
        self.spec().exists()
    }

    pub(super) fn spec(&self) -> Record<Spec> {
        Record::of(self, "launch.json")
    }

    pub(super) fn processes(&self) -> Record<Processes> {
        Record::of(self, "process.json")
    }

    pub(super) fn exit(&self) -> Record<Exit> {
        Record::of(self, "exit.json")
    }
}

fn owner(user: Option<&str>) -> io::Result<Option<nix::unistd::User>> {
    user.map(|name| crate::shim::user(name).map_err(|e| io::Error::new(io::ErrorKind::NotFound, e))).transpose()
}

fn give(path: &Path, to: Option<&nix::unistd::User>) -> io::Result<()> {
    to.map_or(Ok(()), |user| chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw())))
}

/// One of the folder's JSON files: there whole or not there.
pub(super) struct Record<T>(PathBuf, std::marker::PhantomData<fn() -> T>);

impl<T: Serialize + DeserializeOwned> Record<T> {
    fn of(folder: &Folder, name: &str) -> Self {
        Self(folder.0.join(name), std::marker::PhantomData)
    }

    /// What it says; `None` while it is not written.
    pub fn read(&self) -> io::Result<Option<T>> {
        match fs::read(&self.0) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(io::Error::from),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    pub fn write(&self, value: &T) -> io::Result<()> {
        home::write_private(&self.0, &serde_json::to_vec(value)?)
    }

    /// Whether it is written.
    fn exists(&self) -> bool {
        // What cannot be looked at may be there.
        self.0.try_exists().unwrap_or(true)
    }

    /// How long ago it was written; none: it is not. A clock that was set back makes it new.
    pub fn age(&self) -> Option<std::time::Duration> {
        let written = fs::metadata(&self.0).ok()?.modified().ok()?;
        Some(written.elapsed().unwrap_or_default())
    }
}
