//! Ends what a test started, whatever becomes of the test.
//!
//! A keeper is a shell that waits for the end of its standard input. That comes when the keeper is dropped, and also when the
//! test's process is killed. It then signals every process whose working folder lies in the keeper's folder, waits for their end and removes the folder.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// `$1` is the folder, `$2` the signal.
const SCRIPT: &str = r#"
cd /
read -r _
inside() {
    for process in /proc/[0-9]*; do
        case "$(readlink "$process/cwd" 2>/dev/null)" in
            "$1"|"$1"/*) echo "${process#/proc/}" ;;
        esac
    done
}
for pid in $(inside "$1"); do kill -s "$2" "$pid" 2>/dev/null; done
for turn in $(seq 200); do
    left=$(inside "$1")
    [ -z "$left" ] && break
    [ "$turn" -eq 150 ] && kill -s KILL $left 2>/dev/null
    sleep 0.05
done
rm -rf "$1"
"#;

/// A folder, and the promise that it and every process in it will be gone.
#[derive(Debug)]
pub struct Keeper {
    folder: PathBuf,
    shell: Child,
}

impl Keeper {
    /// Makes a folder whose processes get `signal` in the end.
    pub fn new(signal: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("hearth-test-").tempdir().expect("a temporary folder").keep();
        // The kernel shows working folders without symbolic links.
        let folder = folder.canonicalize().expect("a temporary folder");
        let shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "keeper"])
            .arg(&folder)
            .arg(signal)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A Ctrl-C at the terminal must not end it before its work.
            .process_group(0)
            .spawn()
            .expect("/bin/sh starts");
        Self { folder, shell }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Processes whose working folder lies in the folder: pid and command line.
    pub fn processes(&self) -> Vec<(u32, String)> {
        let listed = fs::read_dir("/proc").expect("/proc");
        listed
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
            .filter(|pid| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(&self.folder)))
            .map(|pid| {
                let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                (pid, String::from_utf8_lossy(&line).replace('\0', " ").chars().take(200).collect())
            })
            .collect()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}
