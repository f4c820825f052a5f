//! The launcher: the small privileged process beside a gateway that faces the network without privileges.
//!
//! The gateway asks it to start a driver as an OS user, to look at a user's files, to clear a launch's private folder, to end what
//! is left of a launch. It takes typed requests only, decides by its own configuration who may be run and what (see [`rules`]),
//! builds the environment itself, and does everything that touches a user's files or processes as that user
//! ([`super::enter`]). It needs root, or the capabilities `CAP_SETUID`, `CAP_SETGID` and `CAP_KILL` and nothing else.
//!
//! On the socket: frames of a length (four bytes, the highest first) and JSON; to each request one answer, in order.

pub mod client;
pub mod rules;
pub mod server;

use std::io;
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use uuid::Uuid;

pub use self::client::Client;
use super::files::Found;
use super::table::Process;

/// The largest frame, bytes: a request's conf and arguments are bounded far below it.
const LARGEST: usize = 32 * 1024 * 1024;

/// What a gateway may ask.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Start a driver.
    Start(Start),
    /// Look at files as a user.
    Look {
        /// The OS user.
        user: String,
        /// The profile whose launch will read them.
        profile: String,
        /// Absolute paths.
        files: Vec<PathBuf>,
        /// Where files may lie; none given: anywhere.
        roots: Option<Vec<PathBuf>>,
    },
    /// Empty the private folder of a launch, as the user whose it is.
    Clear {
        /// The launch.
        launch: Uuid,
    },
    /// End processes, as the user whose they are.
    End {
        /// Its uid.
        uid: u32,
        /// Which.
        processes: Vec<Process>,
        /// Whether by SIGKILL; else by SIGTERM.
        hard: bool,
    },
}

/// A driver to be started.
#[derive(Serialize, Deserialize)]
pub struct Start {
    /// The launch, whose folder the gateway has made.
    pub launch: Uuid,
    /// The OS user.
    pub user: String,
    /// The profile, by whose configuration in the launcher it is decided.
    pub profile: String,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Text of the properties file. Holds secrets.
    pub properties: String,
}

/// What is answered.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It is done.
    Done,
    /// What was found of each file, in order.
    Found(Vec<Found>),
    /// It will not be done, and why.
    Refused(String),
    /// It should have been done, and could not.
    Failed(String),
}

/// Why the launcher did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It will not.
    #[error("the launcher refuses: {0}")]
    Refused(String),
    /// It could not.
    #[error("the launcher failed: {0}")]
    Failed(String),
    /// It does not answer.
    #[error("the launcher does not answer: {0}; it must run beside the gateway (hearth launcher)")]
    Away(#[from] io::Error),
}

/// Writes one frame.
async fn write<T: Serialize>(to: &mut (impl AsyncWrite + Unpin), value: &T) -> io::Result<()> {
    let bytes = serde_json::to_vec(value)?;
    let length = u32::try_from(bytes.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    to.write_all(&length.to_be_bytes()).await?;
    to.write_all(&bytes).await?;
    to.flush().await
}

/// Reads one frame; nothing when the other side has closed.
async fn read<T: DeserializeOwned>(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<T>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length).await {
        Ok(_) => {}
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(e) => return Err(e),
    }
    let length = u32::from_be_bytes(length) as usize;
    if length > LARGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame is too large"));
    }
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes).await?;
    Ok(Some(serde_json::from_slice(&bytes)?))
}
