//! Tokens that were checked a moment ago: a client sends the same one with every request, and a signature
//! takes longer to check than the rest of a read.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

use crate::order::Timestamp;

use super::Caller;

/// The digest stands for the token, so that nobody finds a token in a memory dump of this.
type Digest = [u8; 32];

/// Callers by the digest of their token, at most `bound` of them, the least used forgotten first.
///
/// Only tokens whose signature is good get in: whoever has none cannot push others out.
pub(super) struct SeenTokens {
    /// Half the bound: that many in each of the two generations.
    generation: usize,
    generations: Mutex<Generations>,
}

/// What was used since the last change of generation, and what was used before it. When `young` is full it
/// becomes `old`, and what was in `old` is forgotten: no list to keep, and every step takes the same time.
#[derive(Default)]
struct Generations {
    young: HashMap<Digest, Caller>,
    old: HashMap<Digest, Caller>,
}

impl SeenTokens {
    pub(super) fn new(bound: usize) -> Self {
        Self { generation: (bound / 2).max(1), generations: Mutex::default() }
    }

    pub(super) fn digest(token: &str) -> Digest {
        Sha256::digest(token.as_bytes()).into()
    }

    /// The caller of a token that was checked before and has not expired at `now`.
    pub(super) fn get(&self, digest: &Digest, now: Timestamp) -> Option<Caller> {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let caller = match generations.young.get(digest) {
            Some(caller) => caller.clone(),
            None => {
                let caller = generations.old.remove(digest)?;
                self.insert(&mut generations, *digest, caller.clone());
                caller
            }
        };
        (now < caller.expires_at).then_some(caller)
    }

    pub(super) fn put(&self, digest: Digest, caller: Caller) {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        self.insert(&mut generations, digest, caller);
    }

    fn insert(&self, generations: &mut Generations, digest: Digest, caller: Caller) {
        if generations.young.len() >= self.generation {
            generations.old = std::mem::take(&mut generations.young);
        }
        generations.young.insert(digest, caller);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Role;
    use super::*;

    const NOON: Timestamp = Timestamp::from_micros(1_795_262_400_000_000);

    fn caller(name: &str) -> Caller {
        Caller { subject: name.parse().unwrap(), role: Role::Customer, expires_at: NOON }
    }

    fn before_noon() -> Timestamp {
        Timestamp::from_micros(NOON.as_micros() - 1)
    }

    #[test]
    fn a_token_is_forgotten_when_it_expires() {
        let seen = SeenTokens::new(8);
        let digest = SeenTokens::digest("token");
        seen.put(digest, caller("alice"));
        assert_eq!(seen.get(&digest, before_noon()), Some(caller("alice")));
        assert_eq!(seen.get(&digest, NOON), None);
    }

    #[test]
    fn a_token_in_use_stays_while_others_come_and_go_and_the_bound_holds() {
        let seen = SeenTokens::new(8);
        let regular = SeenTokens::digest("regular");
        seen.put(regular, caller("alice"));
        for passer_by in 0..1_000 {
            seen.put(SeenTokens::digest(&passer_by.to_string()), caller("bob"));
            assert_eq!(seen.get(&regular, before_noon()), Some(caller("alice")), "after {passer_by}");
            let generations = seen.generations.lock().unwrap();
            assert!(generations.young.len() + generations.old.len() <= 8);
        }
        assert_eq!(seen.get(&SeenTokens::digest("3"), before_noon()), None);
    }
}
