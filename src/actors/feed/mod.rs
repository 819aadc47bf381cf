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
use super::supervision::Part;
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
    /// No other topic of this watcher is still to get the event: only now its watcher has seen it.
    pub completes: bool,
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
    /// The queue was closed because this watcher is too slow. Else it was closed because the feed is made anew.
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

impl Shared {
    /// One for each of the topics that it belongs to.
    fn deliveries(&self, topics: &[Topic]) -> impl Iterator<Item = Delivery> {
        let belongs = |(_, topic): &(usize, &Topic)| topic.includes(&self.before, &self.event.order);
        let mut wanted = topics.iter().enumerate().filter(belongs).map(|(number, _)| number).peekable();
        std::iter::from_fn(move || {
            let topic = wanted.next()?;
            Some(Delivery { topic, event: self.event.clone(), completes: wanted.peek().is_none() })
        })
    }
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
    /// Nobody follows the journal for the watchers now, and none may join.
    at_rest: bool,
}

/// Where watchers join. Cheap to clone.
#[derive(Clone)]
pub struct Hub {
    watching: Arc<Mutex<Watching>>,
    joined: Arc<AtomicU64>,
    /// The turns of those who read what they missed: all the others who read histories need connections too.
    turns: Arc<Semaphore>,
}

/// Why a watcher may not join now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotJoined {
    #[error("as many feeds are open as this server serves")]
    TooManyWatchers,
    #[error("the feed failed and is being made anew")]
    AtRest,
}

impl Hub {
    /// Whoever joins hears of everything after `cursor`. `turns`: how many watchers read what they missed at a time.
    pub(super) fn at(cursor: Cursor, turns: usize) -> Self {
        let turns = Arc::new(Semaphore::new(turns.max(1)));
        let hub = Self { watching: Arc::default(), joined: Arc::default(), turns };
        hub.lock().cursor = Some(cursor);
        hub
    }

    pub(super) fn cursor(&self) -> Cursor {
        self.lock().cursor.clone().unwrap_or_else(Cursor::start)
    }

    /// Everything after [`Subscription::joined`] comes through its queue.
    pub fn join(&self, topics: Vec<Topic>) -> Result<Subscription, NotJoined> {
        let (queue, live) = mpsc::channel(QUEUE);
        let lagging = Arc::new(AtomicBool::new(false));
        let id = self.joined.fetch_add(1, Ordering::Relaxed);
        let mut watching = self.lock();
        if watching.at_rest {
            return Err(NotJoined::AtRest);
        }
        if watching.watchers.len() >= MOST_WATCHERS {
            return Err(NotJoined::TooManyWatchers);
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
        // After a panic while it was held every watcher is sent away, and the lists are empty: see `Serving`.
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

    /// The cursor passes an entry before anyone is told of it: should telling panic, nobody is told twice. Whoever was
    /// not told is sent away then, and reads it from the journal.
    fn hand_out(&mut self, entry: &Entry) {
        let interested = match &entry.news {
            News::Order { after, .. } => self.interested(after),
            News::Stock { .. } | News::Rider { .. } => Vec::new(),
        };
        let passed = self.cursor.get_or_insert_with(Cursor::start);
        if interested.is_empty() {
            return passed.advance(entry.last);
        }
        let mut cursor = passed.clone();
        passed.advance(entry.last);
        crate::crash::fail("feed.hand_out");
        for shared in feed_events(entry, &mut cursor) {
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
        let fits = shared.deliveries(&watcher.topics).all(|delivery| watcher.queue.try_send(delivery).is_ok());
        if !fits {
            watcher.lagging.store(true, Ordering::Relaxed);
            metrics::counter!("feed_watchers_closed_total", "reason" => "slow").increment(1);
            self.leave(id); // Its queue ends after what is in it.
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

/// The watchers are served for as long as this lives. Then all of them are sent away: they come back with their tokens,
/// and are given from the journal what they missed.
struct Serving(Hub);

impl Serving {
    fn begin(hub: Hub) -> Self {
        hub.lock().at_rest = false;
        Self(hub)
    }
}

impl Drop for Serving {
    /// Runs while the feed's task unwinds, where a panic would abort the process: nothing here can panic.
    fn drop(&mut self) {
        let mut watching = self.0.lock();
        *watching = Watching { cursor: watching.cursor.take(), at_rest: true, ..Watching::default() };
    }
}

impl Feed {
    /// `follower` begins where the hub stands.
    pub(super) fn new(follower: Follower, hub: Hub) -> Self {
        Self { follower, hub }
    }

    pub(super) async fn run(mut self, part: Part) {
        let _serving = Serving::begin(self.hub.clone());
        let mut tries = 0;
        loop {
            match self.follower.next(512).await {
                Ok(entries) => {
                    tries = 0;
                    let mut watching = self.hub.lock();
                    for entry in &entries {
                        watching.hand_out(entry);
                    }
                    drop(watching);
                    part.passed(self.follower.cursor());
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
