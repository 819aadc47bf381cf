//! What happens to a store's stock: wire names and bodies, as in the journal.
//!
//! A name or field that has been released keeps its meaning for ever; a new meaning is a new name.

use serde::{Deserialize, Serialize};

use super::event::UnreadableEvent;
use super::id::{ItemId, OrderId};

/// So many pieces of one item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pieces {
    pub item_id: ItemId,
    pub quantity: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StockEvent {
    LevelSet { item: ItemId, available: Option<u32> },
    Restocked { item: ItemId, quantity: u32 },
    Reserved { order: OrderId, lines: Vec<Pieces> },
    Returned { order: OrderId, lines: Vec<Pieces> },
    Sold { order: OrderId, lines: Vec<Pieces> },
}

#[derive(Serialize, Deserialize)]
struct LevelBody {
    item_id: ItemId,
    available: Option<u32>,
}

#[derive(Serialize, Deserialize)]
struct ReservationBody {
    order_id: OrderId,
    lines: Vec<Pieces>,
}

impl StockEvent {
    /// The items whose levels it changes.
    pub fn items(&self) -> impl Iterator<Item = ItemId> + '_ {
        let (one, lines) = match self {
            StockEvent::LevelSet { item, .. } | StockEvent::Restocked { item, .. } => (Some(*item), [].as_slice()),
            StockEvent::Reserved { lines, .. }
            | StockEvent::Returned { lines, .. }
            | StockEvent::Sold { lines, .. } => (None, lines.as_slice()),
        };
        one.into_iter().chain(lines.iter().map(|line| line.item_id))
    }

    pub const fn name(&self) -> &'static str {
        match self {
            StockEvent::LevelSet { .. } => "stock_level_set",
            StockEvent::Restocked { .. } => "stock_restocked",
            StockEvent::Reserved { .. } => "reservation_made",
            StockEvent::Returned { .. } => "reservation_returned",
            StockEvent::Sold { .. } => "reservation_sold",
        }
    }

    pub fn data(&self) -> String {
        let json = match self {
            StockEvent::LevelSet { item, available } => {
                serde_json::to_string(&LevelBody { item_id: *item, available: *available })
            }
            StockEvent::Restocked { item, quantity } => {
                serde_json::to_string(&Pieces { item_id: *item, quantity: *quantity })
            }
            StockEvent::Reserved { order, lines }
            | StockEvent::Returned { order, lines }
            | StockEvent::Sold { order, lines } => {
                serde_json::to_string(&ReservationBody { order_id: *order, lines: lines.clone() })
            }
        };
        json.expect("stock events have string keys")
    }

    pub fn read(name: &str, data: &str) -> Result<Self, UnreadableEvent> {
        let read = || -> Result<Option<Self>, serde_json::Error> {
            Ok(Some(match name {
                "stock_level_set" => {
                    let LevelBody { item_id, available } = serde_json::from_str(data)?;
                    StockEvent::LevelSet { item: item_id, available }
                }
                "stock_restocked" => {
                    let Pieces { item_id, quantity } = serde_json::from_str(data)?;
                    StockEvent::Restocked { item: item_id, quantity }
                }
                "reservation_made" | "reservation_returned" | "reservation_sold" => {
                    let ReservationBody { order_id: order, lines } = serde_json::from_str(data)?;
                    match name {
                        "reservation_made" => StockEvent::Reserved { order, lines },
                        "reservation_returned" => StockEvent::Returned { order, lines },
                        _ => StockEvent::Sold { order, lines },
                    }
                }
                _ => return Ok(None),
            }))
        };
        match read() {
            Ok(Some(event)) => Ok(event),
            Ok(None) => Err(UnreadableEvent { name: name.to_owned(), source: None }),
            Err(source) => Err(UnreadableEvent { name: name.to_owned(), source: Some(source) }),
        }
    }
}
