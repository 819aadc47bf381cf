//! A mark on what a client keeps for us and brings back: that it is ours, and unchanged.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;

use super::SigningKey;

/// Bytes of HMAC-SHA-256 that go with what is sealed. Nobody guesses one of 2^128, and a token stays short.
const TAG_LENGTH: usize = 16;

/// Made of the key that signs tokens, so that it is the same after a restart and in every process on the same data.
pub struct Seal(hmac::Key);

impl Seal {
    /// A seal of its own for each `purpose`: what was sealed for one is foreign to another.
    pub fn new(key: &SigningKey, purpose: &str) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, &key.derived(purpose)))
    }

    /// The bytes, and after them the mark.
    pub fn put_on(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        let tag = hmac::sign(&self.0, &bytes);
        bytes.extend_from_slice(&tag.as_ref()[..TAG_LENGTH]);
        bytes
    }

    /// The bytes as they were, if the mark is ours. Takes as long whatever is wrong with it.
    pub fn take_off<'b>(&self, sealed: &'b [u8]) -> Option<&'b [u8]> {
        let (bytes, tag) = sealed.split_at_checked(sealed.len().checked_sub(TAG_LENGTH)?)?;
        let ours = hmac::sign(&self.0, bytes);
        verify_slices_are_equal(&ours.as_ref()[..TAG_LENGTH], tag).ok().map(|()| bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_changed_or_sealed_by_another_is_foreign() {
        let key = SigningKey::generate().unwrap();
        let seal = Seal::new(&key, "a test");
        let sealed = seal.put_on(vec![1, 2, 3]);
        assert_eq!(Seal::new(&key, "a test").take_off(&sealed), Some(&[1, 2, 3][..]));
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(seal.take_off(&changed), None, "byte {at}");
        }
        assert_eq!(seal.take_off(&sealed[1..]), None);
        assert_eq!(seal.take_off(&[]), None);
        assert_eq!(Seal::new(&key, "another").take_off(&sealed), None);
        assert_eq!(Seal::new(&SigningKey::generate().unwrap(), "a test").take_off(&sealed), None);
    }
}
