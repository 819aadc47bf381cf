//! A world in which everything goes wrong that may: answers are lost, late or repeated, requests are applied without
//! an answer, processes forget what they asked. The provider, the shelf and the riders' books keep their own accounts,
//! so that what orders believe can be compared with what is.
#![allow(clippy::wildcard_enum_match_arm, reason = "what nobody does here needs no arm")]

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;

use uuid::Uuid;

use super::every_command::clock;
use super::model::Model;
use super::provider::{Provider, Verdict};
use crate::order::testing::*;
use crate::order::{
    CommandName, Delivery, Order, OrderCommand as Command, OrderId, Party, PaymentOperation, Pieces, Placement,
    Request, RiderBook, RiderCommand, RiderId, Stock, StockCommand, StockEvent, StockPolicy, StockRefusal, Timestamp,
    step,
};

/// What becomes of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fate {
    /// Done and answered. If the world may say no, `lucky` decides.
    Answered { lucky: bool },
    /// Done, and the answer is lost.
    Unanswered { lucky: bool },
    /// Neither done nor answered, and nobody can tell that from the last. It may be done yet, much later.
    Lost { lucky: bool },
    /// Certainly not even sent.
    NotSent,
}

/// One order, and what its actor knows besides.
struct Life {
    id: OrderId,
    order: Arc<Order>,
    model: Model,
    /// What has been asked since the last restart, so that it is asked once.
    asked: HashSet<Request>,
    /// Payment requests that may have reached the provider at some time: journalled, so restarts do not forget it.
    sent: HashSet<(PaymentOperation, u16)>,
    /// Answers on their way, in order.
    answers: VecDeque<Command>,
}

pub(crate) struct World {
    now: Timestamp,
    lives: Vec<Life>,
    provider: Provider,
    stock: Stock,
    came_in: u64,
    sold: u64,
    books: BTreeMap<RiderId, RiderBook>,
    /// Requests that nobody waits for any more and that may be done at any time.
    on_the_way: Vec<(usize, Request, bool)>,
}

/// Fewer than orders, so that books are full at times.
const CAPACITY: usize = 2;

impl World {
    pub(crate) fn with(placements: Vec<Placement>, on_the_shelf: u32) -> Self {
        let level = StockCommand::SetLevel { item: ITEM, available: Some(on_the_shelf) };
        let mut world = World {
            now: NOON,
            lives: Vec::new(),
            provider: Provider::default(),
            stock: Stock::default(),
            came_in: u64::from(on_the_shelf),
            sold: 0,
            books: [rider_id(), another_rider_id()].map(|rider| (rider, RiderBook::default())).into(),
            on_the_way: Vec::new(),
        };
        world.stock(&level).expect("an empty shelf can be filled");
        for (n, placement) in (1..).zip(placements) {
            let id = OrderId::new(Uuid::from_u128(n));
            let counted = placement.policy.stock == StockPolicy::Tracked;
            let step = step(None, id, &customer(), &place(placement), NOON).expect("an order can be placed");
            let mut model = Model::placed(counted);
            step.events[1..].iter().for_each(|event| model.watch(event));
            world.lives.push(Life {
                id,
                order: step.next,
                model,
                asked: HashSet::new(),
                sent: HashSet::new(),
                answers: VecDeque::new(),
            });
        }
        world
    }

    pub(crate) fn orders(&self) -> usize {
        self.lives.len()
    }

    pub(crate) fn order(&self, n: usize) -> &Arc<Order> {
        &self.lives[n].order
    }

    /// Whether anything came of it.
    pub(crate) fn command(&mut self, n: usize, by: &Party, command: &Command) -> bool {
        let life = &mut self.lives[n];
        match step(Some(&life.order), life.id, by, command, self.now) {
            Ok(step) => {
                step.events.iter().for_each(|event| life.model.watch(event));
                life.order = step.next;
                // What is not outstanding any more may be asked again one day.
                let outstanding: HashSet<_> = life.order.outstanding().into_iter().collect();
                life.asked.retain(|request| outstanding.contains(request));
                let changed = !step.events.is_empty();
                self.check_hands(n);
                changed
            }
            Err(crate::order::NoStep::Rejected(_)) => false,
            Err(crate::order::NoStep::Illegal(illegal)) => panic!("{illegal}"),
        }
    }

    /// Asks for something that is outstanding and was not asked for yet.
    pub(crate) fn ask(&mut self, n: usize, which: u8, fate: Fate) {
        let life = &mut self.lives[n];
        let open: Vec<_> =
            life.order.outstanding().into_iter().filter(|request| !life.asked.contains(request)).collect();
        if open.is_empty() {
            return;
        }
        let request = open[usize::from(which) % open.len()].clone();
        life.asked.insert(request.clone());
        let answer = self.fulfil(n, &request, fate);
        self.lives[n].answers.extend(answer);
    }

