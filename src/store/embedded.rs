//! The Postgres server that Hearth makes and runs itself when no database is configured.
//!
//! A private cluster in the state folder, reached by a unix socket in a folder that only its user can enter, and by a random
//! password besides. It leads a session of its own, so that Ctrl-C reaches Hearth alone, which then stops it last. After a
//! kill -9 of Hearth it runs on and the next start adopts it; when it dies itself it is started again.

mod cluster;
mod programs;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection, Executor};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep};
use tracing::{error, info, warn};

use self::cluster::{Cluster, NAME, PORT};
use super::Address;
use crate::home::Home;
use crate::life::Life;
use crate::shim::Program;

/// Between two looks at whether the server lives.
const LOOK: Duration = Duration::from_secs(2);
/// How long a server that is starting or stopping may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// The section `postgres`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Folder with the server's programs; empty: found.
    pub bin: String,
    /// OS user of the server when Hearth runs as root.
    pub user: String,
}

/// Why there is no embedded server. Each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing installed.
    #[error(
        "no Postgres server is installed here (initdb, pg_ctl, postgres): install your system's package (`apt-get install postgresql`, \
         `dnf install postgresql-server`, `brew install postgresql`), or name the folder of its programs in postgres.bin, or a \
         database elsewhere in database.url; `make up` does the first by itself"
    )]
    NoPrograms,
    /// The named folder is none.
    #[error("postgres.bin is {}, but initdb, pg_ctl and postgres are not all there, or do not run", .0.display())]
    NoProgramsIn(PathBuf),
    /// The data are of another version.
    #[error(
        "{} was made by Postgres {needed}, and the programs found here are of version {found}: install version {needed}, or name its \
         programs in postgres.bin", data.display()
    )]
    OtherVersion {
        /// The data folder.
        data: PathBuf,
        /// The version that made it.
        needed: u32,
        /// Those found.
        found: String,
    },
    /// Started as root, and the user to run as does not exist.
    #[error(
        "Postgres does not run as root, and there is no OS user \"{0}\" to run it as: name one in postgres.user, or start Hearth as \
         another user"
    )]
    NoUser(String),
    /// Started as root, and that user cannot get at the state folder.
    #[error(
        "the OS user \"{user}\", who runs the embedded Postgres, cannot pass through {}: choose a state folder elsewhere with --home, \
         such as /var/lib/hearth", folder.display()
    )]
    Unreachable {
        /// The folder that is closed.
        folder: PathBuf,
        /// The user.
        user: String,
    },
    /// A folder or file cannot be used.
    #[error("{} cannot be used: {source}", path.display())]
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// One of the server's programs failed.
    #[error("cannot {what}: {said}")]
    Command {
        /// What was tried.
        what: &'static str,
        /// What the program said.
        said: String,
    },
    /// It runs and does not let us in.
    #[error("the embedded Postgres runs but cannot be used: {0}")]
    Refused(#[source] sqlx::Error),
}

/// A running embedded server.
#[derive(Debug)]
pub struct Embedded {
    cluster: Cluster,
    address: Address,
}

impl Embedded {
    /// Makes the cluster when there is none, starts its server or adopts the one that runs, and watches over it for as long
    /// as the gateway lives. `path` is where programs are looked for first (`PATH`).
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn start(
        config: &Config,
        path: Option<OsString>,
        home: &Home,
        program: &Program,
        life: &Life,
    ) -> Result<Self, Error> {
        let cluster = Cluster::open(config, path, home.path(), program).await?;
        let options = PgConnectOptions::new_without_pgpass()
            .socket(cluster.socket())
            .port(PORT)
            .username(NAME)
            .password(&cluster.password()?);
        if answers(cluster.socket()).await {
            info!("The embedded Postgres of an earlier start still runs and is adopted");
        }
        open(&cluster, &options).await?;
        let embedded = Self { cluster: cluster.clone(), address: Address::from_options(options.database(NAME)) };
        let stopping = life.stopping();
        life.spawn("embedded postgres", async move {
            tokio::select! {
                () = supervise(&cluster) => {}
                () = stopping.cancelled() => {}
            }
        });
        Ok(embedded)
    }

    /// How to connect to the server that a gateway runs in its state folder.
    ///
    /// # Errors
    /// When there is none that this user may use.
    pub fn running(home: &Path) -> Result<Address, Error> {
        let (socket, password) = cluster::existing(home)?;
        let options =
            PgConnectOptions::new_without_pgpass().socket(socket).port(PORT).username(NAME).password(&password);
        Ok(Address::from_options(options.database(NAME)))
    }

    /// Whether a server could be made or run here, without doing so: the folder of its programs.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn check(config: &Config, path: Option<OsString>, home: &Path) -> Result<PathBuf, Error> {
        cluster::check(config, path, home).map(|(programs, _)| programs.folder().to_path_buf())
    }

    /// How to connect.
    #[must_use]
    pub fn address(&self) -> Address {
        self.address.clone()
    }

    /// Stops the server; to be called when the gateway's own tasks have ended. A failure is logged: there is nobody left to
    /// handle it, and the next start adopts a server that still runs.
    pub async fn stop(&self) {
        if let Err(e) = self.cluster.stop().await {
            warn!(error = %e, "The embedded Postgres was not stopped");
        }
    }
}

/// Starts the server again whenever it has died.
async fn supervise(cluster: &Cluster) {
    loop {
        sleep(LOOK).await;
        if answers(cluster.socket()).await {
            continue;
        }
        warn!("The embedded Postgres has ended and is started again");
        match cluster.start().await {
            Ok(()) => info!("The embedded Postgres runs again"),
            Err(e) => error!(error = %e, "The embedded Postgres cannot be started; trying again"),
        }
    }
}

/// Whether something listens on the socket. One that is too busy to answer does.
async fn answers(socket: &Path) -> bool {
    match UnixStream::connect(socket.join(format!(".s.PGSQL.{PORT}"))).await {
        Ok(_) => true,
        Err(e) => !matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused),
    }
}

/// Starts the server unless it runs, waits until it lets us in, and sees to the database.
async fn open(cluster: &Cluster, options: &PgConnectOptions) -> Result<(), Error> {
    let began = Instant::now();
    loop {
        if !answers(cluster.socket()).await
            && let Err(failure) = cluster.start().await
        {
            // One that a killed gateway was just starting, or that is still stopping, is in the way for a moment.
            sleep(LOOK).await;
            if !answers(cluster.socket()).await {
                return Err(failure);
            }
        }
        let failure = match PgConnection::connect_with(&options.clone().database(NAME)).await {
            Ok(connection) => return connection.close().await.map_err(Error::Refused),
            Err(failure) => failure,
        };
        let code = failure.as_database_error().and_then(|e| e.code()).map(|code| code.into_owned());
        match code.as_deref() {
            // invalid_catalog_name: the database is not there yet.
            Some("3D000") => create_database(options).await.map_err(Error::Refused)?,
            // cannot_connect_now: it is starting, as after a crash, or stopping; none: its socket is just going.
            Some("57P03") | None if began.elapsed() < PATIENCE => sleep(Duration::from_millis(100)).await,
            _ => return Err(Error::Refused(failure)),
        }
    }
}

async fn create_database(options: &PgConnectOptions) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect_with(&options.clone().database("postgres")).await?;
    connection.execute("create database hearth").await?;
    connection.close().await
}
