//! Linearizability of one order's history: a search for a sequence that explains every answer (Wing and Gong, with the
//! memory of Lowe, as porcupine has it).
//!
//! A history is linearizable if each request can be given a moment between its sending and its answer at which it took
//! effect, so that the answers are those of an order that does one thing after the other. A request without an answer
//! may have taken effect at any moment after its sending, or never.

use std::collections::HashSet;

/// The way of an order that the store delivers itself and that is paid at the door.
const WAY: [&str; 7] = ["awaiting_acceptance", "accepted", "preparing", "ready", "picked_up", "delivered", "completed"];
const COMPLETED: usize = 6;

/// Commands on that way: from which of its places, and to which.
const STEPS: [(&str, &[usize], usize); 6] = [
    ("accept", &[0], 1),
    ("start-preparation", &[1], 2),
    ("finish-preparation", &[2], 3),
    ("depart", &[3], 4),
    ("deliver", &[4], 5),
    ("confirm", &[4, 5], 6),
];

/// As many requests as a search can tell apart.
pub const MAX_REQUESTS: usize = 128;

/// What a request was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// 200, with an order of this status.
    Shown(String),
    /// The order's state said no.
    Refused,
    /// No answer, or one that says so.
    Unknown,
}

/// A request to one order. Moments are numbers of one clock; an unknown outcome has no end.
#[derive(Clone, Debug)]
pub struct Request {
    /// A command, or `read`.
    pub does: &'static str,
    pub sent: u64,
    pub answered: u64,
    pub outcome: Outcome,
}

/// The status that follows, or none if it is refused. What holds already changes nothing.
fn follows(status: &str, does: &str) -> Option<String> {
    let rank = WAY.iter().position(|on_the_way| *on_the_way == status);
    let ended = match does {
        "read" => return Some(status.to_owned()),
        "cancel" => Some(("cancelled", rank.is_some_and(|rank| rank <= 1))),
        "reject" => Some(("rejected", rank == Some(0))),
        _ => None,
    };
    if let Some((end, may)) = ended {
        return (may || status == end).then(|| end.to_owned());
    }
    let (_, from, to) = STEPS.iter().find(|(command, ..)| *command == does)?;
    let rank = rank?;
    if from.contains(&rank) {
        return Some(WAY[*to].to_owned());
    }
    let holds = if rank == COMPLETED { *to >= 5 } else { rank >= *to };
    holds.then(|| status.to_owned())
}

/// Whether one order that was `at_first` explains all the answers.
pub fn is_linearizable(at_first: &str, requests: &[Request]) -> bool {
    assert!(requests.len() <= MAX_REQUESTS, "{} requests are too many to search", requests.len());
    search(at_first, 0, requests, &mut HashSet::new())
}

/// `done`: a bit for each request that has taken effect.
fn search(status: &str, done: u128, requests: &[Request], seen: &mut HashSet<(u128, String)>) -> bool {
    let left = || (0..requests.len()).filter(|nth| done & (1 << nth) == 0).map(|nth| (nth, &requests[nth]));
    let must = |request: &Request| request.outcome != Outcome::Unknown;
    // Whoever has not taken effect before the first answer that is left to explain, took effect too late.
    let Some(first_answer) = left().filter(|(_, request)| must(request)).map(|(_, request)| request.answered).min()
    else {
        return true;
    };
    if !seen.insert((done, status.to_owned())) {
        return false;
    }
    left().filter(|(_, request)| request.sent <= first_answer).any(|(nth, request)| {
        let then = follows(status, request.does);
        let fits = match &request.outcome {
            Outcome::Shown(shown) => then.as_ref() == Some(shown),
            Outcome::Refused => then.is_none(),
            Outcome::Unknown => true,
        };
        let then = then.unwrap_or_else(|| status.to_owned());
        fits && search(&then, done | (1 << nth), requests, seen)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(does: &'static str, (sent, answered): (u64, u64), outcome: Outcome) -> Request {
        Request { does, sent, answered, outcome }
    }

    fn shown(status: &str) -> Outcome {
        Outcome::Shown(status.to_owned())
    }

    fn explained(requests: &[Request]) -> bool {
        is_linearizable("awaiting_acceptance", requests)
    }

    #[test]
    fn requests_at_the_same_time_are_explained_in_either_sequence() {
        let accept = request("accept", (1, 5), shown("accepted"));
        for (outcome, explains) in
            [(shown("accepted"), true), (shown("awaiting_acceptance"), true), (shown("preparing"), false)]
        {
            assert_eq!(explained(&[accept.clone(), request("read", (2, 4), outcome.clone())]), explains, "{outcome:?}");
        }
    }

    #[test]
    fn a_read_that_is_older_than_an_answer_before_it_is_caught() {
        let stale = request("read", (3, 4), shown("awaiting_acceptance"));
        assert!(!explained(&[request("accept", (1, 2), shown("accepted")), stale]));
    }

    #[test]
    fn two_ends_of_one_order_are_caught() {
        let both = [request("accept", (1, 9), shown("accepted")), request("reject", (2, 8), shown("rejected"))];
        assert!(!explained(&both));
    }

    #[test]
    fn an_acknowledged_command_that_is_lost_is_caught() {
        let lost =
            [request("accept", (1, 2), shown("accepted")), request("start-preparation", (3, 4), Outcome::Refused)];
        assert!(!explained(&lost));
    }

    #[test]
    fn a_command_without_an_answer_may_have_happened_or_not_but_not_both() {
        let accept = request("accept", (1, u64::MAX), Outcome::Unknown);
        let read = |at, status: &str| request("read", at, shown(status));
        assert!(explained(&[accept.clone(), read((5, 6), "accepted")]));
        assert!(explained(&[accept.clone(), read((5, 6), "awaiting_acceptance")]));
        let back_and_forth = [accept.clone(), read((5, 6), "accepted"), read((7, 8), "awaiting_acceptance")];
        assert!(!explained(&back_and_forth));
        assert!(!explained(&[read((5, 6), "accepted"), request("accept", (7, u64::MAX), Outcome::Unknown)]), "not yet");
    }

    #[test]
    fn a_refusal_that_nothing_explains_is_caught() {
        assert!(!explained(&[request("accept", (1, 2), Outcome::Refused)]));
        assert!(explained(&[
            request("accept", (1, 4), Outcome::Refused),
            request("cancel", (2, 3), shown("cancelled"))
        ]));
    }
}