    /// The world does it, or not; what its answer says, if there is one.
    fn fulfil(&mut self, n: usize, request: &Request, fate: Fate) -> Option<Command> {
        if let Request::Pay { operation, attempt } = request {
            return self.pay(n, *operation, *attempt, fate);
        }
        let (id, as_of) = (self.lives[n].id, self.lives[n].order.version);
        let answer = match (request, fate) {
            (_, Fate::NotSent) => return None,
            (_, Fate::Lost { .. }) => {
                self.on_the_way.push((n, request.clone(), true));
                return None;
            }
            (Request::ReserveStock, _) => {
                let lines = &self.lives[n].order.placement.lines;
                let lines =
                    lines.iter().map(|line| Pieces { item_id: line.item_id, quantity: line.quantity }).collect();
                match self.stock(&StockCommand::Reserve { order: id, lines }) {
                    Ok(()) => Command::NoteStockReserved,
                    Err(StockRefusal::OutOfStock(item)) => Command::NoteOutOfStock { item },
                    // The order has ended meanwhile, and this request was late.
                    Err(StockRefusal::Ended) => return None,
                    Err(other) => panic!("{other}"),
                }
            }
            (Request::ReturnStock, _) => {
                self.stock(&StockCommand::Return { order: id }).expect("returning is never refused");
                Command::NoteStockReturned
            }
            (Request::SellStock, _) => {
                self.stock(&StockCommand::Sell { order: id }).expect("selling is never refused");
                Command::NoteStockSold
            }
            (Request::RetryPayment, _) => Command::Pay { token: None },
            (Request::StopPreparation, _) => Command::NotePreparationStopped,
            (Request::FindRider, _) => {
                let free = |(rider, book): &(&RiderId, &RiderBook)| {
                    book.held().len() < CAPACITY && !self.lives[n].order.releasing.contains(rider)
                };
                Command::NoteRiderFound { rider: self.books.iter().find(free)?.0.clone() }
            }
            (Request::HoldRider { rider }, _) => match self.book(rider, RiderCommand::Hold { order: id }) {
                true => Command::NoteRiderHeld { rider: rider.clone(), as_of },
                false => Command::NoteRiderFull { rider: rider.clone(), as_of },
            },
            (Request::ReleaseRider { rider }, _) => {
                self.book(rider, RiderCommand::Release { order: id });
                Command::NoteRiderReleased { rider: rider.clone() }
            }
            (Request::Pay { .. }, _) => unreachable!("paid above"),
        };
        matches!(fate, Fate::Answered { .. }).then_some(answer)
    }

    fn pay(&mut self, n: usize, operation: PaymentOperation, attempt: u16, fate: Fate) -> Option<Command> {
        let life = &mut self.lives[n];
        let why = || text("no certain answer");
        let sent_before = life.sent.contains(&(operation, attempt));
        let (lucky, answered) = match fate {
            Fate::Answered { lucky } => (lucky, true),
            Fate::Unanswered { lucky } => (lucky, false),
            Fate::Lost { lucky } => {
                life.sent.insert((operation, attempt));
                self.on_the_way.push((n, Request::Pay { operation, attempt }, lucky));
                return Some(Command::NoteNotPaidYet { attempt, sent: true, why: why() });
            }
            Fate::NotSent => return Some(Command::NoteNotPaidYet { attempt, sent: sent_before, why: why() }),
        };
        life.sent.insert((operation, attempt));
        let verdict = self.provider.perform(life.id, operation, attempt, lucky);
        Some(match (answered, verdict, operation) {
            (false, _, _) => Command::NoteNotPaidYet { attempt, sent: true, why: why() },
            (true, Verdict::Declined, _) => Command::NoteDeclined { attempt, code: text("no_funds") },
            (true, Verdict::Done, PaymentOperation::Authorize) => Command::NoteAuthorized { attempt },
            (true, Verdict::Done, PaymentOperation::Purchase | PaymentOperation::Capture) => {
                Command::NoteCaptured { attempt }
            }
            (true, Verdict::Done, PaymentOperation::Void) => Command::NoteVoided,
            (true, Verdict::Done, PaymentOperation::Refund) => Command::NoteRefunded,
        })
    }

    fn stock(&mut self, command: &StockCommand) -> Result<(), StockRefusal> {
        let Some(event) = self.stock.decide(command)? else { return Ok(()) };
        if let StockEvent::Sold { lines, .. } = &event {
            self.sold += lines.iter().map(|line| u64::from(line.quantity)).sum::<u64>();
        }
        self.stock = std::mem::take(&mut self.stock).after(&event).expect("what was decided fits");
        self.check_shelf();
        Ok(())
    }

    /// What came in is on the shelf, set aside or sold.
    fn check_shelf(&self) {
        let level = self.stock.level(ITEM).unwrap_or_default();
        assert_eq!(u64::from(level.available) + u64::from(level.reserved) + self.sold, self.came_in);
    }

    /// Whoever carries an order has it in their book, which has room for so many.
    fn check_hands(&self, n: usize) {
        let Life { id, order, .. } = &self.lives[n];
        let carried = match &order.delivery {
            Delivery::Accepted { rider, .. } | Delivery::PickedUp { rider: Some(rider) } if !order.is_closed() => rider,
            _ => return,
        };
        assert!(self.books[carried].held().contains(id), "{carried} carries what their book does not hold: {order:?}");
    }

