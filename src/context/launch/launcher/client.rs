//! The gateway's side of the launcher.

use std::future::Future;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::Uid;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};

use super::{Answer, Error, Request, Start, read, write};
use crate::context::launch::files::Found;
use crate::context::launch::folder::Folder;
use crate::context::launch::table::Process;

/// How long the launcher may take for one request. A user's folder may lie on another machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Speaks to the launcher. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client(Arc<Place>);

#[derive(Debug)]
enum Place {
    /// A launcher with a socket of its own: one connection for each request.
    Socket(PathBuf),
    /// The one that was started with this gateway and ends with it: by the task that has its connection.
    Attached(mpsc::Sender<Asked>),
}

/// A request, and where its answer goes.
type Asked = (Request, oneshot::Sender<io::Result<Option<Answer>>>);

impl Client {
    /// Of the launcher that listens there.
    #[must_use]
    pub fn at(socket: impl Into<PathBuf>) -> Self {
        Self(Arc::new(Place::Socket(socket.into())))
    }

    /// Of the launcher at the other end of this process's standard input, which is emptied by it; and the work that carries the
    /// requests, which ends when that launcher is gone.
    ///
    /// # Errors
    /// When it is no socket.
    pub fn attached() -> io::Result<(Self, impl Future<Output = ()> + Send + 'static)> {
        let stream = std::os::unix::net::UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        // Nothing that is started later inherits it.
        nix::unistd::dup2_stdin(std::fs::File::open("/dev/null")?)?;
        stream.set_nonblocking(true)?;
        let (ask, asked) = mpsc::channel(16);
        Ok((Self(Arc::new(Place::Attached(ask))), carry(UnixStream::from_std(stream)?, asked)))
    }

    /// Starts a driver. Returns once its watcher is started.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn start(&self, start: Start) -> Result<(), Error> {
        self.done(Request::Start(start)).await
    }

    /// Says of each file whether the user may read it and whether it lies below a root.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn look(
        &self,
        user: &str,
        profile: &str,
        files: Vec<PathBuf>,
        roots: Option<Vec<PathBuf>>,
    ) -> Result<Vec<Found>, Error> {
        let asked = files.len();
        let request = Request::Look { user: user.to_owned(), profile: profile.to_owned(), files, roots };
        match self.ask(request).await? {
            Answer::Found(found) if found.len() == asked => Ok(found),
            other => Err(unexpected(other)),
        }
    }

    /// Removes the folders of a launch.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn remove(&self, folder: &Folder) -> Result<(), Error> {
        if let (Some(launch), Some(_)) = (folder.id(), folder.stranger()) {
            self.done(Request::Clear { launch }).await?;
        }
        Ok(folder.remove()?)
    }

    /// Ends processes of a user.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn end(&self, owner: Uid, processes: Vec<Process>, hard: bool) -> Result<(), Error> {
        self.done(Request::End { uid: owner.as_raw(), processes, hard }).await
    }

    async fn done(&self, request: Request) -> Result<(), Error> {
        match self.ask(request).await? {
            Answer::Done => Ok(()),
            other => Err(unexpected(other)),
        }
    }

    async fn ask(&self, request: Request) -> Result<Answer, Error> {
        let answer = match &*self.0 {
            Place::Socket(path) => {
                in_time(async {
                    let mut stream = UnixStream::connect(path).await?;
                    exchange(&mut stream, &request).await
                })
                .await
            }
            Place::Attached(carrier) => {
                let (tell, told) = oneshot::channel();
                let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
                carrier.send((request, tell)).await.map_err(|_| gone())?;
                told.await.map_err(|_| gone())?
            }
        };
        answer?.ok_or_else(|| Error::Away(io::ErrorKind::UnexpectedEof.into()))
    }
}

/// Carries requests, one at a time and each to its end, whoever still waits for it. A launcher that fails one, or speaks unasked, is
/// given up.
async fn carry(mut stream: UnixStream, mut asked: mpsc::Receiver<Asked>) {
    loop {
        tokio::select! {
            next = asked.recv() => {
                let Some((request, tell)) = next else { return };
                let answer = in_time(exchange(&mut stream, &request)).await;
                let is_whole = matches!(answer, Ok(Some(_)));
                let _ = tell.send(answer);
                if !is_whole {
                    return;
                }
            }
            _ = stream.readable() => match stream.try_read(&mut [0]) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                _ => return,
            },
        }
    }
}

async fn exchange(stream: &mut UnixStream, request: &Request) -> io::Result<Option<Answer>> {
    write(stream, request).await?;
    read(stream).await
}

async fn in_time<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(PATIENCE, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

fn unexpected(answer: Answer) -> Error {
    match answer {
        Answer::Refused(why) => Error::Refused(why),
        Answer::Failed(why) => Error::Failed(why),
        Answer::Done | Answer::Found(_) => Error::Failed("its answer does not fit the request".to_owned()),
    }
}
