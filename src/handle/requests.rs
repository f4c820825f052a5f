//! Questions to agents about their handles, each answered once, or not in time.

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use serde_json::value::RawValue;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tracing::warn;
use uuid::Uuid;

use crate::context;
use crate::context::driver::Signal;
use crate::context::driver::wire::Outgoing;
use crate::context::driver::wire::handle::{CancelRequest, Failure};
use crate::id::ContextId;

/// How long an answer is waited for: Spark may have much to count.
const DEADLINE: Duration = Duration::from_secs(600);
/// How long a question waits for others of its context.
const PATIENCE: Duration = Duration::from_secs(10);
/// Questions to one context at a time; each answer may be several MiB.
const AT_ONCE: usize = 32;
/// How often a question is asked again because the connection broke. One that breaks it itself would break it for ever.
const AGAIN: u8 = 2;

/// What an agent answers: JSON, or why not.
pub type Answer = Result<Box<RawValue>, Failure>;

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unanswered {
    /// The agent is not connected here, or did not answer in time.
    Away,
    /// Too many questions are under way.
    Busy,
}

/// The questions that are not answered yet. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Requests(Arc<Parts>);

#[derive(Debug, Default)]
struct Parts {
    waiting: DashMap<Uuid, Waiting>,
    rooms: DashMap<ContextId, Arc<Semaphore>>,
}

#[derive(Debug)]
struct Waiting {
    context: ContextId,
    message: Outgoing,
    answer: oneshot::Sender<Answer>,
    /// How often it was asked again.
    again: u8,
}

/// A question that is waited for, until this is dropped.
struct Asked<'a> {
    requests: &'a Requests,
    contexts: &'a context::service::Service,
    request: Uuid,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        // Not answered: nobody waits any longer, so the agent may stop its work.
        if let Some((_, waiting)) = self.requests.0.waiting.remove(&self.request) {
            let message = Outgoing::new("cancel_request", &CancelRequest { request: self.request });
            self.contexts.links().tell(waiting.context, Signal::Send(message));
        }
    }
}

impl Requests {
    /// Asks the agent of a context; `message` makes the question of its id.
    ///
    /// # Errors
    /// See [`Unanswered`].
    pub async fn ask(
        &self,
        contexts: &context::service::Service,
        context: ContextId,
        message: impl FnOnce(Uuid) -> Outgoing,
    ) -> Result<Answer, Unanswered> {
        let _room = self.room(context).await?;
        let _busy = contexts.live().activity().begin(context);
        let request = Uuid::now_v7();
        let message = message(request);
        let (answer, answered) = oneshot::channel();
        self.0.waiting.insert(request, Waiting { context, message: message.clone(), answer, again: 0 });
        // Also when the client goes away and this with it.
        let _asked = Asked { requests: self, contexts, request };
        if !contexts.links().tell(context, Signal::Send(message)) {
            return Err(Unanswered::Away);
        }
        match tokio::time::timeout(DEADLINE, answered).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) | Err(_) => Err(Unanswered::Away),
        }
    }

    async fn room(&self, context: ContextId) -> Result<OwnedSemaphorePermit, Unanswered> {
        let room = self.0.rooms.entry(context).or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE))).clone();
        match tokio::time::timeout(PATIENCE, room.acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(Unanswered::Busy),
        }
    }

    /// Hands an answer over, when it comes from the context that was asked.
    pub(super) fn answered(&self, context: ContextId, request: Uuid, answer: Answer) {
        if let Some((_, waiting)) = self.0.waiting.remove_if(&request, |_, waiting| waiting.context == context) {
            let _ = waiting.answer.send(answer);
        }
    }

    /// What a context's agent was asked and has not answered: its connection is a new one, and the question may be lost with the old. To be
    /// called once for each connection: what was asked too often is not asked again, nor answered.
    pub(super) fn unanswered(&self, context: ContextId) -> Vec<Outgoing> {
        self.0.waiting.retain(|_, waiting| {
            let is_due = waiting.context != context || waiting.again < AGAIN;
            if !is_due {
                warn!(context.id = %context, "The agent's connection breaks whenever it is asked this, so it is asked no more");
            }
            is_due
        });
        self.0.waiting.iter_mut().filter(|w| w.context == context).for_each(|mut w| w.again += 1);
        let mut again: Vec<_> = self.0.waiting.iter().filter(|w| w.context == context).collect();
        // In the order in which they were asked: ids are sortable by time.
        again.sort_by_key(|w| *w.key());
        again.iter().map(|w| w.message.clone()).collect()
    }

    /// The context's application is over: nothing will be answered.
    pub(super) fn forget(&self, context: ContextId) {
        self.0.waiting.retain(|_, waiting| waiting.context != context);
        self.0.rooms.remove(&context);
    }
}
