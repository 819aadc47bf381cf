//! The supervisor: finds, starts, replaces and retires the one live actor of an order, a store or a rider.
//!
//! actix's own Supervisor restarts an actor that stopped, with the state that made it stop, and dies with one that
//! panicked. So this registry holds the only long-lived door of each actor. When one dies it throws everything
//! about it away and starts a fresh one from the journal. Three panics on one command quarantine that one
//! resident, visibly, and so does a history that cannot be read; nobody else is touched.
//!
//! Retiring needs no protocol: only the registry lets messages in, and a permit comes home when its message is done.
//! All permits home and nothing asked of others means that nothing can be lost by letting the actor go.

mod lifeline;
mod oversight;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::fmt::{Debug, Display};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr, AsyncContext, Context, Handler, Message, WeakRecipient};
use tokio::time::Instant;

pub(super) use self::lifeline::Lifeline;
use self::lifeline::{Cause, Down};
pub(super) use self::oversight::Dismiss;
pub use self::oversight::{Census, Pardon, Pause, Quarantined, TakeCensus, WhyQuarantined};
use super::mailbox::{Admitted, Door, MailboxPolicy, Refusal};
use super::slots::Slots;
use crate::order::CommandId;

/// How often one command may bring its actor down before that actor is taken out of service. The first panic may be
/// an accident of timing, the second a coincidence.
const PANICS_ALLOWED: u32 = 3;

/// How long a resident that gave itself up stays down: whatever it stumbled over, usually the journal, needs a
/// moment. One that panicked is replaced at once.
const PAUSE_BEFORE_REPLACING: Duration = Duration::from_millis(250);

/// How often some of the residents are looked at, whether they may go.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A look visits a two-hundredth of them, so that each is visited in ten seconds and a look at a million holds up
/// messages for less than a millisecond.
const LOOKS_FOR_ALL: usize = 200;

/// Unless there are so few that more cost nothing.
const LOOKED_AT_ONCE: usize = 200;

/// How many are looked at, where as many live as may, for one that can make room: so many take 10 us, and one that nobody
/// asks is found among them unless nearly all are at work.
const LOOKS_FOR_ROOM: usize = 64;

/// An actor that lives under a registry.
pub trait Resident: Actor<Context = Context<Self>> {
    type Id: Clone + Eq + Hash + Debug + Display + Send + Unpin + 'static;
    /// What a new one needs to begin with, besides its name.
    type Origin: Send + 'static;
    /// What all of them share.
    type World: Clone + Send + Unpin + 'static;

    const NAME: &'static str;

    fn settle_in(id: Self::Id, origin: Option<Self::Origin>, world: &Self::World, lifeline: Lifeline<Self::Id>)
    -> Self;
}

/// A message to the resident of that name.
pub struct To<R: Resident, M> {
    pub id: R::Id,
    /// Where a new resident begins; none means that it reads the journal.
    pub origin: Option<R::Origin>,
    pub message: M,
}

impl<R: Resident, M: Message> Message for To<R, M> {
    type Result = M::Result;
}

/// How residents are kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Residency {
    /// The registry's own mailbox: what is on its way to a resident.
    pub door: MailboxPolicy,
    /// The mailbox of each resident.
    pub resident: MailboxPolicy,
    /// A resident that nobody has asked anything for this long is retired.
    pub idle_after: Duration,
    /// The same for one that has nothing more to do.
    pub finished_after: Duration,
    /// How many residents may live at a time. The memory bound: a million idle orders take 1.8 KiB each.
    pub most: usize,
}

struct Entry<R: Resident> {
    door: Door<R>,
    last_used: Instant,
    /// Tells its place in `idle` from those that earlier residents of that name have left there.
    number: u64,
}

/// What a command has done to its actor.
struct Record {
    command: Option<CommandId>,
    panics: u32,
}

/// See the module.
pub(super) struct Registry<R: Resident> {
    world: R::World,
    residency: Residency,
    /// The mailbox policy of all residents, and the way on which they tell that they are gone.
    resident: Arc<MailboxPolicy>,
    down: Arc<WeakRecipient<Down<R::Id>>>,
    live: HashMap<R::Id, Entry<R>>,
    /// Every live resident once, by its number, the longest unvisited first; and some that are gone.
    idle: VecDeque<(R::Id, u64)>,
    settled_in: u64,
    replacing: usize,
    records: HashMap<R::Id, Record>,
    quarantine: HashMap<R::Id, WhyQuarantined>,
    paused: bool,
}

