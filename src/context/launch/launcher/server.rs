//! The launcher's side: one gateway's user may ask, and what is asked is decided and done here.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::{Uid, User};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tracing::{info, warn};
use uuid::Uuid;

use super::rules::Refused;
use super::{Answer, Request, Start, read, write};
use crate::context::launch::enter::{Entry, Task};
use crate::context::launch::environment::Environment;
use crate::context::launch::folder::{Folder, Spec};
use crate::context::launch::run_as::RunAs;
use crate::context::launch::{Config, Profile, process, spark_home, submit, variables};
use crate::life::Life;
use crate::shim::Program;

/// Connections at once.
const CONNECTIONS: usize = 64;
/// How long something that is done as a user may take.
const PATIENCE: Duration = Duration::from_secs(50);
/// The most that is read of what it says.
const MOST: u64 = 8 * 1024 * 1024;
/// Files that one request may look at.
const MOST_FILES: usize = 5_000;

/// What the launcher goes by.
pub struct Parts {
    /// This program.
    pub program: Program,
    /// The state folder of the gateway.
    pub home: PathBuf,
    /// The section `launch`.
    pub config: Config,
    /// The profiles.
    pub profiles: std::collections::BTreeMap<String, Profile>,
    /// What is passed on of the launcher's environment.
    pub environment: Environment,
    /// The OS user of the gateway.
    pub gateway: User,
    /// Supervises the watchers.
    pub life: Life,
}

/// Serves requests. Cheap to clone.
#[derive(Clone)]
pub struct Server(Arc<Parts>);

