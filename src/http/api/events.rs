//! A session's events as a stream (server-sent events, WHATWG HTML).
//!
//! What a reader gets: a `snapshot`, the output that it has not seen, then events as they happen, `ending` some time before a clock ends
//! the session ([`crate::context::clock`]), and `end` when it has ended. Pieces of output carry their number as event id, so a reader that comes back with `Last-Event-ID` gets what it
//! missed from the database. A reader too slow for the events kept in memory is told (`missed`) and begins anew with a snapshot;
//! nothing grows with its slowness.

use std::time::{Duration, Instant};

use axum::response::sse::{self, KeepAlive, Sse};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::{broadcast, mpsc};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use utoipa::ToSchema;

use super::sessions::Session;
use super::statements::{Piece, Statement};
use super::words;
use crate::access::{Allowed, View};
use crate::context::clock::Deadline;
use crate::http::Doors;
use crate::session::live::Event;
use crate::session::{self, is_over};
use crate::statement;
use crate::store::Range;

/// The id of the last event: a reader that comes back with it is told that there is no more.
pub const END: &str = "end";
/// What events are called.
pub const NAMES: [&str; 8] = ["snapshot", "session", "statement", "output", "progress", "missed", "ending", END];

/// Events that wait for a reader's connection, besides those that the session keeps.
const WAITING: usize = 16;
/// Statements in a snapshot: the newest.
const SHOWN: i64 = 100;
/// Pieces of output read from the database at once.
const PIECES: i64 = 200;
/// How often a session is looked at that another gateway answers for, and a reader's presence is noted.
const LOOK: Duration = Duration::from_secs(1);
/// How often a silent stream shows that it is alive.
const ALIVE: Duration = Duration::from_secs(15);

/// An event of the stream, by the fields that server-sent events have.
#[derive(Debug, ToSchema)]
#[schema(as = Event)]
pub struct Told {
    /// What happened.
    #[schema(schema_with = words::event)]
    event: &'static str,
    /// The number of a piece of output, and `end` at the end: what to come back with.
    id: Option<String>,
    /// A JSON object: the session, the statement, the piece of output or the progress; of `ending` see the schema `Ending`.
    data: String,
}

impl From<Told> for sse::Event {
    fn from(told: Told) -> Self {
        let event = Self::default().event(told.event).data(told.data);
        match told.id {
            Some(id) => event.id(id),
            None => event,
        }
    }
}

/// What a reader begins with.
#[derive(Debug, Serialize)]
struct Snapshot {
    session: Session,
    /// The newest, by number.
    statements: Vec<Statement>,
}

#[derive(Debug, Serialize)]
struct Progress<'a> {
    statement: i32,
    progress: &'a RawValue,
}

#[derive(Debug, Serialize)]
struct Missed {
    events: u64,
}

/// A clock will end the session soon.
#[derive(Debug, Serialize, ToSchema)]
pub struct Ending {
    /// When, if nothing happens.
    at: DateTime<Utc>,
    /// Why, for people.
    reason: String,
    #[schema(schema_with = words::clock)]
    clock: &'static str,
}

impl From<Deadline> for Ending {
    fn from(deadline: Deadline) -> Self {
        Self { at: deadline.at, reason: deadline.reason(), clock: deadline.clock.as_str() }
    }
}

/// The events of a session, for a reader that has seen the output up to `after`; none: that of statements that have ended.
pub fn stream(
    doors: Doors,
    session: Allowed<View, session::View>,
    after: Option<i64>,
) -> Sse<impl futures_util::Stream<Item = Result<sse::Event, std::convert::Infallible>>> {
    let (told, events) = mpsc::channel(WAITING);
    let life = doors.life.clone();
    let (stopping, gone) = (life.stopping(), told.clone());
    life.spawn_short("event reader", async move {
        tokio::select! {
            _ = Teller { doors, session, told }.run(after) => {}
            () = gone.closed() => {}
            () = stopping.cancelled() => {}
        }
    });
    Sse::new(ReceiverStream::new(events).map(|told: Told| Ok(told.into()))).keep_alive(KeepAlive::new().interval(ALIVE))
}

/// The stream is over: its reader is gone, or the session cannot be read now (the reader comes back by itself).
struct Over;

impl From<session::Error> for Over {
    fn from(_: session::Error) -> Self {
        Self
    }
}

impl From<statement::Error> for Over {
    fn from(_: statement::Error) -> Self {
        Self
    }
}

impl From<serde_json::Error> for Over {
    fn from(_: serde_json::Error) -> Self {
        Self
    }
}

/// What came of following events.
enum Next {
    /// Begin anew with a snapshot.
    Again,
    /// The session has ended.
    Ended,
}

struct Teller {
    doors: Doors,
    session: Allowed<View, session::View>,
    told: mpsc::Sender<Told>,
}

impl Teller {
    async fn run(self, after: Option<i64>) -> Result<(), Over> {
        let id = self.session.session.id;
        let mut seen = match after {
            Some(after) => after,
            None => self.doors.statements.last_output_of_ended(&self.session).await?,
        };
        loop {
            // Subscribed before the snapshot is taken, so that nothing falls between them.
            let events = self.doors.sessions.live_session(id).map(|live| live.events());
            let over = is_over(self.snapshot(&mut String::new()).await?.state);
            seen = self.replay(seen).await?;
            let next = match events {
                _ if over => Next::Ended,
                Some(events) => self.follow(events, &mut seen).await?,
                None => self.look(&mut seen).await?,
            };
            if matches!(next, Next::Ended) {
                self.replay(seen).await?;
                let view = self.view().await?;
                return self.send("end", Some(END.to_owned()), &Session::new(&view)).await;
            }
        }
    }

