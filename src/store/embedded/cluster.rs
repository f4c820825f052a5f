//! The private cluster: its folders, its settings, and the commands that make, start and stop it.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::unistd::{Uid, User};
use sha2::{Digest, Sha256};
use tokio::process::Command;

use super::Error;
use super::programs::Programs;
use crate::home;
use crate::shim::{self, Program};

/// Name of the database role and of the database.
pub(super) const NAME: &str = "hearth";
/// Part of the socket's name; no network port is opened.
pub(super) const PORT: u16 = 5432;

/// `sun_path` of a socket address holds 108 bytes on Linux, 104 on others, with the NUL at its end.
const LONGEST_SOCKET: usize = 100;
/// How long one of the programs may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// What differs from Postgres's own defaults. Durable as those are; small, silent and reachable by its socket alone.
const SETTINGS: &str = "\
# Written by Hearth at every start.
listen_addresses = ''
port = 5432
unix_socket_permissions = 0700
max_connections = 50
shared_buffers = 64MB
fsync = on
synchronous_commit = on
full_page_writes = on
wal_level = minimal
max_wal_senders = 0
max_parallel_workers_per_gather = 0
jit = off
password_encryption = 'scram-sha-256'
cluster_name = 'hearth'
logging_collector = on
log_filename = 'postgres-%a.log'
log_file_mode = 0600
log_truncate_on_rotation = on
log_rotation_age = 1d
log_rotation_size = 0
";

/// A cluster and how to run its programs.
#[derive(Debug, Clone)]
pub(super) struct Cluster {
    folder: PathBuf,
    socket: PathBuf,
    programs: Programs,
    program: Program,
    /// The OS user of the server, when that is another than this process's.
    user: Option<User>,
}

impl Cluster {
    /// Sees to the folders of the cluster in a state folder, and makes the cluster when there is none.
    pub async fn open(
        config: &super::Config,
        path: Option<OsString>,
        home: &Path,
        program: &Program,
    ) -> Result<Self, Error> {
        let (programs, user) = check(config, path, home)?;
        let folder = home.join("postgres");
        let socket = socket_folder(&folder);
        let cluster = Self { folder, socket, programs, program: program.clone(), user };
        for path in [&cluster.folder, &cluster.log(), &cluster.socket] {
            cluster.own_folder(path).map_err(|e| unusable(path, e))?;
        }
        if !cluster.data().join("PG_VERSION").is_file() {
            cluster.make().await?;
        }
        Ok(cluster)
    }

    /// The folder of the socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The password of the role [`NAME`].
    pub fn password(&self) -> Result<String, Error> {
        fs::read_to_string(self.password_file()).map_err(|e| unusable(&self.password_file(), e))
    }

    /// Starts the server and waits until it answers. It leads a session of its own: `pg_ctl` sees to that.
    pub async fn start(&self) -> Result<(), Error> {
        self.forget_stranger();
        let quoted = self.socket.to_string_lossy().replace('\'', "''");
        let log = self.log().to_string_lossy().replace('\'', "''");
        let settings = format!("{SETTINGS}unix_socket_directories = '{quoted}'\nlog_directory = '{log}'\n");
        self.write("data/hearth.conf", settings.as_bytes())?;
        let log = self.log().join("start.log");
        // Only what the server says before it opens its own log; the last start is enough.
        let _ = fs::remove_file(&log);
        let mut command = self.command("pg_ctl");
        command.args(["start", "--wait", "--timeout=240", "--silent", "-D"]).arg(self.data()).arg("-l").arg(&log);
        match run("start the embedded Postgres", command).await {
            Err(Error::Command { what, said }) => {
                let log = fs::read_to_string(&log).unwrap_or_default();
                Err(Error::Command { what, said: format!("{said}\n{log}").trim().to_owned() })
            }
            other => other,
        }
    }

