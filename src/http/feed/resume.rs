//! Where a client of the feed left off, in its own keeping: sealed, because reading the journal from a place that nobody
//! has ever been at may cost the whole of it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::access::{Seal, SigningKey};
use crate::store::Cursor;

/// Reads and writes resume tokens.
pub(super) struct ResumeTokens(Seal);

/// What `after` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// It was not given: from now on.
    Now,
    Cursor(Cursor),
    /// Made by another key, by an earlier version, or made up: where its client left off is not known.
    Foreign(String),
}

impl ResumeTokens {
    pub(super) fn new(key: &SigningKey) -> Self {
        Self(Seal::new(key, "resume token 1"))
    }

    pub(super) fn write(&self, cursor: &Cursor) -> String {
        URL_SAFE_NO_PAD.encode(self.0.put_on(cursor.to_bytes()))
    }

    /// None for a text that cannot be one, whoever made it.
    pub(super) fn read(&self, text: Option<&str>) -> Option<After> {
        let Some(text) = text else { return Some(After::Now) };
        let sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
        let cursor = self.0.take_off(&sealed).and_then(Cursor::from_bytes);
        Some(cursor.map_or_else(|| After::Foreign(text.to_owned()), After::Cursor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_and_a_made_up_one_is_foreign() {
        let tokens = ResumeTokens::new(&SigningKey::generate().unwrap());
        let mut cursor = Cursor::start();
        for position in ["7:42", "63:129"] {
            cursor.advance(position.parse().unwrap());
        }
        let token = tokens.write(&cursor);
        assert_eq!(tokens.read(Some(&token)), Some(After::Cursor(cursor.clone())));
        assert_eq!(tokens.read(None), Some(After::Now));
        let unsealed = URL_SAFE_NO_PAD.encode(cursor.to_bytes());
        for foreign in ["", &unsealed, &token[4..]] {
            assert_eq!(tokens.read(Some(foreign)), Some(After::Foreign(foreign.to_owned())));
        }
        assert_eq!(tokens.read(Some("no token?")), None);
    }
}
