//! What an answer means to whoever asked: done, no, not now, or unknown. The contract's table of status codes, read
//! as a client would.

use serde::Deserialize;
use uuid::Uuid;

use super::connection::Reply;
use super::kind::{Delivery, Status};
use super::pool::NoAnswer;

/// What became of one attempt.
#[derive(Debug)]
pub(super) enum Attempt {
    Done(Reply),
    /// Definitely not carried out, and repeating will not help.
    No(Problem),
    /// Definitely not carried out, for lack of room. Whoever comes back after so many seconds may find some.
    Refused {
        kind: String,
        after_s: u32,
    },
    /// May have been carried out. The same key finds out.
    Unknown {
        kind: String,
    },
}

/// The part of a problem (RFC 9457) that is gone by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Problem {
    #[serde(default)]
    pub(super) status: u16,
    pub(super) code: String,
    /// The order that this ended, or that it is about.
    #[serde(default)]
    pub(super) order_id: Option<Uuid>,
}

/// The part of an order that is gone by.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Order {
    pub(super) id: Uuid,
    pub(super) version: u32,
    pub(super) status: Status,
    pub(super) rider_id: Option<String>,
    pub(super) delivery: DeliveryPart,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct DeliveryPart {
    pub(super) status: Delivery,
}

/// How long to stay away when a refusal does not say.
const USUAL_PAUSE_S: u32 = 1;

impl Attempt {
    pub(super) fn of(answer: Result<Reply, NoAnswer>) -> Self {
        match answer {
            Ok(reply) => Self::of_reply(reply),
            Err(NoAnswer::NotSent) => Self::Refused { kind: "no free connection".into(), after_s: USUAL_PAUSE_S },
            Err(NoAnswer::Unreachable(_)) => Self::Refused { kind: "unreachable".into(), after_s: USUAL_PAUSE_S },
            Err(NoAnswer::Lost(_)) => Self::Unknown { kind: "connection lost".into() },
            Err(NoAnswer::TooLate) => Self::Unknown { kind: "no answer in time".into() },
        }
    }

    fn of_reply(reply: Reply) -> Self {
        let status = reply.head.status;
        if (200..300).contains(&status) {
            return Self::Done(reply);
        }
        let problem: Problem = serde_json::from_slice(&reply.body).unwrap_or_default();
        let kind = format!("{status} {}", problem.code);
        let after_s = reply.head.retry_after_s.unwrap_or(USUAL_PAUSE_S);
        match status {
            429 | 503 => Self::Refused { kind, after_s },
            // A repeat that met the first one: it is being worked on.
            409 if problem.code == "request_in_progress" => Self::Unknown { kind },
            400..=499 => Self::No(Problem { status, ..problem }),
            _ => Self::Unknown { kind },
        }
    }
}

impl Order {
    pub(super) fn read(reply: &Reply) -> Option<Self> {
        serde_json::from_slice(&reply.body).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::super::connection::Head;
    use super::*;

    fn answered(status: u16, code: &str) -> Attempt {
        let mut head = Head::default();
        head.status = status;
        Attempt::of(Ok(Reply { head, body: format!(r#"{{"code":"{code}","status":{status}}}"#).into_bytes() }))
    }

    #[test]
    fn a_timeout_is_unknown_a_full_service_is_not() {
        assert!(matches!(answered(504, "outcome_unknown"), Attempt::Unknown { .. }));
        assert!(matches!(answered(500, "internal"), Attempt::Unknown { .. }));
        assert!(matches!(answered(409, "request_in_progress"), Attempt::Unknown { .. }));
        assert!(matches!(answered(503, "service_full"), Attempt::Refused { kind, .. } if kind == "503 service_full"));
        assert!(matches!(answered(429, "quota"), Attempt::Refused { .. }));
        assert!(matches!(Attempt::of(Err(NoAnswer::TooLate)), Attempt::Unknown { .. }));
    }

    #[test]
    fn what_the_rules_refuse_is_a_no() {
        for (status, code) in [(402, "payment_declined"), (409, "wrong_status"), (422, "invalid_value")] {
            let answer = answered(status, code);
            assert!(matches!(answer, Attempt::No(problem) if problem.status == status && problem.code == code));
        }
    }

    #[test]
    fn an_order_is_read_for_what_matters() {
        let body = br#"{"id":"01890a5d-ac96-774b-bcce-b302099a8057","version":7,"status":"picked_up","rider_id":"r-1",
            "lines":[{"item_id":"x"}],"delivery":{"status":"picked_up","rider_id":"r-1"},"anything":{"new":1}}"#;
        let order = Order::read(&Reply { head: Head::default(), body: body.to_vec() }).unwrap();
        assert_eq!((order.version, order.status, order.delivery.status), (7, Status::PickedUp, Delivery::PickedUp));
    }
}
