//! Questions to agents about their handles, each answered once, or not in time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use dashmap::mapref::multiple::RefMutMulti;
use serde_json::value::RawValue;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tracing::warn;
use uuid::Uuid;

use super::rooms::{Full, Person, person};
use crate::context;
use crate::context::driver::Signal;
use crate::context::driver::wire::Outgoing;
use crate::context::driver::wire::handle::{CancelRequest, Failure};
use crate::id::ContextId;
use crate::identity::Principal;

/// How long an answer is waited for: Spark may have much to count.
const DEADLINE: Duration = Duration::from_secs(600);
/// How long a question waits for others of its context.
const PATIENCE: Duration = Duration::from_secs(10);
/// Questions to one context at a time; each answer may be several MiB.
const AT_ONCE: usize = 32;
/// Those of one person, so that the others find a place, here and among the threads of the agent (16).
const OF_ONE: usize = 8;
/// How often a question is asked again because the connection broke. One that breaks it itself would break it for ever.
const AGAIN: u8 = 2;

/// What an agent answers: JSON, or why not.
pub type Answer = Result<Box<RawValue>, Failure>;

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unanswered {
    /// The agent is not connected here, and was not asked.
    Away,
    /// It was asked, and did not answer in time, or its application has ended: nobody knows whether it has done it.
    Silent,
    /// Too many questions are under way.
    Busy(Full),
}

/// The questions that are not answered yet. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Requests(Arc<Parts>);

#[derive(Debug, Default)]
struct Parts {
    waiting: DashMap<Uuid, Waiting>,
    rooms: DashMap<ContextId, Arc<Semaphore>>,
    people: DashMap<Asker, Arc<Semaphore>>,
    asked: AtomicU64,
}

/// Somebody who asks a context.
type Asker = (ContextId, Person);

/// The places of a question: that of who asks, and one of the context's.
struct Room<'a> {
    requests: &'a Requests,
    asker: Asker,
    own: Option<OwnedSemaphorePermit>,
    _of_context: OwnedSemaphorePermit,
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        // It holds on to the semaphore.
        self.own = None;
        self.requests.0.people.remove_if(&self.asker, |_, room| Arc::strong_count(room) == 1);
    }
}

#[derive(Debug)]
struct Waiting {
    context: ContextId,
    message: Outgoing,
    /// Its place in the order of all questions.
    place: u64,
    /// Whether a link was given it.
    is_sent: bool,
    /// All who wait: a repeat waits for the answer to the first.
    answers: Vec<oneshot::Sender<Answer>>,
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
        let Entry::Occupied(mut waiting) = self.requests.0.waiting.entry(self.request) else { return };
        waiting.get_mut().answers.retain(|answer| !answer.is_closed());
        // Not answered, and nobody waits any longer: the agent may stop its work.
        if waiting.get().answers.is_empty() {
            let waiting = waiting.remove();
            let message = Outgoing::new("cancel_request", &CancelRequest { request: self.request });
            self.contexts.links().tell(waiting.context, Signal::Send(message));
        }
    }
}

impl Requests {
    /// Asks the agent of a context by a message that has the id `request`. What has this id already is asked again, which the agent does
    /// not do again.
    ///
    /// # Errors
    /// See [`Unanswered`].
    pub async fn ask(
        &self,
        contexts: &context::service::Service,
        who: &Principal,
        context: ContextId,
        request: Uuid,
        message: Outgoing,
    ) -> Result<Answer, Unanswered> {
        let _room = self.room((context, person(who))).await?;
        let _busy = contexts.live().activity().begin(context);
        // Also when the client goes away and this with it.
        let _asked = Asked { requests: self, contexts, request };
        let (answer, answered) = oneshot::channel();
        self.0
            .waiting
            .entry(request)
            .or_insert_with(|| Waiting {
                context,
                message: message.clone(),
                place: self.0.asked.fetch_add(1, Ordering::Relaxed),
                is_sent: false,
                answers: Vec::new(),
                again: 0,
            })
            .answers
            .push(answer);
        if contexts.links().tell(context, Signal::Send(message)) {
            self.0.waiting.alter(&request, |_, waiting| Waiting { is_sent: true, ..waiting });
        } else if self.0.waiting.remove_if(&request, |_, waiting| !waiting.is_sent).is_some() {
            return Err(Unanswered::Away);
        }
        match tokio::time::timeout(DEADLINE, answered).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) | Err(_) => Err(Unanswered::Silent),
        }
    }

    /// One's own place first: who waits for that is in nobody's way.
    async fn room(&self, asker: Asker) -> Result<Room<'_>, Unanswered> {
        let limit = tokio::time::Instant::now() + PATIENCE;
        let place = async |room: Arc<Semaphore>, full| match tokio::time::timeout_at(limit, room.acquire_owned()).await
        {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(Unanswered::Busy(full)),
        };
        let own = self.0.people.entry(asker.clone()).or_insert_with(|| Arc::new(Semaphore::new(OF_ONE))).clone();
        let own = place(own, Full::PersonInContext).await?;
        let all = self.0.rooms.entry(asker.0).or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE))).clone();
        let of_context = place(all, Full::Context).await?;
        Ok(Room { requests: self, asker, own: Some(own), _of_context: of_context })
    }

    /// Hands an answer over, when it comes from the context that was asked.
    pub(super) fn answered(&self, context: ContextId, request: Uuid, answer: Answer) {
        if let Some((_, waiting)) = self.0.waiting.remove_if(&request, |_, waiting| waiting.context == context) {
            for waiter in waiting.answers {
                let _ = waiter.send(answer.clone());
            }
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
        let of_context = |mut waiting: RefMutMulti<'_, Uuid, Waiting>| {
            // What no link was given yet is not asked again, but now.
            waiting.again += u8::from(waiting.is_sent);
            waiting.is_sent = true;
            (waiting.place, waiting.message.clone())
        };
        let mut again: Vec<_> =
            self.0.waiting.iter_mut().filter(|waiting| waiting.context == context).map(of_context).collect();
        again.sort_by_key(|(place, _)| *place);
        again.into_iter().map(|(_, message)| message).collect()
    }

    /// The context's application is over: nothing will be answered.
    pub(super) fn forget(&self, context: ContextId) {
        self.0.waiting.retain(|_, waiting| waiting.context != context);
        self.0.rooms.remove(&context);
        self.0.people.retain(|asker, _| asker.0 != context);
    }
}
