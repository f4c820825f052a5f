//! The launcher: whom it runs, for whom, and what it leaves to whom. As root, with OS users of its own; no Spark is needed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod harness;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use harness::os_users::OsUsers;
use harness::{BOUND, until};
use hearth::context::launch::folder::Folder;
use hearth::context::launch::process::{self, Status};
use hearth::context::launch::table;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};
use serde_json::{Value, json};
use uuid::Uuid;

const GATE: usize = 0;
const ALICE: usize = 1;
const BOB: usize = 2;

/// Sends frames to a socket, and prints each answer on a line.
const ASK: &str = r#"
import json, socket, struct, sys
link = socket.socket(socket.AF_UNIX)
link.connect(sys.argv[1])
def take(size):
    got = b""
    while len(got) < size:
        more = link.recv(size - len(got))
        if not more:
            print("closed"); sys.exit()
        got += more
    return got
for request in sys.argv[2:]:
    request = request.encode()
    link.sendall(struct.pack(">I", len(request)) + request)
    print(take(struct.unpack(">I", take(4))[0]).decode())
"#;

/// A launcher of its own user and state folder, and a Spark that is nothing but a script.
struct Fixture {
    users: OsUsers,
    root: tempfile::TempDir,
    launcher: Child,
}

impl Fixture {
    async fn new(script: &str) -> Self {
        Self::run_by(script, |_| Vec::new()).await
    }

    /// `by`: the words before the launcher's own, when it is not started by root as it is.
    async fn run_by(script: &str, by: impl Fn(&OsUsers) -> Vec<String>) -> Self {
        assert!(Uid::effective().is_root(), "only root can try what only root can do");
        let users = OsUsers::new(&["system-gate", "alice", "bob", "system-launch"]);
        let root = tempfile::tempdir().unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o711)).unwrap();
        let at = |name: &str| root.path().join(name);
        let home = users.folder(GATE, &at("home"));
        fs::set_permissions(&home, fs::Permissions::from_mode(0o711)).unwrap();
        users.folder(GATE, &at("run"));
        fs::set_permissions(at("run"), fs::Permissions::from_mode(0o755)).unwrap();
        for user in [ALICE, BOB] {
            users.folder(user, &at(users.name(user)));
        }
        fs::create_dir_all(at("spark/jars")).unwrap();
        fs::create_dir_all(at("spark/bin")).unwrap();
        fs::write(at("spark/jars/spark-core_2.12-3.5.9.jar"), "").unwrap();
        fs::write(at("spark/bin/spark-submit"), format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(at("spark/bin/spark-submit"), fs::Permissions::from_mode(0o755)).unwrap();
        let toml = format!(
            "home = {:?}\n[launch]\ngateway_user = {:?}\nlauncher = {:?}\n[profiles.people]\nspark_home = {:?}\nrun_as = \"user\"\n\
             [profiles.bobs]\nspark_home = {:?}\nrun_as = \"service:{}\"\n[profiles.own]\nspark_home = {:?}\n",
            home,
            users.name(GATE),
            at("run/launcher.sock"),
            at("spark"),
            at("spark"),
            users.name(BOB),
            at("spark"),
        );
        fs::write(at("hearth.toml"), toml).unwrap();
        let mut words = by(&users);
        words.push(env!("CARGO_BIN_EXE_hearth").to_owned());
        let launcher = Command::new(&words[0])
            .args(&words[1..])
            .args(["launcher", "--config"])
            .arg(at("hearth.toml"))
            .env("SECRET_OF_THE_LAUNCHER", "canary")
            .current_dir("/")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let socket = at("run/launcher.sock");
        until("the launcher listens", BOUND, async || socket.exists().then_some(())).await;
        Self { users, root, launcher }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn socket(&self) -> String {
        self.at("run/launcher.sock").display().to_string()
    }

    /// What the launcher answers the gateway's user.
    fn ask(&self, request: &Value) -> Value {
        let said = self.users.says(GATE, ASK, &[&self.socket(), &request.to_string()]);
        serde_json::from_str(&said).unwrap_or(Value::String(said))
    }

    fn refusal(&self, request: &Value) -> String {
        let answer = self.ask(request);
        answer["refused"].as_str().unwrap_or_else(|| panic!("not refused: {answer}")).to_owned()
    }

    fn start(&self, launch: Uuid, user: &str, profile: &str) -> Value {
        let argv = [self.at("spark/bin/spark-submit").display().to_string(), "an argument".to_owned()];
        json!({"start": {"launch": launch, "user": user, "profile": profile, "argv": argv, "properties": "token=canary\n"}})
    }

    /// The folders of a launch, as a gateway makes them.
    fn folder(&self, launch: Uuid) -> Folder {
        let folder = Folder::create(&self.at("home"), launch, true).unwrap();
        let (uid, gid) = self.users.account(GATE);
        for path in [self.at("home/launch"), self.at("home/work"), folder.path().to_path_buf()] {
            chown(path, Some(uid.as_raw()), Some(gid.as_raw())).unwrap();
        }
        folder
    }

    /// Starts the script as alice.
    async fn launch(&self) -> Folder {
        let launch = Uuid::now_v7();
        let folder = self.folder(launch);
        assert_eq!(self.ask(&self.start(launch, self.users.name(ALICE), "people")), json!("done"));
        folder
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = self.launcher.kill();
        let _ = self.launcher.wait();
    }
}

