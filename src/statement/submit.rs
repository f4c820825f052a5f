//! A statement is taken: by one query where all is as usual, else by a transaction that can tell why it is not.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::at_once::{self, Taken};
use super::service::Service;
use super::sink::run_message;
use super::{Error, Raw, State, Statement, store};
use crate::access::{Allowed, Attach};
use crate::audit;
use crate::context::driver::Signal;
use crate::id::ContextId;
use crate::identity::Principal;
use crate::session::{self, Kind, View};
use crate::store::idempotency;

/// Code up to this size goes to the link with the signal, bytes.
const LARGEST_SIGNAL: usize = 64 * 1024;

/// What a session runs when it is asked for this kind, or for none.
fn kind_of(session: Kind, asked: Option<Kind>) -> Result<Kind, Error> {
    match asked.unwrap_or(session) {
        Kind::Shared => Err(Error::KindMissing),
        Kind::Sparkr => Err(Error::NotOffered(Kind::Sparkr)),
        kind => Ok(kind),
    }
}

impl Service {
    /// Takes a statement. Once this returns it is not lost.
    ///
    /// # Errors
    /// A session that takes no code, a missing kind, a full line, the database.
    pub async fn submit(
        &self,
        who: &Principal,
        session: &Allowed<Attach, View>,
        kind: Option<Kind>,
        code: Box<RawValue>,
        key: Option<&idempotency::Key>,
    ) -> Result<Arc<Statement>, Error> {
        let code = Raw::from(code);
        if key.is_none()
            && let Some(taken) = self.submit_at_once(who, session, kind, &code).await?
        {
            return Ok(taken);
        }
        let row = &session.session;
        let mut tx = self.sessions().contexts().pool().begin().await?;
        if let Some(key) = key
            && let Some(made) = idempotency::claim(&mut tx, key, "").await?
        {
            drop(tx);
            let number = made.parse().map_err(|_| Error::Inconsistent(-1))?;
            // The first request may have gone away before its link was told.
            self.sessions().contexts().signal(row.context_id, Signal::Look);
            return self.load(row.id, number).await?.ok_or(Error::NotFound(number));
        }
        let turn = store::take_number(&mut tx, row.id).await?;
        let takes =
            |turn: &store::Turn| session::State::parse(&turn.state).is_some_and(|state| state.takes_statements());
        let Some(turn) = turn.filter(takes) else {
            let now = session::store::load_session(&mut tx, row.id).await?.ok_or(Error::Inconsistent(-1))?;
            return Err(Error::NotAlive(now.refusal(now.state)));
        };
        let kind = kind_of(row.kind, kind)?;
        if !code.get().starts_with('"') {
            return Err(Error::BadCode);
        }
        let limits = self.sessions().limits();
        if turn.waiting >= limits.waiting {
            return Err(Error::LineFull(turn.waiting));
        }
        let size = i64::try_from(code.get().len()).unwrap_or(i64::MAX);
        // One that is alone is bounded by the body that brought it.
        if turn.waiting > 0 && turn.bytes.saturating_add(size) > limits.waiting_bytes {
            return Err(Error::LineLarge { waiting: turn.bytes, limit: limits.waiting_bytes });
        }
        let via = who.via.as_deref();
        let created_at = store::insert_statement(&mut tx, row.id, turn.number, kind, &code, &who.user, via).await?;
        if let Some(key) = key {
            idempotency::name(&mut tx, key, &turn.number.to_string()).await?;
        }
        let entry = session.entry(audit::Event::StatementSubmitted).with(format!("statement {}", turn.number));
        self.sessions().contexts().access().audit().record(&mut tx, entry).await?;
        let statement = waiting(row, Taken { number: turn.number, created_at }, kind, code);
        let (this, context) = (self.clone(), row.context_id);
        let taken = self.life().complete("submit", async move {
            tx.commit().await?;
            this.announce(context, &statement);
            Ok(Arc::new(statement))
        });
        taken.await.ok_or(Error::Inconsistent(turn.number))?
    }

    /// Takes it by one query; none: nothing was written, and why is not known.
    async fn submit_at_once(
        &self,
        who: &Principal,
        session: &Allowed<Attach, View>,
        kind: Option<Kind>,
        code: &Raw,
    ) -> Result<Option<Arc<Statement>>, Error> {
        let row = session.session.clone();
        let Some(kind) = kind_of(row.kind, kind).ok().filter(|_| code.get().starts_with('"')) else { return Ok(None) };
        let contexts = self.sessions().contexts();
        let audit = contexts.access().audit();
        // What may fail for the entry alone needs a savepoint.
        if !audit.is_required() {
            return Ok(None);
        }
        let new = at_once::New {
            session: row.id,
            kind,
            code: code.clone(),
            owner: who.user.to_string(),
            via: who.via.as_deref().map(str::to_owned),
            entry: audit.columns(session.entry(audit::Event::StatementSubmitted)),
        };
        // A client that goes away while there is no connection has sent nothing.
        let (this, mut db) = (self.clone(), contexts.pool().acquire().await?);
        let taken = self.life().complete("submit", async move {
            let taken = match at_once::submit(&mut db, &new, this.sessions().limits()).await {
                Ok(Some(taken)) => taken,
                Ok(None) => return Ok(None),
                Err(e) if is_refusal(&e) => return Ok(None),
                // It may have been written.
                Err(e) => return Err(e.into()),
            };
            drop(db);
            let statement = waiting(&row, taken, new.kind, new.code);
            this.announce(row.context_id, &statement);
            Ok(Some(Arc::new(statement)))
        });
        taken.await.ok_or(Error::Inconsistent(-1))?
    }

    /// Tells memory, waiters and the link of a committed statement.
    fn announce(&self, context: ContextId, statement: &Statement) {
        self.remember(statement);
        let signal = match run_message(statement) {
            // Signals wait in memory; the rows tell of large code in its turn.
            _ if statement.code.get().len() > LARGEST_SIGNAL => Signal::Look,
            (number, message) => Signal::Run { session: statement.session_id, number, message },
        };
        self.sessions().contexts().signal(context, signal);
    }
}

/// Whether the database has refused something for what it was, and so has written nothing.
fn is_refusal(e: &sqlx::Error) -> bool {
    let sqlx::Error::Database(refusal) = e else { return matches!(e, sqlx::Error::Encode(_)) };
    // Connections that break (class 08), servers that stop (57), and what says of itself that it does not know.
    let is_vague = |code: &str| code.starts_with("08") || code.starts_with("57") || code == "40003";
    refusal.code().is_some_and(|code| !is_vague(&code))
}

/// A statement that was just taken.
fn waiting(session: &session::Session, taken: Taken, kind: Kind, code: Raw) -> Statement {
    Statement {
        session_id: session.id,
        number: taken.number,
        kind,
        code,
        state: State::Waiting,
        progress: 0.0,
        output: None,
        columns: None,
        truncated: None,
        ran_us: None,
        created_at: taken.created_at,
        started_at: None,
        completed_at: None,
    }
}
