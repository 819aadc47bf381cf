//! Live feeds: hands each event to everyone who watches, and can hurt nobody.
//!
//! One reader follows the journal and puts events into the bounded queue of each watcher. A queue that is full is
//! closed, with the token to come back by; nobody waits for the slow. A watcher who comes back is first given
//! what lies between their token and the place where they joined, from the journal: no gap, no repeat.

mod missed;

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::sync::{Semaphore, mpsc};

pub use self::missed::{Missed, ReplayError};
use super::follow::Follower;
use super::tail::{Entry, News};
use super::world::Pace;
use crate::order::{
    CustomerId, DeliveryStatus, Dispatch, Order, OrderEvent, OrderId, Point, Status, StoreId, Timestamp, replay,
};
use crate::store::{Cursor, Position};

/// How many events may wait for one watcher. About what a phone needs to catch its breath; at 1 KiB each, ten thousand
/// stalled watchers hold 2.5 GiB at the very worst, so the number of watchers is bounded too.
const QUEUE: usize = 256;

/// More watchers than this are sent away.
const MOST_WATCHERS: usize = 10_000;

#[derive(Clone, Debug, PartialEq)]
pub enum Topic {
    Order(OrderId),
    MyOrders(CustomerId),
    Store(StoreId),
    /// Open deliveries around a place.
    Deliveries {
        around: Point,
        radius_m: f64,
    },
    /// Whatever an operator should look at.
    Operations,
}

/// One event, shared by all who watch it.
#[derive(Debug)]
pub struct FeedEvent {
    pub order: Arc<Order>,
    pub name: &'static str,
    pub version: u32,
    pub at: Timestamp,
    /// What follows this is new to someone who has seen it.
    pub cursor: Cursor,
    /// The order as JSON, made once for each kind of reader. Filled by whoever renders.
    pub rendered: [OnceLock<Arc<str>>; 5],
}

/// An event and which of the watcher's topics it belongs to, by number.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub topic: usize,
    pub event: Arc<FeedEvent>,
}

/// What one watcher gets.
pub struct Subscription {
    /// Where the watcher joined: everything after it comes through `live`.
    pub joined: Cursor,
    pub live: mpsc::Receiver<Delivery>,
    pub topics: Vec<Topic>,
    lagging: Arc<AtomicBool>,
    id: u64,
    hub: Hub,
}

impl Subscription {
    /// The queue was closed because this watcher is too slow.
    pub fn is_lagging(&self) -> bool {
        self.lagging.load(Ordering::Relaxed)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.hub.lock().leave(self.id);
    }
}

impl Topic {
    fn includes(&self, before: &Option<Arc<Order>>, after: &Order) -> bool {
        match self {
            Topic::Order(order) => after.id == *order,
            Topic::MyOrders(customer) => after.placement.customer_id == *customer,
            // The store sees an order once it is submitted, never before it is paid.
            Topic::Store(store) => after.placement.store.id == *store && after.is_shown_to_store(),
            Topic::Deliveries { around, radius_m } => {
                let concerns = is_open(after) || before.as_deref().is_some_and(is_open);
                concerns && around.metres_to(after.placement.destination.point) <= *radius_m
            }
            Topic::Operations => {
                after.attention().is_some() || before.as_ref().is_some_and(|order| order.attention().is_some())
            }
        }
    }
}

fn is_open(order: &Order) -> bool {
    order.status() == Status::Ready
        && order.delivery.status() == DeliveryStatus::Offered
        && order.placement.policy.dispatch == Dispatch::RidersClaim
}

struct Shared {
    before: Option<Arc<Order>>,
    event: Arc<FeedEvent>,
}

/// One for each event of an entry, with the order as it stood right after it. Moves `cursor` along.
fn feed_events(entry: &Entry, cursor: &mut Cursor) -> Vec<Shared> {
    let News::Order { before, events, after } = &entry.news else {
        cursor.advance(entry.last);
        return Vec::new();
    };
    let mut order = before.clone();
    let mut shared = Vec::with_capacity(events.len());
    for (nth, event) in events.iter().enumerate() {
        let last = nth + 1 == events.len();
        let then = if last { after.clone() } else { next_state(&order, event, entry.at, after) };
        cursor.advance(Position { shard: entry.first.shard, position: entry.first.position + nth as u64 });
        shared.push(Shared {
            before: order.replace(then.clone()),
            event: Arc::new(FeedEvent {
                name: event.name(),
                version: entry.version + nth as u32,
                at: entry.at,
                cursor: cursor.clone(),
                order: then,
                rendered: Default::default(),
            }),
        });
    }
    shared
}

/// These events were folded before they were written, so they fold; if not, the state after all of them is shown.
fn next_state(before: &Option<Arc<Order>>, event: &OrderEvent, at: Timestamp, last: &Arc<Order>) -> Arc<Order> {
    replay(last.id, before.clone(), [(event, at)]).ok().flatten().unwrap_or_else(|| last.clone())
}

struct Watcher {
    topics: Vec<Topic>,
    queue: mpsc::Sender<Delivery>,
    lagging: Arc<AtomicBool>,
}

#[derive(Default)]
struct Watching {
    cursor: Option<Cursor>,
    watchers: HashMap<u64, Watcher>,
    orders: HashMap<OrderId, Vec<u64>>,
    customers: HashMap<CustomerId, Vec<u64>>,
    stores: HashMap<StoreId, Vec<u64>>,
    /// Topics that any event may belong to.
    others: Vec<u64>,
}

