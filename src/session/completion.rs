//! What could stand at the cursor of code that is being written, as the interpreter says.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use tokio::sync::oneshot;

use super::service::Service;
use super::{Error, Kind, State, View};
use crate::access::{Allowed, Attach};
use crate::context::driver::Signal;
use crate::context::driver::wire::{Complete, Outgoing};
use crate::id::ContextId;

/// How long an answer to a completion is waited for; the agent answers a little sooner.
const COMPLETION: Duration = Duration::from_secs(10);

/// Who waits for an answer, and from which context it may come.
#[derive(Debug, Default)]
pub(super) struct Completions {
    asked: DashMap<u64, (ContextId, oneshot::Sender<Vec<String>>)>,
    next: AtomicU64,
}

/// A completion that is waited for, until this is dropped.
struct Asked<'a> {
    completions: &'a Completions,
    request: u64,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.completions.asked.remove(&self.request);
    }
}

impl Service {
    /// What could stand at the cursor.
    ///
    /// # Errors
    /// [`Error::Away`] when the driver does not answer.
    pub async fn complete(
        &self,
        session: &Allowed<Attach, View>,
        kind: Kind,
        code: &str,
        cursor: u32,
    ) -> Result<Vec<String>, Error> {
        let (row, completions) = (&session.session, self.completions());
        if session.state != State::Idle && session.state != State::Busy {
            return Err(row.refusal(session.state));
        }
        let request = completions.next.fetch_add(1, Ordering::Relaxed);
        let (answer, waiting) = oneshot::channel();
        completions.asked.insert(request, (row.context_id, answer));
        // Also when the client goes away and this with it.
        let _asked = Asked { completions, request };
        let name = request.to_string();
        let body = Complete { request: &name, kind: kind.as_str(), code, cursor };
        let message = Outgoing::new("complete", &body).on(row.id);
        let told = self.contexts().links().tell(row.context_id, Signal::Send(message));
        let answered = if told { tokio::time::timeout(COMPLETION, waiting).await.ok() } else { None };
        answered.and_then(Result::ok).ok_or(Error::Away(row.livy_id))
    }

    /// Hands an agent's answer to whoever asked it.
    pub fn completed(&self, context: ContextId, request: &str, candidates: Vec<String>) {
        let Ok(request) = request.parse() else { return };
        if let Some((_, (_, answer))) = self.completions().asked.remove_if(&request, |_, (asked, _)| *asked == context)
        {
            let _ = answer.send(candidates);
        }
    }
}
