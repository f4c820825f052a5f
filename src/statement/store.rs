//! The SQL of statements.

use serde_json::value::RawValue;
use sqlx::PgConnection;

use super::{Chunk, Error, Raw, State, Statement};
use crate::id::{ContextId, GatewayId, SessionId};
use crate::session::Kind;
use crate::store::{Page, Range};
use crate::time::Timestamp;

struct Row {
    session_id: SessionId,
    number: i32,
    kind: String,
    code: Vec<u8>,
    state: String,
    progress: f64,
    output: Option<Vec<u8>>,
    columns: Option<Vec<u8>>,
    truncated: Option<Vec<u8>>,
    ran_us: Option<i64>,
    created_at: Timestamp,
    started_at: Option<Timestamp>,
    completed_at: Option<Timestamp>,
}

fn raw(bytes: Vec<u8>) -> Option<Raw> {
    RawValue::from_string(String::from_utf8(bytes).ok()?).ok().map(Raw::from)
}

impl TryFrom<Row> for Statement {
    type Error = Error;

    fn try_from(r: Row) -> Result<Self, Error> {
        let inconsistent = || Error::Inconsistent(r.number);
        let optional = |bytes: Option<Vec<u8>>| bytes.map(|b| raw(b).ok_or_else(inconsistent)).transpose();
        Ok(Self {
            session_id: r.session_id,
            number: r.number,
            kind: r.kind.parse().map_err(|_| inconsistent())?,
            code: raw(r.code).ok_or_else(inconsistent)?,
            state: State::parse(&r.state).ok_or_else(inconsistent)?,
            progress: r.progress,
            output: optional(r.output)?,
            columns: optional(r.columns)?,
            truncated: optional(r.truncated)?,
            ran_us: r.ran_us,
            created_at: r.created_at,
            started_at: r.started_at,
            completed_at: r.completed_at,
        })
    }
}

/// What a submit found of its session, which stays locked until the transaction ends.
pub(super) struct Turn {
    pub number: i32,
    pub state: String,
    pub waiting: i64,
    /// Of the code that waits.
    pub bytes: i64,
}

/// Takes the next number of a session. The row's lock puts submits in order: whoever has the higher number commits later.
pub(super) async fn take_number(db: &mut PgConnection, session: SessionId) -> Result<Option<Turn>, sqlx::Error> {
    sqlx::query_as!(
        Turn,
        r#"update session set next_statement = next_statement + 1, last_active_at = now()
            where session_id = $1
        returning next_statement - 1 as "number!", state
                , (select count(*) from statement where session_id = $1 and completed_at is null) as "waiting!"
                , (select coalesce(sum(octet_length(code)), 0) from statement
                    where session_id = $1 and completed_at is null) as "bytes!""#,
        session.0
    )
    .fetch_optional(db)
    .await
}

/// Writes a new statement, waiting; owner and tenant are its session's, `via` the caller's.
pub(super) async fn insert_statement(
    db: &mut PgConnection,
    session: SessionId,
    number: i32,
    kind: Kind,
    code: &RawValue,
    owner: &str,
    via: Option<&str>,
) -> Result<Timestamp, sqlx::Error> {
    sqlx::query_scalar!(
        "insert into statement (session_id, number, tenant, owner, via, run_as, kind, code, state)
         select $1, $2, tenant, $5, $6, run_as, $3, $4, 'waiting' from session where session_id = $1
         returning created_at",
        session.0,
        number,
        kind.as_str(),
        code.get().as_bytes(),
        owner,
        via
    )
    .fetch_one(db)
    .await
}

/// One statement.
pub(super) async fn load_statement(
    db: &mut PgConnection,
    session: SessionId,
    number: i32,
) -> Result<Option<Statement>, Error> {
    let row = sqlx::query_as!(
        Row,
        r#"select session_id as "session_id: _", number, kind, code, state, progress, output, columns, truncated, ran_us
                , created_at, started_at, completed_at
             from statement where session_id = $1 and number = $2"#,
        session.0,
        number
    )
    .fetch_optional(db)
    .await?;
    row.map(Statement::try_from).transpose()
}