/// Where watchers join. Cheap to clone.
#[derive(Clone)]
pub struct Hub {
    watching: Arc<Mutex<Watching>>,
    joined: Arc<AtomicU64>,
    /// The turns of those who read what they missed: all the others who read histories need connections too.
    turns: Arc<Semaphore>,
}

/// There are as many watchers as may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("as many feeds are open as this server serves")]
pub struct TooManyWatchers;

impl Hub {
    /// Everything after [`Subscription::joined`] comes through its queue.
    pub fn join(&self, topics: Vec<Topic>) -> Result<Subscription, TooManyWatchers> {
        let (queue, live) = mpsc::channel(QUEUE);
        let lagging = Arc::new(AtomicBool::new(false));
        let id = self.joined.fetch_add(1, Ordering::Relaxed);
        let mut watching = self.lock();
        if watching.watchers.len() >= MOST_WATCHERS {
            return Err(TooManyWatchers);
        }
        for topic in &topics {
            watching.list(topic).push(id);
        }
        watching.watchers.insert(id, Watcher { topics: topics.clone(), queue, lagging: lagging.clone() });
        let joined = watching.cursor.clone().unwrap_or_else(Cursor::start);
        Ok(Subscription { joined, live, topics, lagging, id, hub: self.clone() })
    }

    pub fn watchers(&self) -> usize {
        self.lock().watchers.len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Watching> {
        // Nothing panics while it is held; poisoned or not, the lists are whole.
        self.watching.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watching {
    fn list(&mut self, topic: &Topic) -> &mut Vec<u64> {
        match topic {
            Topic::Order(order) => self.orders.entry(*order).or_default(),
            Topic::MyOrders(customer) => self.customers.entry(customer.clone()).or_default(),
            Topic::Store(store) => self.stores.entry(*store).or_default(),
            Topic::Deliveries { .. } | Topic::Operations => &mut self.others,
        }
    }

    fn leave(&mut self, id: u64) {
        let Some(watcher) = self.watchers.remove(&id) else { return };
        for topic in &watcher.topics {
            self.list(topic).retain(|other| *other != id);
            match topic {
                Topic::Order(order) => drop_if_empty(&mut self.orders, order),
                Topic::MyOrders(customer) => drop_if_empty(&mut self.customers, customer),
                Topic::Store(store) => drop_if_empty(&mut self.stores, store),
                Topic::Deliveries { .. } | Topic::Operations => {}
            }
        }
    }

    fn hand_out(&mut self, entry: &Entry, cursor: &mut Cursor) {
        let News::Order { after, .. } = &entry.news else { return cursor.advance(entry.last) };
        let interested = self.interested(after);
        if interested.is_empty() {
            return cursor.advance(entry.last);
        }
        for shared in feed_events(entry, cursor) {
            for id in &interested {
                self.deliver(*id, &shared);
            }
        }
    }

    fn interested(&self, order: &Order) -> Vec<u64> {
        let lists = [
            self.orders.get(&order.id),
            self.customers.get(&order.placement.customer_id),
            self.stores.get(&order.placement.store.id),
            Some(&self.others),
        ];
        let mut ids: Vec<u64> = lists.into_iter().flatten().flatten().copied().collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    fn deliver(&mut self, id: u64, shared: &Shared) {
        let Some(watcher) = self.watchers.get(&id) else { return };
        for (topic, wanted) in watcher.topics.iter().enumerate() {
            if !wanted.includes(&shared.before, &shared.event.order) {
                continue;
            }
            if watcher.queue.try_send(Delivery { topic, event: shared.event.clone() }).is_err() {
                watcher.lagging.store(true, Ordering::Relaxed);
                metrics::counter!("feed_watchers_closed_total", "reason" => "slow").increment(1);
                return self.leave(id); // Its queue ends after what is in it.
            }
        }
    }
}

fn drop_if_empty<K: Eq + Hash>(lists: &mut HashMap<K, Vec<u64>>, key: &K) {
    if lists.get(key).is_some_and(Vec::is_empty) {
        lists.remove(key);
    }
}

/// Follows the journal for all watchers.
pub(super) struct Feed {
    follower: Follower,
    hub: Hub,
}

impl Feed {
    /// `turns`: how many watchers read what they missed at a time.
    pub(super) fn new(follower: Follower, turns: usize) -> (Self, Hub) {
        let turns = Arc::new(Semaphore::new(turns.max(1)));
        let hub = Hub { watching: Arc::default(), joined: Arc::default(), turns };
        hub.lock().cursor = Some(follower.cursor().clone());
        (Self { follower, hub: hub.clone() }, hub)
    }

    pub(super) async fn run(mut self) {
        let mut tries = 0;
        loop {
            match self.follower.next(512).await {
                Ok(entries) => {
                    tries = 0;
                    let mut watching = self.hub.lock();
                    let mut cursor = watching.cursor.take().unwrap_or_else(Cursor::start);
                    for entry in &entries {
                        watching.hand_out(entry, &mut cursor);
                    }
                    watching.cursor = Some(cursor);
                }
                Err(error) => {
                    tracing::error!(%error, "feeds cannot follow the journal; trying again");
                    tries += 1;
                    let second = std::time::Duration::from_secs(1);
                    tokio::time::sleep(Pace::pause(second / 10, second * 5, tries)).await;
                }
            }
        }
    }
}
