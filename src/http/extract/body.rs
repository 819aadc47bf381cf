//! A JSON body: how much of it is read, for how long, and what is said when it is wrong.

use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use actix_web::web::{Bytes, BytesMut};
use actix_web::{FromRequest, HttpRequest};
use futures_util::StreamExt as _;
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use sha2::{Digest as _, Sha256};

use crate::http::code::Code;
use crate::http::error::ApiError;

/// How much of a body is read, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    pub bytes: usize,
    pub within: Duration,
}

/// A JSON body. Types that are read with this deny unknown fields.
///
/// Malformed, of another type, with a field too many or too few: 400. A value that cannot be: 422.
#[derive(Debug)]
pub struct Body<T> {
    value: T,
    raw: Bytes,
}

impl<T> Body<T> {
    pub fn into_inner(self) -> T {
        self.value
    }

    /// A hash of the bytes as they came: the first 64 bits of their SHA-256. The same wish sent again is the
    /// same bytes; two spellings of one wish are the client's mistake to make.
    pub fn fingerprint(&self) -> i64 {
        fingerprint(&self.raw)
    }
}

/// A JSON body that may be left out, as most commands to an order have nothing to say. Nothing at all is read as
/// `{}`, and has the same fingerprint.
#[derive(Debug)]
pub struct OptionalBody<T>(Body<T>);

impl<T> OptionalBody<T> {
    pub fn into_inner(self) -> T {
        self.0.value
    }

    pub fn fingerprint(&self) -> i64 {
        self.0.fingerprint()
    }
}

fn fingerprint(raw: &[u8]) -> i64 {
    let digest = Sha256::digest(raw);
    i64::from_be_bytes(digest[..8].try_into().expect("a SHA-256 has 32 bytes"))
}

impl<T: DeserializeOwned + 'static> FromRequest for Body<T> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let allowed = is_json(request.headers()).and_then(|()| admit(request));
        let payload = payload.take();
        Box::pin(async move {
            let raw = read(payload, allowed?).await?;
            Ok(Self { value: parse(&raw)?, raw })
        })
    }
}

impl<T: DeserializeOwned + 'static> FromRequest for OptionalBody<T> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (json, allowed) = (is_json(request.headers()), admit(request));
        let payload = payload.take();
        Box::pin(async move {
            let mut raw = read(payload, allowed?).await?;
            if raw.is_empty() {
                raw = Bytes::from_static(b"{}");
            } else {
                json?;
            }
            Ok(Self(Body { value: parse(&raw)?, raw }))
        })
    }
}

/// What may be read, unless the head already says that it is too much.
fn admit(request: &HttpRequest) -> Result<BodyLimits, ApiError> {
    let limits = fits(request)?;
    // Nothing is decompressed: a few kilobytes of gzip can be gigabytes of spaces.
    if request.headers().get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return Err(ApiError::new(Code::UnsupportedMediaType).detail("compressed bodies are not read"));
    }
    Ok(limits)
}

fn fits(request: &HttpRequest) -> Result<BodyLimits, ApiError> {
    let limits = *request.app_data::<BodyLimits>().expect("every app of ours is given its limits");
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > limits.bytes as u64) {
        return Err(too_large(limits));
    }
    Ok(limits)
}

fn is_json(headers: &HeaderMap) -> Result<(), ApiError> {
    let named = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // JSON is UTF-8 (RFC 8259): a charset parameter changes nothing.
    let kind = named.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(ApiError::new(Code::UnsupportedMediaType).detail("Content-Type is not application/json"))
}

async fn read(payload: Payload, limits: BodyLimits) -> Result<Bytes, ApiError> {
    match tokio::time::timeout(limits.within, gather(payload, limits)).await {
        Ok(gathered) => gathered,
        Err(_) => Err(ApiError::new(Code::BodyTooSlow)),
    }
}

