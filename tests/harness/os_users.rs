//! OS users of one test, made by root and removed with it, even when it is killed.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::unistd::{Gid, Uid, User};

/// The first argument is the lock, each other one a user: removed once the standard input ends, with every process that is left of it.
const REMOVE: &str = r#"
read -r _
lock=$1
shift
for user in "$@"; do
    for turn in $(seq 100); do
        id -u "$user" >/dev/null 2>&1 || break
        for process in /proc/[0-9]*; do
            [ "$(stat -c %U "$process" 2>/dev/null)" = "$user" ] && kill -s KILL "${process#/proc/}" 2>/dev/null
        done
        flock "$lock" userdel "$user" >/dev/null 2>&1 && break
        sleep 0.05
    done
done
"#;

/// Some OS users.
#[derive(Debug)]
pub struct OsUsers {
    names: Vec<String>,
    guard: Child,
}

impl OsUsers {
    /// Makes a user for each role: a person, or, where the role begins with `system-`, a user of the system.
    pub fn new(roles: &[&str]) -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let own = format!("{:x}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let names: Vec<String> =
            roles.iter().map(|role| format!("{}-{own}", role.trim_start_matches("system-"))).collect();
        // The accounts' files have a lock of their own, for which programs do not wait.
        let lock = std::env::temp_dir().join("hearth-test-users.lock");
        let guard = Command::new("/bin/sh")
            .args(["-c", REMOVE, "users"])
            .arg(&lock)
            .args(&names)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("/bin/sh starts");
        for (role, name) in roles.iter().zip(&names) {
            let system = role.starts_with("system-").then_some("--system");
            let held = std::fs::File::create(&lock).unwrap();
            held.lock().unwrap();
            let made = Command::new("useradd")
                .args(system)
                .args(["--no-create-home", "--home-dir", "/nonexistent", "--user-group", "--shell", "/bin/sh", name])
                .output()
                .expect("useradd is installed");
            assert!(made.status.success(), "the user {name}: {}", String::from_utf8_lossy(&made.stderr));
        }
        Self { names, guard }
    }

    /// Puts a role's user into the group of another's.
    pub fn join(&self, role: usize, other: usize) {
        let done = Command::new("usermod").args(["--append", "--groups", self.name(other), self.name(role)]).status();
        assert!(done.expect("usermod is installed").success());
    }

    /// The name of a role.
    pub fn name(&self, role: usize) -> &str {
        &self.names[role]
    }

    /// The account of a role.
    pub fn account(&self, role: usize) -> (Uid, Gid) {
        let user = User::from_name(self.name(role)).unwrap().expect("it was made");
        (user.uid, user.gid)
    }

    /// Makes a folder that only a role's user can enter.
    pub fn folder(&self, role: usize, path: &Path) -> PathBuf {
        use std::os::unix::fs::{PermissionsExt, chown};
        let (uid, gid) = self.account(role);
        std::fs::create_dir(path).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).unwrap();
        chown(path, Some(uid.as_raw()), Some(gid.as_raw())).unwrap();
        path.to_path_buf()
    }

    /// Runs a Python script as a role's user.
    pub fn python(&self, role: usize, script: &str, arguments: &[&str]) -> Output {
        let mut child = Command::new(env!("CARGO_BIN_EXE_hearth"))
            .args(["child", "--as", self.name(role), "--", "/usr/bin/python3", "-"])
            .args(arguments)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// What a Python script of a role's user prints.
    ///
    /// # Panics
    /// When it fails.
    pub fn says(&self, role: usize, script: &str, arguments: &[&str]) -> String {
        let output = self.python(role, script, arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for OsUsers {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}
