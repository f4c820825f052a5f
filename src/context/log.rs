//! What launched processes printed: kept in Postgres as lines, shown by number.

use std::collections::HashMap;

use sqlx::PgConnection;
use uuid::Uuid;

/// Which of a process's two streams a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// The word in the database and on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// A page of a log.
#[derive(Debug, Clone, Default)]
pub struct LogPage {
    /// How many older lines were dropped.
    pub dropped: i64,
    /// Number of the first line given.
    pub from: i64,
    /// How many lines there are in all.
    pub total: i64,
    /// The lines.
    pub lines: Vec<String>,
}

/// Which lines are wanted: `from` none is the tail, `size` none is all.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// First line, counted from the oldest kept.
    pub from: Option<i64>,
    /// How many.
    pub size: Option<i64>,
}

/// Appends lines, numbered from `first`, and drops those beyond `keep`.
///
/// # Errors
/// The database's.
pub async fn append(
    db: &mut PgConnection,
    source: Uuid,
    first: i64,
    lines: &[(Stream, String)],
    keep: i64,
) -> Result<(), sqlx::Error> {
    let (streams, texts): (Vec<String>, Vec<Vec<u8>>) =
        lines.iter().map(|(s, l)| (s.as_str().to_owned(), l.clone().into_bytes())).unzip();
    sqlx::query!(
        "insert into log_line (source_id, number, stream, line)
         select $1, $2 + n - 1, stream, line from unnest($3::text[], $4::bytea[]) with ordinality as t(stream, line, n)
         on conflict do nothing",
        source,
        first,
        &streams,
        &texts
    )
    .execute(&mut *db)
    .await?;
    let total = first + i64::try_from(lines.len()).unwrap_or(i64::MAX);
    sqlx::query!("delete from log_line where source_id = $1 and number < $2", source, total - keep).execute(db).await?;
    Ok(())
}

/// A page ends with the line that reaches this many bytes.
const LARGEST_PAGE: i64 = 8 * 1024 * 1024;
/// Bytes of a line that are shown with what it is the log of; a page has all of it.
pub const SHOWN: usize = 2048;

/// The part of a line that is shown with what it is the log of.
#[must_use]
pub fn shown(line: &str) -> &str {
    line.get(..line.floor_char_boundary(SHOWN)).unwrap_or(line)
}

/// Reads a page. Numbers are counted from the oldest line kept, as Livy does. Of more lines than fit into one answer, the tail gives the
/// last, and a page that begins somewhere the first: `from` and the number of lines tell which.
///
/// # Errors
/// The database's.
pub async fn read(db: &mut PgConnection, source: Uuid, wanted: Wanted) -> Result<LogPage, sqlx::Error> {
    let bounds = sqlx::query!(
        r#"select coalesce(min(number), 0) as "first!", count(*) as "total!" from log_line where source_id = $1"#,
        source
    )
    .fetch_one(&mut *db)
    .await?;
    let size = wanted.size.unwrap_or(bounds.total).clamp(0, bounds.total);
    let from = wanted.from.unwrap_or(bounds.total - size).clamp(0, bounds.total);
    let rows = sqlx::query!(
        "select number, line
           from (select *, sum(octet_length(line)) over (order by case when $4 then -number else number end)
                           - octet_length(line) as before
                   from (select number, line from log_line where source_id = $1 and number >= $2 order by number limit $3) as page
                ) as sized
          where before < $5::bigint order by number",
        source,
        bounds.first + from,
        size,
        wanted.from.is_none(),
        LARGEST_PAGE
    )
    .fetch_all(db)
    .await?;
    let from = rows.first().map_or(from, |first| first.number - bounds.first);
    let lines = rows.into_iter().map(|row| String::from_utf8_lossy(&row.line).into_owned()).collect();
    Ok(LogPage { dropped: bounds.first, from, total: bounds.total, lines })
}

/// The last `size` lines of each log, each as [`shown`].
///
/// # Errors
/// The database's.
pub async fn tails(
    db: &mut PgConnection,
    sources: &[Uuid],
    size: i64,
) -> Result<HashMap<Uuid, Vec<String>>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select s.id as "id!", l.line as "line!"
             from unnest($1::uuid[]) as s(id)
            cross join lateral (select number, substring(line from 1 for $3) as line
                                  from log_line where source_id = s.id order by number desc limit $2) as l
            order by s.id, l.number"#,
        sources,
        size,
        SHOWN as i32
    )
    .fetch_all(db)
    .await?;
    let mut tails: HashMap<Uuid, Vec<String>> = HashMap::new();
    for row in rows {
        tails.entry(row.id).or_default().push(String::from_utf8_lossy(&row.line).into_owned());
    }
    Ok(tails)
}
