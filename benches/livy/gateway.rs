//! The gateway that is measured: `hearth serve` as it is released, on a state folder of its own.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::Plan;
use crate::report::{Column, Report, Unit};

/// Starts are repeated this often, on a state folder that exists.
const STARTS: usize = 5;
const PATIENCE: Duration = Duration::from_secs(120);

/// How a gateway is started; by default as it is shipped, on any free port.
#[derive(Default)]
pub struct How {
    /// Its configuration file's text.
    pub config: String,
    /// Further variables of its environment.
    pub env: Vec<(&'static str, String)>,
    /// Where it listens on loopback; 0: anywhere.
    pub port: u16,
}

/// A running gateway. Its process is killed if it is dropped without [`Gateway::stop`].
pub struct Gateway {
    child: Child,
    home: tempfile::TempDir,
    /// Where it answers.
    pub url: String,
}

impl Gateway {
    /// Starts it, and measures how long that takes on an empty state folder and on one that is there.
    pub async fn start(plan: &Plan, report: &mut Report) -> anyhow::Result<Self> {
        let home = tempfile::Builder::new().prefix("hearth-bench").tempdir()?;
        let (mut gateway, first) = Self::open(home, How::default()).await?;
        if plan.has("start") {
            report.put("start on an empty folder to the first 200", Unit::Ms, Column::Hearth, vec![first]);
            let mut took = Vec::with_capacity(STARTS);
            for _ in 0..STARTS {
                let home = gateway.end().await?;
                let again = Self::open(home, How::default()).await?;
                gateway = again.0;
                took.push(again.1);
            }
            report.put("start to the first 200", Unit::Ms, Column::Hearth, took);
        }
        Ok(gateway)
    }

    /// Starts on this folder and waits for the first answer; also says how many milliseconds that took.
    pub async fn open(home: tempfile::TempDir, how: How) -> anyhow::Result<(Self, f64)> {
        std::fs::write(home.path().join(CONFIG), &how.config)?;
        let at = Instant::now();
        let log = std::fs::File::create(home.path().join("bench.log"))?;
        let mut child = hearth(home.path(), "serve")
            .args(["--listen", &format!("127.0.0.1:{}", how.port)])
            .envs(how.env)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("no pipe")?).lines();
        let ready = async {
            while let Some(line) = lines.next_line().await? {
                if let Some((_, url)) = line.split_once("Hearth is ready at ") {
                    return Ok(url.trim().to_owned());
                }
            }
            bail!("the gateway did not start")
        };
        let url = match tokio::time::timeout(PATIENCE, ready).await? {
            Ok(url) => url,
            Err(e) => bail!("{e}: {}", std::fs::read_to_string(home.path().join("bench.log"))?),
        };
        let status = reqwest::get(format!("{url}/readyz")).await?.status();
        if !status.is_success() {
            bail!("/readyz answers {status}");
        }
        Ok((Self { child, home, url }, at.elapsed().as_secs_f64() * 1e3))
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// Where it listens.
    pub fn port(&self) -> anyhow::Result<u16> {
        Ok(self.url.rsplit(':').next().unwrap_or_default().parse()?)
    }

    /// Makes an API token of this user, as an operator does.
    pub async fn token(&self, user: &str) -> anyhow::Result<String> {
        let made =
            hearth(self.home.path(), "token").args(["create", "--user", user, "--name", "bench"]).output().await?;
        let text = String::from_utf8_lossy(&made.stdout);
        let token = text.split_whitespace().find(|word| word.starts_with("hearth_"));
        token.map(str::to_owned).with_context(|| format!("no token: {}", String::from_utf8_lossy(&made.stderr)))
    }

    /// Ends it as Ctrl-C does, drivers and database included, and gives the folder back.
    async fn end(self) -> anyhow::Result<tempfile::TempDir> {
        self.signal(Signal::SIGINT).await
    }

    /// Ends it as an upgrade does: its drivers wait for the next gateway on the same folder and port.
    pub async fn leave(self) -> anyhow::Result<tempfile::TempDir> {
        self.signal(Signal::SIGTERM).await
    }

    async fn signal(mut self, signal: Signal) -> anyhow::Result<tempfile::TempDir> {
        let pid = self.child.id().context("the gateway ended by itself")?;
        kill(Pid::from_raw(i32::try_from(pid)?), signal)?;
        tokio::time::timeout(PATIENCE, self.child.wait()).await.context("the gateway does not stop")??;
        Ok(self.home)
    }

    /// Ends it and removes its folder, or keeps that for a look when something failed.
    pub async fn stop(self, failed: bool) -> anyhow::Result<()> {
        let home = self.end().await?;
        if failed {
            eprintln!("the gateway's folder is kept: {}", home.keep().display());
        }
        Ok(())
    }
}

/// The name of the configuration file in the state folder.
const CONFIG: &str = "bench.toml";

/// A command of Hearth on this state folder.
fn hearth(home: &Path, command: &str) -> Command {
    let mut hearth = Command::new(env!("CARGO_BIN_EXE_hearth"));
    hearth.arg(command).arg("--home").arg(home).arg("--config").arg(home.join(CONFIG));
    hearth
}