async fn ended(folder: &Folder) -> Status {
    // A launch that has recorded nothing yet has no folder to speak of.
    until("the launch ends", BOUND, async || process::status(folder).ok().filter(Status::is_over)).await
}

async fn running(folder: &Folder) -> i32 {
    until("the program runs", BOUND, async || match process::status(folder) {
        Ok(Status::Running { pid }) => Some(pid),
        _ => None,
    })
    .await
}

fn watcher(folder: &Folder) -> i32 {
    let record: Value = serde_json::from_slice(&fs::read(folder.path().join("process.json")).unwrap()).unwrap();
    i32::try_from(record["shim"]["pid"].as_i64().unwrap()).unwrap()
}

/// A line of `/proc/PID/status`.
fn status_of(pid: i32, field: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).unwrap();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

const LOOKS_AROUND: &str = r#"
id -un; id -Gn; umask; pwd; echo "$HOME $USER"
env | grep -c canary
grep -h -e ^CapPrm -e ^CapInh -e ^CapAmb -e ^NoNewPrivs /proc/self/status
cat spark.conf; stat -c '%U %a' . tmp spark.conf
ls ../../launch 2>&1; ls .. 2>&1; cat ../../launch/*/process.json 2>&1 | grep -c shim
for path in "$@"; do echo "$path"; done
exit 3
"#;

#[tokio::test]
async fn as_root_a_program_has_the_users_identity_and_nothing_of_the_gateways() {
    let it = Fixture::new(LOOKS_AROUND).await;
    let folder = it.launch().await;
    let Status::Ended(exit) = ended(&folder).await else { panic!("lost") };
    let (alice, gate) = (it.users.name(ALICE), it.users.name(GATE));
    let (said, complaints) =
        (fs::read_to_string(folder.stdout()).unwrap(), fs::read_to_string(folder.stderr()).unwrap());
    assert_eq!(exit.code, Some(3), "{said}{complaints}");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[..3], [alice, alice, "0077"], "{said}");
    assert_eq!(Path::new(lines[3]), folder.work());
    assert_eq!(lines[4..6], [&format!("/nonexistent {alice}"), "0"], "{said}");
    let none = "0000000000000000";
    let caps = [format!("CapInh:\t{none}"), format!("CapPrm:\t{none}"), format!("CapAmb:\t{none}")];
    assert_eq!(lines[6..9], caps, "{said}");
    assert_eq!(lines[9], "NoNewPrivs:\t1");
    assert_eq!(lines[10], "token=canary");
    assert_eq!(lines[11..14], [format!("{alice} 700"), format!("{alice} 700"), format!("{alice} 600")], "{said}");
    assert!(lines[14].contains("Permission denied") && lines[15].contains("Permission denied"), "{said}");
    assert_eq!(lines[16..], ["0", "an argument"], "{said}");
    // What is believed later is the gateway's own.
    for name in ["process.json", "exit.json", "stdout", "stderr"] {
        let found = fs::metadata(folder.path().join(name)).unwrap();
        assert_eq!((found.uid(), found.mode() & 0o777), (it.users.account(GATE).0.as_raw(), 0o600), "{name} {gate}");
    }
    // The gateway cannot empty what is hers; the launcher does it as her.
    assert_eq!(it.ask(&json!({"clear": {"launch": folder.id().unwrap()}})), json!("done"));
    assert_eq!(fs::read_dir(folder.work()).unwrap().count(), 0);
}

#[tokio::test]
async fn as_root_nobody_is_run_who_should_not_be() {
    let it = Fixture::new("touch /tmp/never").await;
    let launch = Uuid::now_v7();
    it.folder(launch);
    let alice = it.users.name(ALICE);
    for (user, why) in [
        ("root", "one of the system's"),
        ("daemon", "one of the system's"),
        ("nobody", "one of the system's"),
        (it.users.name(GATE), "one of the system's"),
        ("no-such-user", "there is no OS user"),
        ("0", "there is no OS user"),
        ("", "there is no OS user"),
    ] {
        let said = it.refusal(&it.start(launch, user, "people"));
        assert!(said.contains(why), "{user:?}: {said}");
        let look = json!({"look": {"user": user, "profile": "people", "files": ["/etc/shadow"], "roots": null}});
        assert!(it.refusal(&look).contains(why));
    }
    for (profile, why) in [("bobs", "not as the OS user"), ("own", "needs no launcher"), ("none", "no profile")] {
        let said = it.refusal(&it.start(launch, alice, profile));
        assert!(said.contains(why), "{profile}: {said}");
    }
    for program in ["/bin/sh", "spark-submit", "", "/proc/self/exe"] {
        let mut request = it.start(launch, alice, "people");
        request["start"]["argv"] = json!([program, "-c", "id"]);
        assert!(it.refusal(&request).contains("not a program of the profile"), "{program:?}");
    }
    let end = json!({"end": {"uid": 0, "processes": [{"pid": 1, "start": "x"}], "hard": true}});
    assert!(it.refusal(&end).contains("one of the system's"));
    assert!(!Path::new("/tmp/never").exists());
}

#[tokio::test]
async fn as_root_only_the_gateways_user_is_heard() {
    let it = Fixture::new("exit 0").await;
    let request = it.start(Uuid::now_v7(), it.users.name(ALICE), "people").to_string();
    for user in [ALICE, BOB] {
        let output = it.users.python(user, ASK, &[&it.socket(), &request]);
        assert!(String::from_utf8_lossy(&output.stderr).contains("PermissionError"), "{output:?}");
    }
    // Root may open the socket, and is still another than the gateway.
    let mut root = Command::new("/usr/bin/python3");
    let said = root.args(["-c", ASK, &it.socket(), &request]).output().unwrap();
    let (out, complaint) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert!(out.trim() == "closed" || complaint.contains("Error"), "{out} {complaint}");
    let socket = fs::metadata(it.socket()).unwrap();
    assert_eq!((socket.uid(), socket.mode() & 0o777), (it.users.account(GATE).0.as_raw(), 0o600));
}

#[tokio::test]
async fn as_root_files_are_seen_as_the_user_sees_them() {
    let it = Fixture::new("exit 0").await;
    let (alice, bob) = (it.at(it.users.name(ALICE)), it.at(it.users.name(BOB)));
    for (user, folder) in [(ALICE, &alice), (BOB, &bob)] {
        fs::write(folder.join("file"), "").unwrap();
        let (uid, gid) = it.users.account(user);
        chown(folder.join("file"), Some(uid.as_raw()), Some(gid.as_raw())).unwrap();
    }
    std::os::unix::fs::symlink("/etc/passwd", alice.join("link")).unwrap();
    let files = [
        alice.join("file"),
        alice.join("missing"),
        alice.clone(),
        bob.join("file"),
        alice.join("link"),
        alice.join("../spark/bin/spark-submit"),
        "/etc/shadow".into(),
    ];
    let look = |roots: Value| {
        it.ask(&json!({"look": {"user": it.users.name(ALICE), "profile": "people", "files": files, "roots": roots}}))
    };
    let all = ["readable", "missing", "not_a_file", "closed", "readable", "readable", "closed"];
    assert_eq!(look(Value::Null), json!({ "found": all }));
    let below = ["readable", "missing", "not_a_file", "closed", "outside", "outside", "outside"];
    assert_eq!(look(json!([alice])), json!({ "found": below }));
}

/// A child in a session of its own, and one that will not be asked.
const STAYS: &str = r#"
setsid sh -c 'echo $$ > session; exec sleep 1000' &
sh -c 'trap "" TERM; echo $$ > deaf; while :; do sleep 0.05; done' &
echo $$ > own
wait
"#;

async fn pid_in(folder: &Folder, name: &str) -> i32 {
    let path = folder.work().join(name);
    until("it has said its pid", BOUND, async || fs::read_to_string(&path).ok()?.strip_suffix('\n')?.parse().ok()).await
}

async fn all_pids(folder: &Folder) -> [i32; 3] {
    [pid_in(folder, "session").await, pid_in(folder, "deaf").await, pid_in(folder, "own").await]
}

#[tokio::test]
async fn as_root_the_watcher_can_signal_what_it_started_and_do_nothing_else() {
    let it = Fixture::new(STAYS).await;
    let folder = it.launch().await;
    let (program, pids) = (running(&folder).await, all_pids(&folder).await);
    let watcher = watcher(&folder);
    let gate = it.users.account(GATE).0.as_raw();
    let uids = |pid: i32| status_of(pid, "Uid");
    assert_eq!(uids(watcher), vec![gate.to_string(); 4].join(" "));
    // CAP_KILL is the fifth bit.
    for (field, expected) in [("CapPrm", 0x20), ("CapEff", 0x20), ("CapInh", 0), ("CapAmb", 0)] {
        assert_eq!(status_of(watcher, field), format!("{expected:016x}"), "{field}");
    }
    assert_eq!(uids(program), vec![it.users.account(ALICE).0.as_raw().to_string(); 4].join(" "));
    // The gateway's user may not signal the program, but asks the watcher.
    const KILL: &str = "import os, sys\nos.kill(int(sys.argv[1]), int(sys.argv[2]))";
    assert!(!it.users.python(GATE, KILL, &[&program.to_string(), "9"]).status.success());
    assert!(!it.users.python(ALICE, KILL, &[&watcher.to_string(), "9"]).status.success());
    it.users.says(GATE, KILL, &[&watcher.to_string(), &(Signal::SIGUSR1 as i32).to_string()]);
    let ended_by = ended(&folder).await;
    assert!(matches!(&ended_by, Status::Ended(exit) if exit.signal == Some(15)), "{ended_by:?}");
    until("nothing is left", BOUND, async || pids.iter().all(|pid| table::find(*pid).is_none()).then_some(())).await;
}

#[tokio::test]
async fn as_root_what_lost_its_watcher_is_ended_as_its_user() {
    let mut it = Fixture::new(STAYS).await;
    let folder = it.launch().await;
    running(&folder).await;
    let pids = all_pids(&folder).await;
    // The launch outlives the launcher and its own watcher.
    it.launcher.kill().unwrap();
    it.launcher.wait().unwrap();
    kill(Pid::from_raw(watcher(&folder)), Signal::SIGKILL).unwrap();
    until("it is seen to run", BOUND, async || {
        matches!(process::status(&folder), Ok(Status::Running { .. })).then_some(())
    })
    .await;
    let again = Command::new(env!("CARGO_BIN_EXE_hearth"))
        .args(["launcher", "--config"])
        .arg(it.at("hearth.toml"))
        .stdin(Stdio::null())
        .spawn();
    it.launcher = again.unwrap();
    let processes: Vec<Value> =
        pids.iter().map(|pid| serde_json::to_value(table::find(*pid).unwrap().process).unwrap()).collect();
    let end = |uid: Uid| json!({"end": {"uid": uid.as_raw(), "processes": processes, "hard": true}});
    let socket = it.at("run/launcher.sock");
    until("the launcher listens again", BOUND, async || {
        std::os::unix::net::UnixStream::connect(&socket).is_ok().then_some(())
    })
    .await;
    // As bob nothing happens to them.
    assert_eq!(it.ask(&end(it.users.account(BOB).0)), json!("done"));
    assert!(pids.iter().all(|pid| table::find(*pid).is_some()));
    assert_eq!(it.ask(&end(it.users.account(ALICE).0)), json!("done"));
    until("nothing is left", BOUND, async || pids.iter().all(|pid| table::find(*pid).is_none()).then_some(())).await;
    assert_eq!(process::status(&folder).unwrap(), Status::Lost);
}

#[tokio::test]
async fn as_root_three_capabilities_are_enough() {
    let capable = |users: &OsUsers| -> Vec<String> {
        let caps = "+setuid,+setgid,+kill";
        let (uid, gid) = users.account(3);
        let words = [
            "setpriv".to_owned(),
            format!("--reuid={uid}"),
            format!("--regid={gid}"),
            "--clear-groups".to_owned(),
            format!("--inh-caps=-all,{caps}"),
            format!("--ambient-caps=-all,{caps}"),
            format!("--bounding-set=-all,{caps}"),
        ];
        words.to_vec()
    };
    let it = Fixture::run_by(LOOKS_AROUND, capable).await;
    let launcher = i32::try_from(it.launcher.id()).unwrap();
    assert_eq!(status_of(launcher, "CapEff"), format!("{:016x}", 0b1110_0000));
    let folder = it.launch().await;
    let Status::Ended(exit) = ended(&folder).await else { panic!("lost") };
    let said = fs::read_to_string(folder.stdout()).unwrap();
    assert_eq!(exit.code, Some(3), "{said}");
    assert_eq!(said.matches("0000000000000000").count(), 3, "nothing is passed on: {said}");
    assert!(said.starts_with(it.users.name(ALICE)), "{said}");
    assert_eq!(it.ask(&json!({"clear": {"launch": folder.id().unwrap()}})), json!("done"));
}
