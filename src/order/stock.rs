//! A store's stock as a stream of its own: set, restock, reserve, return, sell.
//!
//! Promised at every version: nothing is negative, what came in is on the shelf, set aside or sold, and each
//! reservation ends once. A reservation is named by its order, so repeating a command changes nothing.

use std::collections::{HashMap, VecDeque};

use super::id::{ItemId, OrderId};
use super::machine::IllegalEvent;
use super::stock_event::{Pieces, StockEvent};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StockCommand {
    /// The shelf was counted. None: the item is not counted any more.
    SetLevel {
        item: ItemId,
        available: Option<u32>,
    },
    Restock {
        item: ItemId,
        quantity: u32,
    },
    Reserve {
        order: OrderId,
        lines: Vec<Pieces>,
    },
    Return {
        order: OrderId,
    },
    Sell {
        order: OrderId,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StockRefusal {
    #[error("there is not enough of this item")]
    OutOfStock(ItemId),
    #[error("the reservation has ended already")]
    Ended,
    #[error("this item is not counted: set its stock first")]
    NotCounted(ItemId),
    #[error("a shelf holds at most {MAX_LEVEL} pieces of an item")]
    TooMany,
}

/// Far above any shelf, far below where sums overflow.
pub const MAX_LEVEL: u32 = 1_000_000_000;

/// How many ended reservations are remembered, against a request that was under way when its order ended.
/// Such a request lives for seconds; a store does not end a thousand orders in that time.
const REMEMBERED: usize = 1_024;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Level {
    pub available: u32,
    pub reserved: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stock {
    pub(super) levels: HashMap<ItemId, Level>,
    pub(super) open: HashMap<OrderId, Vec<Pieces>>,
    pub(super) ended: VecDeque<OrderId>,
    pub(super) version: u32,
}

impl Stock {
    pub fn version(&self) -> u32 {
        self.version
    }

    /// None for an item that is not counted.
    pub fn level(&self, item: ItemId) -> Option<Level> {
        self.levels.get(&item).copied()
    }

    pub fn levels(&self) -> impl Iterator<Item = (ItemId, Level)> + '_ {
        self.levels.iter().map(|(item, level)| (*item, *level))
    }

    /// How many pieces of each item the open reservations hold.
    pub fn all_set_aside(&self) -> HashMap<ItemId, u32> {
        let mut sums = HashMap::new();
        for line in self.open.values().flatten() {
            *sums.entry(line.item_id).or_default() += line.quantity;
        }
        sums
    }

    /// The orders for which something is set aside.
    pub fn open_reservations(&self) -> impl Iterator<Item = OrderId> + '_ {
        self.open.keys().copied()
    }

    /// None means that what the command asks for already holds.
    pub fn decide(&self, command: &StockCommand) -> Result<Option<StockEvent>, StockRefusal> {
        match command {
            StockCommand::SetLevel { item, available } => {
                if available.is_some_and(|level| !self.has_room(*item, level)) {
                    return Err(StockRefusal::TooMany);
                }
                let same = self.level(*item).map(|level| level.available) == *available;
                Ok((!same).then_some(StockEvent::LevelSet { item: *item, available: *available }))
            }
            StockCommand::Restock { item, quantity } => {
                let level = self.level(*item).ok_or(StockRefusal::NotCounted(*item))?;
                let sum = level.available.checked_add(*quantity).filter(|sum| self.has_room(*item, *sum));
                sum.ok_or(StockRefusal::TooMany)?;
                Ok((*quantity > 0).then_some(StockEvent::Restocked { item: *item, quantity: *quantity }))
            }
            StockCommand::Reserve { order, lines } => self.reserve(*order, lines),
            // Also without a reservation: one that is still under way must find that it has ended.
            StockCommand::Return { order } => {
                let lines = self.open.get(order).cloned().unwrap_or_default();
                Ok((!self.ended.contains(order)).then_some(StockEvent::Returned { order: *order, lines }))
            }
            StockCommand::Sell { order } => {
                let held = self.open.get(order).cloned();
                Ok(held.map(|lines| StockEvent::Sold { order: *order, lines }))
            }
        }
    }

    /// What is set aside may come back, so it counts: no later sum of the two can overflow.
    fn has_room(&self, item: ItemId, available: u32) -> bool {
        u64::from(available) + u64::from(self.set_aside(item)) <= u64::from(MAX_LEVEL)
    }

    /// Also for an item that is not counted any more: what was set aside while it was stays so.
    fn set_aside(&self, item: ItemId) -> u32 {
        match self.levels.get(&item) {
            Some(level) => level.reserved,
            None => self.open.values().flatten().filter(|line| line.item_id == item).map(|line| line.quantity).sum(),
        }
    }

    fn reserve(&self, order: OrderId, lines: &[Pieces]) -> Result<Option<StockEvent>, StockRefusal> {
        if self.open.contains_key(&order) {
            return Ok(None);
        }
        if self.ended.contains(&order) {
            return Err(StockRefusal::Ended);
        }
        let mut wanted: HashMap<ItemId, u32> = HashMap::new();
        for line in lines {
            let sum = wanted.entry(line.item_id).or_default();
            *sum = sum.saturating_add(line.quantity);
        }
        // In the order of the lines, so that the same shortage is always told of the same item.
        for Pieces { item_id, .. } in lines {
            if self.level(*item_id).is_some_and(|level| level.available < wanted[item_id]) {
                return Err(StockRefusal::OutOfStock(*item_id));
            }
        }
        let counted = lines.iter().filter(|line| self.levels.contains_key(&line.item_id)).copied().collect();
        Ok(Some(StockEvent::Reserved { order, lines: counted }))
    }

    pub fn after(mut self, event: &StockEvent) -> Result<Stock, IllegalEvent> {
        let illegal = IllegalEvent { event: event.name(), version: self.version, status: "stock" };
        self.apply(event).ok_or(illegal)?;
        self.version += 1;
        Ok(self)
    }

    fn apply(&mut self, event: &StockEvent) -> Option<()> {
        match event {
            StockEvent::LevelSet { item, available: Some(available) } => {
                let reserved = self.set_aside(*item);
                self.levels.insert(*item, Level { available: *available, reserved });
            }
            StockEvent::LevelSet { item, available: None } => {
                self.levels.remove(item);
            }
            StockEvent::Restocked { item, quantity } => {
                let level = self.levels.get_mut(item)?;
                level.available = level.available.checked_add(*quantity)?;
            }
            StockEvent::Reserved { order, lines } => {
                for line in lines {
                    let level = self.levels.get_mut(&line.item_id)?;
                    level.available = level.available.checked_sub(line.quantity)?;
                    level.reserved = level.reserved.checked_add(line.quantity)?;
                }
                self.open.insert(*order, lines.clone()).is_none().then_some(())?;
            }
            StockEvent::Returned { order, lines } => {
                (self.open.remove(order).unwrap_or_default() == *lines).then_some(())?;
                for line in lines {
                    // An item may have stopped being counted while some of it was set aside.
                    if let Some(level) = self.levels.get_mut(&line.item_id) {
                        level.reserved = level.reserved.saturating_sub(line.quantity);
                        level.available = level.available.checked_add(line.quantity)?;
                    }
                }
                self.end(*order);
            }
            StockEvent::Sold { order, lines } => {
                (self.open.remove(order)? == *lines).then_some(())?;
                for line in lines {
                    if let Some(level) = self.levels.get_mut(&line.item_id) {
                        level.reserved = level.reserved.saturating_sub(line.quantity);
                    }
                }
                self.end(*order);
            }
        }
        Some(())
    }

    fn end(&mut self, order: OrderId) {
        if self.ended.len() == REMEMBERED {
            self.ended.pop_front();
        }
        self.ended.push_back(order);
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const SOUP: ItemId = ItemId::new(Uuid::from_u128(1));

    fn order(n: u128) -> OrderId {
        OrderId::new(Uuid::from_u128(n))
    }

    fn reserve(n: u128, quantity: u32) -> StockCommand {
        StockCommand::Reserve { order: order(n), lines: vec![Pieces { item_id: SOUP, quantity }] }
    }

    fn given(commands: impl IntoIterator<Item = StockCommand>) -> Stock {
        commands.into_iter().fold(Stock::default(), |stock, command| match stock.decide(&command).unwrap() {
            Some(event) => {
                let read = StockEvent::read(event.name(), &event.data()).unwrap();
                assert_eq!(read, event, "an event reads back as it was written");
                stock.after(&event).unwrap()
            }
            None => stock,
        })
    }

    fn with_soup(available: u32) -> StockCommand {
        StockCommand::SetLevel { item: SOUP, available: Some(available) }
    }

    #[test]
    fn the_last_piece_goes_to_one_of_two_orders() {
        let stock = given([with_soup(1), reserve(1, 1)]);
        assert_eq!(stock.decide(&reserve(2, 1)), Err(StockRefusal::OutOfStock(SOUP)));
        assert_eq!(stock.level(SOUP), Some(Level { available: 0, reserved: 1 }));
    }

    #[test]
    fn reserving_twice_for_one_order_takes_once() {
        let stock = given([with_soup(5), reserve(1, 2), reserve(1, 2)]);
        assert_eq!(stock.level(SOUP), Some(Level { available: 3, reserved: 2 }));
    }

    #[test]
    fn a_reservation_ends_once() {
        let stock = given([with_soup(5), reserve(1, 2), StockCommand::Return { order: order(1) }]);
        assert_eq!(stock.level(SOUP), Some(Level { available: 5, reserved: 0 }));
        assert_eq!(stock.decide(&StockCommand::Return { order: order(1) }), Ok(None));
        assert_eq!(stock.decide(&StockCommand::Sell { order: order(1) }), Ok(None));
        assert_eq!(stock.decide(&reserve(1, 2)), Err(StockRefusal::Ended));
    }

    #[test]
    fn what_is_returned_before_it_was_reserved_cannot_be_reserved_later() {
        let stock = given([with_soup(5), StockCommand::Return { order: order(1) }]);
        assert_eq!(stock.decide(&reserve(1, 2)), Err(StockRefusal::Ended));
    }

    #[test]
    fn two_lines_of_one_item_are_counted_together() {
        let lines = vec![Pieces { item_id: SOUP, quantity: 3 }, Pieces { item_id: SOUP, quantity: 3 }];
        let both = StockCommand::Reserve { order: order(1), lines };
        assert_eq!(given([with_soup(5)]).decide(&both), Err(StockRefusal::OutOfStock(SOUP)));
    }

    #[test]
    fn an_item_that_is_not_counted_never_runs_out() {
        let stock = given([reserve(1, 1_000)]);
        assert_eq!(stock.level(SOUP), None);
        assert_eq!(
            stock.decide(&StockCommand::Restock { item: SOUP, quantity: 1 }),
            Err(StockRefusal::NotCounted(SOUP))
        );
    }

    #[test]
    fn what_is_set_aside_stays_so_while_an_item_is_not_counted() {
        let uncounted = StockCommand::SetLevel { item: SOUP, available: None };
        let stock = given([with_soup(5), reserve(1, 2), uncounted, with_soup(10)]);
        assert_eq!(stock.level(SOUP), Some(Level { available: 10, reserved: 2 }));
        let sold = stock.decide(&StockCommand::Sell { order: order(1) }).unwrap().unwrap();
        assert_eq!(stock.after(&sold).unwrap().level(SOUP), Some(Level { available: 10, reserved: 0 }));
    }

    #[test]
    fn what_is_set_aside_still_finds_room_when_it_comes_back() {
        let stock = given([with_soup(MAX_LEVEL), reserve(1, MAX_LEVEL)]);
        assert_eq!(stock.decide(&with_soup(1)), Err(StockRefusal::TooMany));
    }

    #[test]
    fn the_first_line_that_is_short_is_the_one_that_is_named() {
        let tea = |n| ItemId::new(Uuid::from_u128(n));
        let short: Vec<_> = (2..40).map(|n| Pieces { item_id: tea(n), quantity: 1 }).collect();
        let empty = short.iter().map(|line| StockCommand::SetLevel { item: line.item_id, available: Some(0) });
        let all = StockCommand::Reserve { order: order(1), lines: short.clone() };
        assert_eq!(given(empty).decide(&all), Err(StockRefusal::OutOfStock(tea(2))));
    }

    #[test]
    fn a_shelf_cannot_be_overfilled() {
        let stock = given([with_soup(MAX_LEVEL)]);
        let one_more = StockCommand::Restock { item: SOUP, quantity: 1 };
        assert_eq!(stock.decide(&one_more), Err(StockRefusal::TooMany));
    }
}
