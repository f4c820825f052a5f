//! Rows of a handle on their way from its driver to a reader: relayed as they come, never kept.
//!
//! The reader's call asks the agent to dial; the agent's request brings the bytes, and a bounded channel between the two is all that the
//! gateway holds of them. A slow reader slows the driver, and one that takes nothing for too long, or a trickle for longer, loses its place; when either side leaves, the
//! other is told by its own connection.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use dashmap::DashMap;
use futures_util::{Stream, StreamExt};
use tokio::sync::{mpsc, oneshot};
use tracing::info;
use uuid::Uuid;

use super::pace::Pace;
use super::rooms::{Full, Limits, Room, Rooms};
use crate::context;
use crate::context::activity::Busy;
use crate::context::driver::Signal;
use crate::context::driver::wire::Outgoing;
use crate::context::driver::wire::handle::{CancelRequest, Failure};
use crate::id::ContextId;
use crate::identity::Principal;

/// How long an agent may take to dial: until the first partition is there.
const DEADLINE: Duration = Duration::from_secs(600);
/// How long a stream may pause: a partition may take its time.
const SILENCE: Duration = Duration::from_secs(600);
/// Pieces between the two ends.
const PIECES: usize = 4;
/// Streams at a time. An agent makes eight of its context at once, and lets eight wait; nobody has more than half of those that it makes.
const AT_ONCE: Limits = Limits { all: 64, person: 16, context: 16, person_in_context: 4 };

/// Why there is no stream.
#[derive(Debug)]
pub enum Unopened {
    /// The agent is not connected here, or did not dial in time.
    Away,
    /// Too many streams are under way.
    Busy(Full),
    /// The agent says why.
    Said(Failure),
}

type Piece = Option<Bytes>;

/// What the reader has not taken yet. The relay only looks after it: it is the reader's.
type Untaken = Arc<Mutex<mpsc::Receiver<Piece>>>;

/// The agent's end of a stream that was opened.
#[derive(Debug)]
struct Opened {
    version: i64,
    pieces: Untaken,
}

/// The streams of one gateway. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Streams(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    waiting: DashMap<Uuid, Waiting>,
    rooms: Rooms,
    patience: Duration,
}

#[derive(Debug)]
struct Waiting {
    context: ContextId,
    message: Outgoing,
    opened: oneshot::Sender<Result<Opened, Failure>>,
    /// Its place, and that its context is in use. They go with the bytes, not with the reader: of one that takes nothing nobody hears.
    held: (Room, Busy),
}

/// A stream that is waited for, until this is dropped.
struct Wanted<'a> {
    streams: &'a Streams,
    contexts: &'a context::service::Service,
    stream: Uuid,
}

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        // Not dialled for: its reader has left, so the agent need not begin.
        if let Some((_, waiting)) = self.streams.0.waiting.remove(&self.stream) {
            let message = Outgoing::new("cancel_request", &CancelRequest { request: self.stream });
            self.contexts.links().tell(waiting.context, Signal::Send(message));
        }
    }
}

/// The bytes of a stream, for its reader. A stream that breaks off ends with an error.
#[derive(Debug)]
pub struct Relayed {
    pieces: Untaken,
    is_over: bool,
}

impl Stream for Relayed {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let polled = self.pieces.lock().unwrap_or_else(PoisonError::into_inner).poll_recv(cx);
        match polled {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Some(bytes))) => Poll::Ready(Some(Ok(bytes))),
            Poll::Ready(whole) => {
                self.is_over = true;
                let broke = || io::Error::new(io::ErrorKind::UnexpectedEof, "the stream was broken off");
                Poll::Ready(if whole.is_some() { None } else { Some(Err(broke())) })
            }
        }
    }
}

impl Streams {
    /// None yet; a reader may take nothing for `patience`.
    pub(super) fn new(patience: Duration) -> Self {
        Self(Arc::new(Parts { waiting: DashMap::new(), rooms: Rooms::new(AT_ONCE), patience }))
    }

