//! Rows of a handle on their way from its driver to a reader: relayed as they come, never kept.
//!
//! The reader's call asks the agent to dial; the agent's request brings the bytes, and a bounded channel between the two is all that the
//! gateway holds of them. A slow reader slows the driver; when either side leaves, the other is told by its own connection.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use dashmap::DashMap;
use futures_util::{Stream, StreamExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use uuid::Uuid;

use crate::context;
use crate::context::driver::Signal;
use crate::context::driver::wire::Outgoing;
use crate::context::driver::wire::handle::Failure;
use crate::id::ContextId;

/// How long an agent may take to dial: until the first partition is there.
const DEADLINE: Duration = Duration::from_secs(600);
/// How long a stream may pause: a partition may take its time.
const SILENCE: Duration = Duration::from_secs(600);
/// Pieces between the two ends.
const PIECES: usize = 4;
/// Streams through one gateway at a time.
const AT_ONCE: usize = 64;

/// Why there is no stream.
#[derive(Debug)]
pub enum Unopened {
    /// The agent is not connected here, or did not dial in time.
    Away,
    /// Too many streams are under way.
    Busy,
    /// The agent says why.
    Said(Failure),
}

/// The agent's end of a stream that was opened.
struct Opened {
    version: i64,
    pieces: mpsc::Receiver<Option<Bytes>>,
}

/// The streams of one gateway. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Streams(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    waiting: DashMap<Uuid, Waiting>,
    room: Arc<Semaphore>,
}

#[derive(Debug)]
struct Waiting {
    context: ContextId,
    message: Outgoing,
    opened: oneshot::Sender<Result<Opened, Failure>>,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened").field("version", &self.version).finish_non_exhaustive()
    }
}

impl Default for Streams {
    fn default() -> Self {
        Self(Arc::new(Parts { waiting: DashMap::new(), room: Arc::new(Semaphore::new(AT_ONCE)) }))
    }
}

/// A stream that is waited for, until this is dropped.
struct Wanted<'a>(&'a Streams, Uuid);

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        self.0.0.waiting.remove(&self.1);
    }
}

/// The bytes of a stream, for its reader. A stream that breaks off ends with an error.
#[derive(Debug)]
pub struct Relayed {
    pieces: mpsc::Receiver<Option<Bytes>>,
    is_over: bool,
    _room: OwnedSemaphorePermit,
}

impl Stream for Relayed {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        match self.pieces.poll_recv(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Some(bytes))) => Poll::Ready(Some(Ok(bytes))),
            Poll::Ready(whole) => {
                self.is_over = true;
                let broke = || io::Error::new(io::ErrorKind::UnexpectedEof, "the driver broke off");
                Poll::Ready(if whole.is_some() { None } else { Some(Err(broke())) })
            }
        }
    }
}

impl Streams {
    /// Asks the agent of a context for a stream and waits until it comes; `message` makes the question of its id. The version that is read, and
    /// the bytes.
    ///
    /// # Errors
    /// See [`Unopened`].
    pub async fn open(
        &self,
        contexts: &context::service::Service,
        context: ContextId,
        message: impl FnOnce(Uuid) -> Outgoing,
    ) -> Result<(i64, Relayed), Unopened> {
        let room = self.0.room.clone().try_acquire_owned().map_err(|_| Unopened::Busy)?;
        // Not to be guessed: whoever knows it still has to be the application of that context.
        let stream = Uuid::new_v4();
        let message = message(stream);
        let (opened, opens) = oneshot::channel();
        self.0.waiting.insert(stream, Waiting { context, message: message.clone(), opened });
        let _wanted = Wanted(self, stream);
        if !contexts.links().tell(context, Signal::Send(message)) {
            return Err(Unopened::Away);
        }
        match tokio::time::timeout(DEADLINE, opens).await {
            Ok(Ok(Ok(Opened { version, pieces }))) => Ok((version, Relayed { pieces, is_over: false, _room: room })),
            Ok(Ok(Err(failure))) => Err(Unopened::Said(failure)),
            Ok(Err(_)) | Err(_) => Err(Unopened::Away),
        }
    }

    /// Serves what the agent of a context has dialled for: moves the bytes until either side leaves. `head` is the version of the bytes, or why
    /// there are none. False: nobody waits for such a stream of that context, or its reader has left.
    pub async fn arrived<S, E>(&self, context: ContextId, stream: Uuid, head: Result<i64, Failure>, data: S) -> bool
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
    {
        let Some((_, waiting)) = self.0.waiting.remove_if(&stream, |_, w| w.context == context) else { return false };
        let version = match head {
            Ok(version) => version,
            Err(failure) => return waiting.opened.send(Err(failure)).is_ok(),
        };
        let (pieces, taken) = mpsc::channel(PIECES);
        if waiting.opened.send(Ok(Opened { version, pieces: taken })).is_err() {
            return false;
        }
        let mut data = std::pin::pin!(data);
        loop {
            let piece = tokio::select! {
                () = pieces.closed() => return false,
                piece = tokio::time::timeout(SILENCE, data.next()) => piece,
            };
            match piece {
                Ok(Some(Ok(bytes))) => {
                    if pieces.send(Some(bytes)).await.is_err() {
                        return false;
                    }
                }
                // The whole of it.
                Ok(None) => return pieces.send(None).await.is_ok(),
                // Broken, or silent: the reader finds the channel closed without its last piece.
                Ok(Some(Err(_))) | Err(_) => return false,
            }
        }
    }

    /// What a context's agent was asked for and has not dialled for: its connection is a new one, and the question may be lost with the old.
    pub(super) fn unopened(&self, context: ContextId) -> Vec<Outgoing> {
        self.0.waiting.iter().filter(|w| w.context == context).map(|w| w.message.clone()).collect()
    }

    /// The context's application is over: nobody will dial.
    pub(super) fn forget(&self, context: ContextId) {
        self.0.waiting.retain(|_, waiting| waiting.context != context);
    }
}
