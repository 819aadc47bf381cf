//! Books as documents: what a snapshot of a store's stock or a rider's deliveries holds.
//!
//! A snapshot is a cache. A document of another format, or one that contradicts itself, is no book; whoever finds one
//! folds the events instead. So a format changes together with its number, and nothing ever reads an old one.

use serde::{Deserialize, Serialize};

use super::id::{ItemId, OrderId};
use super::rider::RiderBook;
use super::stock::{Level, Stock};
use super::stock_event::Pieces;

/// Counts up with every change of what a document holds or means, a new rule of folding included.
const FORMAT: u32 = 1;

/// The document is not that of a book.
#[derive(Debug, thiserror::Error)]
pub enum BadSnapshot {
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
    #[error("it has format {0}, and {FORMAT} is known")]
    OtherFormat(u32),
    #[error("it contradicts itself: {0}")]
    Contradiction(&'static str),
}

#[derive(Serialize, Deserialize)]
struct StockDocument {
    format: u32,
    version: u32,
    levels: Vec<LevelOf>,
    open: Vec<Reservation>,
    ended: Vec<OrderId>,
}

#[derive(Serialize, Deserialize)]
struct LevelOf {
    item_id: ItemId,
    available: u32,
    reserved: u32,
}

#[derive(Serialize, Deserialize)]
struct Reservation {
    order_id: OrderId,
    lines: Vec<Pieces>,
}

impl Stock {
    /// As JSON. The same stock gives the same text.
    pub fn snapshot(&self) -> String {
        let Stock { levels, open, ended, version } = self;
        let mut levels: Vec<LevelOf> = levels
            .iter()
            .map(|(item, level)| LevelOf { item_id: *item, available: level.available, reserved: level.reserved })
            .collect();
        levels.sort_by_key(|level| level.item_id);
        let mut open: Vec<Reservation> =
            open.iter().map(|(order, lines)| Reservation { order_id: *order, lines: lines.clone() }).collect();
        open.sort_by_key(|reservation| reservation.order_id);
        let ended = ended.iter().copied().collect();
        let document = StockDocument { format: FORMAT, version: *version, levels, open, ended };
        serde_json::to_string(&document).expect("a stock's document has string keys")
    }

    pub fn of_snapshot(text: &str) -> Result<Self, BadSnapshot> {
        let StockDocument { format, version, levels, open, ended } = serde_json::from_str(text)?;
        if format != FORMAT {
            return Err(BadSnapshot::OtherFormat(format));
        }
        let (many_levels, many_open) = (levels.len(), open.len());
        let level = |level: LevelOf| (level.item_id, Level { available: level.available, reserved: level.reserved });
        let stock = Stock {
            levels: levels.into_iter().map(level).collect(),
            open: open.into_iter().map(|reservation| (reservation.order_id, reservation.lines)).collect(),
            ended: ended.into(),
            version,
        };
        if stock.levels.len() != many_levels || stock.open.len() != many_open {
            return Err(BadSnapshot::Contradiction("an item or an order stands there twice"));
        }
        let set_aside = stock.all_set_aside();
        let held = |item| set_aside.get(item).copied().unwrap_or_default();
        if stock.levels.iter().any(|(item, level)| level.reserved != held(item)) {
            return Err(BadSnapshot::Contradiction("its levels are not what its reservations hold"));
        }
        Ok(stock)
    }

    /// How many things its snapshot lists, but for the ended reservations, which are bounded.
    pub fn parts(&self) -> usize {
        self.levels.len() + self.open.len()
    }
}

#[derive(Serialize, Deserialize)]
struct RiderDocument {
    format: u32,
    version: u32,
    held: Vec<OrderId>,
}

impl RiderBook {
    /// As JSON. The same book gives the same text.
    pub fn snapshot(&self) -> String {
        let RiderBook { held, version } = self;
        let document = RiderDocument { format: FORMAT, version: *version, held: held.clone() };
        serde_json::to_string(&document).expect("a book's document has string keys")
    }

