//! `hearth child` and what the gateway sees of it, with real processes.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::Duration;

use hearth::context::launch::folder::{Folder, Spec};
use hearth::context::launch::process::{self, Status};
use hearth::context::launch::{table, tail};
use hearth::life::Life;
use hearth::shim::Program;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

const BOUND: Duration = Duration::from_secs(30);

struct Launch {
    folder: Folder,
    life: Life,
    _home: tempfile::TempDir,
}

impl Launch {
    fn new(script: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let folder = Folder::create(home.path(), Uuid::now_v7(), false).unwrap();
        let (life, _) = Life::new();
        let spec = spec(&folder, &["/bin/sh", "-c", script]);
        process::start(&Program::at(env!("CARGO_BIN_EXE_hearth")), &life, &folder, &spec).unwrap();
        Self { folder, life, _home: home }
    }

    fn status(&self) -> Status {
        process::status(&self.folder).unwrap()
    }

    async fn end(&self) -> hearth::context::launch::folder::Exit {
        until(|| match self.status() {
            Status::Ended(exit) => Some(exit),
            _ => None,
        })
        .await
    }

    /// The pid that the script wrote into a file of its working folder.
    async fn pid_in(&self, name: &str) -> i32 {
        let path = self.folder.work().join(name);
        until(|| fs::read_to_string(&path).ok()?.strip_suffix('\n')?.parse().ok()).await
    }

    fn output(&self) -> Vec<String> {
        tail::read(&self.folder.stdout(), 0, 1 << 20, true).unwrap().lines
    }

    async fn shim(&self) -> i32 {
        let path = self.folder.path().join("process.json");
        until(|| {
            let json: serde_json::Value = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
            i32::try_from(json["shim"]["pid"].as_i64()?).ok()
        })
        .await
    }
}

impl Drop for Launch {
    /// For a test that fails.
    fn drop(&mut self) {
        let _ = process::signal(&self.folder, Signal::SIGKILL);
    }
}

fn spec(folder: &Folder, argv: &[&str]) -> Spec {
    Spec {
        argv: argv.iter().map(|a| (*a).to_owned()).collect(),
        env: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
        cwd: folder.work(),
        user: None,
    }
}

async fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    timeout(BOUND, async {
        loop {
            if let Some(found) = look() {
                return found;
            }
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("it did not happen in time")
}

fn lives(pid: i32) -> bool {
    table::find(pid).is_some()
}

#[tokio::test]
async fn exit_status_and_output_are_recorded() {
    let launch = Launch::new("echo out; echo err >&2; exit 3");
    let exit = launch.end().await;
    assert_eq!((exit.code, exit.signal, exit.error), (Some(3), None, None));
    assert_eq!(launch.output(), ["out"]);
    assert_eq!(fs::read_to_string(launch.folder.stderr()).unwrap(), "err\n");
    launch.life.end().await;
}

#[tokio::test]
async fn a_signal_is_recorded_as_one() {
    let launch = Launch::new("kill -KILL $$");
    let exit = launch.end().await;
    assert_eq!((exit.code, exit.signal), (None, Some(9)));
}

#[tokio::test]
async fn a_program_that_is_not_there_ends_with_the_reason() {
    let home = tempfile::tempdir().unwrap();
    let folder = Folder::create(home.path(), Uuid::now_v7(), false).unwrap();
    let (life, _) = Life::new();
    let spec = spec(&folder, &["/no/such/program"]);
    process::start(&Program::at(env!("CARGO_BIN_EXE_hearth")), &life, &folder, &spec).unwrap();
    let exit = until(|| match process::status(&folder).unwrap() {
        Status::Ended(exit) => Some(exit),
        _ => None,
    })
    .await;
    assert!(exit.error.unwrap().contains("/no/such/program"));
}

#[tokio::test]
async fn the_environment_is_the_given_one_and_input_is_empty() {
    let launch =
        Launch::new("env | grep -v -e ^PWD= -e ^SHLVL= -e ^_= -e ^OLDPWD=; cat; umask; ls -l /proc/self/fd | wc -l");
    launch.end().await;
    let output = launch.output();
    assert_eq!(output[..2], ["PATH=/usr/bin:/bin", "0077"]);
}

#[tokio::test]
async fn termination_reaches_grandchildren_in_groups_of_their_own() {
    // A worker in a process group of its own, one in a session of its own, and one that will not be asked twice.
    let launch = Launch::new(
        "set -m; sleep 1000 & echo $! > group; setsid sh -c 'echo $$ > session; exec sleep 1000' & \
         sh -c 'trap \"\" TERM; echo $$ > deaf; while :; do sleep 1; done' & wait",
    );
    let pids = [launch.pid_in("group").await, launch.pid_in("session").await, launch.pid_in("deaf").await];
    let status = process::terminate(&launch.folder, Duration::from_millis(300), None).await.unwrap();
    assert!(matches!(status, Status::Ended(_)), "{status:?}");
    assert_eq!(pids.map(lives), [false; 3]);
}

#[tokio::test]
async fn what_a_killed_program_leaves_behind_is_ended() {
    let launch = Launch::new("set -m; sleep 1000 & echo $! > worker; echo $$ > own; wait");
    let (worker, own) = (launch.pid_in("worker").await, launch.pid_in("own").await);
    kill(Pid::from_raw(own), Signal::SIGKILL).unwrap();
    assert_eq!(launch.end().await.signal, Some(9));
    until(|| (!lives(worker)).then_some(())).await;
}

#[tokio::test]
async fn a_watcher_cannot_be_asked_to_go_and_a_killed_one_leaves_a_lost_launch() {
    let launch = Launch::new("echo $$ > own; exec sleep 1000");
    let (own, shim) = (launch.pid_in("own").await, launch.shim().await);
    for asked in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT] {
        kill(Pid::from_raw(shim), asked).unwrap();
    }
    until(|| (launch.status() == Status::Running { pid: own }).then_some(())).await;
    kill(Pid::from_raw(shim), Signal::SIGKILL).unwrap();
    until(|| (!lives(shim)).then_some(())).await;
    assert_eq!(launch.status(), Status::Running { pid: own }, "the program goes on");
    assert_eq!(process::terminate(&launch.folder, BOUND, None).await.unwrap(), Status::Lost);
    assert!(!lives(own));
}

#[tokio::test]
async fn a_reused_pid_is_not_taken_for_the_program() {
    let launch = Launch::new("exit 0");
    launch.end().await;
    fs::remove_file(launch.folder.path().join("exit.json")).unwrap();
    // As after a restart of the machine: the recorded numbers belong to this very test, which began at another time.
    let me = table::find(i32::try_from(std::process::id()).unwrap()).unwrap().process.pid;
    let other = serde_json::json!({"pid": me, "start": "1@before"});
    let record = serde_json::json!({"shim": other, "program": other});
    fs::write(launch.folder.path().join("process.json"), record.to_string()).unwrap();
    assert_eq!(launch.status(), Status::Lost);
    assert_eq!(process::signal(&launch.folder, Signal::SIGKILL).unwrap().count, 0);
}

#[tokio::test]
async fn a_launch_outlives_the_kill_of_all_that_started_it() {
    let home = tempfile::tempdir().unwrap();
    let folder = Folder::create(home.path(), Uuid::now_v7(), false).unwrap();
    let script = "echo $$ > own; while [ -e own ] && [ ! -e go ]; do sleep 0.02; done; echo done; exit 7";
    let spec = spec(&folder, &["/bin/sh", "-c", script]);
    fs::write(folder.path().join("launch.json"), serde_json::to_vec(&spec).unwrap()).unwrap();
    let mut starter = std::process::Command::new("/bin/sh")
        .args(["-c", "\"$0\" child \"$1\" & wait", env!("CARGO_BIN_EXE_hearth")])
        .arg(folder.path())
        .process_group(0)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let own = folder.work().join("own");
    until(|| fs::read_to_string(&own).ok().filter(|pid| pid.ends_with('\n'))).await;
    let group = i32::try_from(starter.id()).unwrap();
    kill(Pid::from_raw(-group), Signal::SIGKILL).unwrap();
    starter.wait().unwrap();
    until(|| matches!(process::status(&folder).unwrap(), Status::Running { .. }).then_some(())).await;
    fs::write(folder.work().join("go"), "").unwrap();
    let exit = until(|| match process::status(&folder).unwrap() {
        Status::Ended(exit) => Some(exit),
        _ => None,
    })
    .await;
    assert_eq!(exit.code, Some(7));
    assert_eq!(tail::read(&folder.stdout(), 0, 1 << 20, true).unwrap().lines, ["done"]);
}
