//! Something in the cache that takes long to make: made by one caller while the others, of any process, wait, and there whole or
//! not at all.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The folder in which it is made, beside where it will be. Dropped, the folder is removed with what is left in it.
#[derive(Debug)]
pub(super) struct Draft {
    path: PathBuf,
    _lock: File,
}

impl Draft {
    /// Waits for the turn to make `target`. `None`: another has made it.
    pub async fn of(target: &Path) -> io::Result<Option<Self>> {
        if target.exists() {
            return Ok(None);
        }
        let lock = beside(target, ".lock");
        let wait = move || {
            let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(lock)?;
            // Let go of by the kernel when the file is closed, kill -9 included.
            file.lock()?;
            Ok(file)
        };
        let lock: io::Result<File> = tokio::task::spawn_blocking(wait).await.map_err(io::Error::other)?;
        let draft = Self { path: beside(target, ".draft"), _lock: lock? };
        if target.exists() {
            return Ok(None);
        }
        // Whatever stands there was left by a crash.
        draft.clear();
        DirBuilder::new().mode(0o755).create(&draft.path)?;
        // The mask of this process may be stricter; nothing in a cache is secret, and another OS user may have to read it.
        fs::set_permissions(&draft.path, Permissions::from_mode(0o755))?;
        Ok(Some(draft))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn clear(&self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        self.clear();
    }
}

fn beside(target: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(target);
    name.push(end);
    name.into()
}
