//! Finds the server's programs on this machine. Nothing is ever downloaded: that is for a package manager, or `make up`.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Error;

/// Folders where distributions put what is not on `PATH`: a folder, the start of a name in it, and the rest.
const PLACES: &[(&str, &str, &str)] = &[
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/usr/lib", "postgresql", "bin"),
    ("/opt/homebrew/opt", "postgresql", "bin"),
    ("/usr/local/opt", "postgresql", "bin"),
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
];

/// The programs of one Postgres version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Programs {
    folder: PathBuf,
    major: u32,
}

impl Programs {
    /// The programs to use: those in `bin` when that is set, else the first that are found. With `data` there, only programs
    /// of the version that made it will do.
    pub fn find(bin: &str, path: Option<OsString>, data: &Path) -> Result<Self, Error> {
        let found: Vec<Self> = if bin.is_empty() {
            candidates(path).into_iter().filter_map(Self::at).collect()
        } else {
            vec![Self::at(bin.into()).ok_or_else(|| Error::NoProgramsIn(bin.into()))?]
        };
        let made_by = fs::read_to_string(data.join("PG_VERSION")).ok().and_then(|v| v.trim().parse().ok());
        match made_by {
            None => found.into_iter().next().ok_or(Error::NoPrograms),
            Some(needed) => {
                let majors = found.iter().map(|p| p.major.to_string()).collect::<Vec<_>>().join(", ");
                found.into_iter().find(|p| p.major == needed).ok_or(Error::OtherVersion {
                    data: data.to_path_buf(),
                    needed,
                    found: if majors.is_empty() { "none".to_owned() } else { majors },
                })
            }
        }
    }

    /// One of them.
    pub fn get(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Where they are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn at(folder: PathBuf) -> Option<Self> {
        if !["initdb", "pg_ctl", "postgres"].iter().all(|name| folder.join(name).is_file()) {
            return None;
        }
        let said = Command::new(folder.join("postgres")).arg("--version").stdin(Stdio::null()).output().ok()?;
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        Some(Self { folder, major: major(&said)? })
    }
}

/// The major version in `postgres (PostgreSQL) 15.14 (Debian …)` or `… 18beta1`.
fn major(said: &str) -> Option<u32> {
    let (_, version) = said.split_once("(PostgreSQL) ")?;
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn candidates(path: Option<OsString>) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = path.iter().flat_map(|p| std::env::split_paths(p).collect::<Vec<_>>()).collect();
    // A link to one program on PATH leads to the folder of all.
    let link = |folder: &PathBuf| Some(fs::canonicalize(folder.join("postgres")).ok()?.parent()?.to_owned());
    let linked: Vec<PathBuf> = folders.iter().filter_map(link).collect();
    folders.extend(linked);
    folders.extend(told_by_pg_config());
    for (parent, start, rest) in PLACES {
        let mut versions: Vec<(u32, PathBuf)> = fs::read_dir(parent)
            .into_iter()
            .flatten()
            .filter_map(|entry| {
                let name = entry.ok()?.file_name().into_string().ok()?;
                let digits: String = name.strip_prefix(start)?.chars().filter(char::is_ascii_digit).collect();
                Some((digits.parse().unwrap_or(0), Path::new(parent).join(&name).join(rest)))
            })
            .collect();
        versions.sort_by(|a, b| b.cmp(a));
        folders.extend(versions.into_iter().map(|(_, folder)| folder));
    }
    folders
}

fn told_by_pg_config() -> Option<PathBuf> {
    let said = Command::new("pg_config").arg("--bindir").stdin(Stdio::null()).output().ok()?;
    Some(PathBuf::from(String::from_utf8(said.stdout).ok()?.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(major("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n"), Some(15));
        assert_eq!(major("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(major("mysql 8"), None);
    }

    #[test]
    fn what_is_missing_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let error = Programs::find("/no/such/folder", None, folder.path()).unwrap_err().to_string();
        assert!(error.contains("/no/such/folder") && error.contains("initdb"), "{error}");
        fs::write(folder.path().join("PG_VERSION"), "9\n").unwrap();
        let error = Programs::find("", None, folder.path()).unwrap_err().to_string();
        assert!(error.contains("Postgres 9"), "{error}");
    }
}
