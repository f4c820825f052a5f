//! Follows one launched program on this host: copies what it prints to Postgres, each line once, and notices its end.
//!
//! The program runs under `hearth child` and outlives the gateway. How far its log was copied stands in a row and moves in the
//! transaction that writes the lines, so the gateway that comes next goes on where this one stopped, and of two that follow the
//! same program for a moment only one writes each line.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::path::Path;
use std::time::Duration;

use sqlx::{PgConnection, PgPool};
use tracing::warn;
use uuid::Uuid;

use super::folder::Folder;
use super::process::{self, Status};
use super::tail;
use crate::context::log::{self, Stream, Wanted};

/// How often files are looked at.
const EVERY: Duration = Duration::from_millis(200);
/// Bytes of a log read at once.
const CHUNK: usize = 256 * 1024;
/// Lines in which the cause of an end is looked for.
const REMEMBERED: usize = 200;

/// How far a log has been copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// Bytes of standard output.
    pub stdout: i64,
    /// Bytes of standard error.
    pub stderr: i64,
    /// Lines of both.
    pub lines: i64,
}

/// A program that is followed: where its position stands, and what becomes of its lines and its end.
pub trait Followed: Send + Sync {
    /// The id under which its lines are kept.
    fn source(&self) -> Uuid;

    /// How far its log was copied.
    fn load(&self, db: &mut PgConnection) -> impl Future<Output = Result<Position, sqlx::Error>> + Send;

    /// Moves the position in the transaction that has written these lines; false when it was not at `from`.
    fn save(
        &self,
        db: &mut PgConnection,
        from: Position,
        to: Position,
        lines: &[(Stream, String)],
    ) -> impl Future<Output = Result<bool, sqlx::Error>> + Send;

    /// These lines are written.
    fn saved(&self, lines: &[(Stream, String)]);

    /// It is over, and its whole log is written; `log` has its last lines.
    fn ended(&self, status: &Status, log: &VecDeque<String>) -> impl Future<Output = Result<(), sqlx::Error>> + Send;
}

/// Follows the program of a launch folder until its end is written, or for ever. The newest `keep` lines stay.
pub async fn run<F: Followed>(pool: &PgPool, folder: &Folder, keep: i64, program: &F) {
    let mut follower = loop {
        match Follower::begin(pool, folder, keep, program).await {
            Ok(follower) => break follower,
            Err(e) => later(program, &e).await,
        }
    };
    loop {
        let status = match process::status(folder) {
            Ok(status) => status,
            // A folder that is gone can tell nothing any more.
            Err(e) if e.kind() == io::ErrorKind::NotFound => Status::Lost,
            Err(e) => {
                later(program, &e).await;
                continue;
            }
        };
        let mut turn = async || -> Result<bool, sqlx::Error> {
            let more = follower.copy(status.is_over()).await?;
            if status.is_over() && !more {
                program.ended(&status, &follower.last_lines).await?;
            }
            Ok(more)
        };
        match turn().await {
            Ok(true) => {}
            Ok(false) if status.is_over() => return,
            Ok(false) => tokio::time::sleep(EVERY).await,
            Err(e) => later(program, &e).await,
        }
    }
}

async fn later<F: Followed>(program: &F, error: &(dyn std::error::Error + Sync)) {
    let id = program.source();
    warn!(launch = %id, %error, "Launch {id} cannot be followed now");
    tokio::time::sleep(EVERY * 5).await;
}

struct Follower<'a, F> {
    pool: &'a PgPool,
    folder: &'a Folder,
    keep: i64,
    program: &'a F,
    at: Position,
    last_lines: VecDeque<String>,
}

impl<'a, F: Followed> Follower<'a, F> {
    async fn begin(pool: &'a PgPool, folder: &'a Folder, keep: i64, program: &'a F) -> Result<Self, sqlx::Error> {
        let mut db = pool.acquire().await?;
        let at = program.load(&mut db).await?;
        // What an earlier gateway copied may hold the reason of the end.
        let wanted = Wanted { from: None, size: i64::try_from(REMEMBERED).ok() };
        let last_lines = log::read(&mut db, program.source(), wanted).await?.lines.into();
        Ok(Self { pool, folder, keep, program, at, last_lines })
    }

    /// Copies new lines; true when there is more to copy at once.
    async fn copy(&mut self, flush: bool) -> Result<bool, sqlx::Error> {
        let (mut lines, mut to, mut more) = (Vec::new(), self.at, false);
        for (stream, path, offset) in [
            (Stream::Stdout, self.folder.stdout(), &mut to.stdout),
            (Stream::Stderr, self.folder.stderr(), &mut to.stderr),
        ] {
            more |= read(&path, stream, offset, flush, &mut lines);
        }
        if to == self.at {
            return Ok(more);
        }
        to.lines += i64::try_from(lines.len()).unwrap_or(0);
        let mut tx = self.pool.begin().await?;
        // The rest of a line that was cut moves the position alone.
        if !lines.is_empty() {
            log::append(&mut tx, self.program.source(), self.at.lines, &lines, self.keep).await?;
        }
        if !self.program.save(&mut tx, self.at, to, &lines).await? {
            self.at = self.program.load(&mut tx).await?;
            tx.rollback().await?;
            return Ok(true);
        }
        tx.commit().await?;
        self.at = to;
        self.program.saved(&lines);
        self.last_lines.extend(lines.into_iter().map(|(_, line)| line));
        self.last_lines.drain(..self.last_lines.len().saturating_sub(REMEMBERED));
        Ok(more)
    }
}

/// Reads new lines of one stream, and moves its offset behind them; true when there is more to read now.
fn read(path: &Path, stream: Stream, offset: &mut i64, flush: bool, lines: &mut Vec<(Stream, String)>) -> bool {
    let from = u64::try_from(*offset).unwrap_or(0);
    let Ok(read) = tail::read(path, from, CHUNK, flush) else { return false };
    *offset = i64::try_from(read.offset).unwrap_or(i64::MAX);
    lines.extend(read.lines.into_iter().map(|line| (stream, line)));
    read.more
}
