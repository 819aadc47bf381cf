//! A stock's accounts, kept apart from the rules of its book: what came in is on hand, set aside or sold.

use std::collections::HashMap;

use crate::order::{ItemId, Stock, StockEvent};

#[derive(Debug, Default)]
pub(super) struct Accounts(HashMap<ItemId, Account>);

/// Pieces of one item.
#[derive(Debug, Default)]
struct Account {
    /// The first count, restocks, and what later counts found more or less.
    came_in: i64,
    /// None while the item is not counted.
    on_hand: Option<i64>,
    set_aside: i64,
    sold: i64,
}

impl Accounts {
    pub(super) fn note(&mut self, event: &StockEvent) {
        let mut of = |item: &ItemId, pieces: u32, post: fn(&mut Account, i64)| {
            post(self.0.entry(*item).or_default(), i64::from(pieces));
        };
        match event {
            StockEvent::LevelSet { item, available } => {
                let account = self.0.entry(*item).or_default();
                let counted = available.map(i64::from);
                account.came_in += counted.unwrap_or(0) - account.on_hand.unwrap_or(0);
                account.on_hand = counted;
            }
            StockEvent::Restocked { item, quantity } => of(item, *quantity, |account, pieces| {
                account.came_in += pieces;
                account.on_hand = account.on_hand.map(|on_hand| on_hand + pieces);
            }),
            StockEvent::Reserved { lines, .. } => lines.iter().for_each(|line| {
                of(&line.item_id, line.quantity, |account, pieces| {
                    account.on_hand = account.on_hand.map(|on_hand| on_hand - pieces);
                    account.set_aside += pieces;
                });
            }),
            StockEvent::Returned { lines, .. } => lines.iter().for_each(|line| {
                of(&line.item_id, line.quantity, |account, pieces| {
                    account.set_aside -= pieces;
                    match &mut account.on_hand {
                        Some(on_hand) => *on_hand += pieces,
                        // Back on a shelf that nobody counts.
                        None => account.came_in -= pieces,
                    }
                });
            }),
            StockEvent::Sold { lines, .. } => lines.iter().for_each(|line| {
                of(&line.item_id, line.quantity, |account, pieces| {
                    account.set_aside -= pieces;
                    account.sold += pieces;
                });
            }),
        }
    }

    /// Where the book's own levels do not add up to what came in.
    pub(super) fn wrong(&self, stock: &Stock) -> Vec<String> {
        let set_aside = stock.all_set_aside();
        let mut wrong: Vec<String> = Vec::new();
        for (item, account) in &self.0 {
            let on_hand = stock.level(*item).map_or(0, |level| i64::from(level.available));
            let set_aside = i64::from(set_aside.get(item).copied().unwrap_or(0));
            if account.came_in != on_hand + set_aside + account.sold || on_hand < 0 || set_aside != account.set_aside {
                let Account { came_in, sold, .. } = account;
                wrong.push(format!(
                    "of item {item} {came_in} came in, {on_hand} are on hand, {set_aside} set aside, {sold} sold"
                ));
            }
        }
        wrong.sort_unstable();
        wrong
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::order::testing::ITEM;
    use crate::order::{OrderId, Pieces};

    fn a_day() -> Vec<StockEvent> {
        let order = |n| OrderId::new(Uuid::from_u128(n));
        let lines = |quantity| vec![Pieces { item_id: ITEM, quantity }];
        vec![
            StockEvent::LevelSet { item: ITEM, available: Some(10) },
            StockEvent::Reserved { order: order(1), lines: lines(2) },
            StockEvent::Reserved { order: order(2), lines: lines(3) },
            StockEvent::Restocked { item: ITEM, quantity: 4 },
            StockEvent::Sold { order: order(1), lines: lines(2) },
            StockEvent::LevelSet { item: ITEM, available: Some(7) },
            StockEvent::LevelSet { item: ITEM, available: None },
            StockEvent::Returned { order: order(2), lines: lines(3) },
            StockEvent::LevelSet { item: ITEM, available: Some(5) },
            StockEvent::Reserved { order: order(3), lines: lines(1) },
        ]
    }

    #[test]
    fn what_came_in_is_on_hand_set_aside_or_sold_at_every_moment() {
        let (mut accounts, mut stock) = (Accounts::default(), Stock::default());
        for event in a_day() {
            accounts.note(&event);
            stock = stock.after(&event).unwrap();
            assert_eq!(accounts.wrong(&stock), [""; 0], "after {event:?}");
        }
    }

    #[test]
    fn a_piece_that_is_nowhere_is_missed() {
        let stock = a_day().iter().fold(Stock::default(), |stock, event| stock.after(event).unwrap());
        // The sale, what came back, and what is aside in the end. On the shelf a later count puts right what went wrong.
        for left_out in [4, 7, 9] {
            let mut accounts = Accounts::default();
            a_day().iter().enumerate().filter(|(n, _)| *n != left_out).for_each(|(_, event)| accounts.note(event));
            assert_eq!(accounts.wrong(&stock).len(), 1, "without {left_out}: {accounts:?}");
        }
    }
}
