//! A rider's book: which deliveries a rider holds, at most so many at a time.
//!
//! An order enters itself here when it is assigned and strikes itself out when the rider is done with it. That
//! two orders never both take a rider's last place is decided here, by the version of one stream.

use serde::{Deserialize, Serialize};

use super::event::UnreadableEvent;
use super::id::OrderId;
use super::machine::IllegalEvent;

/// How many deliveries a rider carries at a time unless configured otherwise.
pub const DEFAULT_CAPACITY: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RiderCommand {
    Hold { order: OrderId },
    Release { order: OrderId },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RiderEvent {
    Held { order: OrderId },
    Released { order: OrderId },
}

/// The book is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the rider carries as many deliveries as a rider may")]
pub struct RiderFull;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RiderBook {
    pub(super) held: Vec<OrderId>,
    pub(super) version: u32,
}

impl RiderBook {
    pub fn version(&self) -> u32 {
        self.version
    }

    pub fn held(&self) -> &[OrderId] {
        &self.held
    }

    /// None means that what the command asks for already holds.
    pub fn decide(&self, command: &RiderCommand, capacity: usize) -> Result<Option<RiderEvent>, RiderFull> {
        match command {
            RiderCommand::Hold { order } if self.held.contains(order) => Ok(None),
            RiderCommand::Hold { .. } if self.held.len() >= capacity => Err(RiderFull),
            RiderCommand::Hold { order } => Ok(Some(RiderEvent::Held { order: *order })),
            RiderCommand::Release { order } => {
                Ok(self.held.contains(order).then_some(RiderEvent::Released { order: *order }))
            }
        }
    }

    pub fn after(mut self, event: &RiderEvent) -> Result<Self, IllegalEvent> {
        let illegal = IllegalEvent { event: event.name(), version: self.version, status: "rider" };
        match event {
            RiderEvent::Held { order } if !self.held.contains(order) => self.held.push(*order),
            RiderEvent::Released { order } if self.held.contains(order) => self.held.retain(|held| held != order),
            RiderEvent::Held { .. } | RiderEvent::Released { .. } => return Err(illegal),
        }
        self.version += 1;
        Ok(self)
    }
}

#[derive(Serialize, Deserialize)]
struct Body {
    order_id: OrderId,
}

impl RiderEvent {
    pub const fn name(&self) -> &'static str {
        match self {
            RiderEvent::Held { .. } => "delivery_held",
            RiderEvent::Released { .. } => "delivery_released",
        }
    }

    pub fn data(&self) -> String {
        let (RiderEvent::Held { order } | RiderEvent::Released { order }) = self;
        serde_json::to_string(&Body { order_id: *order }).expect("rider events have string keys")
    }

    pub fn read(name: &str, data: &str) -> Result<Self, UnreadableEvent> {
        let order = || serde_json::from_str::<Body>(data).map(|body| body.order_id);
        let event = match name {
            "delivery_held" => order().map(|order| RiderEvent::Held { order }),
            "delivery_released" => order().map(|order| RiderEvent::Released { order }),
            unknown => return Err(UnreadableEvent { name: unknown.to_owned(), source: None }),
        };
        event.map_err(|source| UnreadableEvent { name: name.to_owned(), source: Some(source) })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn hold(n: u128) -> RiderCommand {
        RiderCommand::Hold { order: OrderId::new(Uuid::from_u128(n)) }
    }

    fn given(commands: impl IntoIterator<Item = RiderCommand>) -> RiderBook {
        commands.into_iter().fold(RiderBook::default(), |book, command| {
            let event = book.decide(&command, DEFAULT_CAPACITY).unwrap();
            event.map_or(book.clone(), |event| {
                assert_eq!(RiderEvent::read(event.name(), &event.data()).unwrap(), event);
                book.after(&event).unwrap()
            })
        })
    }

    #[test]
    fn a_rider_carries_three_deliveries_and_not_a_fourth() {
        let book = given([hold(1), hold(2), hold(3)]);
        assert_eq!(book.decide(&hold(4), DEFAULT_CAPACITY), Err(RiderFull));
        assert_eq!(book.decide(&hold(3), DEFAULT_CAPACITY), Ok(None), "what is held is held");
    }

    #[test]
    fn a_released_delivery_makes_room() {
        let release = RiderCommand::Release { order: OrderId::new(Uuid::from_u128(2)) };
        let book = given([hold(1), hold(2), hold(3), release, release, hold(4)]);
        assert_eq!(book.held().len(), 3);
    }
}
