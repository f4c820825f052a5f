//! The processes of this machine: who lives, whose child it is, when it began.
//!
//! A pid alone says little, for the system uses it again; a pid with its start names one process for ever.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

/// One process, by pid and start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// When it began, as the system words it. Only compared, never computed with.
    pub start: String,
}

impl Process {
    /// Whether this very process lives. One that has ended and only waits for its parent does not.
    #[must_use]
    pub fn lives(&self) -> bool {
        find(self.pid).is_some_and(|entry| entry.process == *self)
    }
}

/// A living process and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Who it is.
    pub process: Process,
    /// Its parent's pid.
    pub parent: i32,
    /// Its session (Linux) or process group (elsewhere).
    pub session: i32,
}

/// The living process of a pid.
#[must_use]
pub fn find(pid: i32) -> Option<Entry> {
    system::find(pid)
}

/// Every living process that descends from `root` or shares its session, `root` itself left out.
///
/// Descent finds those who left the session; the session finds those whose parents are gone. The root of a launch collects
/// its orphans (`PR_SET_CHILD_SUBREAPER`), so while it lives descent finds all.
#[must_use]
pub fn family(root: &Process) -> Vec<Process> {
    let all = system::all();
    if all.iter().any(|e| e.process.pid == root.pid && e.process != *root) {
        // The pid belongs to another process now: its children and its session are none of ours.
        return Vec::new();
    }
    let mut found: HashSet<i32> = HashSet::from([root.pid]);
    loop {
        let before = found.len();
        for entry in &all {
            if entry.session == root.pid || found.contains(&entry.parent) {
                found.insert(entry.process.pid);
            }
        }
        if found.len() == before {
            break;
        }
    }
    found.remove(&root.pid);
    all.into_iter().map(|e| e.process).filter(|p| found.contains(&p.pid)).collect()
}

#[cfg(target_os = "linux")]
mod system {
    use std::fs;

    use super::{Entry, Process};

    pub fn find(pid: i32) -> Option<Entry> {
        read(pid, &boot())
    }

    pub fn all() -> Vec<Entry> {
        let boot = boot();
        let Ok(folders) = fs::read_dir("/proc") else { return Vec::new() };
        folders
            .filter_map(|f| f.ok()?.file_name().to_str()?.parse::<i32>().ok())
            .filter_map(|pid| read(pid, &boot))
            .collect()
    }

    /// Start times count from the boot, so they are only worth something beside its id.
    fn boot() -> String {
        fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
    }

    fn read(pid: i32, boot: &str) -> Option<Entry> {
        parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?, boot)
    }

    /// Reads `/proc/PID/stat`, proc_pid_stat(5). The name in parentheses may hold blanks and parentheses itself.
    pub fn parse(pid: i32, stat: &str, boot: &str) -> Option<Entry> {
        let (_, rest) = stat.rsplit_once(')')?;
        let field: Vec<&str> = rest.split_ascii_whitespace().collect();
        if matches!(*field.first()?, "Z" | "X") {
            return None;
        }
        Some(Entry {
            process: Process { pid, start: format!("{}@{boot}", field.get(19)?) },
            parent: field.get(1)?.parse().ok()?,
            session: field.get(3)?.parse().ok()?,
        })
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::process::Command;

    use super::{Entry, Process};

    pub fn find(pid: i32) -> Option<Entry> {
        ps(&["-p", &pid.to_string()]).into_iter().next()
    }

    pub fn all() -> Vec<Entry> {
        ps(&["-A"])
    }

    fn ps(which: &[&str]) -> Vec<Entry> {
        let output = Command::new("ps").args(which).args(["-o", "pid=,ppid=,pgid=,stat=,lstart="]).output();
        let Ok(output) = output else { return Vec::new() };
        String::from_utf8_lossy(&output.stdout).lines().filter_map(parse).collect()
    }

    fn parse(line: &str) -> Option<Entry> {
        let mut field = line.split_ascii_whitespace();
        let pid = field.next()?.parse().ok()?;
        let parent = field.next()?.parse().ok()?;
        let session = field.next()?.parse().ok()?;
        if field.next()?.starts_with('Z') {
            return None;
        }
        let start = field.collect::<Vec<_>>().join(" ");
        Some(Entry { process: Process { pid, start }, parent, session })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own_pid() -> i32 {
        i32::try_from(std::process::id()).unwrap()
    }

    #[test]
    fn a_process_is_found_by_pid_and_start() {
        let me = find(own_pid()).unwrap().process;
        assert!(me.lives());
        assert!(!Process { pid: me.pid, start: "another".to_owned() }.lives());
    }

    #[test]
    fn children_belong_to_the_family_until_they_end() {
        let me = find(own_pid()).unwrap().process;
        let mut child = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        assert!(family(&me).iter().any(|p| p.pid == pid));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!family(&me).iter().any(|p| p.pid == pid));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_name_with_parentheses_is_read() {
        let stat = "42 (a) b (c) S 1 42 40 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 777 0 0";
        let entry = system::parse(42, stat, "b").unwrap();
        assert_eq!((entry.parent, entry.session, entry.process.start.as_str()), (1, 40, "777@b"));
        assert!(system::parse(42, &stat.replace(" S ", " Z "), "b").is_none());
    }
}
