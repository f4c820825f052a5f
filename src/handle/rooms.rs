//! How much is under way at once: for one person, in one context, and in all.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::id::ContextId;
use crate::identity::Principal;

/// Who takes room: a tenant and a user of it.
pub(super) type Person = (Arc<str>, Arc<str>);

/// The person that somebody is, however they have shown it.
pub(super) fn person(who: &Principal) -> Person {
    (who.tenant.clone(), who.user.clone())
}

/// Room for so much. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Rooms {
    limits: Limits,
    taken: Arc<Mutex<Taken>>,
}

/// How much room there is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// In all.
    pub all: usize,
    /// For one person.
    pub person: usize,
    /// In one context.
    pub context: usize,
    /// For one person in one context, so that the others there find a place.
    pub person_in_context: usize,
}

/// Which limit is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// That of all.
    All,
    /// That of the person.
    Person,
    /// That of the context.
    Context,
    /// That of the person there.
    PersonInContext,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    people: HashMap<Person, usize>,
    contexts: HashMap<ContextId, usize>,
    people_in_contexts: HashMap<(Person, ContextId), usize>,
}

/// A room that is taken, until this is dropped.
#[derive(Debug)]
pub(super) struct Room {
    of: Rooms,
    person: Person,
    context: ContextId,
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut taken = self.of.taken();
        taken.all -= 1;
        leave(&mut taken.people, &self.person);
        leave(&mut taken.contexts, &self.context);
        leave(&mut taken.people_in_contexts, &(self.person.clone(), self.context));
    }
}

fn leave<K: Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

impl Rooms {
    /// So much, all of it free.
    pub fn new(limits: Limits) -> Self {
        Self { limits, taken: Arc::default() }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a room.
    ///
    /// # Errors
    /// Which limit is reached: the caller's own before those that others have their part in.
    pub fn take(&self, who: &Principal, context: ContextId) -> Result<Room, Full> {
        self.take_up_to(self.limits.person_in_context, who, context)
    }

    /// Takes a room for code, whose account may be that of many people: of one context it may have all.
    ///
    /// # Errors
    /// As [`Rooms::take`].
    pub fn take_for_code(&self, who: &Principal, context: ContextId) -> Result<Room, Full> {
        self.take_up_to(self.limits.context, who, context)
    }

    fn take_up_to(&self, most: usize, who: &Principal, context: ContextId) -> Result<Room, Full> {
        let person = person(who);
        let mut taken = self.taken();
        let of_person = taken.people.get(&person).copied().unwrap_or_default();
        let here = (person.clone(), context);
        let of_both = taken.people_in_contexts.get(&here).copied().unwrap_or_default();
        let of_context = taken.contexts.get(&context).copied().unwrap_or_default();
        if of_person >= self.limits.person {
            return Err(Full::Person);
        }
        if of_both >= most {
            return Err(Full::PersonInContext);
        }
        if of_context >= self.limits.context {
            return Err(Full::Context);
        }
        if taken.all >= self.limits.all {
            return Err(Full::All);
        }
        taken.all += 1;
        taken.people.insert(person.clone(), of_person + 1);
        taken.contexts.insert(context, of_context + 1);
        taken.people_in_contexts.insert(here, of_both + 1);
        drop(taken);
        Ok(Room { of: self.clone(), person, context })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::explain::somebody;

    #[test]
    fn nobody_takes_the_room_of_everybody() {
        let rooms = Rooms::new(Limits { all: 5, person: 2, context: 3, person_in_context: 2 });
        let [ann, bob, carl] = ["ann", "bob", "carl"].map(|user| somebody("default", user, Vec::new()));
        let other = somebody("other", "ann", Vec::new());
        let [here, there] = [(); 2].map(|()| ContextId::from(uuid::Uuid::now_v7()));
        let full = |who, context| rooms.take(who, context).unwrap_err();
        let anns = [rooms.take(&ann, here).unwrap(), rooms.take(&ann, there).unwrap()];
        assert_eq!(full(&ann, there), Full::Person);
        let _other = rooms.take(&other, here).unwrap();
        let bobs = rooms.take(&bob, here).unwrap();
        assert_eq!(full(&carl, here), Full::Context);
        let _bobs = rooms.take(&bob, there).unwrap();
        assert_eq!(full(&carl, there), Full::All);
        drop(anns);
        let _anns = rooms.take(&ann, there).unwrap();
        drop(bobs);
        let _carls = [rooms.take(&carl, here).unwrap(), rooms.take(&carl, here).unwrap()];
        assert_eq!(full(&bob, there), Full::All);
    }

    #[test]
    fn what_is_left_leaves_nothing() {
        let rooms = Rooms::new(Limits { all: 1, person: 1, context: 1, person_in_context: 1 });
        drop(rooms.take(&somebody("default", "ann", Vec::new()), ContextId::from(uuid::Uuid::now_v7())));
        let taken = rooms.taken();
        assert_eq!((taken.all, taken.people.len(), taken.contexts.len(), taken.people_in_contexts.len()), (0, 0, 0, 0));
    }

    #[test]
    fn one_person_leaves_room_in_a_context() {
        let rooms = Rooms::new(Limits { all: 9, person: 3, context: 2, person_in_context: 1 });
        let [ann, bob] = ["ann", "bob"].map(|user| somebody("default", user, Vec::new()));
        let [here, there] = [(); 2].map(|()| ContextId::from(uuid::Uuid::now_v7()));
        let anns = rooms.take(&ann, here).unwrap();
        assert_eq!(rooms.take(&ann, here).unwrap_err(), Full::PersonInContext);
        let _others = [rooms.take(&ann, there).unwrap(), rooms.take(&bob, here).unwrap()];
        drop(anns);
        assert!(rooms.take(&ann, here).is_ok());
    }
}
