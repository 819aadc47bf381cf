//! What an order's actor reaches of the world: mailboxes, the clock, the catalogue and the journal's readers, nothing
//! else.

use std::sync::Arc;
use std::time::Duration;

use super::catalogue::Stores;
use super::clock::Clock;
use super::dispatch::FindRider;
use super::journal::{Settle, Write};
use super::mailbox::Mailbox;
use super::payment::{Charge, PaymentGate};
use super::registry::To;
use super::rider::{NoteInBook, RiderActor};
use super::store::{KeepStock, StopPreparation, StoreActor};
use crate::store::Readers;

/// Shared by all orders of a process.
#[derive(Clone)]
pub struct World(Arc<Reach>);

pub struct Reach {
    pub clock: Clock,
    pub journal: Mailbox<Write>,
    pub settle: Mailbox<Settle>,
    pub readers: Readers,
    /// For what all orders of a store have in common: see [`Listing::share_with`](super::catalogue::Listing::share_with).
    pub stores: Stores,
    pub stock: Mailbox<To<StoreActor, KeepStock>>,
    pub kitchen: Mailbox<To<StoreActor, StopPreparation>>,
    pub riders: Mailbox<To<RiderActor, NoteInBook>>,
    pub payments: Mailbox<Charge>,
    pub gate: PaymentGate,
    pub dispatch: Mailbox<FindRider>,
    pub pace: Pace,
}

/// How patient an order is.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How long an answer is held back for what the command set going: a payment, the kitchen's word. People
    /// wait about this long before they wonder.
    pub answer_within: Duration,
    /// The first pause before asking again for something that was refused; doubles up to `longest_pause`.
    pub first_pause: Duration,
    /// Bounds how late an order notices that a store or rider part is back.
    pub longest_pause: Duration,
    pub first_payment_pause: Duration,
    /// The same for the payment provider, which a thousand waiting orders must not fall upon at once.
    pub longest_payment_pause: Duration,
    pub keys: KeyLife,
}

/// What may be done with a key of the payment provider's at its age.
#[derive(Clone, Copy, Debug)]
pub struct KeyLife {
    /// So long the same request may be repeated: the provider knows the key for certain.
    pub repeat_for: Duration,
    /// Then nothing is asked for so long: whatever was sent last has been worked off.
    pub quiet_for: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyAge {
    Repeatable,
    Quiet,
    /// To be looked up, and never sent again.
    Expired,
}

impl KeyLife {
    /// Of the time for which the provider keeps a key, a twenty-fourth is left alone: an hour of a day, for clocks that
    /// differ and calls that wait their turn.
    pub fn of(window: Duration, quiet_for: Duration) -> Self {
        Self { repeat_for: window - window / 24, quiet_for }
    }

    pub fn at(&self, age: Duration) -> KeyAge {
        if age < self.repeat_for {
            KeyAge::Repeatable
        } else if age < self.repeat_for + self.quiet_for {
            KeyAge::Quiet
        } else {
            KeyAge::Expired
        }
    }
}

impl World {
    pub fn new(reach: Reach) -> Self {
        Self(Arc::new(reach))
    }
}

impl std::ops::Deref for World {
    type Target = Reach;

    fn deref(&self) -> &Reach {
        &self.0
    }
}

impl Pace {
    /// Doubles from `first`, up to `longest`, and spreads over half of it in both directions, so that those who were
    /// refused together do not come back together.
    pub fn pause(first: Duration, longest: Duration, tries: u32) -> Duration {
        let doubled = first.saturating_mul(1_u32.checked_shl(tries).unwrap_or(u32::MAX));
        doubled.min(longest).mul_f64(0.5 + fastrand::f64())
    }
}
