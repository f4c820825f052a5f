//! A standalone Spark cluster: a master and a worker, whose executors are processes of their own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::keeper::Keeper;
use super::{COLD, until};

/// A master and one worker on this machine. Dropping it ends them and their executors.
#[derive(Debug)]
pub struct Cluster {
    // Goes first, and so ends the daemons.
    keeper: Keeper,
    // The master, then the worker.
    daemons: Vec<Daemon>,
    master: String,
}

/// A process whose end somebody else brings about; dropped, it waits for that.
#[derive(Debug)]
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.wait();
    }
}

impl Cluster {
    /// Starts one of the Spark in `home`; the worker offers `cores`, and memory for one executor of 1 GiB.
    pub async fn start(home: &Path, cores: u32) -> Self {
        Self::of(home, cores, 1).await
    }

    /// Starts one whose worker offers `cores`, and memory for some executors of 1 GiB: an application has so many, if each takes its
    /// share of the cores (`spark.executor.cores`).
    pub async fn of(home: &Path, cores: u32, executors: usize) -> Self {
        // Before the keeper, for what is declared last goes first.
        let mut daemons = Vec::new();
        let keeper = Keeper::new("TERM");
        let place = ["--host", "127.0.0.1", "--port", "0", "--webui-port", "0"];
        daemons.push(daemon(home, keeper.folder(), "master", &place));
        let master = said(keeper.folder(), "master", "spark://127.0.0.1:").await;
        let (cores, memory, work) = (cores.to_string(), format!("{executors}g"), keeper.folder().join("work"));
        let work = work.to_str().expect("a path in UTF-8");
        let size = ["--cores", &cores, "--memory", &memory, "--work-dir", work, &master];
        daemons.push(daemon(home, keeper.folder(), "worker", &[&place[..], &size].concat()));
        said(keeper.folder(), "worker", "Successfully registered with master").await;
        Self { keeper, daemons, master }
    }

    /// Its address, such as `spark://127.0.0.1:40123`.
    pub fn master(&self) -> &str {
        &self.master
    }

    /// Process ids of its executors.
    pub fn executors(&self) -> Vec<u32> {
        let worker = self.daemons.last().expect("a worker").0.id();
        let parent = |pid: u32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // After the name, which may hold anything, and the state.
            stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)?.parse::<u32>().ok())
        };
        self.keeper.processes().into_iter().map(|(pid, _)| pid).filter(|pid| parent(*pid) == Some(worker)).collect()
    }

    /// A folder for files that tasks make and wait for.
    pub fn signals(&self) -> PathBuf {
        self.keeper.folder().join("tmp")
    }
}

/// Starts `org.apache.spark.deploy.…` in the folder, where all that it and its executors write stays.
fn daemon(home: &Path, folder: &Path, which: &str, arguments: &[&str]) -> Daemon {
    let class = match which {
        "master" => "org.apache.spark.deploy.master.Master",
        _ => "org.apache.spark.deploy.worker.Worker",
    };
    let temporary = folder.join("tmp");
    fs::create_dir_all(&temporary).unwrap();
    let log = fs::File::create(folder.join(which)).unwrap();
    let started = Command::new(home.join("bin/spark-class"))
        .arg(class)
        .args(arguments)
        .current_dir(folder)
        .env("SPARK_HOME", home)
        // The address that executors bind to.
        .env("SPARK_LOCAL_IP", "127.0.0.1")
        .env("SPARK_LOCAL_DIRS", folder.join("local"))
        .env("JAVA_TOOL_OPTIONS", format!("-XX:-UsePerfData -Djava.io.tmpdir={}", temporary.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("spark-class starts");
    Daemon(started)
}

/// The rest of the line in a daemon's log that holds `text`, from there on.
async fn said(folder: &Path, which: &str, text: &str) -> String {
    until(&format!("the {which} says {text}"), COLD, async || {
        let log = fs::read_to_string(folder.join(which)).unwrap_or_default();
        log.lines().find_map(|line| Some(line.get(line.find(text)?..)?.to_owned()))
    })
    .await
}