/// Why something is not done.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    User(#[from] Refused),
    #[error("there is no profile {0:?} in the launcher's configuration")]
    NoProfile(String),
    #[error("{0:?} is not a program of the profile")]
    OtherProgram(String),
    #[error("{0}")]
    Bad(&'static str),
    #[error(transparent)]
    Spark(#[from] spark_home::Error),
    #[error(transparent)]
    System(#[from] io::Error),
}

impl Server {
    /// A launcher of these parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// Listens on a socket that only the gateway's user can open, until the launcher is told to stop.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub async fn listen(&self, path: &Path) -> io::Result<()> {
        let listener = bind(path, &self.0.gateway)?;
        let (stopping, places) = (self.0.life.stopping(), Arc::new(Semaphore::new(CONNECTIONS)));
        info!(socket = %path.display(), gateway = %self.0.gateway.name, "The launcher listens");
        loop {
            let Ok(place) = places.clone().acquire_owned().await else { return Ok(()) };
            let (stream, _) = tokio::select! {
                () = stopping.cancelled() => return fs::remove_file(path),
                accepted = listener.accept() => accepted?,
            };
            let peer = stream.peer_cred()?.uid();
            if peer != self.0.gateway.uid.as_raw() {
                warn!(uid = peer, "A connection of another OS user than the gateway's is refused");
                continue;
            }
            let server = self.clone();
            self.0.life.spawn_short("gateway", async move {
                let _place = place;
                server.serve(stream).await;
            });
        }
    }

    /// Serves the one gateway at the other end of the standard input, until it is gone.
    ///
    /// # Errors
    /// When the standard input is no socket.
    pub async fn attached(&self) -> io::Result<()> {
        let stream = std::os::unix::net::UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        nix::unistd::dup2_stdin(fs::File::open("/dev/null")?)?;
        stream.set_nonblocking(true)?;
        self.serve(UnixStream::from_std(stream)?).await;
        Ok(())
    }

    async fn serve(&self, mut stream: UnixStream) {
        loop {
            let request = match read(&mut stream).await {
                Ok(Some(request)) => request,
                Ok(None) => return,
                Err(e) => return warn!(error = %e, "A request cannot be read"),
            };
            let answer = self.answer(request).await;
            if let Err(e) = write(&mut stream, &answer).await {
                return warn!(error = %e, "An answer cannot be written");
            }
        }
    }

    async fn answer(&self, request: Request) -> Answer {
        match self.act(request).await {
            Ok(answer) => answer,
            Err(Error::System(e)) => {
                warn!(error = %e, "A request failed");
                Answer::Failed(e.to_string())
            }
            Err(e) => {
                warn!(error = %e, "A request is refused");
                Answer::Refused(e.to_string())
            }
        }
    }

    async fn act(&self, request: Request) -> Result<Answer, Error> {
        match request {
            Request::Start(start) => self.start(start).await.map(|()| Answer::Done),
            Request::Look { user, profile, files, roots } => {
                if files.len() > MOST_FILES || files.iter().any(|file| !file.is_absolute()) {
                    return Err(Error::Bad("files must be absolute paths, and not so many"));
                }
                let user = self.account(&user, self.profile(&profile)?)?;
                let said = self.enter(user, Task::Look { files, roots }).await?;
                Ok(Answer::Found(serde_json::from_slice(&said).map_err(io::Error::from)?))
            }
            Request::Clear { launch } => {
                let work = self.folder(launch).work();
                let owner = Uid::from_raw(fs::symlink_metadata(&work)?.uid());
                self.enter(self.owner(owner)?, Task::Clear(work)).await?;
                Ok(Answer::Done)
            }
            Request::End { uid, processes, hard } => {
                self.enter(self.owner(Uid::from_raw(uid))?, Task::End { processes, hard }).await?;
                Ok(Answer::Done)
            }
        }
    }

    fn profile(&self, name: &str) -> Result<&Profile, Error> {
        self.0.profiles.get(name).ok_or_else(|| Error::NoProfile(name.chars().take(80).collect()))
    }

    fn account(&self, user: &str, profile: &Profile) -> Result<User, Error> {
        Ok(self.0.config.users.account(user, &profile.run_as, self.0.gateway.uid.as_raw())?)
    }

    /// The owner of something that a launch has left: one who may be run.
    fn owner(&self, uid: Uid) -> Result<User, Error> {
        let user = User::from_uid(uid).ok().flatten().ok_or(Error::Bad("it belongs to nobody"))?;
        Ok(self.0.config.users.person(&user.name, self.0.gateway.uid.as_raw())?)
    }

    fn folder(&self, launch: Uuid) -> Folder {
        Folder::at(Folder::all(&self.0.home).join(launch.to_string()))
    }

    /// Starts the watcher of a launch, which starts the program.
    async fn start(&self, start: Start) -> Result<(), Error> {
        let profile = self.profile(&start.profile)?;
        if profile.run_as == RunAs::Gateway {
            return Err(Error::Bad("the profile runs as the gateway, which needs no launcher"));
        }
        let user = self.account(&start.user, profile)?;
        let spark = spark_home::find(profile, &self.0.environment).await?;
        let program = start.argv.first().map(String::as_str).unwrap_or_default();
        if !submit::programs(&spark).iter().any(|known| known.as_os_str() == program) {
            return Err(Error::OtherProgram(program.chars().take(200).collect()));
        }
        let folder = self.folder(start.launch);
        let env = variables::of(profile, &spark, &spark.defaults(&self.0.environment), &self.0.environment, &folder);
        let spec = Spec { argv: start.argv, env, cwd: folder.work(), user: Some(user.name.clone()) };
        let files = [(submit::PROPERTIES.to_owned(), start.properties)].into();
        let entry = serde_json::to_vec(&Entry { user: user.name.clone(), task: Task::Run { spec, files } });
        let mut command = tokio::process::Command::from(self.0.program.watch_for(folder.path(), &self.0.gateway.name));
        command.env_clear().current_dir("/").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut watcher = command.spawn()?;
        if let Some(mut input) = watcher.stdin.take() {
            input.write_all(&entry.map_err(io::Error::from)?).await?;
        }
        process::collect(&self.0.life, watcher);
        info!(launch = %start.launch, user = %user.name, profile = %start.profile, "Launch {} is started", start.launch);
        Ok(())
    }

    /// Does something as a user, and gives what it says.
    async fn enter(&self, user: User, task: Task) -> Result<Vec<u8>, Error> {
        let entry = serde_json::to_vec(&Entry { user: user.name, task }).map_err(io::Error::from)?;
        let mut command = tokio::process::Command::from(self.0.program.enter());
        command.env_clear().current_dir("/").kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let work = async {
            let (input, output, error) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
            if let Some(mut input) = input {
                input.write_all(&entry).await?;
            }
            let (mut said, mut complaint) = (Vec::new(), String::new());
            if let (Some(output), Some(error)) = (output, error) {
                let (mut output, mut error) = (output.take(MOST), error.take(4_000));
                tokio::try_join!(output.read_to_end(&mut said), error.read_to_string(&mut complaint))?;
            }
            match child.wait().await? {
                status if status.success() => Ok(said),
                _ => Err(io::Error::other(complaint.trim().to_owned())),
            }
        };
        Ok(tokio::time::timeout(PATIENCE, work).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??)
    }
}

/// Makes the socket, as the gateway's user and for that user alone: so that neither a capability to give files away is needed, nor is
/// there a moment in which somebody else could connect.
fn bind(path: &Path, gateway: &User) -> io::Result<UnixListener> {
    use nix::sys::stat::{Mode, umask};
    use nix::unistd::{Gid, setegid, seteuid};
    let (uid, gid) = (Uid::effective(), Gid::effective());
    setegid(gateway.gid)?;
    seteuid(gateway.uid)?;
    let mask = umask(Mode::S_IXUSR | Mode::S_IRWXG | Mode::S_IRWXO);
    let bound = (|| {
        if fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
            // Left by one that was killed. Another that lives would answer.
            if std::os::unix::net::UnixStream::connect(path).is_ok() {
                return Err(io::Error::new(io::ErrorKind::AddrInUse, "another launcher listens there"));
            }
            fs::remove_file(path)?;
        }
        UnixListener::bind(path)
    })();
    umask(mask);
    seteuid(uid)?;
    setegid(gid)?;
    bound
}
