//! A gateway as a process.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::keeper::Keeper;
use super::livy::Livy;
use super::postgres::{Database, Server};
use super::{BOUND, until};

/// The line by which a gateway says that it is ready.
const READY: &str = "Hearth is ready at ";

/// What a gateway is to be.
#[derive(Debug, Default)]
pub struct Setup {
    own_postgres: bool,
    lent: Option<Database>,
    gateway_user: Option<String>,
    database_password: Option<String>,
    toml: String,
    env: Vec<(String, String)>,
}

/// The variable of a configuration key.
fn variable(key: &str) -> String {
    format!("HEARTH__{}", key.replace('.', "__").to_uppercase())
}

impl Setup {
    /// The shipped defaults, but for port, home, database and the homes of the Sparks.
    pub fn new() -> Self {
        let mut setup = Self::default();
        for (profile, home) in [("default", "HEARTH_TEST_SPARK_35"), ("spark4", "HEARTH_TEST_SPARK_4")] {
            let home =
                env::var(home).unwrap_or_else(|_| panic!("{home} must name a Spark: run the tests with `make test`"));
            setup = setup.set(&format!("profiles.{profile}.spark_home"), &home);
        }
        setup
    }

    /// Gives it a Postgres server of its own, which [`Gateway::postgres`] stops and starts.
    pub fn own_postgres(mut self) -> Self {
        self.own_postgres = true;
        self
    }

    /// Gives it the database of another gateway, which has to end after it.
    pub fn beside(mut self, other: &Gateway) -> Self {
        self.lent = Some(other.database.lent());
        self
    }

    /// Names a password in the URL of its database, which the server does not ask for; also where the gateway would have an embedded one.
    pub fn database_password(mut self, password: &str) -> Self {
        self.database_password = Some(password.to_owned());
        self
    }

    /// Runs everybody's code as the OS user of their name, from `folder`, which gets Sparks that everybody can read. The test is root; the
    /// gateway becomes the OS user `gateway`, leaves a launcher behind, and has an embedded database and a cache of its own.
    pub fn run_as_users(mut self, gateway: &str, folder: &Path) -> Self {
        self.gateway_user = Some(gateway.to_owned());
        fs::set_permissions(folder, fs::Permissions::from_mode(0o711)).unwrap();
        for (profile, home) in [("default", "HEARTH_TEST_SPARK_35"), ("spark4", "HEARTH_TEST_SPARK_4")] {
            let open = folder.join(profile);
            // Links, for the original may lie in a folder of root's own.
            let done = Command::new("cp").arg("-al").arg(env::var_os(home).unwrap()).arg(&open).status().unwrap();
            assert!(done.success(), "{home} cannot be linked to {}", open.display());
            self = self
                .set(&format!("profiles.{profile}.spark_home"), open.to_str().unwrap())
                .set(&format!("profiles.{profile}.python"), "/usr/bin/python3")
                .set(&format!("profiles.{profile}.run_as"), "user");
        }
        self.set("launch.gateway_user", gateway).set("launch.class_archive", "false")
    }

    /// For authentication alone: profiles run as whoever asks, and nothing can be launched, for no launcher listens.
    pub fn runs_nothing(self) -> Self {
        let run_as = |setup: Self, profile: &str| setup.set(&format!("profiles.{profile}.run_as"), "user");
        let no_launcher =
            self.set("launch.launcher", "/nonexistent/launcher.sock").set("launch.users.tenants", "[\"*\"]");
        ["default", "spark4"].into_iter().fold(no_launcher, run_as)
    }

    /// Adds a piece of configuration file, such as `[profiles.cluster]\nmaster = "spark://…"`.
    pub fn toml(mut self, piece: &str) -> Self {
        self.toml.push_str(piece);
        self.toml.push('\n');
        self
    }

