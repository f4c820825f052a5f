//! A real `spark-submit` through the whole way of a launch, on both lines of Spark.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use harness::cluster::Cluster;
use hearth::config;
use hearth::context::launch::Profile;
use hearth::context::launch::folder::Folder;
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

mod harness;
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
        name: Some("a näme = \"x\""),
        unnamed: "unnamed",
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

#[tokio::test]
async fn a_python_job_runs_on_a_standalone_cluster() {
    let cluster = Cluster::start(&real::spark_4(), 1).await;
    let mut profile = real::profile(&real::spark_4());
    profile.master = cluster.master().to_owned();
    run(profile).await;
}