async fn gather(mut payload: Payload, limits: BodyLimits) -> Result<Bytes, ApiError> {
    // A small body comes in one piece, which is then used as it is.
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(piece) = payload.next().await {
        let piece = piece
            .map_err(|_| ApiError::new(Code::MalformedRequest).detail("the body broke off, or its framing is wrong"))?;
        if first.len() + rest.len() + piece.len() > limits.bytes {
            return Err(too_large(limits));
        }
        if first.is_empty() {
            first = piece;
        } else {
            rest.extend_from_slice(&piece);
        }
    }
    if rest.is_empty() {
        return Ok(first);
    }
    let mut whole = BytesMut::with_capacity(first.len() + rest.len());
    whole.extend_from_slice(&first);
    whole.extend_from_slice(&rest);
    Ok(whole.freeze())
}

/// Lets a body that nobody will look at go by, as far as one would have been read. What is longer or slower than that
/// is left, and costs the client its connection.
pub(in crate::http) async fn read_past(request: &HttpRequest, mut payload: Payload) {
    let Ok(limits) = fits(request) else { return };
    let to_the_end = async {
        let mut left = limits.bytes;
        while let Some(Ok(piece)) = payload.next().await {
            let Some(less) = left.checked_sub(piece.len()) else { break };
            left = less;
        }
    };
    // Either way it is refused next.
    let _ = tokio::time::timeout(limits.within, to_the_end).await;
}

fn too_large(limits: BodyLimits) -> ApiError {
    ApiError::new(Code::BodyTooLarge).detail(format!("at most {} bytes are read", limits.bytes))
}

fn parse<T: DeserializeOwned>(raw: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(raw).map_err(|error| match error.classify() {
        Category::Data => refusal_with_pointer::<T>(raw),
        Category::Syntax | Category::Eof | Category::Io => {
            ApiError::new(Code::MalformedJson).detail(shortened(error.to_string()))
        }
    })
}

/// Reads the body once more, this time noting where in it the reader stands. Only refusals pay for that.
fn refusal_with_pointer<T: DeserializeOwned>(raw: &[u8]) -> ApiError {
    let mut json = serde_json::Deserializer::from_slice(raw);
    match serde_path_to_error::deserialize::<_, T>(&mut json) {
        Err(error) => refusal(&error.inner().to_string(), &pointer(error.path()), Code::InvalidValue),
        Ok(_) => ApiError::new(Code::MalformedJson),
    }
}

/// A JSON pointer (RFC 6901).
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter().fold(String::new(), |pointer, segment| match segment {
        Segment::Seq { index } => format!("{pointer}/{index}"),
        Segment::Map { key } => format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1")),
        Segment::Enum { .. } | Segment::Unknown => pointer,
    })
}

/// Tells serde's data errors apart, which only their words do; a test holds serde to those words.
///
/// What is about the shape of the request is 400. `otherwise` is for all that remains: values that cannot be.
pub(super) fn refusal(message: &str, pointer: &str, otherwise: Code) -> ApiError {
    const SHAPES: [(&str, Code); 5] = [
        ("unknown field", Code::UnknownField),
        ("missing field", Code::MissingField),
        ("duplicate field", Code::MalformedRequest),
        ("invalid type", Code::WrongType),
        ("invalid length", Code::WrongType),
    ];
    let shape = SHAPES.iter().find(|(words, _)| message.starts_with(words));
    let code = shape.map_or(otherwise, |(_, code)| *code);
    // Of a field that is missing or stands twice only the message has the name.
    let pointer = match message.split('`').nth(1) {
        Some(field) if matches!(code, Code::MissingField | Code::MalformedRequest) => format!("{pointer}/{field}"),
        _ => pointer.to_owned(),
    };
    let message = shortened(message.to_owned());
    ApiError::new(code).detail(message.clone()).field(pointer, code.as_str(), message)
}

/// serde quotes what it found, and that may be as long as the body.
fn shortened(message: String) -> String {
    const LONGEST: usize = 200;
    if message.len() <= LONGEST {
        return message;
    }
    let end = (0..=LONGEST).rev().find(|&at| message.is_char_boundary(at)).unwrap_or(0);
    format!("{}…", &message[..end])
}