impl<R: Resident> Registry<R> {
    /// Starts the registry on the arbiter of the caller; its residents will live there too.
    pub(super) fn open(world: R::World, residency: Residency) -> Door<Self> {
        let addr = Self::create(|ctx| Self {
            world,
            residency,
            resident: Arc::new(residency.resident),
            down: Arc::new(ctx.address().downgrade().recipient()),
            live: HashMap::new(),
            idle: VecDeque::new(),
            settled_in: 0,
            replacing: 0,
            records: HashMap::new(),
            quarantine: HashMap::new(),
            paused: false,
        });
        Door::new(addr, residency.door)
    }

    fn entry(&mut self, id: &R::Id, origin: Option<R::Origin>) -> Result<&mut Entry<R>, Refusal> {
        if self.quarantine.contains_key(id) {
            return Err(Refusal::Quarantined);
        }
        if self.live.get(id).is_some_and(|entry| !entry.door.is_open()) {
            self.live.remove(id);
        }
        if !self.live.contains_key(id) {
            if self.live.len() >= self.residency.most {
                return Err(Refusal::Full);
            }
            let entry = self.settle_in(id, origin);
            self.idle.push_back((id.clone(), entry.number));
            self.live.insert(id.clone(), entry);
        }
        let entry = self.live.get_mut(id).ok_or(Refusal::Stopped)?;
        entry.last_used = Instant::now();
        Ok(entry)
    }

    /// For someone who asks now, one whom nobody asks goes, however short a time ago it was asked: it is read back. Of those
    /// looked at, whoever has nothing more to do goes first, then whoever was asked the longest ago.
    fn make_room(&mut self, id: &R::Id) {
        if self.live.len() < self.residency.most || self.live.contains_key(id) {
            return;
        }
        let mut idlest: Option<(bool, Instant, R::Id)> = None;
        for _ in 0..LOOKS_FOR_ROOM.min(self.idle.len()) {
            let Some((id, number)) = self.idle.pop_front() else { break };
            let Some(entry) = self.live.get(&id).filter(|entry| entry.number == number) else { continue };
            self.idle.push_back((id.clone(), number));
            let slots = entry.door.slots();
            let rank = (!slots.is_finished() && !slots.is_vacant(), entry.last_used);
            if slots.is_idle() && idlest.as_ref().is_none_or(|(busy, used, _)| rank < (*busy, *used)) {
                idlest = Some((rank.0, rank.1, id));
            }
        }
        if let Some((_, _, id)) = idlest {
            self.let_go(&id);
            metrics::counter!("actors_made_room_total", "kind" => R::NAME).increment(1);
        }
    }

    /// The only address goes, and the actor with it.
    fn let_go(&mut self, id: &R::Id) {
        self.live.remove(id);
        self.records.remove(id);
    }

    fn settle_in(&mut self, id: &R::Id, origin: Option<R::Origin>) -> Entry<R> {
        let slots = Slots::new(self.resident.clone());
        let lifeline = Lifeline { id: id.clone(), registry: self.down.clone(), slots: slots.clone() };
        let addr: Addr<R> = R::settle_in(id.clone(), origin, &self.world, lifeline).start();
        let door = Door::with_slots(addr, slots);
        self.settled_in += 1;
        Entry { door, last_used: Instant::now(), number: self.settled_in }
    }

    /// Lets idle residents go, a bounded number at a look.
    fn retire_idle(&mut self) {
        let now = Instant::now();
        let looks = (self.idle.len() / LOOKS_FOR_ALL).max(LOOKED_AT_ONCE).min(self.idle.len());
        for _ in 0..looks {
            let Some((id, number)) = self.idle.pop_front() else { break };
            let Some(entry) = self.live.get(&id).filter(|entry| entry.number == number) else { continue };
            let slots = entry.door.slots();
            let Residency { idle_after, finished_after, .. } = self.residency;
            let stays = match (slots.is_vacant(), slots.is_finished()) {
                (true, _) => Duration::ZERO,
                (false, true) => finished_after,
                (false, false) => idle_after,
            };
            if now.duration_since(entry.last_used) >= stays && slots.is_idle() {
                self.let_go(&id);
            } else {
                self.idle.push_back((id, number));
            }
        }
        metrics::gauge!("actors_live", "kind" => R::NAME).set(self.live.len() as f64);
    }

