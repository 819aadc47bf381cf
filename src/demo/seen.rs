//! What people read in the answers of the service, and how they put it in words.
//!
//! A reading of the interface of its own, on purpose: only what is documented, as a client would write it.

use std::fmt;

use serde::Deserialize;
use uuid::Uuid;

use super::town::Spot;

#[derive(Debug, Deserialize)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Order {
    pub(super) id: Uuid,
    pub(super) status: String,
    pub(super) store: Named,
    pub(super) customer_id: String,
    pub(super) lines: Vec<Line>,
    pub(super) total: Money,
    pub(super) destination: Spot,
    pub(super) parcel: Option<Parcel>,
    pub(super) payment: Payment,
    /// The commands that the reader may issue now.
    pub(super) allowed: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Parcel {
    pub(super) pick_up: Spot,
}

#[derive(Debug, Deserialize)]
pub(super) struct Named {
    pub(super) id: Uuid,
    pub(super) name: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Line {
    name: String,
    quantity: u32,
}

#[derive(Debug, Deserialize)]
pub(super) struct Payment {
    pub(super) method: String,
    pub(super) status: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Money {
    amount: i64,
    currency: String,
}

/// A line of a store's menu.
#[derive(Debug, Deserialize)]
pub(super) struct Item {
    pub(super) id: Uuid,
    pub(super) stock: Option<u32>,
}

impl Order {
    pub(super) fn may(&self, command: &str) -> bool {
        self.allowed.iter().any(|allowed| allowed == command)
    }

    /// "2 × Bibimbap, 1 × Cola, 26,500 KRW"
    pub(super) fn basket(&self) -> String {
        let lines: Vec<_> = self.lines.iter().map(|line| format!("{} × {}", line.quantity, line.name)).collect();
        format!("{}, {}", lines.join(", "), self.total)
    }
}

impl fmt::Display for Money {
    /// With a comma between thousands. Of the currencies here, only won have no smaller unit.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.amount.to_string();
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && (digits.len() - place).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        write!(f, " {}", self.currency)
    }
}

/// The end of an order's id: its beginning is the time, and the same for all of a day.
pub(super) fn short(id: Uuid) -> String {
    let text = id.to_string();
    format!("…{}", &text[text.len() - 4..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(lines: &str) -> Order {
        let json = format!(
            r#"{{"id":"01890a5d-ac96-774b-bcce-b302099ac3f1","version":3,"status":"placed","store":{{"id":"01890a5d-ac96-774b-bcce-b302099a8057","name":"S"}},
            "customer_id":"minji","lines":{lines},"total":{{"amount":1026500,"currency":"KRW"}},"destination":{{"text":"x","lat":1.0,"lng":2.0}},
            "payment":{{"method":"card","status":"pending"}},"allowed":["cancel"]}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn a_basket_reads_like_a_receipt() {
        let two = order(r#"[{"name":"Bibimbap","quantity":2},{"name":"Cola","quantity":1}]"#);
        assert_eq!(two.basket(), "2 × Bibimbap, 1 × Cola, 1,026,500 KRW");
        assert_eq!(short(two.id), "…c3f1");
        assert!(two.may("cancel") && !two.may("confirm"));
    }
}