    /// Tells events as they happen.
    async fn follow(&self, mut events: broadcast::Receiver<Event>, seen: &mut i64) -> Result<Next, Over> {
        let mut shown = self.view().await?.state;
        let mut checked = Instant::now();
        loop {
            if checked.elapsed() >= LOOK {
                self.may_go_on().await?;
                checked = Instant::now();
            }
            let event = match tokio::time::timeout(LOOK, events.recv()).await {
                Ok(Ok(event)) => event,
                Ok(Err(broadcast::error::RecvError::Lagged(events))) => {
                    self.send("missed", None, &Missed { events }).await?;
                    return Ok(Next::Again);
                }
                Ok(Err(broadcast::error::RecvError::Closed)) => return Ok(Next::Again),
                Err(_) => {
                    // Whoever listens is no silent client.
                    match self.doors.sessions.live_session(self.session.session.id) {
                        Some(live) => live.called(),
                        None => return Ok(Next::Again),
                    }
                    continue;
                }
            };
            match event {
                Event::Session => {
                    let view = self.view().await?;
                    if is_over(view.state) {
                        return Ok(Next::Ended);
                    }
                    shown = view.state;
                    self.send("session", None, &Session::new(&view)).await?;
                }
                Event::Statement(number) => {
                    let statement = self.doors.statements.get(&self.session, number).await?;
                    self.send("statement", None, &Statement::new(&statement)).await?;
                    // Whether a session is busy follows from its statements.
                    let view = self.view().await?;
                    if view.state != shown {
                        shown = view.state;
                        self.send("session", None, &Session::new(&view)).await?;
                    }
                }
                Event::Output { statement, seq, stream, text } if seq > *seen => {
                    let text = RawValue::from_string(text.to_string()).map_err(|_| Over)?;
                    let piece = Piece::new(statement, seq, stream.to_string(), text.into());
                    self.send("output", Some(seq.to_string()), &piece).await?;
                    *seen = seq;
                }
                Event::Output { .. } => {}
                Event::Ending(deadline) => self.send("ending", None, &Ending::from(deadline)).await?,
                Event::Progress { statement, body } => {
                    let progress = RawValue::from_string(body.to_string()).map_err(|_| Over)?;
                    self.send("progress", None, &Progress { statement, progress: &progress }).await?;
                }
            }
        }
    }

    /// Ends the stream of a reader who may not read any more: a grant was revoked or has expired, or the credential that was shown was.
    async fn may_go_on(&self) -> Result<(), Over> {
        if !self.doors.identity.is_good_still(self.session.who()).await.is_ok_and(|is_good| is_good) {
            return Err(Over);
        }
        self.doors
            .sessions
            .open::<View>(self.session.who(), session::service::Called::Id(self.session.session.id))
            .await?;
        Ok(())
    }

    /// Looks at the rows of a session that another gateway answers for.
    async fn look(&self, seen: &mut i64) -> Result<Next, Over> {
        let (mut shown, mut warned) = (String::new(), None);
        loop {
            tokio::time::sleep(LOOK).await;
            self.may_go_on().await?;
            if self.doors.sessions.live_session(self.session.session.id).is_some() {
                return Ok(Next::Again);
            }
            let view = self.snapshot(&mut shown).await?;
            *seen = self.replay(*seen).await?;
            if is_over(view.state) {
                return Ok(Next::Ended);
            }
            let near = view.ends.filter(|deadline| deadline.warns_at() <= crate::time::now());
            if let Some(deadline) = near.filter(|deadline| warned.replace(deadline.at) != Some(deadline.at)) {
                self.send("ending", None, &Ending::from(deadline)).await?;
            }
        }
    }

    /// Tells the session and its newest statements, unless that is what was `shown`; gives the session.
    async fn snapshot(&self, shown: &mut String) -> Result<session::View, Over> {
        let view = self.view().await?;
        let newest = self.doors.statements.list(&self.session, Range { from: 0, size: SHOWN }, true).await?;
        let statements = newest.rows.iter().rev().map(|s| Statement::new(s)).collect();
        let text = serde_json::to_string(&Snapshot { session: Session::new(&view), statements })?;
        if text != *shown {
            shown.clone_from(&text);
            self.say("snapshot", None, text).await?;
        }
        Ok(view)
    }

    /// Tells the output after a piece, from the database; gives the number of the last piece.
    async fn replay(&self, mut seen: i64) -> Result<i64, Over> {
        loop {
            let chunks = self.doors.statements.session_chunks(&self.session, seen, PIECES).await?;
            let is_last = i64::try_from(chunks.len()).unwrap_or(0) < PIECES;
            for chunk in chunks {
                seen = chunk.seq;
                self.send("output", Some(seen.to_string()), &Piece::from(chunk)).await?;
            }
            if is_last {
                return Ok(seen);
            }
        }
    }

    async fn view(&self) -> Result<session::View, Over> {
        self.doors.sessions.view(self.session.session.id).await?.ok_or(Over)
    }

    async fn send(&self, event: &'static str, id: Option<String>, body: &impl Serialize) -> Result<(), Over> {
        self.say(event, id, serde_json::to_string(body)?).await
    }

    async fn say(&self, event: &'static str, id: Option<String>, data: String) -> Result<(), Over> {
        self.told.send(Told { event, id, data }).await.map_err(|_| Over)
    }
}