    /// Nothing stands in the journal for it. Only this registry lets messages in, so none can be lost here: one that is
    /// inside already is answered first, and may be what makes it stay.
    fn vacate(&mut self, down: &Down<R::Id>) {
        let current = self.live.get(&down.id).is_some_and(|entry| entry.door.slots().are(&down.slots));
        if current && down.slots.is_vacant() && down.slots.is_idle() {
            self.let_go(&down.id);
        }
    }

    /// Says whether it is to be replaced.
    fn take_down(&mut self, down: &Down<R::Id>) -> bool {
        let current = self.live.get(&down.id).is_some_and(|entry| entry.door.slots().are(&down.slots));
        if current {
            self.live.remove(&down.id);
        }
        match &down.cause {
            Cause::Stopped | Cause::Vacant => return current,
            Cause::Unreadable { at, why } => {
                if current {
                    let position = at.map(tracing::field::display);
                    tracing::error!(kind = R::NAME, id = %down.id, position, why, "a history cannot be read: quarantined");
                    let why = WhyQuarantined::Unreadable { at: *at, why: why.as_str().into() };
                    self.quarantine.insert(down.id.clone(), why);
                    self.records.remove(&down.id);
                }
                return false;
            }
            Cause::Panic => {}
        }
        metrics::counter!("actor_panics_total", "kind" => R::NAME).increment(1);
        let command = down.slots.command();
        let record = self.records.entry(down.id.clone()).or_insert(Record { command, panics: 0 });
        if record.command != command {
            *record = Record { command, panics: 0 };
        }
        record.panics += 1;
        if record.panics < PANICS_ALLOWED {
            tracing::error!(kind = R::NAME, id = %down.id, panics = record.panics, "an actor panicked and is replaced");
            return current;
        }
        tracing::error!(kind = R::NAME, id = %down.id, "an actor panicked three times on one command: quarantined");
        self.quarantine.insert(down.id.clone(), WhyQuarantined::Panics { command });
        self.records.remove(&down.id);
        false
    }
}

impl<R: Resident> Actor for Registry<R>
where
    Self: Unpin,
{
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.run_interval(LOOK_EVERY, |registry, _| registry.retire_idle());
    }
}

impl<R, M> Handler<Admitted<To<R, M>>> for Registry<R>
where
    R: Resident + Handler<Admitted<M>>,
    M: Message + Send + 'static,
    M::Result: Send,
    Self: Unpin,
{
    type Result = ();

    fn handle(&mut self, asked: Admitted<To<R, M>>, _: &mut Context<Self>) {
        let expires = asked.expires();
        let Some((to, reply)) = asked.start() else { return };
        if self.paused {
            return reply.refuse(Refusal::Paused);
        }
        self.make_room(&to.id);
        match self.entry(&to.id, to.origin) {
            Ok(entry) => entry.door.pass_on(to.message, reply.hand_on(), expires),
            Err(refusal) => reply.refuse(refusal),
        }
    }
}

impl<R: Resident> Handler<Down<R::Id>> for Registry<R>
where
    Self: Unpin,
{
    type Result = ();

    fn handle(&mut self, down: Down<R::Id>, ctx: &mut Context<Self>) {
        let pause = match down.cause {
            Cause::Vacant => return self.vacate(&down),
            Cause::Panic => Duration::ZERO,
            Cause::Stopped | Cause::Unreadable { .. } => PAUSE_BEFORE_REPLACING,
        };
        if !self.take_down(&down) {
            return;
        }
        // Replaced without waiting to be asked: what it still had to ask of others goes on.
        self.replacing += 1;
        ctx.run_later(pause, move |registry, _| {
            registry.replacing -= 1;
            // Refused when quarantined or full: then the next who asks is told so.
            let _ = registry.entry(&down.id, None);
        });
    }
}

/// Starts residents that live in the journal already, without asking them anything. The answer names those for whom
/// there is no room now.
#[derive(Message)]
#[rtype(result = "Vec<R::Id>")]
pub(super) struct Wake<R: Resident>(pub Vec<(R::Id, Option<R::Origin>)>);

impl<R: Resident> Handler<Admitted<Wake<R>>> for Registry<R>
where
    Self: Unpin,
{
    type Result = ();

    fn handle(&mut self, asked: Admitted<Wake<R>>, _: &mut Context<Self>) {
        let Some((Wake(residents), reply)) = asked.start() else { return };
        let mut left = Vec::new();
        for (id, origin) in residents {
            // Quarantined ones stay where they are.
            if let Err(Refusal::Full) = self.entry(&id, origin) {
                left.push(id);
            }
        }
        reply.send(left);
    }
}
