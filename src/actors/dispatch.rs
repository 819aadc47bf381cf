//! The dispatch board: open deliveries near the customer for riders to look up, and who of a store's own riders is free.
//!
//! A view in memory, folded from the journal like every other reader. It decides nothing: that a delivery goes to
//! one rider is decided by the order, that a rider holds no more than they may, by the rider's book. Where riders
//! are and whether they are on duty is not journaled: their apps say so every few seconds, and whoever was not heard of for a
//! while is not there.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Context, Handler, Message};

use tokio::sync::watch;
use uuid::Uuid;

use super::clock::Clock;
use super::mailbox::{Admitted, Door, MailboxPolicy};
use super::supervision::{Guarded, Life, Supervised, Supervision};
use super::tail::News;
use crate::order::{DeliveryStatus, Dispatch, Order, OrderId, Point, RiderId, Status, StoreId, Timestamp};

/// A rider looks at no more than this at a time.
pub const MOST_NEARBY: usize = 100;

/// Asks for a free rider of the store's own.
#[derive(Message)]
#[rtype(result = "Option<RiderId>")]
pub struct FindRider {
    pub store: StoreId,
    pub order: OrderId,
}

/// What a rider's app says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Presence {
    pub available: bool,
    pub location: Point,
}

#[derive(Message)]
#[rtype(result = "()")]
pub struct NotePresence {
    pub rider: RiderId,
    pub presence: Presence,
}

/// Asks for what a rider's app said last. None: nothing, or too long ago to be so any more.
#[derive(Message)]
#[rtype(result = "Option<Presence>")]
pub struct PresenceOf(pub RiderId);

/// Asks for open deliveries whose customer is within the radius, nearest first. None: the board is still being read from
/// the journal, and would show deliveries that are taken, or leave some out.
#[derive(Message)]
#[rtype(result = "Option<Vec<OpenDelivery>>")]
pub struct Nearby {
    pub around: Point,
    pub radius_m: f64,
    pub limit: usize,
}

/// A delivery that any rider may take. No personal data: a place to about a hundred metres.
#[derive(Clone, Debug)]
pub struct OpenDelivery {
    pub order: Arc<Order>,
    pub distance_m: f64,
}

/// What the board's reader tells it.
#[derive(Clone, Message)]
#[rtype(result = "()")]
pub(super) enum Fold {
    /// All of it will be told anew: forget what was known, and answer nobody until it is complete.
    Anew,
    News(Vec<News>),
    /// How many deliveries riders hold, by the keys of their streams.
    Held(Vec<(Uuid, usize)>),
    /// What was told since is all that there is.
    Complete,
}

/// The store's own riders, as the catalogue lists them.
pub(super) trait StoreRiders: Send + Sync + 'static {
    fn riders_of(&self, store: StoreId) -> Vec<RiderId>;
}

/// About 1.1 km of latitude: a search of a few kilometres looks into a few dozen cells.
const CELL_DEGREES: f64 = 0.01;

/// What outlives the board, should it have to be made anew.
pub(super) struct BoardOrigin {
    riders: Arc<dyn StoreRiders>,
    capacity: usize,
    clock: Clock,
    presence_expires: Duration,
    /// Counts the boards, for whoever tells them what the journal says: a new one has heard nothing.
    boards: watch::Sender<u64>,
}

pub(super) struct DispatchActor {
    life: Life,
    riders: Arc<dyn StoreRiders>,
    capacity: usize,
    open: HashMap<OrderId, Arc<Order>>,
    cells: BTreeMap<(i32, i32), HashSet<OrderId>>,
    clock: Clock,
    presence: HashMap<RiderId, Heard>,
    presence_expires: Duration,
    /// When those were last let go who were not heard of.
    swept: Timestamp,
    /// By the key of the rider's stream.
    held: HashMap<Uuid, usize>,
    /// All that the journal says is here. Until then nobody is answered.
    complete: bool,
}

/// What a rider's app said, and when.
#[derive(Clone, Copy, Debug)]
struct Heard {
    presence: Presence,
    at: Timestamp,
}

