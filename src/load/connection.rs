//! HTTP/1.1 as far as a load generator needs it: one kept-alive connection, one request at a time, whole answers that
//! state their length.
//!
//! Made for this because the generator shares its machine with the server: a general client (reqwest) was measured to
//! cost 21 us of CPU for each request where this costs 10, and those are cycles the server does not get. No pipelining:
//! an answer's time would then include those before it.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What fits most answers, so that reading one rarely grows the buffer: an order has about 1.5 KB.
const USUAL_ANSWER: usize = 8 * 1024;

/// Longer than any answer of the service (a page of 100 orders has about 150 KB). More is not read.
const LONGEST_ANSWER: usize = 4 * 1024 * 1024;

/// A head that does not end within so many bytes is not one of the service.
const LONGEST_HEAD: usize = 16 * 1024;

#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// A whole answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) head: Head,
    pub(super) body: Vec<u8>,
}

/// The part of an answer's head that matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) retry_after_s: Option<u32>,
    /// The answer was given before, to the same key.
    pub(super) replayed: bool,
    length: usize,
    /// The server will close the connection.
    closes: bool,
}

/// The connection is of no more use. Whether the request was carried out is unknown.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("the connection was lost")]
    Lost(#[from] io::Error),
    #[error("the answer is no HTTP that this client reads")]
    NotUnderstood,
}

impl Connection {
    pub(super) async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(USUAL_ANSWER) })
    }

    /// Whether the server has not closed it while it was idle. Nothing is sent while idle, so that anything to be
    /// read is its end.
    pub(super) fn is_open(&self) -> bool {
        let read = self.stream.try_read(&mut [0]);
        matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Sends a whole request and reads its whole answer. The connection may be used again if that says so.
    pub(super) async fn send(&mut self, request: &[u8]) -> Result<(Reply, bool), Broken> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let end = self.read_head().await?;
        let head = Head::read(&self.buffer[..end]).ok_or(Broken::NotUnderstood)?;
        let whole = end + head.length;
        while self.buffer.len() < whole {
            self.read_more().await?;
        }
        // More than the answer: whoever is there does not speak as we do.
        let usable = self.buffer.len() == whole && !head.closes;
        let body = self.buffer[end..whole].to_vec();
        Ok((Reply { head, body }, usable))
    }

    /// Where the body begins.
    async fn read_head(&mut self) -> Result<usize, Broken> {
        loop {
            let known = self.buffer.len().saturating_sub(3);
            self.read_more().await?;
            if let Some(at) = find(&self.buffer[known..], b"\r\n\r\n") {
                return Ok(known + at + 4);
            }
            if self.buffer.len() > LONGEST_HEAD {
                return Err(Broken::NotUnderstood);
            }
        }
    }

    async fn read_more(&mut self) -> Result<(), Broken> {
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        Ok(())
    }
}

impl Head {
    fn read(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut lines = text.split("\r\n");
        let first = lines.next()?;
        let mut head = Self { status: first.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?, ..Self::default() };
        let mut length = (head.status == 204).then_some(0);
        for line in lines {
            let Some((name, value)) = line.split_once(':') else { continue };
            let (is, value) = (|other| name.eq_ignore_ascii_case(other), value.trim());
            if is("content-length") {
                length = Some(value.parse().ok().filter(|length| *length <= LONGEST_ANSWER)?);
            } else if is("retry-after") {
                head.retry_after_s = value.parse().ok();
            } else if is("idempotency-replayed") {
                head.replayed = value == "true";
            } else if is("connection") {
                head.closes = value.eq_ignore_ascii_case("close");
            }
        }
        head.length = length?;
        Some(head)
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// A request as it goes over the wire; without a body it is a GET.
pub(super) fn request(
    method: &str,
    path: &str,
    host: &str,
    bearer: Option<&str>,
    key: Option<&str>,
    body: Option<&str>,
) -> String {
    let mut text = String::with_capacity(512 + body.map_or(0, str::len));
    let mut push = |parts: &[&str]| parts.iter().for_each(|part| text.push_str(part));
    push(&[method, " ", path, " HTTP/1.1\r\nHost: ", host, "\r\n"]);
    if let Some(token) = bearer {
        push(&["Authorization: Bearer ", token, "\r\n"]);
    }
    if let Some(key) = key {
        push(&["Idempotency-Key: ", key, "\r\n"]);
    }
    match body {
        Some(body) => {
            let length = body.len().to_string();
            push(&["Content-Type: application/json\r\nContent-Length: ", &length, "\r\n\r\n", body]);
        }
        None => push(&["\r\n"]),
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_says_whether_when_and_how_much() {
        let head = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 12\r\nRetry-After: 2\r\n\
                    idempotency-replayed: true\r\nconnection: close\r\n\r\n";
        let read = Head::read(head.as_bytes()).unwrap();
        let expected = Head { status: 503, retry_after_s: Some(2), replayed: true, length: 12, closes: true };
        assert_eq!(read, expected);
    }

    #[test]
    fn an_answer_of_unknown_or_absurd_length_is_not_waited_for() {
        assert!(Head::read(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_none());
        assert!(Head::read(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n").is_none());
        assert!(Head::read(b"SSH-2.0-OpenSSH\r\n\r\n").is_none());
        assert_eq!(Head::read(b"HTTP/1.1 204 No Content\r\n\r\n").map(|head| head.length), Some(0));
    }

    #[test]
    fn a_request_names_its_key_and_the_length_of_its_body() {
        let text = request("POST", "/v1/orders", "h:1", Some("t"), Some("k"), Some("{}"));
        assert!(text.starts_with("POST /v1/orders HTTP/1.1\r\nHost: h:1\r\nAuthorization: Bearer t\r\n"));
        assert!(text.contains("\r\nIdempotency-Key: k\r\n"));
        assert!(text.ends_with("\r\nContent-Length: 2\r\n\r\n{}"));
        assert!(request("GET", "/livez", "h:1", None, None, None).ends_with("Host: h:1\r\n\r\n"));
    }
}
