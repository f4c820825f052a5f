//! One link: the conversation with one agent while it is connected here.
//!
//! Everything sent may be a repeat and is derived from rows, so that losing the link loses nothing. Reading, writing and committing go on
//! side by side: a slow database delays acknowledgements, not pings.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::stream::SplitSink;
use futures_util::{SinkExt, StreamExt};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::commit::{Committer, run as run_effects};
use super::door::{DEAD, Door, Granted};
use super::wire::{self, Ack, Envelope, Outgoing};
use super::{Link, Owed, Signal};
use crate::context::lease;
use crate::id::SessionId;

/// After this long without sending, a ping.
const PING: Duration = Duration::from_millis(500);
/// Envelopes that may wait for their commit.
const BACKLOG: usize = 1024;

type Sender = SplitSink<WebSocket, Message>;

/// Serves the link until it ends.
pub(super) async fn run(door: Door, socket: WebSocket, granted: Granted) {
    let (signals, told) = mpsc::channel(BACKLOG);
    let (context, epoch) = (granted.context, granted.epoch);
    let link = Link {
        epoch,
        signals,
        look: Arc::default(),
        closed: CancellationToken::new(),
        drained: CancellationToken::new(),
    };
    door.links.enter(context, link.clone());
    let code = converse(&door, socket, granted, told, &link).await;
    // It is here until all that it has heard is committed.
    link.drained.cancelled().await;
    door.links.leave(context, epoch);
    debug!(context.id = %context, code, "Link closed");
}

struct Talk<'a> {
    door: &'a Door,
    granted: Granted,
    out: Sender,
    seq: i64,
    last_sent: Instant,
    /// Whether the greeting is sent.
    greeted: bool,
    opened: HashSet<SessionId>,
    /// Last statement number sent, by session; begins with what the agent says it has taken.
    sent: HashMap<SessionId, i32>,
    /// Sessions whose rows may hold more statements than were sent ahead.
    more: HashSet<SessionId>,
    /// Sessions that this connection has been told to close.
    closed: HashSet<SessionId>,
    /// Statements that the agent was told to cancel, or that ended before they were sent.
    cancelled: HashSet<(SessionId, i32)>,
}

/// The link cannot go on; the code to close it with.
struct Broken(u16);

/// The connection does not take what is sent.
const LOST: Broken = Broken(1001);