impl Heard {
    /// A time that has not come yet is one of before the clock was set back: the app will say it again.
    fn is_fresh(self, now: Timestamp, expires: Duration) -> bool {
        u128::from(now.as_micros().abs_diff(self.at.as_micros())) < expires.as_micros()
    }
}

impl DispatchActor {
    /// The way in, and what tells that another board has begun.
    pub(super) fn open(
        riders: Arc<dyn StoreRiders>,
        capacity: usize,
        clock: Clock,
        presence_expires: Duration,
        policy: MailboxPolicy,
        supervision: &Supervision,
    ) -> (Door<Guarded<Self>>, watch::Receiver<u64>) {
        let (boards, begun) = watch::channel(0);
        let origin = BoardOrigin { riders, capacity, clock, presence_expires, boards };
        (Guarded::open(origin, policy, supervision), begun)
    }

    fn fold(&mut self, fold: &Fold) {
        match fold {
            Fold::Anew => {
                self.open.clear();
                self.cells.clear();
                self.held.clear();
                self.complete = false;
            }
            Fold::News(news) => news.iter().for_each(|news| self.note(news)),
            Fold::Held(held) => held.iter().for_each(|(rider, held)| self.note_held(*rider, *held)),
            Fold::Complete => self.complete = true,
        }
    }

    fn note(&mut self, news: &News) {
        match news {
            News::Order { after, .. } => {
                self.take_off(after.id);
                if is_open(after) {
                    self.cells.entry(cell(after.placement.destination.point)).or_default().insert(after.id);
                    self.open.insert(after.id, after.clone());
                }
            }
            News::Rider { rider, held, .. } => self.note_held(*rider, *held),
            News::Stock { .. } => {}
        }
    }

    fn note_held(&mut self, rider: Uuid, held: usize) {
        if held == 0 {
            self.held.remove(&rider);
        } else {
            self.held.insert(rider, held);
        }
    }

    fn take_off(&mut self, order: OrderId) {
        let Some(old) = self.open.remove(&order) else { return };
        let key = cell(old.placement.destination.point);
        if let Some(orders) = self.cells.get_mut(&key) {
            orders.remove(&order);
            if orders.is_empty() {
                self.cells.remove(&key);
            }
        }
    }

    /// Looks through the cells that the radius can touch; past a third of the globe, through all.
    fn nearby(&self, ask: &Nearby) -> Option<Vec<OpenDelivery>> {
        if !self.complete {
            return None;
        }
        let within = |order: &Arc<Order>| {
            let distance_m = ask.around.metres_to(order.placement.destination.point);
            (distance_m <= ask.radius_m).then(|| OpenDelivery { order: order.clone(), distance_m })
        };
        let mut found: Vec<OpenDelivery> = match cells_around(ask.around, ask.radius_m) {
            Some((rows, columns)) => self
                .cells
                .range((*rows.start(), i32::MIN)..=(*rows.end(), i32::MAX))
                .filter(|((_, column), _)| columns.contains(column))
                .flat_map(|(_, orders)| orders.iter().filter_map(|id| self.open.get(id)))
                .filter_map(within)
                .collect(),
            None => self.open.values().filter_map(within).collect(),
        };
        found.sort_by(|a, b| a.distance_m.total_cmp(&b.distance_m));
        found.truncate(ask.limit.min(MOST_NEARBY));
        Some(found)
    }

    fn presence_of(&self, rider: &RiderId) -> Option<Presence> {
        let heard = self.presence.get(rider)?;
        heard.is_fresh(self.clock.now(), self.presence_expires).then_some(heard.presence)
    }

    /// Also lets go, once in a while, who was not heard of: else every rider there ever was would be kept.
    fn hear(&mut self, rider: RiderId, presence: Presence) {
        let (now, expires) = (self.clock.now(), self.presence_expires);
        self.presence.insert(rider, Heard { presence, at: now });
        if u128::from(now.as_micros().abs_diff(self.swept.as_micros())) >= expires.as_micros() {
            self.presence.retain(|_, heard| heard.is_fresh(now, expires));
            self.swept = now;
        }
    }