    /// Asks the agent of a context for a stream and waits until it comes; `message` makes the question of its id. The version that is read, and
    /// the bytes.
    ///
    /// # Errors
    /// See [`Unopened`].
    pub async fn open(
        &self,
        contexts: &context::service::Service,
        (who, is_code): (&Principal, bool),
        context: ContextId,
        message: impl FnOnce(Uuid) -> Outgoing,
    ) -> Result<(i64, Relayed), Unopened> {
        let rooms = &self.0.rooms;
        let room = if is_code { rooms.take_for_code(who, context) } else { rooms.take(who, context) };
        let room = room.map_err(Unopened::Busy)?;
        let held = (room, contexts.live().activity().begin(context));
        // Not to be guessed: whoever knows it still has to be the application of that context.
        let stream = Uuid::new_v4();
        let message = message(stream);
        let (opened, opens) = oneshot::channel();
        self.0.waiting.insert(stream, Waiting { context, message: message.clone(), opened, held });
        let _wanted = Wanted { streams: self, contexts, stream };
        if !contexts.links().tell(context, Signal::Send(message)) {
            return Err(Unopened::Away);
        }
        match tokio::time::timeout(DEADLINE, opens).await {
            Ok(Ok(Ok(Opened { version, pieces }))) => Ok((version, Relayed { pieces, is_over: false })),
            Ok(Ok(Err(failure))) => Err(Unopened::Said(failure)),
            Ok(Err(_)) | Err(_) => Err(Unopened::Away),
        }
    }

    /// Serves what the agent of a context has dialled for: moves the bytes until either side leaves, or the reader takes nothing for too long.
    /// `head` is the version of the bytes, or why there are none. False: nobody waits for such a stream of that context, or its reader has left.
    pub async fn arrived<S, E>(&self, context: ContextId, stream: Uuid, head: Result<i64, Failure>, data: S) -> bool
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
    {
        let Some((_, waiting)) = self.0.waiting.remove_if(&stream, |_, w| w.context == context) else { return false };
        let Waiting { opened, held: _held, .. } = waiting;
        let version = match head {
            Ok(version) => version,
            Err(failure) => return opened.send(Err(failure)).is_ok(),
        };
        let (pieces, taken) = mpsc::channel(PIECES);
        let taken = Arc::new(Mutex::new(taken));
        let untaken = Arc::downgrade(&taken);
        if opened.send(Ok(Opened { version, pieces: taken })).is_err() {
            return false;
        }
        let (mut data, mut pace) = (std::pin::pin!(data), Pace::new(self.0.patience));
        loop {
            let piece = tokio::select! {
                () = pieces.closed() => return false,
                piece = tokio::time::timeout(SILENCE, data.next()) => piece,
            };
            let piece = match piece {
                Ok(Some(Ok(bytes))) => Some(bytes),
                // The whole of it.
                Ok(None) => None,
                // Broken, or silent: the reader finds the channel closed without its last piece.
                Ok(Some(Err(_))) | Err(_) => return false,
            };
            let (size, waits) = (piece.as_ref().map(Bytes::len), Instant::now());
            match tokio::time::timeout(pace.left(), pieces.send(piece)).await {
                Ok(Ok(())) => match size {
                    Some(bytes) => pace.took(bytes, waits.elapsed()),
                    None => return true,
                },
                Ok(Err(_)) => return false,
                Err(_) => {
                    info!(context.id = %context, "A reader of a handle takes nothing, or too little, and is broken off");
                    discard(&untaken);
                    return false;
                }
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

/// Frees what a reader does not take. Its connection may keep the rest of it for as long as it lives.
fn discard(untaken: &Weak<Mutex<mpsc::Receiver<Piece>>>) {
    if let Some(pieces) = untaken.upgrade() {
        let mut pieces = pieces.lock().unwrap_or_else(PoisonError::into_inner);
        pieces.close();
        while pieces.try_recv().is_ok() {}
    }
}
