//! A network that a test may break: it passes on what client and server say, message by message, until told otherwise.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What happens to the next append of the journal's writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The server never hears of it.
    Before,
    /// The server has carried it out, and its answer is lost.
    After,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Weather {
    /// Nothing passes, and nobody is told.
    swallows: bool,
    cut: Option<Cut>,
    /// From the cut on nothing passes.
    swallows_after_cut: bool,
    cuts: u32,
}

impl Weather {
    fn cut_done(&mut self) {
        let swallows = self.swallows || self.swallows_after_cut;
        *self = Self { swallows, cut: None, swallows_after_cut: false, cuts: self.cuts + 1 };
    }
}

/// On a thread of its own: a test may block while a server starts.
pub struct Proxy {
    pub port: u16,
    weather: Arc<watch::Sender<Weather>>,
}

impl Proxy {
    pub fn to(server: u16) -> Self {
        let weather = Arc::new(watch::Sender::new(Weather::default()));
        let shared = weather.clone();
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap().port()).unwrap();
                // Until the process ends, with the test.
                while let Ok((client, _)) = listener.accept().await {
                    tokio::spawn(pass(client, server, shared.clone()));
                }
            });
        });
        Self { port: told.recv().unwrap(), weather }
    }

    pub fn swallow(&self, swallows: bool) {
        self.weather.send_modify(|weather| weather.swallows = swallows);
    }

    /// Cuts the writer's connection at its next append, and waits until it has.
    pub async fn cut(&self, cut: Cut) {
        self.cut_and(cut, false).await;
    }

    /// The same, and lets nothing pass from there on.
    pub async fn cut_and_swallow(&self, cut: Cut) {
        self.cut_and(cut, true).await;
    }

    async fn cut_and(&self, cut: Cut, swallows_after_cut: bool) {
        let mut weather = self.weather.subscribe();
        let before = weather.borrow().cuts;
        self.weather.send_modify(|weather| {
            (weather.cut, weather.swallows_after_cut) = (Some(cut), swallows_after_cut);
        });
        let done = weather.wait_for(|weather| weather.cuts > before);
        tokio::time::timeout(crate::helpers::PATIENCE, done).await.expect("the writer appends").unwrap();
    }
}

async fn pass(client: TcpStream, server: u16, weather: Arc<watch::Sender<Weather>>) {
    passing(&weather).await;
    let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let (end, ended) = watch::channel(false);
    let answers = tokio::spawn(answers(from_server, to_client, weather.clone(), end));
    questions(from_client, to_server, weather, ended).await;
    answers.abort();
}

async fn passing(weather: &watch::Sender<Weather>) {
    weather.subscribe().wait_for(|weather| !weather.swallows).await.ok();
}

/// From client to server, one message after the other. Returns when the connection is at its end.
async fn questions(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    weather: Arc<watch::Sender<Weather>>,
    mut ended: watch::Receiver<bool>,
) {
    // The first message of a connection has no type.
    let Some(startup) = message(&mut from, 0).await else { return };
    let is_writer = contains(&startup, b"baedal journal");
    if to.write_all(&startup).await.is_err() {
        return;
    }
    let mut appends = HashSet::new();
    loop {
        let next = tokio::select! {
            next = message(&mut from, 1) => next,
            _ = ended.wait_for(|ended| *ended) => return,
        };
        passing(&weather).await;
        let Some(message) = next else { return };
        if is_writer && cut_now(&message, &mut appends, &weather) == Some(Cut::Before) {
            weather.send_modify(Weather::cut_done);
            return;
        }
        if to.write_all(&message).await.is_err() {
            return;
        }
    }
}

/// Whether this message is an append that is to be cut.
fn cut_now(message: &[u8], appends: &mut HashSet<Vec<u8>>, weather: &watch::Sender<Weather>) -> Option<Cut> {
    let mut texts = message[5..].split(|byte| *byte == 0);
    match message[0] {
        // Prepare: a name, and the statement.
        b'P' if contains(message, b"insert into events") => drop(appends.insert(texts.next()?.to_vec())),
        // Bind: a portal, and the name of a statement.
        b'B' if appends.contains(texts.nth(1)?) => return weather.borrow().cut,
        _ => {}
    }
    None
}

/// From server to client. At a cut, waits until the server is ready for the next statement: then it has committed.
async fn answers(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    weather: Arc<watch::Sender<Weather>>,
    end: watch::Sender<bool>,
) {
    while let Some(message) = message(&mut from, 1).await {
        passing(&weather).await;
        // The rows of an append come in one message; nothing else that the writer asks for is an array of positions.
        if weather.borrow().cut == Some(Cut::After) && is_answer_to_append(&message) {
            while let Some(rest) = self::message(&mut from, 1).await {
                if rest[0] == b'Z' {
                    break;
                }
            }
            weather.send_modify(Weather::cut_done);
            break;
        }
        if to.write_all(&message).await.is_err() {
            break;
        }
    }
    end.send_replace(true);
}

/// A row of one column that is an array of 64-bit numbers: the positions after an append.
fn is_answer_to_append(message: &[u8]) -> bool {
    const COLUMNS: [u8; 2] = [0, 1];
    const INT8: [u8; 4] = [0, 0, 0, 20];
    message[0] == b'D' && message.len() > 23 && message[5..7] == COLUMNS && message[19..23] == INT8
}

/// A whole message; `typed` bytes come before its length.
async fn message(from: &mut OwnedReadHalf, typed: usize) -> Option<Vec<u8>> {
    let mut message = vec![0; typed + 4];
    from.read_exact(&mut message).await.ok()?;
    let length = u32::from_be_bytes(message[typed..].try_into().ok()?) as usize;
    message.resize(typed + length, 0);
    from.read_exact(&mut message[typed + 4..]).await.ok()?;
    Some(message)
}

fn contains(message: &[u8], words: &[u8]) -> bool {
    message.windows(words.len()).any(|window| window == words)
}