    /// Sets one key, such as `("http.limits.wait", "5s")`.
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.env.push((variable(key), value.to_owned()));
        self
    }

    /// Sets a variable of the gateway's environment that is not a key of its configuration.
    pub fn env(mut self, name: &str, value: impl ToString) -> Self {
        self.env.push((name.to_owned(), value.to_string()));
        self
    }

    /// Starts the gateway and waits until it is ready.
    pub async fn start(mut self) -> Gateway {
        let database = match self.lent.take() {
            Some(lent) => lent,
            None if self.own_postgres => Database::own().await,
            None => Database::shared().await,
        };
        let keeper = Keeper::new("KILL");
        let file = keeper.folder().join("hearth.toml");
        fs::write(&file, &self.toml).unwrap();
        let is_other_user = self.gateway_user.is_some();
        let url = match &self.database_password {
            Some(password) => database.url().replacen("hearth@", &format!("hearth:{password}@"), 1),
            None => database.url().to_owned(),
        };
        let is_given = !is_other_user || self.database_password.is_some();
        let own = if is_other_user {
            // Everybody may pass through to what is theirs.
            fs::set_permissions(keeper.folder(), fs::Permissions::from_mode(0o711)).unwrap();
            let cache = keeper.folder().join("cache").display().to_string();
            self.set("cache", &cache)
        } else {
            fs::create_dir_all(keeper.folder().join("home")).unwrap();
            self
        };
        let own = if is_given { own.set("database.url", &url).set("database.migrate", "true") } else { own };
        let listen = "127.0.0.1:0".to_owned();
        let mut gateway = Gateway {
            database,
            keeper,
            file,
            env: own.env,
            scheme: String::new(),
            listen,
            process: None,
            ended: false,
        };
        gateway.launch().await;
        gateway
    }
}

/// A gateway process with its home, database and drivers. Dropping it ends all of them.
#[derive(Debug)]
pub struct Gateway {
    database: Database,
    keeper: Keeper,
    file: PathBuf,
    env: Vec<(String, String)>,
    scheme: String,
    listen: String,
    process: Option<Child>,
    ended: bool,
}

