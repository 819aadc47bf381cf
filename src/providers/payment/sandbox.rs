//! A payment provider that lives in this process, keeps books like a real one and can be told to misbehave.
//!
//! A card's token says how it behaves: none or `ok`, `declined`, `slow:<ms>`, `hang`, `error` (refused at once
//! with a failure of theirs), `reset` (the connection breaks before anything is done), `apply_then_reset` (it
//! breaks after). The last two behave so only on the first try of a key. The sandbox as a whole can be slowed or
//! broken too.
//!
//! Its ledger is what tests believe instead of the server's opinion. It is a file, so that it outlives a killed
//! process as a real provider would.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Answering, PaymentAnswer, PaymentProvider, PaymentRequest};
use crate::order::{OrderId, PaymentOperation, Text};

/// How the sandbox as a whole behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SandboxMood {
    /// Every answer takes between so many milliseconds and so many.
    #[serde(default)]
    pub latency_ms: (u64, u64),
    #[serde(default)]
    pub failure: Option<Failure>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    Error,
    Hang,
}

/// A line of the ledger: something that was done, once, under this key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxEntry {
    pub key: Uuid,
    pub of: Uuid,
    pub order_id: OrderId,
    pub operation: String,
    pub amount: i64,
}

#[derive(Default)]
struct Books {
    done: HashMap<Uuid, SandboxEntry>,
    /// Keys whose first try was met with a broken connection.
    tried: std::collections::HashSet<Uuid>,
    mood: SandboxMood,
    file: Option<File>,
}

#[derive(Default)]
pub struct Sandbox {
    books: Mutex<Books>,
}

enum Behaviour {
    Good,
    Declined,
    Slow(Duration),
    Hang,
    Error,
    Reset,
    ApplyThenReset,
    UnknownCard,
}

impl Sandbox {
    /// Reads the ledger back and goes on writing it.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).read(true).open(path)?;
        let mut books = Books::default();
        for line in BufReader::new(file.try_clone()?).lines() {
            // The last line may be cut short by a killed process: that entry was not answered either.
            if let Ok(entry) = serde_json::from_str::<SandboxEntry>(&line?) {
                books.done.insert(entry.key, entry);
            }
        }
        books.file = Some(file);
        Ok(Self { books: Mutex::new(books) })
    }

    pub fn set_mood(&self, mood: SandboxMood) {
        self.lock().mood = mood;
    }

    pub fn mood(&self) -> SandboxMood {
        self.lock().mood
    }

    /// What was done for an order.
    pub fn ledger_of(&self, order: OrderId) -> Vec<SandboxEntry> {
        self.lock().done.values().filter(|entry| entry.order_id == order).cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, request: &PaymentRequest) -> PaymentAnswer {
        let mood = self.mood();
        let (least, most) = mood.latency_ms;
        if most > 0 {
            tokio::time::sleep(Duration::from_millis(fastrand::u64(least.min(most)..=most))).await;
        }
        match mood.failure {
            Some(Failure::Hang) => return std::future::pending().await,
            Some(Failure::Error) => return PaymentAnswer::Unknown { why: "provider_error" },
            None => {}
        }
        match behaviour(request) {
            Behaviour::Good => self.lock().apply(request),
            Behaviour::Slow(pause) => {
                tokio::time::sleep(pause).await;
                self.lock().apply(request)
            }
            Behaviour::Declined => PaymentAnswer::Declined { code: Text::literal("card_declined") },
            Behaviour::UnknownCard => PaymentAnswer::Declined { code: Text::literal("unknown_card") },
            Behaviour::Hang => std::future::pending().await,
            Behaviour::Error => PaymentAnswer::Unknown { why: "provider_error" },
            Behaviour::Reset if self.lock().tried.insert(request.key) => {
                PaymentAnswer::Unknown { why: "connection_reset" }
            }
            Behaviour::ApplyThenReset if self.lock().tried.insert(request.key) => {
                self.lock().apply(request);
                PaymentAnswer::Unknown { why: "connection_reset" }
            }
            Behaviour::Reset | Behaviour::ApplyThenReset => self.lock().apply(request),
        }
    }
}

/// Cards misbehave when they are charged; giving money back always works.
fn behaviour(request: &PaymentRequest) -> Behaviour {
    match request.operation {
        PaymentOperation::Authorize | PaymentOperation::Purchase => {}
        PaymentOperation::Capture | PaymentOperation::Void | PaymentOperation::Refund => return Behaviour::Good,
    }
    match request.token.as_ref().map_or("ok", |token| token.0.as_str()) {
        "ok" => Behaviour::Good,
        "declined" => Behaviour::Declined,
        "hang" => Behaviour::Hang,
        "error" => Behaviour::Error,
        "reset" => Behaviour::Reset,
        "apply_then_reset" => Behaviour::ApplyThenReset,
        token => match token.strip_prefix("slow:").and_then(|ms| ms.parse().ok()) {
            Some(ms) => Behaviour::Slow(Duration::from_millis(ms)),
            None => Behaviour::UnknownCard,
        },
    }
}

impl Books {
    /// At most once per key, and only on what the earlier entries allow.
    fn apply(&mut self, request: &PaymentRequest) -> PaymentAnswer {
        if self.done.contains_key(&request.key) {
            return PaymentAnswer::Done;
        }
        let on_hold = self.done.contains_key(&request.of);
        match request.operation {
            PaymentOperation::Authorize | PaymentOperation::Purchase => {}
            PaymentOperation::Capture | PaymentOperation::Void | PaymentOperation::Refund if on_hold => {}
            PaymentOperation::Capture | PaymentOperation::Void | PaymentOperation::Refund => {
                return PaymentAnswer::Declined { code: Text::literal("nothing_on_hold") };
            }
        }
        let entry = SandboxEntry {
            key: request.key,
            of: request.of,
            order_id: request.order,
            operation: request.operation.as_str().to_owned(),
            amount: request.amount.amount,
        };
        if let Some(file) = &mut self.file {
            let mut line = serde_json::to_string(&entry).unwrap_or_default();
            line.push('\n');
            if let Err(error) = file.write_all(line.as_bytes()) {
                tracing::error!(%error, "the sandbox cannot write its ledger");
                return PaymentAnswer::Unknown { why: "provider_error" };
            }
        }
        self.done.insert(entry.key, entry);
        PaymentAnswer::Done
    }
}

impl PaymentProvider for Sandbox {
    fn ask<'a>(&'a self, request: &'a PaymentRequest) -> Answering<'a> {
        Box::pin(self.answer(request))
    }
}