    pub fn of_snapshot(text: &str) -> Result<Self, BadSnapshot> {
        let RiderDocument { format, version, held } = serde_json::from_str(text)?;
        if format != FORMAT {
            return Err(BadSnapshot::OtherFormat(format));
        }
        if held.iter().enumerate().any(|(n, order)| held[..n].contains(order)) {
            return Err(BadSnapshot::Contradiction("an order stands there twice"));
        }
        Ok(RiderBook { held, version })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::order::testing::{ITEM, ORDER, shelf};
    use crate::order::{DEFAULT_CAPACITY, RiderCommand, StockCommand};

    fn order(n: u128) -> OrderId {
        OrderId::new(Uuid::from_u128(n))
    }

    fn stock_after(commands: impl IntoIterator<Item = StockCommand>) -> Stock {
        commands.into_iter().fold(Stock::default(), |stock, command| match stock.decide(&command) {
            Ok(Some(event)) => stock.after(&event).expect("what was decided fits"),
            Ok(None) | Err(_) => stock,
        })
    }

    fn some_stock() -> Stock {
        let tea = ItemId::new(Uuid::from_u128(0x7ea));
        let line = |item_id, quantity| Pieces { item_id, quantity };
        stock_after([
            StockCommand::SetLevel { item: ITEM, available: Some(5) },
            StockCommand::SetLevel { item: tea, available: Some(9) },
            StockCommand::Reserve { order: ORDER, lines: vec![line(ITEM, 2), line(tea, 1)] },
            StockCommand::Reserve { order: order(3), lines: vec![line(tea, 4)] },
            StockCommand::Sell { order: order(3) },
            StockCommand::Return { order: order(4) },
        ])
    }

    fn some_book() -> RiderBook {
        [RiderCommand::Hold { order: ORDER }, RiderCommand::Hold { order: order(3) }]
            .iter()
            .filter_map(|command| RiderBook::default().decide(command, DEFAULT_CAPACITY).ok().flatten())
            .fold(RiderBook::default(), |book, event| book.after(&event).expect("it fits"))
    }

    /// A text that changes here needs another number: what was written under the old one must not be taken for this.
    #[test]
    fn a_document_of_this_format_is_what_it_always_was() {
        assert_eq!(FORMAT, 1);
        assert_eq!(
            some_stock().snapshot(),
            concat!(
                r#"{"format":1,"version":6,"levels":["#,
                r#"{"item_id":"00000000-0000-0000-0000-00000000017e","available":3,"reserved":2},"#,
                r#"{"item_id":"00000000-0000-0000-0000-0000000007ea","available":4,"reserved":1}],"#,
                r#""open":[{"order_id":"00000000-0000-0000-0000-00000000001d","lines":["#,
                r#"{"item_id":"00000000-0000-0000-0000-00000000017e","quantity":2},"#,
                r#"{"item_id":"00000000-0000-0000-0000-0000000007ea","quantity":1}]}],"#,
                r#""ended":["00000000-0000-0000-0000-000000000003","00000000-0000-0000-0000-000000000004"]}"#
            )
        );
        assert_eq!(
            some_book().snapshot(),
            concat!(
                r#"{"format":1,"version":2,"held":["00000000-0000-0000-0000-00000000001d","#,
                r#""00000000-0000-0000-0000-000000000003"]}"#
            )
        );
    }

    #[test]
    fn what_is_not_this_book_is_refused() {
        let (stock, book) = (some_stock().snapshot(), some_book().snapshot());
        for (from, to) in [
            (r#""format":1"#, r#""format":2"#),
            (r#""reserved":2"#, r#""reserved":3"#),
            (r#""quantity":2"#, r#""quantity":1"#),
            (r#""available":3"#, r#""available":-3"#),
            (r#""ended""#, r#""ending""#),
            ("00000000017e", "0000000007ea"),
        ] {
            let other = stock.replacen(from, to, 1);
            assert_ne!(other, stock, "{from}");
            assert!(Stock::of_snapshot(&other).is_err(), "{from} -> {to}");
        }
        assert!(Stock::of_snapshot(&book).is_err() && RiderBook::of_snapshot(&stock).is_err());
        assert!(RiderBook::of_snapshot(&book.replace("00000000001d", "000000000003")).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

        #[test]
        fn a_stock_reads_back_as_it_was(commands in prop::collection::vec(shelf::a_command(), 0..60)) {
            let stock = stock_after(commands);
            prop_assert_eq!(&Stock::of_snapshot(&stock.snapshot()).unwrap(), &stock);
        }
    }
}