    /// Stops the server: open transactions are rolled back, everything committed is on the disk.
    pub async fn stop(&self) -> Result<(), Error> {
        let mut command = self.command("pg_ctl");
        command.args(["stop", "--mode=fast", "--wait", "--timeout=60", "--silent", "-D"]).arg(self.data());
        run("stop the embedded Postgres", command).await?;
        if !self.socket.starts_with(&self.folder) {
            // Empty now; one that is not there can be made again.
            let _ = fs::remove_dir(&self.socket);
        }
        Ok(())
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    fn password_file(&self) -> PathBuf {
        password_file(&self.folder)
    }

    async fn make(&self) -> Result<(), Error> {
        let password: String = rand::random::<[u8; 24]>().iter().map(|byte| format!("{byte:02x}")).collect();
        self.write("password", password.as_bytes())?;
        let draft = self.folder.join("data.draft");
        let failed = |e| unusable(&draft, e);
        if draft.exists() {
            // Left by a crash half way.
            fs::remove_dir_all(&draft).map_err(failed)?;
        }
        let mut command = self.command("initdb");
        command.args(["--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--data-checksums", "-U", NAME]);
        command.arg("--pwfile").arg(self.password_file()).arg("-D").arg(&draft);
        run("make the embedded Postgres", command).await?;
        let file = draft.join("postgresql.conf");
        let mut settings = fs::read_to_string(&file).map_err(failed)?;
        settings.push_str("\ninclude_if_exists = 'hearth.conf'\n");
        self.write("data.draft/postgresql.conf", settings.as_bytes())?;
        fs::rename(&draft, self.data()).map_err(failed)
    }

    /// A pid file that outlived its server may name another process by now, often so in a restarted container, and then the
    /// server refuses to start. What is not called `postgres` is not one.
    fn forget_stranger(&self) {
        let file = self.data().join("postmaster.pid");
        let pid = fs::read_to_string(&file).ok().and_then(|text| text.lines().next()?.trim().parse::<u32>().ok());
        let called = pid.and_then(|pid| fs::read_to_string(format!("/proc/{pid}/comm")).ok());
        if called.is_some_and(|name| name.trim() != "postgres") {
            let _ = fs::remove_file(file);
        }
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let path = self.folder.join(name);
        home::write_private(&path, bytes).and_then(|()| self.give(&path)).map_err(|e| unusable(&path, e))
    }

    fn give(&self, path: &Path) -> io::Result<()> {
        self.user.as_ref().map_or(Ok(()), |user| chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw())))
    }

    /// Makes a folder of the server's user, or checks that the one that is there is that.
    fn own_folder(&self, path: &Path) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => self.give(path),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                let found = fs::symlink_metadata(path)?;
                let owner = self.user.as_ref().map_or_else(Uid::effective, |user| user.uid);
                if found.is_dir() && found.uid() == owner.as_raw() {
                    return fs::set_permissions(path, fs::Permissions::from_mode(0o700));
                }
                Err(io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to somebody else"))
            }
            Err(e) => Err(e),
        }
    }

    fn command(&self, name: &str) -> Command {
        let file = self.programs.get(name);
        let mut command = match &self.user {
            Some(user) => Command::from(self.program.run_as(&user.name, file)),
            None => Command::new(file),
        };
        // A clean environment: PGDATA, PGHOST and their like must not lead elsewhere.
        command
            .env_clear()
            .envs([("PATH", "/usr/local/bin:/usr/bin:/bin"), ("LC_ALL", "C"), ("TZ", "UTC")])
            .current_dir("/");
        command
    }
}

/// What a server in this state folder would be run with.
pub(super) fn check(
    config: &super::Config,
    path: Option<OsString>,
    home: &Path,
) -> Result<(Programs, Option<User>), Error> {
    let programs = Programs::find(&config.bin, path, &home.join("postgres/data"))?;
    if !Uid::effective().is_root() {
        return Ok((programs, None));
    }
    // Postgres refuses to run as root, rightly.
    let user = shim::user(&config.user).map_err(|_| Error::NoUser(config.user.clone()))?;
    reachable(home, &user)?;
    Ok((programs, Some(user)))
}

fn unusable(path: &Path, source: io::Error) -> Error {
    Error::Folder { path: path.to_path_buf(), source }
}

async fn run(what: &'static str, mut command: Command) -> Result<(), Error> {
    let failed = |said: String| Error::Command { what, said: said.trim().to_owned() };
    command.stdin(Stdio::null()).kill_on_drop(true);
    match tokio::time::timeout(PATIENCE, command.output()).await {
        Ok(Ok(output)) if output.status.success() => Ok(()),
        Ok(Ok(output)) => Err(failed(String::from_utf8_lossy(&[output.stderr, output.stdout].concat()).into_owned())),
        Ok(Err(e)) => Err(failed(e.to_string())),
        Err(_) => Err(failed(format!("it took more than {} s", PATIENCE.as_secs()))),
    }
}

/// The folder of the socket, and the password, of the cluster in a state folder.
pub(super) fn existing(home: &Path) -> Result<(PathBuf, String), Error> {
    let folder = home.join("postgres");
    let file = password_file(&folder);
    let password = fs::read_to_string(&file).map_err(|e| unusable(&file, e))?;
    Ok((socket_folder(&folder), password))
}

fn password_file(folder: &Path) -> PathBuf {
    folder.join("password")
}

/// Beside the data, or, where that path is too long for a socket, in the folder for temporary files by a name of its own.
fn socket_folder(folder: &Path) -> PathBuf {
    let beside = folder.join("run");
    let longest = beside.join(format!(".s.PGSQL.{PORT}.lock"));
    if longest.as_os_str().len() <= LONGEST_SOCKET {
        return beside;
    }
    let hash = Sha256::digest(AsRef::<OsStr>::as_ref(folder).as_encoded_bytes());
    let name: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Path::new("/tmp").join(format!("hearth-{name}"))
}

/// Whether the user can pass through every folder above.
fn reachable(home: &Path, user: &User) -> Result<(), Error> {
    for folder in home.ancestors() {
        // What is not there yet will be made so that it is.
        let Ok(found) = fs::metadata(folder) else { continue };
        let open = if found.uid() == user.uid.as_raw() {
            0o100
        } else if found.gid() == user.gid.as_raw() {
            0o010
        } else {
            0o001
        };
        if found.mode() & open == 0 {
            return Err(Error::Unreachable { folder: folder.to_path_buf(), user: user.name.clone() });
        }
    }
    Ok(())
}
