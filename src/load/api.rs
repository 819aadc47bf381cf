//! How a request is sent, and when it is repeated: only where the contract says so, with the same key, a bounded
//! number of times.
//!
//! An attempt whose outcome is unknown puts the whole wish in doubt. From then on only an answer to that very key
//! ends the doubt: a later refusal says nothing about the earlier attempt.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::answer::{Attempt, Problem};
use super::command::Command;
use super::connection::{Connection, Reply, request};
use super::pool::{Lane, Pool};
use super::tally::{Ending, Tallies};

/// One attempt. Longer than the server's own limit of 10 s, so that it is the server who says that it was too late.
const ATTEMPT_WITHIN: Duration = Duration::from_secs(12);

/// How long a wish in doubt is repeated: longer than a server takes to come back after a crash.
const IN_DOUBT_FOR: Duration = Duration::from_secs(30);

/// How long a refused wish is repeated, where that is wanted: three of the longest usual `Retry-After`.
const REFUSED_FOR: Duration = Duration::from_secs(15);

/// Between repeats of a wish in doubt: at first, and at most. Twice as long each time.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_AT_MOST: Duration = Duration::from_secs(1);

/// Longer than a busy server takes to say so. A look that takes longer is a no.
const READINESS_WITHIN: Duration = Duration::from_secs(1);

/// Who of those who were refused comes back after `Retry-After`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Returning {
    /// Nobody: a refusal is counted, and the order is left as it is
    Nobody,
    /// Those with an order under way: who has a parcel in hand tries again
    Started,
    /// Everybody
    All,
}

/// Someone with a token.
#[derive(Debug)]
pub(super) struct Person {
    pub(super) name: String,
    pub(super) token: String,
}

/// One wish: sent once, or repeated under one key.
pub(super) struct Ask<'a> {
    pub(super) command: Command,
    pub(super) by: Option<&'a Person>,
    pub(super) method: &'static str,
    pub(super) path: &'a str,
    pub(super) key: Option<&'a str>,
    pub(super) body: Option<&'a str>,
    pub(super) intended: Instant,
}

/// What became of a wish.
#[derive(Debug)]
pub(super) enum Said {
    Done(Reply),
    /// The rules said no.
    No(Problem),
    /// Definitely not carried out.
    Refused,
    /// Given up in doubt.
    Unknown,
}

pub(super) struct Api {
    pub(super) pool: Pool,
    pub(super) tally: Rc<RefCell<Tallies>>,
    /// What the last look at `/readyz` said; true where nobody looks.
    pub(super) ready: watch::Sender<bool>,
    host: String,
    returning: Returning,
}

/// What is done after an attempt.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Again(Duration),
    GiveUp,
}

impl Api {
    pub(super) fn new(pool: Pool, tally: Rc<RefCell<Tallies>>, returning: Returning) -> Self {
        let host = pool.address().to_string();
        Self { pool, tally, ready: watch::Sender::new(true), host, returning }
    }

    /// Sends it until there is an answer that ends the matter, or nothing more is to be gained.
    pub(super) async fn send(&self, ask: &Ask<'_>) -> Said {
        let token = ask.by.map(|person| person.token.as_str());
        let request = request(ask.method, ask.path, &self.host, token, ask.key, ask.body);
        let (mut attempts, mut in_doubt) = (0, false);
        loop {
            self.wait_until_ready().await;
            attempts += 1;
            let sent = if attempts == 1 { ask.intended } else { Instant::now() };
            let lane = if ask.command == Command::Place { Lane::New } else { Lane::UnderWay };
            let answer = self.pool.send(request.as_bytes(), lane, sent.max(Instant::now()) + ATTEMPT_WITHIN).await;
            let next = match Attempt::of(answer) {
                Attempt::Done(reply) => {
                    self.note_end(ask, Ending::Done, attempts);
                    return Said::Done(reply);
                }
                Attempt::No(problem) => {
                    let kind = format!("{} {}", problem.status, problem.code);
                    self.tally.borrow_mut().note_denial(kind, ask.intended);
                    self.note_end(ask, Ending::Denied, attempts);
                    return Said::No(problem);
                }
                Attempt::Refused { kind, after_s } => {
                    self.tally.borrow_mut().note_refusal(kind, ask.intended, sent);
                    self.after_refusal(ask, attempts, in_doubt, after_s)
                }
                Attempt::Unknown { kind } => {
                    self.tally.borrow_mut().note_unknown(kind, ask.intended);
                    // Reading changes nothing: whether it was done does not matter.
                    in_doubt |= ask.method != "GET";
                    after_doubt(ask.intended.elapsed(), attempts)
                }
            };
            match next {
                // Never sooner than was asked for, and not all at once.
                Next::Again(pause) => sleep(pause.mul_f64(1.0 + 0.5 * fastrand::f64())).await,
                Next::GiveUp => {
                    self.note_end(ask, if in_doubt { Ending::Unknown } else { Ending::Refused }, attempts);
                    return if in_doubt { Said::Unknown } else { Said::Refused };
                }
            }
        }
    }

    /// No longer than a request is waited for: then it is sent all the same, and refused by whoever is there.
    async fn wait_until_ready(&self) {
        if !*self.ready.borrow() {
            let _ = timeout(ATTEMPT_WITHIN, self.ready.subscribe().wait_for(|ready| *ready)).await;
        }
    }

    /// On a connection of its own: those of the pool may all be busy.
    pub(super) async fn is_ready(&self) -> bool {
        let request = request("GET", "/readyz", &self.host, None, None, None);
        let looking = async {
            let mut connection = Connection::open(self.pool.address()).await.ok()?;
            let (reply, _) = connection.send(request.as_bytes()).await.ok()?;
            Some(reply.head.status == 200)
        };
        matches!(timeout(READINESS_WITHIN, looking).await, Ok(Some(true)))
    }

    fn after_refusal(&self, ask: &Ask<'_>, attempts: u32, in_doubt: bool, after_s: u32) -> Next {
        let (waited, after) = (ask.intended.elapsed(), Duration::from_secs(after_s.into()));
        if in_doubt {
            return match after_doubt(waited, attempts) {
                Next::Again(pause) => Next::Again(pause.max(after)),
                Next::GiveUp => Next::GiveUp,
            };
        }
        let comes_back = match self.returning {
            Returning::Nobody => ask.command == Command::Around,
            Returning::Started => ask.command != Command::Place,
            Returning::All => true,
        };
        if comes_back && waited < REFUSED_FOR { Next::Again(after) } else { Next::GiveUp }
    }

    fn note_end(&self, ask: &Ask<'_>, ending: Ending, attempts: u32) {
        self.tally.borrow_mut().note_end(ask.command, ask.intended, ending, attempts);
    }
}

fn after_doubt(waited: Duration, attempts: u32) -> Next {
    if waited >= IN_DOUBT_FOR {
        return Next::GiveUp;
    }
    Next::Again(PAUSE.saturating_mul(1 << attempts.min(16)).min(PAUSE_AT_MOST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_in_doubt_is_repeated_for_a_while_and_then_given_up() {
        assert_eq!(after_doubt(Duration::ZERO, 1), Next::Again(PAUSE * 2));
        assert_eq!(after_doubt(Duration::from_secs(3), 40), Next::Again(PAUSE_AT_MOST));
        assert_eq!(after_doubt(IN_DOUBT_FOR, 3), Next::GiveUp);
    }
}
