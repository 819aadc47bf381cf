//! The moment in which a connection comes in.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::AsyncWrite as _;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::{Connections, Refused, Stream};
use crate::http::code::Code;

/// How long a refused client may take to read why, and how many may do so at a time. The others just hear no more.
const LINGER: Duration = Duration::from_secs(1);
const LINGERING: usize = 64;

static LINGERERS: Semaphore = Semaphore::const_new(LINGERING);

/// Gives the client a seat, or tells it that there is none.
pub(in crate::http) async fn accept(
    io: TcpStream,
    connections: Arc<Connections>,
) -> io::Result<(Stream, Option<SocketAddr>)> {
    // Answers are small and complete: there is nothing to wait for to fill a packet with.
    io.set_nodelay(true)?;
    match connections.enter(io.peer_addr()?.ip(), Instant::now()) {
        Ok(connection) => {
            let stream = Stream::new(io, connection);
            let peer = stream.peer();
            Ok((stream, peer))
        }
        Err(refused) => {
            let (code, reason) = match refused {
                Refused::Address => (Code::TooManyConnections, "address"),
                Refused::Full => (Code::ServiceFull, "full"),
            };
            metrics::counter!("http_connections_refused_total", "reason" => reason).increment(1);
            if let Ok(_lingering) = LINGERERS.try_acquire() {
                let _ = tokio::time::timeout(LINGER, turn_away(io, &answer(code))).await;
            }
            Err(io::ErrorKind::ConnectionRefused.into())
        }
    }
}

/// Says so, and reads past what the client sends: closing over what has not been read would take the answer away from it.
async fn turn_away(mut io: TcpStream, answer: &str) -> io::Result<()> {
    io.writable().await?;
    // A new stream has room for so much.
    io.try_write(answer.as_bytes())?;
    poll_fn(|cx| Pin::new(&mut io).poll_shutdown(cx)).await?;
    let mut bytes = [0; 1_024];
    loop {
        io.readable().await?;
        match io.try_read(&mut bytes) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

/// As every refusal, but for what belongs to a request: there is none yet.
fn answer(code: Code) -> String {
    let status = code.status();
    let problem = serde_json::json!({
        "type": format!("/problems/{}", code.as_str()),
        "title": code.title(),
        "status": status.as_u16(),
        "code": code.as_str(),
    });
    let problem = problem.to_string();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\nretry-after: {}\r\n\
         connection: close\r\n\r\n{problem}",
        problem.len(),
        fastrand::u32(1..=5)
    )
}
