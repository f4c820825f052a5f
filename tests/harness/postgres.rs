//! Scratch Postgres servers and databases.

use std::env;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use nix::unistd::{Uid, User};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::keeper::Keeper;

/// A server that the test started; the test may stop and start it.
#[derive(Debug)]
pub struct Server {
    keeper: Keeper,
    bin: PathBuf,
}

impl Server {
    /// Makes and starts a server on a unix socket of its own.
    pub fn start_new() -> Self {
        // INT ends a postmaster at once and in order, and its children with it.
        let server = Self { keeper: Keeper::new("INT"), bin: programs() };
        let folder = server.keeper.folder();
        hand_over(folder);
        let data = server.data();
        let initdb = ["--auth=trust", "--username=hearth", "--no-sync", "--encoding=UTF8", "--locale=C", "-D"];
        server.run("initdb", &initdb, &data);
        server.start();
        server
    }

    /// Starts it again.
    pub fn start(&self) {
        let socket = self.keeper.folder().display();
        let options = format!("-c listen_addresses='' -k '{socket}' -c fsync=off -c max_connections=200");
        let log = self.keeper.folder().join("log");
        self.run(
            "pg_ctl",
            &["start", "--wait", "--silent", "-o", &options, "-l", &log.to_string_lossy(), "-D"],
            &self.data(),
        );
    }

    /// Stops it at once; clients lose their connections.
    pub fn stop(&self) {
        self.run("pg_ctl", &["stop", "--wait", "--silent", "--mode=fast", "-D"], &self.data());
    }

    fn data(&self) -> PathBuf {
        self.keeper.folder().join("data")
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://hearth@localhost/{database}?host={}", self.keeper.folder().display())
    }

    fn run(&self, program: &str, args: &[&str], data: &Path) {
        let path = self.bin.join(program);
        let mut command = match os_user() {
            Some(user) => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid", &user.uid.to_string(), "--regid", &user.gid.to_string(), "--init-groups"]);
                command.arg(&path);
                command
            }
            None => Command::new(&path),
        };
        let done = command
            .args(args)
            .arg(data)
            .current_dir(self.keeper.folder())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert!(done.success(), "{program} {args:?} failed: {done}");
    }
}

/// Makes a folder the property of [`os_user`].
pub(super) fn hand_over(folder: &Path) {
    if let Some(user) = os_user() {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
        chown(folder, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
    }
}

/// Postgres refuses to run as root: then it, and other servers that need not be root, run as `postgres`.
pub(super) fn os_user() -> Option<User> {
    Uid::effective().is_root().then(|| User::from_name("postgres").unwrap().expect("root needs an OS user postgres"))
}

fn programs() -> PathBuf {
    let folders = |variable| env::var_os(variable).into_iter().flat_map(|p| env::split_paths(&p).collect::<Vec<_>>());
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|found| found.filter_map(|v| Some(v.ok()?.path().join("bin"))).collect())
        .unwrap_or_default();
    versions.sort();
    folders("HEARTH__POSTGRES__BIN")
        .chain(folders("PATH"))
        .chain(versions.into_iter().rev())
        .find(|folder| folder.join("initdb").is_file() && folder.join("pg_ctl").is_file())
        .expect("Postgres server programs (initdb, pg_ctl) on PATH or under /usr/lib/postgresql")
}

/// Where a test's database lives.
#[derive(Debug)]
enum Home {
    /// On a server that other tests use too.
    Shared { admin: String },
    /// On a server of its own.
    Own(Server),
    /// It is another's, who drops it.
    Lent,
}

/// An empty database of one test.
#[derive(Debug)]
pub struct Database {
    home: Home,
    name: String,
    url: String,
}

impl Database {
    /// On the server that `HEARTH_TEST_DATABASE_URL` names, else on the one that this test binary started.
    pub async fn shared() -> Self {
        static SERVER: OnceLock<Server> = OnceLock::new();
        let name = fresh_name();
        let (admin, url) = match env::var("HEARTH_TEST_DATABASE_URL") {
            Ok(given) => {
                let (server, query) = given.split_once('?').unwrap_or((&given, ""));
                let (server, _) = server.rsplit_once('/').expect("HEARTH_TEST_DATABASE_URL names a database");
                (given.clone(), format!("{server}/{name}?{query}"))
            }
            Err(_) => {
                let server = tokio::task::spawn_blocking(|| SERVER.get_or_init(Server::start_new)).await.unwrap();
                (server.url("postgres"), server.url(&name))
            }
        };
        execute(&admin, format!("create database {name}")).await;
        Self { home: Home::Shared { admin }, name, url }
    }

    /// On a server of its own.
    pub async fn own() -> Self {
        let server = tokio::task::spawn_blocking(Server::start_new).await.unwrap();
        let name = fresh_name();
        execute(&server.url("postgres"), format!("create database {name}")).await;
        let url = server.url(&name);
        Self { home: Home::Own(server), name, url }
    }

    /// The same, for whoever uses it beside its owner.
    pub fn lent(&self) -> Self {
        Self { home: Home::Lent, name: self.name.clone(), url: self.url.clone() }
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its server, when it has one of its own.
    ///
    /// # Panics
    /// When it lives on a server that other tests use too.
    pub fn server(&self) -> &Server {
        match &self.home {
            Home::Own(server) => server,
            Home::Shared { .. } | Home::Lent => panic!("ask for Setup::own_postgres to stop and start it"),
        }
    }

    /// A connection to look at rows.
    pub async fn connect(&self) -> PgConnection {
        connect(&self.url).await
    }

    /// Drops the database; a server of its own goes as a whole.
    pub async fn drop_it(&self) {
        if let Home::Shared { admin } = &self.home {
            execute(admin, format!("drop database if exists {} with (force)", self.name)).await;
        }
    }
}

fn fresh_name() -> String {
    format!("hearth_test_{}", uuid::Uuid::new_v4().simple())
}

async fn connect(url: &str) -> PgConnection {
    let options: PgConnectOptions = url.parse().expect("a postgres:// URL");
    PgConnection::connect_with(&options).await.expect("the test's Postgres answers")
}

async fn execute(admin: &str, sql: String) {
    let mut db = connect(admin).await;
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut db).await.unwrap();
}