/// Statements of a session by number, or newest first: the first of the range, and those after it while there are less than `bytes` of
/// code and results before them.
pub(super) async fn list_statements(
    db: &mut PgConnection,
    session: SessionId,
    range: Range,
    newest_first: bool,
    bytes: i64,
) -> Result<Page<Statement>, Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"select session_id as "session_id: _", number, kind, code, state, progress, output, columns, truncated, ran_us
                , created_at, started_at, completed_at
             from (select *, sum(size) over (order by place) - size as before
                     from (select *, case when $4 then -number else number end as place
                                , octet_length(code) + coalesce(octet_length(output), 0) + coalesce(octet_length(columns), 0)
                                  + coalesce(octet_length(truncated), 0) as size
                             from statement where session_id = $1 order by place offset $2 limit $3) as page) as sized
            where before < $5::bigint order by place"#,
        session.0,
        range.from,
        range.size,
        newest_first,
        bytes
    )
    .fetch_all(&mut *db)
    .await?;
    let total = sqlx::query_scalar!(r#"select count(*) as "count!" from statement where session_id = $1"#, session.0)
        .fetch_one(db)
        .await?;
    Ok(Page { rows: rows.into_iter().map(Statement::try_from).collect::<Result<_, _>>()?, total })
}

/// The unfinished statements of a context's sessions.
pub(super) async fn unfinished_in(db: &mut PgConnection, context: ContextId) -> Result<Vec<Statement>, Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"select t.session_id as "session_id: _", t.number, t.kind, t.code, t.state, t.progress, t.output, t.columns, t.truncated
                , t.ran_us, t.created_at, t.started_at, t.completed_at
             from statement t join session s using (session_id)
            where s.context_id = $1 and s.ended_at is null and t.completed_at is null order by t.session_id, t.number"#,
        context.0
    )
    .fetch_all(db)
    .await?;
    rows.into_iter().map(Statement::try_from).collect()
}

/// Waiting statements of a session after a number, in order: the first, and those after it while there are less than `bytes` of code
/// before them.
pub(super) async fn waiting_after(
    db: &mut PgConnection,
    session: SessionId,
    after: i32,
    limit: i64,
    bytes: i64,
) -> Result<Vec<Statement>, Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"select session_id as "session_id: _", number, kind, code, state, progress, output, columns, truncated, ran_us
                , created_at, started_at, completed_at
             from (select *, sum(octet_length(code)) over (order by number) - octet_length(code) as before
                     from statement where session_id = $1 and number > $2 and state = 'waiting' order by number limit $3) as next
            where before < $4::bigint order by number"#,
        session.0,
        after,
        limit,
        bytes
    )
    .fetch_all(db)
    .await?;
    rows.into_iter().map(Statement::try_from).collect()
}

/// The contexts of a gateway that have sessions to open or close, or statements to run or cancel.
pub(super) async fn owing(db: &mut PgConnection, me: GatewayId) -> Result<Vec<ContextId>, sqlx::Error> {
    let ids = sqlx::query_scalar!(
        r#"select c.context_id from context c
            where c.held_by = $1 and c.ended_at is null
              and (exists (select 1 from session s
                            where s.context_id = c.context_id and s.ended_at is null and s.state in ('starting', 'shutting_down'))
                or exists (select 1 from session s join statement t using (session_id)
                            where s.context_id = c.context_id and s.ended_at is null and t.completed_at is null
                              and t.state in ('waiting', 'cancelling')))"#,
        me.0
    )
    .fetch_all(db)
    .await?;
    Ok(ids.into_iter().map(ContextId::from).collect())
}

/// Statements of a session that are to be cancelled.
pub(super) async fn cancelling_in(db: &mut PgConnection, session: SessionId) -> Result<Vec<i32>, sqlx::Error> {
    sqlx::query_scalar!(
        "select number from statement where session_id = $1 and state = 'cancelling' and completed_at is null order by number",
        session.0
    )
    .fetch_all(db)
    .await
}

/// Marks a statement as begun.
pub(super) async fn set_running(
    db: &mut PgConnection,
    session: SessionId,
    number: i32,
    at: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update statement set started_at = $3, state = case state when 'waiting' then 'running' else state end
          where session_id = $1 and number = $2 and completed_at is null",
        session.0,
        number,
        at
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Records progress.
pub(super) async fn set_progress(
    db: &mut PgConnection,
    session: SessionId,
    number: i32,
    progress: f64,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update statement set progress = $3 where session_id = $1 and number = $2 and completed_at is null",
        session.0,
        number,
        progress
    )
    .execute(db)
    .await?;
    Ok(())
}

/// How a statement ended.
#[derive(Default)]
pub(super) struct End<'a> {
    pub cancelled: bool,
    pub output: Option<&'a str>,
    pub columns: Option<&'a str>,
    pub truncated: Option<&'a str>,
    pub ran_us: Option<i64>,
    pub started: Option<Timestamp>,
    pub completed: Timestamp,
}

/// A statement that was ended.
pub(super) struct Ended {
    pub kind: String,
    pub created_at: Timestamp,
}

