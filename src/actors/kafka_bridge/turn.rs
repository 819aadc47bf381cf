//! Between the journal and one producer: what was read, what of it was sent, and what has arrived.

use std::collections::VecDeque;

use rdkafka::error::KafkaError;

use super::sender::{Handed, Sender, is_mirrored};
use super::window::Window;
use crate::store::{Cursor, Position, Recorded};

pub(super) struct Turn {
    pub(super) window: Window,
    /// Read and not sent yet.
    rows: VecDeque<Recorded>,
    /// Up to where rows have been read.
    pub(super) handed_out: Cursor,
    pub(super) acknowledged: Vec<Position>,
    /// The producer's own queue had no room for the first of the rows.
    held_up: bool,
}

impl Turn {
    pub(super) fn new(window: Window) -> Self {
        let handed_out = window.cursor().clone();
        Self { window, rows: VecDeque::new(), handed_out, acknowledged: Vec::new(), held_up: false }
    }

    pub(super) fn wants_more(&self) -> bool {
        self.rows.is_empty() && self.window.has_room()
    }

    /// Whether there is something to send and room for it.
    pub(super) fn goes_on(&self) -> bool {
        !self.rows.is_empty() && self.window.has_room() && !self.held_up
    }

    pub(super) fn take(&mut self, rows: Vec<Recorded>) {
        for row in &rows {
            self.handed_out.advance(row.position);
        }
        self.rows = rows.into();
    }

    /// Sends in the journal's sequence for as long as there is room.
    pub(super) fn send(&mut self, sender: &Sender) -> Result<(), KafkaError> {
        self.held_up = false;
        while self.window.has_room() {
            let Some(row) = self.rows.front() else { break };
            match is_mirrored(row) {
                None => self.window.passed(row.position, row.at),
                Some(position) => match sender.send(row) {
                    Handed::Over(bytes) => self.window.sent(position, row.at, bytes),
                    Handed::Full => {
                        self.held_up = true;
                        break;
                    }
                    Handed::Refused(error) => return Err(error),
                },
            }
            self.rows.pop_front();
        }
        Ok(())
    }
}
