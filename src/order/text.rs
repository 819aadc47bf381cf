//! Text that people typed, checked once and safe to show and to log ever after.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::sync::Arc;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize};

/// One line of at most `MAX` characters, without control characters and without the marks that reorder
/// what a reader sees (Unicode UAX #9 embeddings, overrides and isolates). Right-to-left scripts are fine.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Text<const MAX: usize>(Arc<str>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadText {
    #[error("may not be empty")]
    Empty,
    #[error("is longer than {0} characters")]
    TooLong(usize),
    #[error("contains a control character or a mark that reorders text")]
    ControlCharacter,
}

impl<const MAX: usize> Text<MAX> {
    /// For words of our own.
    pub fn literal(word: &'static str) -> Self {
        word.parse().expect("words of our own are short and plain")
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn reorders(c: char) -> bool {
    matches!(c, '\u{200E}' | '\u{200F}' | '\u{061C}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// U+2028 and U+2029 break lines in JavaScript and in log viewers, as CR and LF do elsewhere.
fn breaks_the_line(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

impl<const MAX: usize> FromStr for Text<MAX> {
    type Err = BadText;

    fn from_str(text: &str) -> Result<Self, BadText> {
        if text.trim().is_empty() {
            return Err(BadText::Empty);
        }
        // A character takes at most four bytes: a megabyte is refused without being counted.
        if text.len() > MAX * 4 || text.chars().count() > MAX {
            return Err(BadText::TooLong(MAX));
        }
        if text.chars().any(|c| breaks_the_line(c) || reorders(c)) {
            return Err(BadText::ControlCharacter);
        }
        Ok(Self(text.into()))
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for Text<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer)
    }
}

/// Parses what serde reads where it lies: an order that is read back has a dozen texts, and `try_from = "String"` would
/// copy each of them first.
pub(super) fn parsed<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    struct Parsing<T>(PhantomData<T>);

    impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for Parsing<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string")
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
            text.parse().map_err(E::custom)
        }
    }

    deserializer.deserialize_str(Parsing(PhantomData))
}

impl<const MAX: usize> fmt::Display for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hangul_and_arabic_are_text_but_control_marks_are_not() {
        for fine in ["불고기 2인분", "شاورما", "Crème brûlée 🍮"] {
            assert!(fine.parse::<Text<40>>().is_ok(), "{fine}");
        }
        for bad in ["a\0b", "a\r\nb", "\u{202E}gnp.exe", "x\u{2067}y", "a\u{2028}b", "\u{7f}"] {
            assert_eq!(bad.parse::<Text<40>>(), Err(BadText::ControlCharacter), "{bad:?}");
        }
    }

    #[test]
    fn length_is_counted_in_characters() {
        assert!("가나다라".parse::<Text<4>>().is_ok());
        assert_eq!("가나다라마".parse::<Text<4>>(), Err(BadText::TooLong(4)));
        assert_eq!("x".repeat(1_000_000).parse::<Text<500>>(), Err(BadText::TooLong(500)));
    }
}
