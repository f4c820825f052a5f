//! The link's wire types: pure data, no socket. `agent/README.md` describes the protocol; `agent/golden/` holds one envelope
//! a file, read by these tests and by the agent's own.
//!
//! Whatever an agent sends is untrusted: user code shares its process. So parsing bounds nothing away silently, bodies stay
//! raw JSON until the one who understands them reads them, and no identity is ever taken from a message.

pub mod handle;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::id::SessionId;

/// The protocol's version, in `hello`.
pub const PROTOCOL: u32 = 1;

/// Largest frame taken from an agent, bytes: a result of 16 MiB and room for its envelope.
pub const MAX_FRAME: usize = 24 * 1024 * 1024;

/// Largest frame that an agent takes, in UTF-16 code units.
pub const LONGEST_TO_AGENT: usize = 256 * 1024 * 1024;

/// Close codes of the link's WebSocket.
pub mod close {
    /// The token does not open this application.
    pub const BAD_TOKEN: u16 = 4001;
    /// Another incarnation of the application is known.
    pub const OTHER_INCARNATION: u16 = 4002;
    /// The agent speaks another protocol.
    pub const PROTOCOL: u16 = 4003;
    /// The application is over: the agent stops itself.
    pub const APPLICATION_OVER: u16 = 4004;
    /// This gateway stops, or another has taken the context: dial again.
    pub const GO_ELSEWHERE: u16 = 4005;
}

/// One message, in either direction.
#[derive(Debug, Deserialize)]
pub struct Envelope {
    /// 0 for control messages, else 1, 2, 3 … without gaps.
    pub seq: i64,
    /// The epoch under which it was sent.
    #[serde(default)]
    pub epoch: i64,
    /// The session it speaks of.
    #[serde(default)]
    pub session: Option<SessionId>,
    /// The statement in that session.
    #[serde(default)]
    pub statement: Option<i32>,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its content, read by whom it concerns.
    #[serde(default)]
    pub body: Option<Box<RawValue>>,
}

impl Envelope {
    /// Reads one text frame.
    ///
    /// # Errors
    /// When it is no envelope.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// Reads the body as `T`.
    ///
    /// # Errors
    /// When the body is missing or of another shape.
    pub fn body<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.body.as_deref().map_or("{}", RawValue::get))
    }
}

/// A message to the agent, before it has a number.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// The session it speaks of.
    pub session: Option<SessionId>,
    /// The statement in that session.
    pub statement: Option<i32>,
    /// What it is.
    pub kind: &'static str,
    /// Its content, JSON text; one for all copies of the message, since it may be large and wait for its answer.
    pub body: Arc<str>,
}

impl Outgoing {
    /// Makes a message; a body that cannot be written becomes `{}` (all bodies here are plain data).
    pub fn new<T: Serialize>(kind: &'static str, body: &T) -> Self {
        let body = serde_json::to_string(body).unwrap_or_else(|_| "{}".to_owned());
        Self { session: None, statement: None, kind, body: body.into() }
    }

    /// Names the session.
    #[must_use]
    pub fn on(mut self, session: SessionId) -> Self {
        self.session = Some(session);
        self
    }

    /// Names the statement.
    #[must_use]
    pub fn at(mut self, statement: i32) -> Self {
        self.statement = Some(statement);
        self
    }

    /// The text frame.
    #[must_use]
    pub fn frame(&self, seq: i64, epoch: i64) -> String {
        let session = self.session.map_or_else(|| "null".to_owned(), |s| format!("\"{s}\""));
        let statement = self.statement.map_or_else(|| "null".to_owned(), |s| s.to_string());
        format!(
            r#"{{"seq":{seq},"epoch":{epoch},"session":{session},"statement":{statement},"type":"{}","body":{}}}"#,
            self.kind, self.body
        )
    }
}

/// The first message of an agent.
#[derive(Debug, Deserialize)]
pub struct Hello {
    /// Protocol version.
    pub protocol: u32,
    /// Random, one for each life of the agent.
    pub incarnation: Uuid,
    /// Last statement number taken, by session; -1: none.
    #[serde(default)]
    pub sessions: std::collections::HashMap<SessionId, i32>,
    /// Spark's version.
    #[serde(default)]
    pub spark: Option<String>,
}

