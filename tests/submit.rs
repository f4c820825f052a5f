//! A real `spark-submit` through the whole way of a launch, on both lines of Spark.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use hearth::config;
use hearth::context::launch::Profile;
use hearth::context::launch::folder::{Folder, Spec};
use hearth::context::launch::java_command::JavaCommand;
use hearth::context::launch::process::{self, Status};
use hearth::context::launch::resources::Resources;
use hearth::context::launch::spark_home;
use hearth::context::launch::submit::{self, Job, PROPERTIES, Setting};
use hearth::life::Life;
use hearth::shim::Program;
use secrecy::ExposeSecret;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

mod real;

const BOUND: Duration = Duration::from_secs(300);

/// Runs a job, says what it sees of itself, and lists what its JVM listens on beyond loopback.
const SCRIPT: &str = r#"
import glob, os, re, sys
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
sc = spark.sparkContext
print("count", sc.parallelize(range(100), 2).map(lambda x: (x % 7, x)).reduceByKey(lambda a, b: a + b).count())
print("text", sys.argv[1], spark.conf.get("spark.app.name"))
print("ui", re.sub(r"[0-9]+$", "PORT", sc.uiWebUrl))
print("secrets", sorted(k for k in os.environ if "SECRET" in k and not k.startswith("PYSPARK_GATEWAY")))
inodes = set()
for fd in glob.glob("/proc/%d/fd/*" % os.getppid()):
    try:
        inodes.add(os.readlink(fd))
    except OSError:
        pass
exposed = []
for table in ("/proc/net/tcp", "/proc/net/tcp6"):
    for line in open(table).readlines()[1:]:
        field = line.split()
        host = field[1].rsplit(":", 1)[0]
        near = host in ("0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F")
        if field[3] == "0A" and "socket:[%s]" % field[9] in inodes and not near:
            exposed.append(field[1])
print("exposed", exposed)
sys.exit(3)
"#;

async fn run(profile: Profile) {
    let home = tempfile::tempdir().unwrap();
    let mut environment = config::environment();
    environment.pyspark_python = None;
    let spark = spark_home::find(&profile, &environment).await.unwrap();
    let command = JavaCommand::of(&spark, home.path(), &environment).await;
    assert!(matches!(command, JavaCommand::Java { .. }), "{command:?}");
    assert_eq!(JavaCommand::of(&spark, home.path(), &environment).await, command, "kept");

    let folder = Folder::create(home.path(), Uuid::now_v7(), false).unwrap();
    let file = home.path().join("job.py");
    fs::write(&file, SCRIPT).unwrap();
    let resources = Resources { driver_memory: Some("1g".into()), ..Resources::default() };
    let setting = Setting {
        profile: &profile,
        resources: &resources,
        spark: &spark,
        defaults: &BTreeMap::new(),
        command: &command,
        archive: None,
        environment: &environment,
        folder: &folder,
        user: None,
        host: "localhost",
        name: "a näme = \"x\"",
    };
    let args = ["an é argument".to_owned()];
    let submission =
        submit::batch(&setting, &Job { file: file.to_str().unwrap(), class_name: None, args: &args }).unwrap();
    folder.hand_over(PROPERTIES, submission.properties.expose_secret().as_bytes()).unwrap();
    let (life, _) = Life::new();
    process::start(&Program::at(env!("CARGO_BIN_EXE_hearth")), &life, &folder, &submission.spec).unwrap();
    let exit = timeout(BOUND, async {
        loop {
            match process::status(&folder).unwrap() {
                Status::Ended(exit) => return exit,
                _ => sleep(Duration::from_millis(50)).await,
            }
        }
    })
    .await
    .expect("the job did not end");
    let (stdout, stderr) = (fs::read_to_string(folder.stdout()).unwrap(), fs::read_to_string(folder.stderr()).unwrap());
    assert_eq!(exit.code, Some(3), "{stderr}");
    assert_eq!(
        stdout.lines().collect::<Vec<_>>(),
        ["count 7", "text an é argument a näme = \"x\"", "ui http://127.0.0.1:PORT", "secrets []", "exposed []"],
        "{stderr}"
    );
}

#[tokio::test]
async fn a_python_job_runs_on_the_newest_spark() {
    run(real::profile(&real::spark_4())).await;
}

#[tokio::test]
async fn a_python_job_runs_on_the_oldest_spark() {
    run(real::profile(&real::spark_35())).await;
}

/// A daemon of a standalone cluster, launched as any program is.
struct Daemon {
    folder: Folder,
    life: Life,
}

impl Daemon {
    fn start(home: &tempfile::TempDir, arguments: &[&str]) -> Self {
        let folder = Folder::create(home.path(), Uuid::now_v7(), false).unwrap();
        let (life, _) = Life::new();
        let program = real::spark_4().join("bin/spark-class").display().to_string();
        let argv = [program].into_iter().chain(arguments.iter().map(|a| (*a).to_owned())).collect();
        let mut env = config::environment().passed;
        // On a cluster the daemons' own address is what the workers' executors bind to.
        env.insert("SPARK_LOCAL_IP".to_owned(), "127.0.0.1".to_owned());
        let spec = Spec { argv, env, cwd: folder.work(), user: None };
        process::start(&Program::at(env!("CARGO_BIN_EXE_hearth")), &life, &folder, &spec).unwrap();
        Self { folder, life }
    }

    /// The rest of the line in its log that holds `text`, from there on.
    async fn says(&self, text: &str) -> String {
        timeout(BOUND, async {
            loop {
                let log = fs::read_to_string(self.folder.stderr()).unwrap_or_default();
                match log.lines().find_map(|line| line.find(text).and_then(|at| line.get(at..))) {
                    Some(found) => return found.to_owned(),
                    None => sleep(Duration::from_millis(50)).await,
                }
            }
        })
        .await
        .expect("the daemon did not start")
    }

    async fn end(self) {
        assert!(process::terminate(&self.folder, Duration::from_secs(20), None).await.unwrap().is_over());
        self.life.end().await;
    }
}

#[tokio::test]
async fn a_python_job_runs_on_a_standalone_cluster() {
    let home = tempfile::tempdir().unwrap();
    let ports = ["--host", "127.0.0.1", "--port", "0", "--webui-port", "0"];
    let master = Daemon::start(&home, &[&["org.apache.spark.deploy.master.Master"][..], &ports].concat());
    let address = master.says("spark://127.0.0.1:").await;
    let size = ["--cores", "1", "--memory", "1g", &address];
    let worker = Daemon::start(&home, &[&["org.apache.spark.deploy.worker.Worker"][..], &ports, &size].concat());
    worker.says("Successfully registered with master").await;
    let mut profile = real::profile(&real::spark_4());
    profile.master = address;
    run(profile).await;
    worker.end().await;
    master.end().await;
}