    pub(crate) fn restock(&mut self, quantity: u32) {
        self.came_in += u64::from(quantity);
        self.stock(&StockCommand::Restock { item: ITEM, quantity }).expect("there is room");
    }

    /// Whether the book holds it now.
    fn book(&mut self, rider: &RiderId, command: RiderCommand) -> bool {
        let book = self.books.entry(rider.clone()).or_default();
        let Ok(event) = book.decide(&command, CAPACITY) else { return false };
        if let Some(event) = event {
            *book = std::mem::take(book).after(&event).expect("what was decided fits");
        }
        assert!(book.held().len() <= CAPACITY, "nobody carries more than they may");
        true
    }

    /// An answer on its way arrives, or is lost; and it may arrive twice. Those of riders' books come in order.
    pub(crate) fn answer_arrives(&mut self, n: usize, which: u8, lost: bool, twice: bool) {
        let of_a_book = |answer: &Command| {
            matches!(
                answer,
                Command::NoteRiderHeld { .. } | Command::NoteRiderFull { .. } | Command::NoteRiderReleased { .. }
            )
        };
        let answers = &mut self.lives[n].answers;
        if answers.is_empty() {
            return;
        }
        let mut at = usize::from(which) % answers.len();
        if of_a_book(&answers[at]) {
            at = answers.iter().position(of_a_book).unwrap_or(at);
        }
        let Some(answer) = answers.remove(at).filter(|_| !lost) else { return };
        self.command(n, &Party::System, &answer);
        if twice {
            let again = self.command(n, &Party::System, &answer);
            assert!(!again, "{answer:?} counted twice");
        }
    }

    /// A request that was given up long ago is done after all. Riders' books are asked in order, so theirs is not.
    pub(crate) fn a_straggler_arrives(&mut self, which: u8) {
        if self.on_the_way.is_empty() {
            return;
        }
        let at = usize::from(which) % self.on_the_way.len();
        let (n, request, lucky) = self.on_the_way.swap_remove(at);
        if !matches!(request, Request::HoldRider { .. } | Request::ReleaseRider { .. }) {
            self.fulfil(n, &request, Fate::Unanswered { lucky });
        }
    }

    /// The process ends and another begins: the journal is all that is left.
    pub(crate) fn restart(&mut self) {
        for life in &mut self.lives {
            life.asked.clear();
            life.answers.clear();
            // Who has forgotten whether it was sent has to say that it may have been.
            let attempt = life.order.payment.attempt;
            life.sent.extend([(PaymentOperation::Authorize, attempt), (PaymentOperation::Purchase, attempt)]);
        }
    }

    pub(crate) fn wait(&mut self, until: Timestamp) {
        self.now = self.now.max(until);
        for n in 0..self.lives.len() {
            self.command(n, &Party::System, &clock().command);
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    /// What someone may do now, done: the first that anyone is allowed in the order of an order's life.
    pub(crate) fn someone_acts(&mut self, n: usize) -> bool {
        let order = self.lives[n].order.clone();
        let carrier = order.rider().cloned().unwrap_or_else(rider_id);
        let willing = [customer(), store(), Party::Rider(carrier), another_rider()];
        for by in &willing {
            for name in order.allowed(by, self.now) {
                let command = match name {
                    CommandName::Confirm => Command::Confirm,
                    CommandName::Accept => Command::Accept,
                    CommandName::StartPreparation => Command::StartPreparation,
                    CommandName::FinishPreparation => Command::FinishPreparation,
                    CommandName::Assign => Command::Assign { rider: rider_id() },
                    CommandName::Depart => Command::Depart,
                    CommandName::Claim => Command::Claim,
                    CommandName::AcceptDelivery => Command::AcceptDelivery,
                    CommandName::PickUp => Command::PickUp,
                    CommandName::Deliver => Command::Deliver,
                    // Nobody gives up, and payment is the provider's to answer.
                    _ => continue,
                };
                if self.command(n, by, &command) {
                    return true;
                }
            }
        }
        false
    }

    /// What must be true at the end of all orders, whatever went wrong on the way.
    pub(crate) fn check_the_end(&self) {
        for Life { id, order, .. } in &self.lives {
            assert!(order.settled, "{order:?}");
            let of_order = |accounts: &HashSet<(OrderId, u16)>| accounts.iter().filter(|(of, _)| of == id).count();
            let charges = self.provider.charges.get(id).copied().unwrap_or_default();
            assert_eq!(of_order(&self.provider.held), 0, "money is held for ever: {order:?}");
            assert!(charges <= 1, "charged twice: {order:?}");
            if order.ended_early() {
                assert_eq!(of_order(&self.provider.taken), 0, "money is kept: {order:?}");
            } else {
                let captured = order.payment.status == crate::order::PaymentStatus::Captured;
                assert_eq!(of_order(&self.provider.taken), usize::from(captured), "{order:?}");
            }
        }
        assert_eq!(self.stock.open_reservations().count(), 0, "goods are set aside for ever");
        assert!(
            self.books.values().all(|book| book.held().is_empty()),
            "riders carry what is settled: {:?}",
            self.books
        );
        self.check_shelf();
    }
}
