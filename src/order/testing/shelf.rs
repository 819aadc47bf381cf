//! A shelf under any commands: nothing is lost, nothing is counted twice, and each reservation ends once.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;
use uuid::Uuid;

use crate::order::{ItemId, OrderId, Pieces, Stock, StockCommand, StockEvent};

fn item(n: u8) -> ItemId {
    ItemId::new(Uuid::from_u128(u128::from(n)))
}

pub(crate) fn a_command() -> impl Strategy<Value = StockCommand> {
    let an_item = || (1..=2_u8).prop_map(item);
    let an_order = || (1..=5_u128).prop_map(|n| OrderId::new(Uuid::from_u128(n)));
    let a_line = (an_item(), 0..4_u32).prop_map(|(item_id, quantity)| Pieces { item_id, quantity });
    prop_oneof![
        2 => (an_item(), prop::option::weighted(0.8, 0..12_u32))
            .prop_map(|(item, available)| StockCommand::SetLevel { item, available }),
        2 => (an_item(), 0..6_u32).prop_map(|(item, quantity)| StockCommand::Restock { item, quantity }),
        4 => (an_order(), prop::collection::vec(a_line, 1..4))
            .prop_map(|(order, lines)| StockCommand::Reserve { order, lines }),
        2 => an_order().prop_map(|order| StockCommand::Return { order }),
        2 => an_order().prop_map(|order| StockCommand::Sell { order }),
    ]
}

/// A count of our own: pieces per item on the shelf, and what each order has aside.
#[derive(Default)]
struct Count {
    shelf: HashMap<ItemId, u32>,
    aside: HashMap<OrderId, Vec<Pieces>>,
    ended: HashSet<OrderId>,
}

impl Count {
    fn watch(&mut self, event: &StockEvent) {
        match event {
            StockEvent::LevelSet { item, available: Some(available) } => {
                self.shelf.insert(*item, *available);
            }
            StockEvent::LevelSet { item, available: None } => {
                self.shelf.remove(item);
            }
            StockEvent::Restocked { item, quantity } => *self.shelf.get_mut(item).expect("counted") += quantity,
            StockEvent::Reserved { order, lines } => {
                assert!(!self.ended.contains(order), "reserved after its end");
                for line in lines {
                    let level = self.shelf.get_mut(&line.item_id).expect("counted");
                    *level = level.checked_sub(line.quantity).expect("nothing is negative");
                }
                assert_eq!(self.aside.insert(*order, lines.clone()), None, "reserved twice");
            }
            StockEvent::Returned { order, lines } => {
                assert!(self.ended.insert(*order), "ended twice");
                assert_eq!(
                    *lines,
                    self.aside.remove(order).unwrap_or_default(),
                    "what goes back is what was set aside"
                );
                for line in lines {
                    if let Some(level) = self.shelf.get_mut(&line.item_id) {
                        *level += line.quantity;
                    }
                }
            }
            StockEvent::Sold { order, lines } => {
                assert!(self.ended.insert(*order), "ended twice");
                assert_eq!(Some(lines), self.aside.remove(order).as_ref(), "what is sold is what was set aside");
            }
        }
    }

    fn check(&self, stock: &Stock) {
        for n in 1..=2 {
            let item = item(n);
            let aside: u32 =
                self.aside.values().flatten().filter(|line| line.item_id == item).map(|l| l.quantity).sum();
            let level = stock.level(item);
            assert_eq!(level.map(|level| level.available), self.shelf.get(&item).copied());
            assert!(level.is_none_or(|level| level.reserved == aside), "{level:?} but {aside} set aside");
        }
        let open: HashSet<_> = stock.open_reservations().collect();
        assert_eq!(open, self.aside.keys().copied().collect());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn nothing_is_lost_on_a_shelf(commands in prop::collection::vec(a_command(), 0..60)) {
        let (mut stock, mut count) = (Stock::default(), Count::default());
        for command in commands {
            let Ok(Some(event)) = stock.decide(&command) else { continue };
            prop_assert_eq!(&StockEvent::read(event.name(), &event.data()).unwrap(), &event);
            stock = stock.after(&event).expect("what was decided fits");
            count.watch(&event);
            count.check(&stock);
            if !matches!(command, StockCommand::Restock { .. }) {
                let again = stock.decide(&command).ok().flatten();
                prop_assert_eq!(again, None, "asking twice is doing once");
            }
        }
    }
}
