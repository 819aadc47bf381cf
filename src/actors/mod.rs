//! The living parts: one actor per file, and who talks to whom.
//!
//! ```text
//!   http ──▶ orders ──▶ registry ──▶ order ──▶ journal ──▶ tail ──▶ follow
//!                          │           │  append, then swap           │ each with a cursor of its own
//!                          ▼           │                              ├─▶ projector   (views; rebuild)
//!            one live actor per order, │ outstanding()                ├─▶ notifier    (messages)
//!            store, rider: replaced    ├──▶ store    (stock, kitchen) ├─▶ deadlines ──▶ registry
//!            when it dies, retired     ├──▶ rider    (book)           ├─▶ feed        (watchers)
//!            when idle                 ├──▶ payment ──▶ provider      └─▶ dispatch    (board)
//!                                      └──▶ dispatch (own riders)
//!   journal ──▶ kafka_bridge ──▶ other systems    (reads rows, with a cursor and a thread of its own)
//! ```
//!
//! Rules that every actor keeps: everything it is asked comes through `mailbox`, with a permit and a deadline; the
//! only thing an order waits for atomically is the journal, which asks nobody; nothing that matters rides on a
//! message, because `outstanding()` and the cursors say it again; a panic is the business of the registry, and of
//! `supervision` where there is one of a kind. How late each thread is, `pressure` measures, for the edge to refuse
//! new work in time; whether it turns at all, `heartbeat`.

mod board;
mod catalogue;
mod clock;
mod deadlines;
mod dispatch;
mod feed;
mod follow;
mod health;
mod heartbeat;
mod housekeeping;
mod journal;
mod kafka_bridge;
mod ledger;
mod mailbox;
mod notifier;
mod order;
mod orders;
mod payment;
mod pressure;
#[cfg(test)]
mod probe;
mod projector;
mod readers;
mod rebuild;
mod registry;
mod rider;
mod slots;
mod store;
mod supervision;
mod system;
mod tail;
mod view_rows;
mod wake;
mod world;

pub use catalogue::{CatalogueError, Listing, Stores};
pub use clock::{Clock, ClockReport};
pub use dispatch::{MOST_NEARBY, Nearby, NotePresence, OpenDelivery, Presence, PresenceOf};
pub use feed::{Delivery, FeedEvent, Hub, Missed, NotJoined, ReplayError, Subscription, Topic};
pub use follow::{FollowError, Follower, LeftOut, Unreadable};
pub use health::{ReaderHealth, Stall};
pub use heartbeat::{Heartbeats, Stalled};
pub use journal::{JournalHealth, WriteReport};
pub use kafka_bridge::{Mirror, MirrorError, MirrorReport, MirrorState, RewindError, rewound};
pub use ledger::{Enter, EnterError, Entered, ReadBook};
pub use mailbox::{Mailbox, MailboxLoad, Refusal};
pub use order::{Execute, ExecuteError, Receipt};
pub use orders::Orders;
pub use payment::{GateState, PaymentGate};
pub use pressure::{Gauge, Pressure};
pub use projector::{Projector, Shown, ViewProgress};
pub use rebuild::{RebuildError, RebuildState, Rebuilt, ViewRebuild, rebuild_at_rest};
pub use registry::{Census, Pardon, Pause, Quarantined, TakeCensus, To, WhyQuarantined};
pub use rider::RiderActor;
pub use store::{KeepStock, StoreActor};
pub use supervision::{PartReport, PartState, Supervision};
pub use system::{Operations, RiderDesk, System, Threads, start};
pub use tail::Tail;
pub use view_rows::row as view_row;
