//! Who asks.

/// Someone with a token.
#[derive(Clone, Debug)]
pub struct Person {
    pub role: &'static str,
    pub sub: String,
    pub token: String,
}
