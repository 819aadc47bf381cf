//! The riders of no store: who has a hand free, and where everyone says they are.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use tokio::sync::Semaphore;

use super::api::Person;

/// Deliveries that one of them takes at a time. A rider may hold three; the third hand is free because the book that
/// counts them is a moment behind.
const CARRIES: usize = 2;

/// Riders with a hand free, each as often as they have one. Whoever has waited longest is next.
pub(super) struct FreeHands {
    hands: RefCell<VecDeque<Rc<Person>>>,
    free: Semaphore,
}

impl FreeHands {
    pub(super) fn of(riders: &[Rc<Person>]) -> Self {
        let hands: VecDeque<_> = (0..CARRIES).flat_map(|_| riders.iter().cloned()).collect();
        Self { free: Semaphore::new(hands.len()), hands: RefCell::new(hands) }
    }

    /// Waits for a free hand. It is given back by [`FreeHands::give_back`], or never: an order that was left half-way
    /// is still in it.
    pub(super) async fn take(&self) -> Rc<Person> {
        self.free.acquire().await.expect("it is never closed").forget();
        self.hands.borrow_mut().pop_front().expect("there are as many permits as hands")
    }

    pub(super) fn give_back(&self, rider: Rc<Person>) {
        self.hands.borrow_mut().push_back(rider);
        self.free.add_permits(1);
    }
}