/// The gateway's answer to `hello`.
#[derive(Debug, Serialize)]
pub struct Welcome {
    /// The epoch of this link.
    pub epoch: i64,
    /// The last of the agent's messages that is committed.
    pub acked: i64,
    /// Silence after which an end gives the link up, ms.
    pub dead_ms: u64,
    /// Time without a gateway after which the agent stops its application, ms.
    pub orphan_ms: u64,
}

/// Acknowledges everything up to `seq`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ack {
    /// The last message taken (agent) or committed (gateway).
    pub seq: i64,
}

/// Starts a session in the context.
#[derive(Debug, Serialize)]
pub struct OpenSession<'a> {
    /// Small number, unique in the context.
    pub number: i32,
    /// The kind whose interpreter is wanted at once; none for `shared`.
    pub kind: Option<&'static str>,
    /// The id that Livy's clients know.
    pub livy_id: i32,
    /// Its name.
    pub name: Option<&'a str>,
    /// Whose it is: what another owner shares under the name of a handle is another handle.
    pub owner: &'a str,
    /// Rows of a result at most.
    pub max_rows: u32,
    /// Bytes of text of one statement at most.
    pub max_output: u64,
}

/// Runs a statement; the code is the JSON string literal of the client.
#[derive(Debug, Serialize)]
pub struct Run<'a> {
    /// Kind of interpreter.
    pub kind: &'a str,
    /// The code.
    pub code: &'a RawValue,
}

/// `context_state` of the agent.
#[derive(Debug, Deserialize)]
pub struct ContextState {
    /// `ready`, `stopping` or `failed`.
    pub state: String,
    /// The cluster's id of the application.
    #[serde(default)]
    pub app_id: Option<String>,
    /// Where the Spark UI is.
    #[serde(default)]
    pub ui_url: Option<String>,
    /// Why, for people.
    #[serde(default)]
    pub reason: Option<String>,
}

/// `session_state` of the agent.
#[derive(Debug, Deserialize)]
pub struct SessionState {
    /// `idle`, `busy` or `dead`.
    pub state: String,
    /// Why, for people.
    #[serde(default)]
    pub reason: Option<String>,
}

/// `statement_started` of the agent.
#[derive(Debug, Deserialize)]
pub struct StatementStarted {
    /// When, ms since 1970.
    pub at: i64,
}

/// `output` of the agent.
#[derive(Debug, Deserialize)]
pub struct Output<'a> {
    /// `stdout` or `stderr`.
    pub stream: String,
    /// The text, a JSON string literal.
    #[serde(borrow)]
    pub text: &'a RawValue,
}

/// `progress` of the agent; the whole body is passed on to event readers.
#[derive(Debug, Deserialize)]
pub struct Progress {
    /// 0 to 1.
    pub progress: f64,
}

/// `statement_done` of the agent.
#[derive(Debug, Deserialize)]
pub struct StatementDone<'a> {
    /// Livy's output object, kept as it is.
    #[serde(borrow, default)]
    pub output: Option<&'a RawValue>,
    /// Whether a cancel ended it.
    #[serde(default)]
    pub cancelled: bool,
    /// Name, type and class of each column of the result.
    #[serde(borrow, default)]
    pub columns: Option<&'a RawValue>,
    /// What was cut.
    #[serde(borrow, default)]
    pub truncated: Option<&'a RawValue>,
    /// When it began, ms since 1970.
    #[serde(default)]
    pub started: Option<i64>,
    /// When it ended, ms since 1970.
    #[serde(default)]
    pub completed: Option<i64>,
    /// The interpreter's own time, microseconds.
    #[serde(default)]
    pub ran_us: Option<i64>,
}

/// `completion` of the agent.
#[derive(Debug, Deserialize)]
pub struct Completion {
    /// Which request it answers, as it was named there.
    pub request: String,
    /// What could stand at the cursor.
    #[serde(default)]
    pub candidates: Vec<String>,
}

/// Asks for completions.
#[derive(Debug, Serialize)]
pub struct Complete<'a> {
    /// Names the request; the agent says it again in its answer.
    pub request: &'a str,
    /// Kind of interpreter.
    pub kind: &'a str,
    /// The code.
    pub code: &'a str,
    /// Where the cursor stands, UTF-16 code units.
    pub cursor: u32,
}
