//! A watcher of the live feed.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::{PATIENCE, Person, TestApp};

/// An open WebSocket.
pub struct Feed {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

/// What comes through it.
#[derive(Clone, Debug, PartialEq)]
pub enum Frame {
    Json(Value),
    Closed {
        code: u16,
    },
    /// The connection ended without a word.
    Gone,
}

/// The request that opens a feed, to be changed by those who try something odd.
pub fn feed_request(app: &TestApp, who: &Person, query: &str) -> Request {
    let url = format!("ws://{}/v1/feed?{query}", app.address());
    let mut request = url.into_client_request().expect("the address is one");
    let token = format!("Bearer {}", who.token).parse().expect("a token is plain text");
    request.headers_mut().insert("authorization", token);
    request
}

impl Feed {
    /// Opens a feed, and reads the hello that every feed begins with.
    pub async fn open(app: &TestApp, who: &Person, topics: &str) -> Self {
        let mut feed = Self::with(feed_request(app, who, &format!("topics={topics}"))).await.expect("the feed opens");
        feed.greeted().await;
        feed
    }

    /// Opens a feed that goes on where another one ended.
    pub async fn open_after(app: &TestApp, who: &Person, topics: &str, resume: &str) -> Self {
        let query = format!("topics={topics}&after={resume}");
        let mut feed = Self::with(feed_request(app, who, &query)).await.expect("the feed opens");
        feed.greeted().await;
        feed
    }

    /// The status of the answer when the feed is refused.
    pub async fn with(request: Request) -> Result<Self, u16> {
        match connect_async(request).await {
            Ok((socket, _)) => Ok(Self { socket }),
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(other) => panic!("the server does not speak WebSocket: {other}"),
        }
    }

    pub async fn greeted(&mut self) -> Value {
        let hello = self.json().await;
        assert_eq!(hello["t"], "hello", "{hello}");
        hello
    }

    /// The next frame that is not a heartbeat.
    pub async fn next(&mut self) -> Frame {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let waited = tokio::time::timeout_at(deadline, self.socket.next()).await;
            return match waited.expect("the feed says something in time") {
                Some(Ok(Message::Text(text))) => Frame::Json(serde_json::from_str(&text).expect("frames are JSON")),
                Some(Ok(Message::Close(Some(frame)))) => Frame::Closed { code: frame.code.into() },
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                Some(Ok(Message::Close(None)) | Err(_)) | None => Frame::Gone,
                Some(Ok(other)) => panic!("a frame of another kind: {other:?}"),
            };
        }
    }

    /// Says something, which a feed has no ear for.
    pub async fn shout(&mut self, text: &str) {
        // The server may hang up in the middle of it.
        self.socket.send(Message::text(text)).await.ok();
    }

    /// Waits for the end, in whatever way.
    pub async fn ends(&mut self) {
        while let Frame::Json(_) = self.next().await {}
    }

    pub async fn json(&mut self) -> Value {
        match self.next().await {
            Frame::Json(value) => value,
            other => panic!("the feed ended: {other:?}"),
        }
    }

    /// The next event.
    pub async fn event(&mut self) -> Value {
        let event = self.json().await;
        assert_eq!(event["t"], "event", "{event}");
        event
    }

    /// Events up to and with the one of that type.
    pub async fn events_until(&mut self, kind: &str) -> Vec<Value> {
        let mut events = Vec::new();
        loop {
            let event = self.event().await;
            let last = event["type"] == kind;
            events.push(event);
            if last {
                return events;
            }
        }
    }

    /// The code of the close frame, whatever comes before it.
    pub async fn closed(&mut self) -> u16 {
        self.read_to_the_end().await.1
    }

    /// The last frame before the close frame, and its code.
    pub async fn read_to_the_end(&mut self) -> (Value, u16) {
        let mut last = Value::Null;
        loop {
            match self.next().await {
                Frame::Json(frame) => last = frame,
                Frame::Closed { code } => return (last, code),
                Frame::Gone => panic!("the connection ended without a close frame, after {last}"),
            }
        }
    }
}
