//! Several sessions in one application, whose tasks run in an executor of a standalone cluster: they work at the same time, none
//! sees another's classes, and what ends one leaves the others as they are.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod harness;
mod real;

use std::fs;
use std::path::Path;

use harness::api::{API, ended, session, submit, text};
use harness::cluster::Cluster;
use harness::livy::Livy;
use harness::{BOUND, Setup, until};
use serde_json::json;

/// Two Scala sessions and one of Python in a context on a cluster.
struct Team {
    api: Livy,
    cluster: Cluster,
    scala: [String; 2],
    python: String,
}

/// Code of a task, with what it needs of files: it says that it runs, waits for others, and so tells that they run too.
const SCALA: &str = r#"
def task(own: String, others: String*)(answer: => String): String = {
  val here = new java.io.File("FOLDER")
  new java.io.File(here, own).createNewFile()
  while (!others.forall(new java.io.File(here, _).exists)) Thread.sleep(20)
  answer + " in " + ProcessHandle.current.pid
}"#;
const PYTHON: &str = r#"
import os, time
def task(own, others, answer):
    open(os.path.join("FOLDER", own), "w").close()
    while not all(os.path.exists(os.path.join("FOLDER", other)) for other in others):
        time.sleep(0.02)
    # The worker's parent is PySpark's daemon, and that one's the executor.
    with open("/proc/%d/stat" % os.getppid()) as stat:
        return "%s in %s" % (answer, stat.read().rsplit(")", 1)[1].split()[1])"#;

impl Team {
    async fn run(&self, session: &str, code: &str) -> String {
        text(&self.api, &submit(&self.api, session, code).await).await
    }

    async fn prepare(&self) {
        let folder = self.cluster.signals();
        let with = |code: &str| code.replace("FOLDER", folder.to_str().unwrap());
        for (at, session) in self.scala.iter().enumerate() {
            self.run(session, &with(SCALA)).await;
            let pet = format!("case class Pet(n: Int) {{ def says: String = s\"scala {at} says ${{n + {at}}}\" }}");
            self.run(session, &pet).await;
        }
        self.run(&self.python, &with(PYTHON)).await;
    }

    /// Starts a task in the executor that answers with the session's own class once the files `others` are there.
    async fn task_in_scala(&self, at: usize, own: &str, others: &[&str]) -> String {
        let others: String = others.iter().map(|other| format!(", \"{other}\"")).collect();
        let code = format!(
            "println(sc.parallelize(Seq(7), 1).map(i => Pet(i)).map(pet => task(\"{own}\"{others})(pet.says)).collect().mkString)"
        );
        submit(&self.api, &self.scala[at], &code).await
    }

    async fn task_in_python(&self, own: &str, others: &[&str]) -> String {
        let code =
            format!("print(sc.parallelize([7], 1).map(lambda i: task('{own}', {others:?}, i * 6)).collect()[0])");
        submit(&self.api, &self.python, &code).await
    }

    /// Waits until the task that makes this file runs.
    async fn runs(&self, own: &str) {
        let file = self.cluster.signals().join(own);
        until(&format!("the task {own} runs"), BOUND, async || file.exists().then_some(())).await;
    }

    fn go(&self, name: &str) {
        fs::write(self.cluster.signals().join(name), "").unwrap();
    }

    async fn state(&self, path: &str) -> String {
        self.api.get(path).await.expect(200)["state"].as_str().unwrap().to_owned()
    }

    /// All three at the same time: each task ends only while those of the others run.
    async fn all_at_once(&self) {
        let statements = [
            self.task_in_scala(0, "one", &["two", "three"]).await,
            self.task_in_scala(1, "two", &["one", "three"]).await,
            self.task_in_python("three", &["one", "two"]).await,
        ];
        let mut executors = Vec::new();
        for (statement, answer) in statements.iter().zip(["scala 0 says 7", "scala 1 says 8", "42"]) {
            let said = text(&self.api, statement).await;
            let (found, executor) = said.rsplit_once(" in ").unwrap();
            assert_eq!(found, answer);
            executors.push(executor.to_owned());
        }
        assert!(executors.iter().all(|e| *e == executors[0]), "one executor: {executors:?}");
        let driver = self.run(&self.scala[0], "println(ProcessHandle.current.pid)").await;
        assert_ne!(executors[0], driver, "the tasks ran outside the driver");
    }

