//! The two folders of one launch: what the gateway and `hearth child` leave there for each other, and what is the program's own.
//!
//! `<home>/launch/<uuid>` is the gateway's alone: everything that is believed later (who the processes are, how it ended, what it
//! printed) is written there by `hearth child` as the gateway's own user. `<home>/work/<uuid>` is the program's: where it runs as
//! another OS user, that user makes it, so that no privileged process has to give anything away.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::Uid;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::table::Process;
use crate::home;
use crate::time::Timestamp;

/// Where a state folder keeps what belongs to programs.
const WORK: &str = "work";
const TEMPORARY: &str = "tmp";
const SCRATCH: &str = "scratch";

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

/// The folders of one launch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes the folders of a new launch. The program's own is made only where the program runs as this very process's user; one of
    /// another user (`is_other_user`) makes it itself ([`super::enter`]), in a place where everybody may make a folder and nobody can look
    /// around, as in `/tmp`.
    ///
    /// # Errors
    /// When it exists, or the disk says no.
    pub fn create(home: &Path, id: Uuid, is_other_user: bool) -> io::Result<Self> {
        home::create_folder(&Self::all(home))?;
        let works = home.join(WORK);
        home::create_folder(&works)?;
        if is_other_user {
            fs::set_permissions(&works, Permissions::from_mode(0o1733))?;
        }
        let folder = Self(Self::all(home).join(id.to_string()));
        DirBuilder::new().mode(0o700).create(&folder.0)?;
        if is_other_user {
            return Ok(folder);
        }
        let made = make_private(&folder.work());
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
        let home = self.0.parent().and_then(Path::parent).unwrap_or(&self.0);
        home.join(WORK).join(self.0.file_name().unwrap_or_default())
    }

    /// Its launch, when the folder has such a name.
    #[must_use]
    pub fn id(&self) -> Option<Uuid> {
        self.0.file_name()?.to_str()?.parse().ok()
    }

    /// Where the program's temporary files go (`java.io.tmpdir`, `TMPDIR`).
    #[must_use]
    pub fn temporary(&self) -> PathBuf {
        self.work().join(TEMPORARY)
    }

    /// Where the agent keeps classes and spilled output.
    #[must_use]
    pub fn scratch(&self) -> PathBuf {
        self.work().join(SCRATCH)
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

    /// Writes a file into the program's own folder, where that is this very process's: such as its properties with the token.
    ///
    /// # Errors
    /// When the disk says no.
    pub fn hand_over(&self, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
        let path = self.work().join(name);
        home::write_private(&path, bytes)?;
        Ok(path)
    }

    /// The uid of the program's own folder, when that is another than this process's: then only that user can empty it.
    #[must_use]
    pub fn stranger(&self) -> Option<Uid> {
        let owner = Uid::from_raw(fs::symlink_metadata(self.work()).ok()?.uid());
        Some(owner).filter(|owner| *owner != Uid::effective())
    }

    /// Removes both folders and all in them; one that is gone is no error. What another user's program has left must be emptied by
    /// that user before.
    ///
    /// # Errors
    /// As the system says.
    pub fn remove(&self) -> io::Result<()> {
        let work = self.work();
        let is_gone = |e: &io::Error| e.kind() == io::ErrorKind::NotFound;
        match if self.stranger().is_some() { fs::remove_dir(&work) } else { fs::remove_dir_all(&work) } {
            Err(e) if !is_gone(&e) => return Err(e),
            _ => {}
        }
        match fs::remove_dir_all(&self.0) {
            Err(e) if !is_gone(&e) => Err(e),
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

/// Makes a program's own folder and what is in it, for this process's user alone.
///
/// # Errors
/// When it exists, or the disk says no.
pub(super) fn make_private(work: &Path) -> io::Result<()> {
    [Path::new(""), Path::new(TEMPORARY), Path::new(SCRATCH)]
        .iter()
        .try_for_each(|part| DirBuilder::new().mode(0o700).create(work.join(part)))
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
