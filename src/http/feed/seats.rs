//! Bounds on open feeds: of one person, and in all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::access::{Caller, Role};
use crate::http::code::Code;
use crate::http::error::ApiError;
use crate::order::Subject;

/// Of the connections: the others are for those who ask and go.
const OF_CONNECTIONS: (usize, usize) = (3, 4);

type Person = (Role, Subject);

/// See the module.
pub(super) struct FeedSeats {
    per_person: usize,
    most: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    feeds: usize,
    people: HashMap<Person, Theirs>,
}

struct Theirs {
    feeds: usize,
    /// One permit: a person reads what they missed over one feed at a time.
    replaying: Arc<Semaphore>,
}

impl FeedSeats {
    pub(super) fn new(per_person: usize, max_connections: usize) -> Arc<Self> {
        let (part, whole) = OF_CONNECTIONS;
        let most = (max_connections.saturating_mul(part) / whole).max(1);
        Arc::new(Self { per_person, most, taken: Mutex::default() })
    }

    pub(super) fn take(self: &Arc<Self>, caller: &Caller) -> Result<FeedSeat, ApiError> {
        let person = (caller.role, caller.subject.clone());
        let mut taken = self.lock();
        let theirs = taken.people.get(&person).map_or(0, |theirs| theirs.feeds);
        if theirs >= self.per_person {
            return Err(ApiError::new(Code::TooManyFeeds));
        }
        if taken.feeds >= self.most {
            return Err(ApiError::new(Code::ServiceFull));
        }
        taken.feeds += 1;
        let fresh = || Theirs { feeds: 0, replaying: Arc::new(Semaphore::new(1)) };
        let theirs = taken.people.entry(person.clone()).or_insert_with(fresh);
        theirs.feeds += 1;
        let replaying = theirs.replaying.clone();
        Ok(FeedSeat { seats: self.clone(), person, replaying })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        // Nothing panics while it is held; poisoned or not, the counts are right.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A feed's right to be there, for as long as this lives.
pub(super) struct FeedSeat {
    seats: Arc<FeedSeats>,
    person: Person,
    replaying: Arc<Semaphore>,
}

impl FeedSeat {
    /// The person's turn to read what they missed, when their other feeds have.
    pub(super) async fn replay_turn(&self) -> Option<OwnedSemaphorePermit> {
        self.replaying.clone().acquire_owned().await.ok()
    }
}

impl Drop for FeedSeat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        taken.feeds -= 1;
        if let Some(theirs) = taken.people.get_mut(&self.person) {
            theirs.feeds -= 1;
            if theirs.feeds == 0 {
                taken.people.remove(&self.person);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::Timestamp;

    fn caller(role: Role, name: &str) -> Caller {
        Caller { subject: name.parse().unwrap(), role, expires_at: Timestamp::from_micros(0) }
    }

    #[test]
    fn each_person_has_so_many_and_all_together_leave_a_quarter() {
        let seats = FeedSeats::new(2, 5);
        let mallory = caller(Role::Customer, "mallory");
        let mut theirs = vec![seats.take(&mallory).unwrap(), seats.take(&mallory).unwrap()];
        let refused = |caller: &Caller| seats.take(caller).err().map(|error| error.code());
        assert_eq!(refused(&mallory), Some(Code::TooManyFeeds));
        let rider = seats.take(&caller(Role::Rider, "mallory")).unwrap();
        assert_eq!(refused(&caller(Role::Customer, "alice")), Some(Code::ServiceFull));
        theirs.pop();
        drop(seats.take(&mallory).unwrap());
        drop((theirs, rider));
        let taken = seats.lock();
        assert_eq!((taken.feeds, taken.people.len()), (0, 0), "nobody is remembered");
    }
}