/// Ends a statement of a context; none when it is not there, or has ended before.
pub(super) async fn end_statement(
    db: &mut PgConnection,
    context: ContextId,
    session: SessionId,
    number: i32,
    end: &End<'_>,
) -> Result<Option<Ended>, sqlx::Error> {
    sqlx::query_as!(
        Ended,
        "update statement t
            set state = case when $4 then 'cancelled' else 'available' end, output = $5, columns = $6, truncated = $7, ran_us = $8
              , started_at = coalesce($9, t.started_at), completed_at = $10, progress = 1
           from session s
          where t.session_id = $2 and t.number = $3 and t.completed_at is null
            and s.session_id = t.session_id and s.context_id = $1
        returning t.kind, t.created_at",
        context.0,
        session.0,
        number,
        end.cancelled,
        end.output.map(str::as_bytes),
        end.columns.map(str::as_bytes),
        end.truncated.map(str::as_bytes),
        end.ran_us,
        end.started,
        end.completed
    )
    .fetch_optional(db)
    .await
}

/// Asks for the end of a statement; gives the state it had, when it has not ended.
pub(super) async fn mark_cancelling(
    db: &mut PgConnection,
    session: SessionId,
    number: i32,
) -> Result<Option<bool>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"update statement set state = 'cancelling' where session_id = $1 and number = $2 and completed_at is null
           returning (started_at is not null) as "started!""#,
        session.0,
        number
    )
    .fetch_optional(db)
    .await
}

/// Appends a piece of output, while there are not more than `limit` bytes of it.
pub(super) async fn insert_chunk(
    db: &mut PgConnection,
    session: SessionId,
    number: i32,
    seq: i64,
    stream: &str,
    text: &str,
    limit: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "with room as (update statement set chunk_bytes = chunk_bytes + octet_length($5::bytea)
                        where session_id = $1 and number = $2 and completed_at is null and chunk_bytes < $6
                    returning 1)
         insert into statement_chunk (session_id, number, seq, stream, text) select $1, $2, $3, $4, $5 from room
         on conflict do nothing",
        session.0,
        number,
        seq,
        stream,
        text.as_bytes(),
        limit
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The output of a statement as it came, after a piece.
pub(super) async fn chunks_after(
    db: &mut PgConnection,
    session: SessionId,
    number: i32,
    after: i64,
    limit: i64,
) -> Result<Vec<Chunk>, Error> {
    let rows = sqlx::query!(
        "select seq, stream, text from statement_chunk where session_id = $1 and number = $2 and seq > $3 order by seq limit $4",
        session.0,
        number,
        after,
        limit
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|r| {
            Ok(Chunk { number, seq: r.seq, stream: r.stream, text: raw(r.text).ok_or(Error::Inconsistent(number))? })
        })
        .collect()
}

/// The output of a session as it came, after a piece. Its statements run one after the other, so the pieces of a higher number
/// have higher sequence numbers too.
pub(super) async fn session_chunks_after(
    db: &mut PgConnection,
    session: SessionId,
    after: i64,
    limit: i64,
) -> Result<Vec<Chunk>, Error> {
    let rows = sqlx::query!(
        "select number, seq, stream, text from statement_chunk where session_id = $1 and seq > $2 order by number, seq limit $3",
        session.0,
        after,
        limit
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|r| {
            let text = raw(r.text).ok_or(Error::Inconsistent(r.number))?;
            Ok(Chunk { number: r.number, seq: r.seq, stream: r.stream, text })
        })
        .collect()
}

/// The number of the last piece of output before the first unfinished statement of a session; 0: there is none.
pub(super) async fn last_seq_of_ended(db: &mut PgConnection, session: SessionId) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select coalesce(max(seq), 0) as "seq!" from statement_chunk
            where session_id = $1 and number < coalesce((select min(number) from statement
                                                          where session_id = $1 and completed_at is null), 2147483647)"#,
        session.0
    )
    .fetch_one(db)
    .await
}

/// An unfinished statement of a session that ends.
pub(super) struct Unfinished {
    pub number: i32,
    pub started: bool,
    pub cancelling: bool,
}

/// What a session had not finished.
pub(super) async fn unfinished_of(db: &mut PgConnection, session: SessionId) -> Result<Vec<Unfinished>, sqlx::Error> {
    sqlx::query_as!(
        Unfinished,
        r#"select number, (started_at is not null) as "started!", (state = 'cancelling') as "cancelling!"
             from statement where session_id = $1 and completed_at is null order by number"#,
        session.0
    )
    .fetch_all(db)
    .await
}
