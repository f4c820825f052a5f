//! The line for launches on one host: how many may start at once, how many may be alive, who is next.
//!
//! Contexts and batches stand in one line, oldest first. A lock for the host makes several gateways on it count together.

use std::path::Path;

use sqlx::PgConnection;
use uuid::Uuid;

use super::Config;

/// Memory counted for one application where the configuration gives no limit, bytes.
const MEMORY_EACH: u64 = 1536 * 1024 * 1024;

/// The limits of the line.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Applications starting at once.
    pub starting: i64,
    /// Applications alive at once.
    pub alive: i64,
}

impl Limits {
    /// From the configuration and, where it says nothing, this machine's memory.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let alive = match config.contexts {
            0 => (memory() / MEMORY_EACH).max(1),
            n => n as u64,
        };
        let starting = i64::try_from(config.concurrency.max(1)).unwrap_or(i64::MAX);
        Self { starting, alive: i64::try_from(alive).unwrap_or(i64::MAX) }
    }
}

fn memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = text
        .lines()
        .find_map(|l| l.strip_prefix("MemTotal:"))
        .and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok());
    // Where the system does not tell, room for four.
    kib.map_or(4 * MEMORY_EACH, |kib| kib * 1024)
}

/// One in the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// A context's or a batch's id.
    pub id: Uuid,
    /// Whether it is a batch.
    pub is_batch: bool,
}

/// The line, and how far it may move now.
#[derive(Debug, Clone)]
pub struct Line {
    /// Oldest first.
    pub waiting: Vec<Waiting>,
    /// How many are starting.
    pub starting: i64,
    /// How many are alive, starting ones included.
    pub alive: i64,
}

impl Line {
    /// How many of the line may start now.
    #[must_use]
    pub fn may_start(&self, limits: Limits) -> usize {
        let free = (limits.starting - self.starting).min(limits.alive - self.alive).max(0);
        usize::try_from(free).unwrap_or(0)
    }

    /// Why the one at `place` (from 0) still waits once those before it have started that may, for people.
    #[must_use]
    pub fn reason(&self, place: usize, limits: Limits) -> String {
        let gone = self.may_start(limits).min(self.waiting.len());
        let started = i64::try_from(gone).unwrap_or(0);
        let (alive, starting) = (self.alive + started, self.starting + started);
        let why = if alive >= limits.alive {
            format!("{alive} of {} applications are alive (launch.contexts)", limits.alive)
        } else {
            format!("{starting} of {} applications are starting (launch.concurrency)", limits.starting)
        };
        let (place, line) = ((place + 1).saturating_sub(gone), self.waiting.len() - gone);
        format!("waits in line for a launch: place {place} of {line}; {why}")
    }
}

/// The beginning of every path in a folder.
#[must_use]
pub fn below(folder: &Path) -> String {
    format!("{}/", folder.display())
}

/// Makes every other change of the host's line wait until the transaction ends.
async fn hold(db: &mut PgConnection, host: &str) -> Result<(), sqlx::Error> {
    sqlx::query!("select pg_advisory_xact_lock(hashtextextended('hearth line ' || $1, 0))", host).execute(db).await?;
    Ok(())
}

/// Locks the host's line until the transaction ends, and counts it as [`lock`] does, for a caller who adds to it if there is room.
///
/// # Errors
/// The database's.
pub async fn lock_end(db: &mut PgConnection, host: &str, launches: &Path) -> Result<i64, sqlx::Error> {
    hold(db, host).await?;
    // A statement of its own, so that it sees what the last holder of the lock has committed.
    sqlx::query_scalar!(
        r#"select (select count(*) from context where host = $1 and state = 'waiting' and ended_at is null)
                + (select count(*) from batch
                    where host = $1 and starts_with(launch_dir, $2) and state = 'waiting' and ended_at is null) as "count!""#,
        host,
        below(launches)
    )
    .fetch_one(db)
    .await
}

/// Locks the host's line until the transaction ends, and reads it as the gateway sees it whose launch folders lie in `launches`. Batches
/// of another state folder, which only a gateway on that one starts and ends, are not counted: it may never come back.
///
/// # Errors
/// The database's.
pub async fn lock(db: &mut PgConnection, host: &str, launches: &Path) -> Result<Line, sqlx::Error> {
    hold(db, host).await?;
    let batches = below(launches);
    let counts = sqlx::query!(
        r#"select count(*) filter (where state = 'starting') as "starting!", count(*) as "alive!" from (
               select state from context where host = $1 and ended_at is null and state <> 'waiting'
               union all
               select state from batch
                where host = $1 and starts_with(launch_dir, $2) and ended_at is null and state <> 'waiting') as alive"#,
        host,
        batches
    )
    .fetch_one(&mut *db)
    .await?;
    let waiting = sqlx::query_as!(
        Waiting,
        r#"select id as "id!", is_batch as "is_batch!" from (
               select context_id as id, false as is_batch, created_at from context
                where host = $1 and state = 'waiting' and ended_at is null
               union all
               select batch_id, true, created_at from batch
                where host = $1 and starts_with(launch_dir, $2) and state = 'waiting' and ended_at is null) as line
            order by created_at, id"#,
        host,
        batches
    )
    .fetch_all(db)
    .await?;
    Ok(Line { waiting, starting: counts.starting, alive: counts.alive })
}

/// How many contexts or batches of a host are in one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// Whether they are batches.
    pub is_batch: bool,
    /// The state.
    pub state: String,
    /// How many.
    pub count: i64,
}

/// Counts the contexts and batches of a host that have not ended, by state.
///
/// # Errors
/// The database's.
pub async fn census(db: &mut PgConnection, host: &str) -> Result<Vec<Counted>, sqlx::Error> {
    sqlx::query_as!(
        Counted,
        r#"select false as "is_batch!", state as "state!", count(*) as "count!" from context
            where host = $1 and ended_at is null group by state
           union all
           select true, state, count(*) from batch where host = $1 and ended_at is null group by state"#,
        host
    )
    .fetch_all(db)
    .await
}