impl Gateway {
    /// Its address, such as `http://127.0.0.1:40123`.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.listen)
    }

    /// A client of its Livy door.
    pub fn livy(&self) -> Livy {
        Livy::new(&self.url())
    }

    /// Its `HEARTH_HOME`.
    pub fn home(&self) -> PathBuf {
        self.keeper.folder().join("home")
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("it runs").id()
    }

    /// Its database.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Its Postgres server, to be stopped and started.
    pub fn postgres(&self) -> &Server {
        self.database.server()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// Processes that it or its drivers started and that are alive: pid and command line, the gateway among them.
    pub fn processes(&self) -> Vec<(u32, String)> {
        self.keeper.processes()
    }

    /// `kill -9`. Its drivers live on.
    pub async fn kill(&mut self) {
        self.signal(Signal::SIGKILL).await;
    }

    /// SIGTERM: it drains and leaves its drivers to the gateway that comes next.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM).await
    }

    /// Starts it again on the same port, home and database.
    pub async fn restart(&mut self) {
        assert!(self.process.is_none(), "kill or terminate it first");
        self.launch().await;
    }

    /// Ctrl-C: it ends with everything it started. Nothing may be left behind.
    pub async fn end(mut self) {
        let status = self.signal(Signal::SIGINT).await;
        assert!(status.success(), "the gateway ended badly: {status}\n{}", self.last_words());
        let left = async || self.keeper.processes().is_empty().then_some(());
        until(&format!("every process has ended, but {:?}", self.keeper.processes()), BOUND, left).await;
        self.database.drop_it().await;
        self.ended = true;
    }

    /// Sets one key from its next start on.
    pub fn set(&mut self, key: &str, value: &str) {
        self.env.push((variable(key), value.to_owned()));
    }

    /// Runs a command of Hearth beside it, with its configuration.
    pub fn hearth(&self, arguments: &[&str]) -> Output {
        self.command().args(arguments).output().unwrap()
    }

    /// As [`Gateway::hearth`], with some keys of the configuration set otherwise.
    pub fn hearth_with(&self, keys: &[(&str, &str)], arguments: &[&str]) -> Output {
        let mut command = self.command();
        command.envs(keys.iter().map(|(key, value)| (variable(key), value))).args(arguments).output().unwrap()
    }

    /// Makes an API token by the command line; its secret. `more` are further arguments.
    ///
    /// # Panics
    /// When it is refused.
    pub fn token(&self, user: &str, more: &[&str]) -> String {
        let name: &[&str] = if more.contains(&"--name") { &[] } else { &["--name", "test"] };
        let made = self.hearth(&[&["token", "create", "--user", user, "--ttl", "1h"], name, more].concat());
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        String::from_utf8_lossy(&made.stdout).lines().last().unwrap().to_owned()
    }

    /// Hearth with this gateway's configuration.
    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hearth"));
        // Nothing of the developer's own configuration.
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("HEARTH_")) {
            command.env_remove(name);
        }
        command
            .arg("--config")
            .arg(&self.file)
            .env("HEARTH_HOME", self.home())
            .env(variable("http.listen"), &self.listen)
            // Compiled agents are the same for every test.
            .env(variable("cache"), Path::new(env!("CARGO_TARGET_TMPDIR")).join("hearth-cache"))
            .envs(self.env.iter().map(|(k, v)| (k, v)))
            .current_dir(self.keeper.folder())
            .stdin(Stdio::null());
        command
    }

    async fn launch(&mut self) {
        let log = fs::File::options().create(true).append(true).open(self.log_file()).unwrap();
        let mut process =
            self.command().arg("serve").stdout(Stdio::piped()).stderr(log).spawn().expect("hearth starts");
        let stdout = process.stdout.take().unwrap();
        self.process = Some(process);
        let (tell, told) = mpsc::channel();
        // Reads to the end, so that the gateway never writes to a closed pipe.
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Some(url) = line.strip_prefix(READY) {
                    let (scheme, address) = url.split_once("://").unwrap();
                    let _ = tell.send((scheme.to_owned(), address.to_owned()));
                }
            }
        });
        let ready = tokio::task::spawn_blocking(move || told.recv_timeout(BOUND)).await.unwrap();
        (self.scheme, self.listen) =
            ready.unwrap_or_else(|_| panic!("the gateway did not become ready\n{}", self.last_words()));
    }

    async fn signal(&mut self, signal: Signal) -> ExitStatus {
        let mut process = self.process.take().expect("it runs");
        kill(Pid::from_raw(process.id().cast_signed()), signal).unwrap();
        let end = tokio::task::spawn_blocking(move || process.wait().unwrap());
        match tokio::time::timeout(BOUND, end).await {
            Ok(ended) => ended.unwrap(),
            Err(_) => panic!("the gateway did not end after {signal}\n{}", self.last_words()),
        }
    }

    fn log_file(&self) -> PathBuf {
        self.keeper.folder().join("hearth.log")
    }

    fn last_words(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(80)..].join("\n")
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the gateway's log ends with\n{}\n---", self.last_words());
        }
        if let Some(mut process) = self.process.take() {
            let _ = kill(Pid::from_raw(process.id().cast_signed()), Signal::SIGINT);
            let (ended, waiting) = mpsc::channel::<()>();
            let pid = process.id();
            let watch = std::thread::spawn(move || {
                if waiting.recv_timeout(Duration::from_secs(25)) == Err(mpsc::RecvTimeoutError::Timeout) {
                    let _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
                }
            });
            let _ = process.wait();
            let _ = ended.send(());
            let _ = watch.join();
        }
        if !self.ended {
            // The runtime of the test may be gone already, so the database is dropped on one of its own.
            std::thread::scope(|scope| {
                let _ = scope
                    .spawn(|| {
                        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                        runtime.block_on(self.database.drop_it());
                    })
                    .join();
            });
        }
    }
}