    /// Cancels one while the others run, too.
    async fn cancel_one(&self) {
        let cancelled = self.task_in_scala(0, "endless", &["never"]).await;
        let others =
            [self.task_in_scala(1, "second", &["after"]).await, self.task_in_python("third", &["after"]).await];
        for own in ["endless", "second", "third"] {
            self.runs(own).await;
        }
        let stopped = self.api.post_text(&format!("{cancelled}/cancel?wait=60"), "").await.expect(200);
        assert_eq!(stopped["state"], "cancelled", "{stopped}");
        for other in &others {
            assert_eq!(self.state(other).await, "running");
        }
        self.go("after");
        assert!(text(&self.api, &others[0]).await.starts_with("scala 1 says 8 in "));
        assert!(text(&self.api, &others[1]).await.starts_with("42 in "));
        let again = self.task_in_scala(0, "again", &[]).await;
        assert!(text(&self.api, &again).await.starts_with("scala 0 says 7 in "), "the session lives on");
    }

    /// Python runs out of memory and is then killed, as the kernel does it, and Scala runs in a circle, while another runs.
    async fn go_wrong_in_two(&self) {
        let running = self.task_in_scala(1, "bystander", &["later"]).await;
        self.runs("bystander").await;
        let circle = submit(&self.api, &self.scala[0], "var turns = 0L\nwhile (true) { turns += 1 }").await;
        let hoard = "import resource\nresource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))\nhoard = [bytearray(1 << 28) for _ in range(64)]";
        for (code, why) in [(hoard, "MemoryError"), ("import os\nos.kill(os.getpid(), 9)", "Error")] {
            let failed = ended(&self.api, &submit(&self.api, &self.python, code).await).await;
            assert_eq!(failed["output"]["ename"], why, "{failed}");
        }
        assert!(self.run(&self.python, "6 * 7").await.starts_with("42\n[Python was started anew"));
        for other in [&circle, &running] {
            assert_eq!(self.state(other).await, "running");
        }
        let stopped = self.api.post_text(&format!("{circle}/cancel?wait=60"), "").await.expect(200);
        assert_eq!(stopped["state"], "cancelled", "{stopped}");
        assert_eq!(self.run(&self.scala[0], "println(turns > 0)").await, "true");
        self.go("later");
        assert!(text(&self.api, &running).await.starts_with("scala 1 says 8 in "));
    }

    /// Python crashes, then a session is deleted, while another runs.
    async fn end_two(&self) {
        let running = self.task_in_scala(1, "survivor", &["ends"]).await;
        self.runs("survivor").await;
        let crash = ended(&self.api, &submit(&self.api, &self.python, "import os\nos._exit(1)").await).await;
        assert_eq!(crash["output"]["status"], "error", "{crash}");
        let anew = self.run(&self.python, "6 * 7").await;
        assert!(anew.starts_with("42\n[Python was started anew"), "{anew}");
        let deleted = self.api.delete(&format!("{}?wait=60", self.scala[0])).await.expect(200);
        assert_eq!(deleted["state"], "dead", "{deleted}");
        assert_eq!(self.state(&running).await, "running");
        self.go("ends");
        assert!(text(&self.api, &running).await.starts_with("scala 1 says 8 in "));
        assert_eq!(self.state(&self.scala[1]).await, "idle");
    }
}

async fn on(spark: &Path) {
    let cluster = Cluster::start(spark, 4).await;
    let profile = format!("[profiles.cluster]\nspark_home = {spark:?}\nmaster = \"{}\"", cluster.master());
    let gateway = Setup::new().toml(&profile).start().await;
    let api = gateway.livy();
    let context = json!({"name": "team", "profile": "cluster"});
    api.post(&format!("{API}/contexts"), context).await.expect(201);
    let member = |kind: &'static str| session(&api, json!({"kind": kind, "context": "team"}));
    let (first, second, python) = tokio::join!(member("spark"), member("spark"), member("pyspark"));
    let team = Team { api: gateway.livy(), cluster, scala: [first, second], python };
    team.prepare().await;
    team.all_at_once().await;
    team.cancel_one().await;
    team.go_wrong_in_two().await;
    team.end_two().await;
    let newcomer = session(&api, json!({"kind": "spark", "context": "team"})).await;
    let unknown = ended(&api, &submit(&api, &newcomer, "Pet(1)").await).await;
    assert_eq!(unknown["output"]["status"], "error", "a new session knows nothing of the others: {unknown}");
    assert_eq!(api.get(&format!("{API}/contexts")).await.expect(200)["total"], 1);
    gateway.end().await;
}

#[tokio::test]
async fn sessions_share_an_application_of_the_oldest_spark() {
    on(&real::spark_35()).await;
}

#[tokio::test]
async fn sessions_share_an_application_of_the_newest_spark() {
    on(&real::spark_4()).await;
}
