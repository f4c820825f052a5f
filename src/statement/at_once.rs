//! What every statement costs the database, each in one way there and back: that it is taken, and that it has ended.
//!
//! A transaction of several queries says the same ([`super::store`]); the ways between two processes were a third of the time of a short
//! statement. Both write only where all is as usual. Where it is not they write nothing, and the transaction does it, or says why it
//! cannot be done.

use sqlx::{PgConnection, PgPool};

use super::Raw;
use super::store::{End, Ended};
use crate::audit::Columns;
use crate::context::driver::Hold;
use crate::id::SessionId;
use crate::session::{Kind, Limits, State};
use crate::time::Timestamp;

/// A statement to be taken.
pub(super) struct New {
    pub session: SessionId,
    pub kind: Kind,
    pub code: Raw,
    pub owner: String,
    pub via: Option<String>,
    /// How the audit tells of it, but for its number.
    pub entry: Columns,
}

/// A statement that was taken.
pub(super) struct Taken {
    pub number: i32,
    pub created_at: Timestamp,
}

/// Takes a statement, and records that; none: the session takes no code, its line is full, or it is not there. As in the transaction, several
/// that come together do not see each other in the line, so that it may grow beyond its limit by as many as there are connections.
pub(super) async fn submit(db: &mut PgConnection, new: &New, limits: &Limits) -> Result<Option<Taken>, sqlx::Error> {
    let entry = &new.entry;
    let size = i64::try_from(new.code.get().len()).unwrap_or(i64::MAX);
    let taking: Vec<&str> = State::ALL.into_iter().filter(|s| s.takes_statements()).map(State::as_str).collect();
    sqlx::query_as!(
        Taken,
        r#"with line as (
               select count(*) as waiting, coalesce(sum(octet_length(code)), 0) as bytes
                 from statement where session_id = $1 and completed_at is null)
         , turn as (
               update session s set next_statement = s.next_statement + 1, last_active_at = now()
                 from line
                where s.session_id = $1 and s.state = any($6::text[]) and line.waiting < $7::bigint
                  and (line.waiting = 0 or line.bytes + $8::bigint <= $9::bigint)
            returning s.next_statement - 1 as number, s.tenant, s.run_as)
         , taken as (
               insert into statement (session_id, number, tenant, owner, via, run_as, kind, code, state)
               select $1, number, tenant, $4, $5, run_as, $2, $3, 'waiting' from turn
            returning number, created_at)
         , recorded as (
               insert into audit_event (gateway, event, outcome, tenant, actor, on_behalf_of, scheme, address, request,
                                        resource_kind, resource_id, policies, detail)
               select $10::uuid, $11::text, $12::text, $13::text, $14::text, $15::text, $16::text, $17::text, $18::text
                    , $19::text, $20::text, $21::text[], 'statement ' || number from turn)
         select number as "number!", created_at as "created_at!" from taken"#,
        new.session.0,
        new.kind.as_str(),
        new.code.get().as_bytes(),
        new.owner,
        new.via,
        &taking as _,
        limits.waiting,
        size,
        limits.waiting_bytes,
        entry.gateway.0,
        entry.event,
        entry.outcome,
        entry.tenant,
        entry.actor,
        entry.on_behalf_of,
        entry.scheme,
        entry.address,
        entry.request,
        entry.resource_kind,
        entry.resource_id,
        &entry.policies
    )
    .fetch_optional(db)
    .await
}

/// Ends a statement under the hold of a link. None: another gateway has the context, and nothing is written; none within: the statement
/// is not one of the context's, or has ended before.
pub(super) async fn end(
    pool: &PgPool,
    hold: Hold,
    session: SessionId,
    number: i32,
    end: &End<'_>,
) -> Result<Option<Option<Ended>>, sqlx::Error> {
    let row = sqlx::query!(
        r#"with held as (
               select context_id from context where context_id = $1 and epoch = $2 for share)
         , received as (
               update application a set received = $4 from held
                where a.application_id = $3 and a.context_id = held.context_id
            returning held.context_id)
         , ended as (
               update statement t
                  set state = case when $7 then 'cancelled' else 'available' end, output = $8, columns = $9, truncated = $10
                    , ran_us = $11, started_at = coalesce($12, t.started_at), completed_at = $13, progress = 1
                 from session s, received
                where t.session_id = $5 and t.number = $6 and t.completed_at is null
                  and s.session_id = t.session_id and s.context_id = received.context_id
            returning t.kind, t.created_at)
         select ended.kind as "kind?", ended.created_at as "created_at?" from received left join ended on true"#,
        hold.context.0,
        hold.epoch,
        hold.application.0,
        hold.seq,
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
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| row.kind.zip(row.created_at).map(|(kind, created_at)| Ended { kind, created_at })))
}
