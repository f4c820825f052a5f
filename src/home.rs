//! The state folder: its rights, its lock, and files written so that a crash leaves the old or the new text, never half.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::Uid;

/// The state folder, locked for as long as this value lives.
#[derive(Debug)]
pub struct Home {
    path: PathBuf,
    /// The kernel lets go of the lock when the file is closed, kill -9 included. Files opened by Rust are not inherited.
    _lock: File,
}

/// The state folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process holds it.
    #[error("another hearth serve (pid {pid}) runs on the state folder {}; stop it, or choose another folder with --home", path.display())]
    Taken {
        /// The folder.
        path: PathBuf,
        /// The pid that the other one wrote down.
        pid: String,
    },
    /// It cannot be made, opened or locked.
    #[error("the state folder {} cannot be used: {source}; choose another with --home", path.display())]
    Unusable {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Home {
    /// Makes the folder where it is missing, sees to its rights and takes its lock.
    ///
    /// The rights are 0700. Started as root they are 0711, for then the embedded database runs as another user and must be able to pass
    /// through, though not to list.
    ///
    /// # Errors
    /// [`Error::Taken`] while another process holds the folder.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let unusable = |source| Error::Unusable { path: path.to_path_buf(), source };
        create_folder(path).map_err(unusable)?;
        let mode = if Uid::effective().is_root() { 0o711 } else { 0o700 };
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(unusable)?;
        let file = path.join("lock");
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&file)
            .map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let pid = fs::read_to_string(&file).unwrap_or_default();
                return Err(Error::Taken { path: path.to_path_buf(), pid: pid.trim().to_owned() });
            }
            Err(TryLockError::Error(e)) => return Err(unusable(e)),
        }
        lock.set_len(0).map_err(unusable)?;
        writeln!(lock, "{}", std::process::id()).map_err(unusable)?;
        Ok(Self { path: path.to_path_buf(), _lock: lock })
    }

    /// Lets others pass through, though not list: drivers of other OS users have folders of their own below.
    ///
    /// # Errors
    /// The system's.
    pub fn let_through(&self) -> io::Result<()> {
        fs::set_permissions(&self.path, fs::Permissions::from_mode(0o711))
    }

    /// The name of the machine that the folder is of: `current` when it was first asked, and the same for ever after. What was launched
    /// from here is found again by it, whatever the machine is called by then (a container has a new name after each start).
    ///
    /// # Errors
    /// When the file that holds it can be neither read nor written.
    pub fn host(&self, current: &str) -> io::Result<String> {
        let file = self.path.join("host");
        match fs::read_to_string(&file) {
            Ok(known) if !known.trim().is_empty() => Ok(known.trim().to_owned()),
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => {
                write_private(&file, format!("{current}\n").as_bytes())?;
                Ok(current.to_owned())
            }
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The host that the gateway of a state folder calls itself, if one has been there.
#[must_use]
pub fn host_of(path: &Path) -> Option<String> {
    let known = fs::read_to_string(path.join("host")).ok()?;
    Some(known.trim().to_owned()).filter(|host| !host.is_empty())
}

/// Makes a folder that only this user can enter, and its parents; one that exists is left as it is.
///
/// # Errors
/// As the system says.
pub fn create_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes a folder that everybody can read and only this user can write, and its parents.
///
/// # Errors
/// As the system says.
pub fn create_open_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(path)
}

/// Writes a file that only this user can read (0600): whole or not at all, and on the disk when this returns.
///
/// # Errors
/// As the system says.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    let draft = folder.join(format!(".{name}.{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(&folder.path().join("state")).unwrap();
        let text = Home::open(home.path()).unwrap_err().to_string();
        assert!(text.contains(&format!("pid {}", std::process::id())), "{text}");
        let path = home.path().to_path_buf();
        drop(home);
        Home::open(&path).unwrap();
    }

    #[test]
    fn the_first_name_of_the_machine_stays() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(folder.path()).unwrap();
        assert_eq!(home.host("pod-1").unwrap(), "pod-1");
        drop(home);
        assert_eq!(Home::open(folder.path()).unwrap().host("pod-2").unwrap(), "pod-1");
    }

    #[test]
    fn a_private_file_is_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        write_private(&path, b"one").unwrap();
        write_private(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
