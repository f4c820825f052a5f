//! The Postgres server that Hearth runs itself: a real one.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::time::Duration;

use hearth::context::launch::table;
use hearth::home::Home;
use hearth::life::Life;
use hearth::shim::Program;
use hearth::store::embedded::{Config, Embedded, Error};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid, getsid};
use sqlx::{Connection, Executor, PgConnection};
use tokio::time::{sleep, timeout};

mod real;

const BOUND: Duration = Duration::from_secs(60);

struct Started {
    server: Embedded,
    life: Life,
    home: Home,
}

fn config(user: &str) -> Config {
    Config { bin: real::postgres_bin(), user: user.to_owned() }
}

async fn start(home: &Path, user: &str) -> Result<Started, Error> {
    let home = Home::open(home).unwrap();
    let (life, _) = Life::new();
    let program = Program::at(env!("CARGO_BIN_EXE_hearth"));
    let server = Embedded::start(&config(user), std::env::var_os("PATH"), &home, &program, &life).await?;
    Ok(Started { server, life, home })
}

impl Started {
    async fn connect(&self) -> PgConnection {
        PgConnection::connect_with(&self.server.address().options()).await.unwrap()
    }

    fn pid(&self) -> i32 {
        pid(self.home.path()).unwrap()
    }

    async fn stop(self) {
        self.life.end().await;
        self.server.stop().await;
        assert_eq!(pid(self.home.path()), None, "the server has stopped");
    }

    /// As after a kill -9: the lock is let go, nothing is stopped.
    async fn abandon(self) {
        self.life.end().await;
    }
}

fn pid(home: &Path) -> Option<i32> {
    fs::read_to_string(home.join("postgres/data/postmaster.pid")).ok()?.lines().next()?.parse().ok()
}

async fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    timeout(BOUND, async {
        loop {
            match look() {
                Some(found) => return found,
                None => sleep(Duration::from_millis(20)).await,
            }
        }
    })
    .await
    .expect("it did not happen in time")
}

#[tokio::test]
async fn it_survives_restarts_the_death_of_its_gateway_and_its_own() {
    let folder = tempfile::tempdir().unwrap();
    // Longer than a socket's address can be.
    let path = folder.path().join("a".repeat(120));
    if Uid::effective().is_root() {
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711)).unwrap();
    }

    let first = start(&path, "postgres").await.unwrap();
    let mut db = first.connect().await;
    db.execute("create table kept (n int); insert into kept values (42)").await.unwrap();
    let durable: String =
        sqlx::query_scalar("select current_setting('fsync') || current_setting('synchronous_commit')")
            .fetch_one(&mut db)
            .await
            .unwrap();
    assert_eq!(durable, "onon");
    let pid_of_first = first.pid();
    assert_ne!(getsid(Some(Pid::from_raw(pid_of_first))), getsid(None), "Ctrl-C must not reach it");
    for name in ["postgres", "postgres/data", "postgres/password"] {
        assert_eq!(fs::metadata(path.join(name)).unwrap().mode() & 0o077, 0, "{name}");
    }
    assert!(Home::open(&path).unwrap_err().to_string().contains("another hearth serve"));
    drop(db);
    first.abandon().await;

    let second = start(&path, "postgres").await.unwrap();
    assert_eq!(second.pid(), pid_of_first, "adopted, not started again");
    kill(Pid::from_raw(pid_of_first), Signal::SIGKILL).unwrap();
    until(|| table::find(pid_of_first).is_none().then_some(())).await;
    let now = until(|| pid(&path).filter(|now| *now != pid_of_first)).await;
    let address = second.server.address();
    let value = timeout(BOUND, async {
        loop {
            if let Ok(mut db) = PgConnection::connect_with(&address.options()).await {
                return sqlx::query_scalar::<_, i32>("select n from kept").fetch_one(&mut db).await.unwrap();
            }
            sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .unwrap();
    assert_eq!(value, 42);
    assert_eq!(second.pid(), now);
    second.stop().await;

    // A pid file of before a restart of the machine, whose number is another process's now.
    fs::write(path.join("postgres/data/postmaster.pid"), format!("{}\n", std::process::id())).unwrap();
    let third = start(&path, "postgres").await.unwrap();
    let kept: i32 = sqlx::query_scalar("select n from kept").fetch_one(&mut third.connect().await).await.unwrap();
    assert_eq!(kept, 42);
    third.stop().await;
}

#[tokio::test]
async fn root_is_told_what_is_missing() {
    if !Uid::effective().is_root() {
        // Nobody else changes its user, so there is nothing that could be missing.
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let error = start(folder.path(), "no-such-user").await.err().unwrap().to_string();
    assert!(error.contains("\"no-such-user\"") && error.contains("postgres.user"), "{error}");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let below: PathBuf = folder.path().join("below");
    let error = start(&below, "nobody").await.err().unwrap();
    assert!(matches!(&error, Error::Unreachable { folder: closed, .. } if closed == folder.path()), "{error}");
}

/// `hearth serve` on a state folder, by its standard output.
struct Serve {
    process: std::process::Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Serve {
    fn start(home: &Path) -> Self {
        Self::start_on(home, "127.0.0.1:0")
    }

    fn start_on(home: &Path, address: &str) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_hearth"))
            .args(["serve", "--listen", address, "--home"])
            .arg(home)
            .env("HEARTH__POSTGRES__BIN", real::postgres_bin())
            .env("HEARTH__CACHE", home.join("cache"))
            .env("HEARTH__PROFILES__DEFAULT__SPARK_HOME", home.join("none"))
            .env_remove("HEARTH__DATABASE__URL")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines }
    }

    /// The line that says where it is; none when it ended before.
    fn ready(&mut self) -> Option<String> {
        self.lines.by_ref().map(Result::unwrap).find(|line| line.starts_with("Hearth is ready at http://127.0.0.1:"))
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.process.id()).unwrap()), signal).unwrap();
    }
}

impl Drop for Serve {
    /// For a test that fails: a server whose data folder goes with the test ends by itself.
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn serve_needs_no_database_and_stops_what_it_started() {
    let home = tempfile::tempdir().unwrap();
    let mut first = Serve::start(home.path());
    first.ready().expect("it did not start");
    let server = pid(home.path()).unwrap();

    let mut rival = Serve::start(home.path());
    assert_eq!(rival.ready(), None);
    let mut said = String::new();
    rival.process.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(!rival.process.wait().unwrap().success());
    assert!(said.contains(&format!("another hearth serve (pid {})", first.process.id())), "{said}");

    first.signal(Signal::SIGKILL);
    first.process.wait().unwrap();
    let mut second = Serve::start(home.path());
    second.ready().expect("it did not start again");
    assert_eq!(pid(home.path()), Some(server), "the server was adopted");
    second.signal(Signal::SIGINT);
    assert!(second.process.wait().unwrap().success());
    assert_eq!(pid(home.path()), None);
    assert!(table::find(server).is_none());
}

#[test]
fn a_serve_that_cannot_start_leaves_no_server() {
    let home = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut serve = Serve::start_on(home.path(), &address);
    assert_eq!(serve.ready(), None);
    assert!(!serve.process.wait().unwrap().success());
    assert!(home.path().join("postgres/data").is_dir());
    assert_eq!(pid(home.path()), None);
}