async fn converse(
    door: &Door,
    socket: WebSocket,
    granted: Granted,
    mut told: mpsc::Receiver<Signal>,
    link: &Link,
) -> u16 {
    let (out, mut incoming) = socket.split();
    let (arriving, to_commit) = mpsc::channel(BACKLOG);
    let (committed, mut acks) = mpsc::channel(BACKLOG);
    let committer = Committer {
        door: door.clone(),
        application: granted.application,
        context: granted.context,
        epoch: granted.epoch,
        stopping: door.life.stopping(),
    };
    let drained = link.drained.clone().drop_guard();
    door.life.spawn_short("link commit", async move {
        committer.run(to_commit, committed).await;
        drop(drained);
    });

    let stopping = door.life.stopping();
    let mut expected = granted.received + 1;
    let sent = granted.hello.sessions.clone();
    let now = Instant::now();
    let [opened, more, shut] = [(); 3].map(|()| HashSet::new());
    let mut talk = Talk {
        door,
        granted,
        out,
        seq: 0,
        last_sent: now,
        greeted: false,
        opened,
        sent,
        more,
        closed: shut,
        cancelled: HashSet::new(),
    };
    let mut heard = now;
    let mut look_again = Some(now);
    let code = loop {
        // Not reading because the database is slow is no sign that the agent is dead.
        let reads = arriving.capacity() > 0;
        if !reads {
            heard = Instant::now();
        }
        let look_at = look_again.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
        tokio::select! {
            biased;
            () = link.closed.cancelled() => break wire::close::GO_ELSEWHERE,
            () = stopping.cancelled() => break wire::close::GO_ELSEWHERE,
            ack = acks.recv() => {
                let Some(seq) = ack else { break wire::close::GO_ELSEWHERE };
                if let Err(Broken(code)) = talk.control("ack", &Ack { seq }).await { break code }
            }
            message = incoming.next(), if reads => {
                heard = Instant::now();
                match message {
                    Some(Ok(Message::Text(text))) => match talk.take(&text, &mut expected, &arriving).await {
                        Ok(done) => if done { look_again.get_or_insert_with(Instant::now); },
                        Err(Broken(code)) => break code,
                    },
                    Some(Ok(Message::Close(_)) | Err(_)) | None => break 1000,
                    Some(Ok(_)) => {}
                }
            }
            signal = told.recv() => match signal {
                Some(Signal::Run { session, number, message }) => {
                    let next = talk.opened.contains(&session) && talk.sent.get(&session).copied().unwrap_or(-1) + 1 == number;
                    if talk.cancelled.contains(&(session, number)) {
                        // It has ended without having been sent.
                    } else if next {
                        if let Err(Broken(code)) = talk.statement(session, number, &message).await { break code }
                    } else {
                        look_again.get_or_insert_with(Instant::now);
                    }
                }
                Some(Signal::Send(message)) => if let Err(Broken(code)) = talk.numbered(&message).await { break code },
                Some(Signal::Look) => { look_again.get_or_insert_with(Instant::now); }
                None => break wire::close::GO_ELSEWHERE,
            },
            () = link.look.notified() => { look_again.get_or_insert_with(Instant::now); }
            () = tokio::time::sleep_until(look_at), if look_again.is_some() => {
                look_again = match talk.look().await {
                    Ok(()) => None,
                    Err(LookError::Later) => Some(Instant::now() + Duration::from_millis(200)),
                    Err(LookError::Broken(code)) => break code,
                };
            }
            () = tokio::time::sleep_until(talk.last_sent + PING) => {
                if let Err(Broken(code)) = talk.control("ping", &serde_json::json!({})).await { break code }
            }
            () = tokio::time::sleep_until(heard + DEAD), if reads => {
                warn!(context.id = %talk.granted.context, "The agent of context {} is silent: link given up", talk.granted.context);
                break 1001;
            }
        }
    };
    // The committer ends once it has written what has come.
    drop(arriving);
    let _ =
        tokio::time::timeout(PING, talk.out.send(Message::Close(Some(CloseFrame { code, reason: "".into() })))).await;
    code
}

enum LookError {
    /// The database is away.
    Later,
    /// The agent is, or another gateway has the context; the code to close with.
    Broken(u16),
}

impl From<Broken> for LookError {
    fn from(Broken(code): Broken) -> Self {
        Self::Broken(code)
    }
}

