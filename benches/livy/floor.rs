//! The floor: the same code in a bare spark-shell and a bare pyspark, from the newline that is sent to the answer that is read.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::client::Manner;
use crate::report::{Column, Report, Unit};
use crate::work::{WARM, cold, ms, round_trip};
use crate::{Plan, knob};

/// Times SQL inside the shell, without what the Scala line around it costs.
const TIMED: &str = r#"def timed(): Unit = { val at = System.nanoTime; spark.sql("select 1+1").collect(); println("took " + (System.nanoTime - at)) }"#;

/// Measures every kind's floor.
pub async fn measure(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    let home = knob("SPARK_HOME").context("the floor needs SPARK_HOME")?;

    let at = Instant::now();
    let mut shell = Shell::open(&home, "spark-shell")?;
    let is_two = |line: &str| line.ends_with("Int = 2");
    shell.ask("1+1", is_two).await?;
    report.put(&cold("spark"), Unit::Seconds, Column::Floor, vec![at.elapsed().as_secs_f64()]);
    put(report, "spark", shell.rounds(plan, "1+1", is_two).await?.iter().map(|(_, time)| ms(*time)).collect());
    shell.ask(TIMED, |line| line.contains("timed")).await?;
    let took = shell.rounds(plan, "timed()", |line| line.starts_with("took ")).await?;
    let nanoseconds: Result<Vec<f64>, _> =
        took.iter().map(|(line, _)| line.trim_start_matches("took ").parse()).collect();
    put(report, "sql", nanoseconds?.iter().map(|n| n / 1e6).collect());
    shell.close().await?;

    let at = Instant::now();
    let mut shell = Shell::open(&home, "pyspark")?;
    let is_two = |line: &str| line == "2";
    shell.ask("1+1", is_two).await?;
    report.put(&cold("pyspark"), Unit::Seconds, Column::Floor, vec![at.elapsed().as_secs_f64()]);
    put(report, "pyspark", shell.rounds(plan, "1+1", is_two).await?.iter().map(|(_, time)| ms(*time)).collect());
    shell.close().await
}

/// The floor is the same however a caller learns of the end.
fn put(report: &mut Report, kind: &str, took: Vec<f64>) {
    for manner in [Manner::Wait, Manner::Poll] {
        report.put(&round_trip(kind, manner), Unit::Ms, Column::Floor, took.clone());
    }
}

/// One of Spark's shells, driven over its standard input. It answers the first line when it is ready.
struct Shell {
    child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
    unread: String,
}

impl Shell {
    fn open(home: &str, program: &str) -> anyhow::Result<Self> {
        let mut child = Command::new(format!("{home}/bin/{program}"))
            .args(["--master", "local[*]", "--driver-memory", "1g"])
            .env("SPARK_HOME", home)
            // Python is interactive on a pipe only when it is told.
            .env("PYSPARK_DRIVER_PYTHON_OPTS", "-i")
            .env("PYTHONUNBUFFERED", "1")
            .env("TERM", "dumb")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{home}/bin/{program}"))?;
        let (stdin, stdout) = child.stdin.take().zip(child.stdout.take()).context("no pipes")?;
        Ok(Self { child, stdin, stdout, unread: String::new() })
    }

    /// Asks as often as the servers are asked, the warm-up before it uncounted. Gives each answer and its time.
    async fn rounds(
        &mut self,
        plan: &Plan,
        line: &str,
        answers: fn(&str) -> bool,
    ) -> anyhow::Result<Vec<(String, Duration)>> {
        let mut took = Vec::with_capacity(plan.rounds);
        for round in 0..WARM + plan.rounds {
            let one = self.ask(line, answers).await?;
            if round >= WARM {
                took.push(one);
            }
        }
        Ok(took)
    }

    /// Sends a line and waits for a line that `answers`. Gives that, and how long it took to come.
    async fn ask(&mut self, line: &str, answers: fn(&str) -> bool) -> anyhow::Result<(String, Duration)> {
        let at = Instant::now();
        self.stdin.write_all(format!("{line}\n").as_bytes()).await?;
        self.stdin.flush().await?;
        let mut piece = [0_u8; 4096];
        loop {
            while let Some((one, rest)) = self.unread.split_once('\n') {
                // Scala's prompt stands before the answer; Python's goes to standard error.
                let (one, rest) = (one.trim().trim_start_matches("scala> ").to_owned(), rest.to_owned());
                self.unread = rest;
                if answers(&one) {
                    return Ok((one, at.elapsed()));
                }
            }
            let n = tokio::time::timeout(Duration::from_secs(120), self.stdout.read(&mut piece)).await??;
            if n == 0 {
                bail!("the shell ended at: {line}");
            }
            self.unread.push_str(&String::from_utf8_lossy(piece.get(..n).unwrap_or_default()));
        }
    }

    async fn close(mut self) -> anyhow::Result<()> {
        drop(self.stdin);
        self.child.wait().await?;
        Ok(())
    }
}
