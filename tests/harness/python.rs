//! Python environments with packages that tests need, made by the repository's own script and kept in its cache.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The Python of an environment named `name` that has what each of `installs` installs; each is a list of arguments to pip.
///
/// # Panics
/// When it cannot be made: a test that needs it must not pass without it.
pub async fn python(name: &str, installs: &[&[&str]]) -> PathBuf {
    let cache = env::var_os("XDG_CACHE_HOME")
        .map_or_else(|| PathBuf::from(env::var_os("HOME").expect("HOME")).join(".cache"), PathBuf::from);
    let folder = cache.join("hearth").join(format!("venv-{name}"));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/venv");
    let installs: Vec<Vec<String>> = installs.iter().map(|i| i.iter().map(ToString::to_string).collect()).collect();
    tokio::task::spawn_blocking(move || {
        for packages in installs {
            let done = Command::new(&script).arg(&folder).args(&packages).output().expect("scripts/venv runs");
            let said = String::from_utf8_lossy(&done.stderr);
            assert!(done.status.success(), "{packages:?} cannot be installed:\n{said}");
        }
        folder.join("bin/python")
    })
    .await
    .unwrap()
}