impl Talk<'_> {
    /// Takes one frame; true when a statement has ended and more are owed.
    async fn take(
        &mut self,
        text: &str,
        expected: &mut i64,
        arriving: &mpsc::Sender<Envelope>,
    ) -> Result<bool, Broken> {
        let envelope = Envelope::parse(text).map_err(|e| {
            warn!(context.id = %self.granted.context, error = %e, "An agent sent what is no envelope");
            Broken(wire::close::PROTOCOL)
        })?;
        match envelope.kind.as_str() {
            "ping" => self.control("pong", &serde_json::json!({})).await.map(|()| false),
            _ if envelope.seq == 0 || envelope.seq < *expected => Ok(false),
            _ if envelope.seq > *expected => {
                warn!(context.id = %self.granted.context, seq = envelope.seq, expected, "An agent skipped a number");
                Err(Broken(wire::close::PROTOCOL))
            }
            _ => {
                *expected += 1;
                self.door.sink.hint(self.granted.context, &envelope);
                let done =
                    envelope.kind == "statement_done" && envelope.session.is_some_and(|s| self.more.contains(&s));
                // There is room: the loop reads only while there is. The committer may have been fenced off.
                arriving.try_send(envelope).map_err(|_| Broken(wire::close::GO_ELSEWHERE))?;
                Ok(done)
            }
        }
    }

    /// Sends what the rows owe; on a new connection after the greeting.
    async fn look(&mut self) -> Result<(), LookError> {
        let (greeting, owed): (Vec<Outgoing>, Vec<Owed>) = async {
            let mut db = self.door.pool.acquire().await?;
            let (sink, context, is_new) =
                (&self.door.sink, self.granted.context, self.granted.hello.sessions.is_empty());
            let owed = sink.owed(&mut db, context, &self.sent).await?;
            // Last, for nothing may fail after it: a greeting is made once for each connection.
            let greeting = if self.greeted { Vec::new() } else { sink.greeting(&mut db, context, is_new).await? };
            Ok::<_, sqlx::Error>((greeting, owed))
        }
        .await
        .map_err(|e| {
            warn!(context.id = %self.granted.context, error = %e, "Cannot look what is owed to an agent");
            LookError::Later
        })?;
        self.greeted = true;
        for message in &greeting {
            self.numbered(message).await?;
        }
        for session in owed {
            self.pay(session).await?;
        }
        Ok(())
    }

    async fn pay(&mut self, owed: Owed) -> Result<(), LookError> {
        let once = if owed.opens { &mut self.opened } else { &mut self.closed };
        if once.insert(owed.session) {
            self.numbered(&owed.message).await?;
        }
        // What comes after them is told by signals, but for what was too much to be sent at once.
        match owed.statements.is_empty() {
            true => self.more.remove(&owed.session),
            false => self.more.insert(owed.session),
        };
        for (number, message) in &owed.statements {
            if self.sent.get(&owed.session).is_none_or(|sent| sent < number) {
                self.statement(owed.session, *number, message).await?;
            }
        }
        for number in owed.cancels {
            if self.sent.get(&owed.session).is_some_and(|sent| *sent >= number) {
                if self.cancelled.insert((owed.session, number)) {
                    let message = Outgoing::new("cancel", &serde_json::json!({})).on(owed.session).at(number);
                    self.numbered(&message).await?;
                }
            } else {
                let held = self.cancel_unsent(owed.session, number).await.map_err(|e| {
                    warn!(error = %e, "Cannot cancel a waiting statement now");
                    LookError::Later
                })?;
                if !held {
                    return Err(LookError::Broken(wire::close::GO_ELSEWHERE));
                }
            }
        }
        Ok(())
    }

    /// Ends a statement that the agent was not sent; false: another gateway has the context, and may have sent it.
    async fn cancel_unsent(&mut self, session: SessionId, number: i32) -> Result<bool, sqlx::Error> {
        let mut tx = self.door.pool.begin().await?;
        if !lease::hold_epoch(&mut tx, self.granted.context, self.granted.epoch).await? {
            return Ok(false);
        }
        // A signal that it is to run may be on its way.
        self.cancelled.insert((session, number));
        let after = self.door.sink.cancel_unsent(&mut tx, session, number).await?;
        tx.commit().await?;
        run_effects(after);
        Ok(true)
    }

    async fn statement(&mut self, session: SessionId, number: i32, message: &Outgoing) -> Result<(), Broken> {
        self.sent.insert(session, number);
        self.numbered(message).await
    }

    async fn numbered(&mut self, message: &Outgoing) -> Result<(), Broken> {
        self.seq += 1;
        let frame = message.frame(self.seq, self.granted.epoch);
        self.send(frame).await
    }

    async fn control<T: serde::Serialize + Sync>(&mut self, kind: &'static str, body: &T) -> Result<(), Broken> {
        let frame = Outgoing::new(kind, body).frame(0, self.granted.epoch);
        self.send(frame).await
    }

    async fn send(&mut self, frame: String) -> Result<(), Broken> {
        let sent = tokio::time::timeout(DEAD * 4, self.out.send(Message::Text(frame.into()))).await;
        self.last_sent = Instant::now();
        match sent {
            Ok(Ok(())) => Ok(()),
            _ => Err(LOST),
        }
    }
}