    /// Of those on duty, whoever carries least; the nearest to the store first comes with more than one machine.
    fn free_rider(&self, store: StoreId) -> Option<RiderId> {
        if !self.complete {
            return None;
        }
        let held = |rider: &RiderId| self.held.get(&rider.stream()).copied().unwrap_or(0);
        self.riders
            .riders_of(store)
            .into_iter()
            .filter(|rider| self.presence_of(rider).is_some_and(|presence| presence.available))
            .filter(|rider| held(rider) < self.capacity)
            .min_by_key(held)
    }
}

fn is_open(order: &Order) -> bool {
    order.status() == Status::Ready
        && order.delivery.status() == DeliveryStatus::Offered
        && order.placement.policy.dispatch == Dispatch::RidersClaim
}

fn cell(point: Point) -> (i32, i32) {
    ((point.lat() / CELL_DEGREES).floor() as i32, (point.lng() / CELL_DEGREES).floor() as i32)
}

type CellRange = std::ops::RangeInclusive<i32>;

/// None where a box of cells would wrap around a pole or the date line, or is as large as looking at everything.
fn cells_around(point: Point, radius_m: f64) -> Option<(CellRange, CellRange)> {
    const METRES_PER_DEGREE: f64 = 111_195.0;
    let rows = radius_m / METRES_PER_DEGREE;
    let columns = rows / point.lat().to_radians().cos().max(0.01);
    let fits = rows < 10.0 && columns < 30.0 && point.lat().abs() + rows < 85.0 && point.lng().abs() + columns < 180.0;
    let row = |lat: f64| (lat / CELL_DEGREES).floor() as i32;
    fits.then(|| {
        let rows = row(point.lat() - rows)..=row(point.lat() + rows);
        let columns = row(point.lng() - columns)..=row(point.lng() + columns);
        (rows, columns)
    })
}

impl Actor for DispatchActor {
    type Context = Context<Self>;
}

impl Supervised for DispatchActor {
    type Origin = BoardOrigin;

    const NAME: &'static str = "dispatch";

    /// Empty: what the journal says is told again, and riders' apps say within seconds where they are.
    fn begin(origin: &mut BoardOrigin, life: Life) -> Self {
        origin.boards.send_modify(|boards| *boards += 1);
        Self {
            life,
            riders: origin.riders.clone(),
            capacity: origin.capacity,
            open: HashMap::new(),
            cells: BTreeMap::new(),
            swept: origin.clock.now(),
            clock: origin.clock.clone(),
            presence: HashMap::new(),
            presence_expires: origin.presence_expires,
            held: HashMap::new(),
            complete: false,
        }
    }
}

impl Handler<Admitted<Fold>> for DispatchActor {
    type Result = ();

    fn handle(&mut self, asked: Admitted<Fold>, _: &mut Context<Self>) {
        let Some((fold, reply)) = asked.start() else { return };
        crate::crash::fail("dispatch.fold");
        self.fold(&fold);
        self.life.part().progressed();
        reply.send(());
    }
}

impl Handler<Admitted<FindRider>> for DispatchActor {
    type Result = ();

    fn handle(&mut self, asked: Admitted<FindRider>, _: &mut Context<Self>) {
        let Some((find, reply)) = asked.start() else { return };
        reply.send(self.free_rider(find.store));
    }
}

impl Handler<Admitted<NotePresence>> for DispatchActor {
    type Result = ();

    fn handle(&mut self, asked: Admitted<NotePresence>, _: &mut Context<Self>) {
        let Some((note, reply)) = asked.start() else { return };
        self.hear(note.rider, note.presence);
        reply.send(());
    }
}

impl Handler<Admitted<PresenceOf>> for DispatchActor {
    type Result = ();

    fn handle(&mut self, asked: Admitted<PresenceOf>, _: &mut Context<Self>) {
        let Some((PresenceOf(rider), reply)) = asked.start() else { return };
        reply.send(self.presence_of(&rider));
    }
}

impl Handler<Admitted<Nearby>> for DispatchActor {
    type Result = ();

    fn handle(&mut self, asked: Admitted<Nearby>, _: &mut Context<Self>) {
        let Some((ask, reply)) = asked.start() else { return };
        let found = self.nearby(&ask);
        reply.send(found);
    }
}

#[cfg(test)]
#[path = "dispatch_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "dispatch/search_tests.rs"]
mod search_tests;
