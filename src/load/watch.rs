//! Customers who watch their orders live: whether every version comes, once, in sequence, and how soon.
//!
//! The times compare the event's `at`, which the server wrote, with this process's clock: they mean something only
//! when both run on one machine.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use futures_util::StreamExt as _;
use hdrhistogram::Histogram;
use jiff::Timestamp;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use uuid::Uuid;

use super::api::Person;
use super::promises::Listed;
use super::tally::{Tallies, histogram};
use super::town::Town;
use super::trail::Trail;

/// Between two attempts to come back: at random up to this, so that not everybody comes at once.
const COMES_BACK_WITHIN: Duration = Duration::from_millis(500);

/// Opening a feed. The server says hello at once.
const OPENS_WITHIN: Duration = Duration::from_secs(5);

/// Silence longer than three of the server's heartbeats of 20 s: the other side is gone.
const SILENCE_AT_MOST: Duration = Duration::from_secs(60);

/// All watchers together; each has its own trail.
pub(super) struct Watching {
    pub(super) trails: RefCell<Vec<Trail>>,
    /// From the event's `at` to its frame, microseconds, of events inside the measured window.
    pub(super) delay: RefCell<Histogram<u64>>,
    pub(super) reconnects: RefCell<u64>,
}

/// The part of a frame that is gone by. Borrowed: a frame carries the whole order.
#[derive(Deserialize)]
struct Frame<'a> {
    t: &'a str,
    order_id: Option<Uuid>,
    version: Option<u32>,
    at: Option<&'a str>,
    #[serde(borrow)]
    resume: Option<&'a str>,
}

impl Watching {
    pub(super) fn of(watchers: usize) -> Rc<Self> {
        let trails = RefCell::new((0..watchers).map(|_| Trail::default()).collect());
        Rc::new(Self { trails, delay: RefCell::new(histogram()), reconnects: RefCell::new(0) })
    }

    /// Watches customer number `nth` for as long as this is polled. `opened` hears of the first hello.
    pub(super) async fn watch(self: Rc<Self>, town: Rc<Town>, nth: usize, opened: tokio::sync::mpsc::Sender<()>) {
        let customer = town.customer(nth).clone();
        let mut resume: Option<String> = None;
        loop {
            if let Some(mut socket) = open(&town, &customer, resume.as_deref()).await {
                while let Ok(Some(Ok(message))) = timeout(SILENCE_AT_MOST, socket.next()).await {
                    let Message::Text(text) = message else { continue };
                    let first = resume.is_none();
                    self.read(&text, nth, &mut resume, &town.api.tally);
                    if first && resume.is_some() {
                        // Whoever waits for it has room for one word of each.
                        let _ = opened.send(()).await;
                    }
                }
                let _ = timeout(OPENS_WITHIN, socket.close(None)).await;
            }
            *self.reconnects.borrow_mut() += 1;
            sleep(COMES_BACK_WITHIN.mul_f64(fastrand::f64())).await;
        }
    }

    /// Orders of watched customers, by customer as the lists show them, whose last change never came.
    pub(super) fn missing(&self, listed: &[Vec<Listed>]) -> u64 {
        let nobody = Vec::new();
        let orders_of = |nth: usize| listed.get(nth % listed.len().max(1)).unwrap_or(&nobody);
        self.trails.borrow().iter().enumerate().map(|(nth, trail)| trail.missing(orders_of(nth))).sum()
    }

    fn read(&self, text: &str, nth: usize, resume: &mut Option<String>, tally: &RefCell<Tallies>) {
        let Ok(frame) = serde_json::from_str::<Frame<'_>>(text) else { return };
        let mut trails = self.trails.borrow_mut();
        match (frame.t, frame.order_id, frame.version) {
            ("event", Some(order), Some(version)) => {
                trails[nth].note(order, version);
                let at = frame.at.and_then(|at| at.parse::<Timestamp>().ok());
                if let Some(at) = at.filter(|_| tally.borrow_mut().count(Instant::now())) {
                    let micros = Timestamp::now().as_microsecond() - at.as_microsecond();
                    self.delay.borrow_mut().saturating_record(u64::try_from(micros).unwrap_or(0).max(1));
                }
            }
            ("reset", ..) => trails[nth].reset(),
            _ => {}
        }
        if let Some(token) = frame.resume {
            *resume = Some(token.to_owned());
        }
    }
}

async fn open(town: &Town, customer: &Person, resume: Option<&str>) -> Option<WebSocketStream<TcpStream>> {
    let address = town.api.pool.address();
    let after = resume.map(|token| format!("&after={token}")).unwrap_or_default();
    let mut request = format!("ws://{address}/v1/feed?topics=my-orders{after}").into_client_request().ok()?;
    request.headers_mut().insert("authorization", format!("Bearer {}", customer.token).parse().ok()?);
    let opening = async {
        let stream = TcpStream::connect(address).await.ok()?;
        let (socket, _) = tokio_tungstenite::client_async(request, stream).await.ok()?;
        Some(socket)
    };
    timeout(OPENS_WITHIN, opening).await.ok()?
}

#[cfg(test)]
mod tests {
    use super::super::tally::Tally;
    use super::*;

    #[test]
    fn frames_are_read_for_order_version_and_token() {
        let start = Instant::now();
        let leg = Tally::new(start..start + Duration::from_secs(60), Duration::from_millis(5));
        let tally = RefCell::new(Tallies { legs: vec![leg], ..Tallies::new() });
        let (watching, mut resume) = (Watching::of(1), None);
        watching.read(r#"{"t":"hello","heartbeat_s":20,"resume":"a"}"#, 0, &mut resume, &tally);
        let event = |version| {
            format!(
                r#"{{"t":"event","topic":"my-orders","order_id":"01890a5d-ac96-774b-bcce-b302099a8057","version":{version},
                "type":"order_placed","at":"2020-01-01T00:00:00.000001Z","order":{{"id":"x"}},"resume":"t{version}"}}"#
            )
        };
        watching.read(&event(1), 0, &mut resume, &tally);
        watching.read(&event(3), 0, &mut resume, &tally);
        watching.read(r#"{"t":"a frame of the future"}"#, 0, &mut resume, &tally);
        let trails = watching.trails.borrow();
        assert_eq!((trails[0].frames, trails[0].gaps), (2, 1));
        assert_eq!(resume.as_deref(), Some("t3"));
        assert_eq!(watching.delay.borrow().len(), 2);
    }
}
