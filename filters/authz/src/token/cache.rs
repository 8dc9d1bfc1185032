//! Tokens that were found good, so that a signature is computed once and not for every request.
//!
//! What is kept is what a signature proves, and for which generation of the keys; whether the token is valid *now* and
//! *here* is asked again each time. So the cache decides nothing: without it the answers are the same, later.
//!
//! Only good tokens get in. Who sends garbage leaves nothing here, and who has many good tokens pushes out the one that
//! was longest not seen.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::{Proof, by_words};

/// How much is kept at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Tokens; none switches the cache off.
    pub(crate) entries: usize,
    /// Bytes of one token.
    pub(crate) token: usize,
    /// Bytes of all tokens and of what they prove, about.
    pub(crate) total: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { entries: 1000, token: 4096, total: 4 << 20 }
    }
}

/// The end of a signature, which tells tokens apart as well as a hash would. Two of one end push each other out. As a
/// number it is compared by one instruction.
type Tail = u64;

/// The good tokens.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cache {
    limits: Limits,
    entries: BTreeMap<Tail, Entry>,
    /// What all entries weigh.
    weight: usize,
    /// How often the cache was asked.
    asked: u64,
}

#[derive(Clone, Debug)]
struct Entry {
    token: Box<[u8]>,
    /// The keys that the proof was made with.
    generation: u64,
    /// When the token expires, in seconds since the epoch.
    expiry: Option<i64>,
    /// When it was last asked for, in the cache's own count.
    seen: u64,
    proof: Rc<Proof>,
    /// About how many bytes all of it takes.
    weight: usize,
}

fn tail(token: &[u8]) -> Option<Tail> {
    token.last_chunk().copied().map(u64::from_le_bytes)
}

impl Cache {
    /// An empty cache.
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// What this very token proved, byte for byte, with the keys of this generation.
    pub(crate) fn find(&mut self, token: &[u8], generation: u64) -> Option<Rc<Proof>> {
        self.asked = self.asked.saturating_add(1);
        let entry = self.entries.get_mut(&tail(token)?)?;
        if !by_words::is_same(&entry.token, token) || entry.generation != generation {
            return None;
        }
        entry.seen = self.asked;
        Some(Rc::clone(&entry.proof))
    }

    /// Keeps what a good token proved; `now` in seconds since the epoch.
    pub(crate) fn keep(&mut self, token: &[u8], generation: u64, now: i64, proof: &Rc<Proof>) {
        let expiry = proof.claims.expiry();
        let weight = token.len().saturating_add(proof.weight());
        let fits = self.limits.entries > 0
            && token.len() <= self.limits.token
            && weight <= self.limits.total;
        let Some(tail) = tail(token).filter(|_| fits && expiry.is_none_or(|expiry| now < expiry))
        else {
            return;
        };
        self.drop(&tail);
        while self.entries.len() >= self.limits.entries
            || self.weight.saturating_add(weight) > self.limits.total
        {
            let over = |entry: &Entry| entry.expiry.is_some_and(|expiry| expiry <= now);
            let worst = self.entries.iter().min_by_key(|(_, entry)| (!over(entry), entry.seen));
            let Some((worst, _)) = worst else {
                return;
            };
            let worst = *worst;
            self.drop(&worst);
        }
        self.weight = self.weight.saturating_add(weight);
        let (token, proof, seen) = (token.into(), Rc::clone(proof), self.asked);
        self.entries.insert(tail, Entry { token, generation, expiry, seen, proof, weight });
    }

    /// Forgets a token that is good no more.
    pub(crate) fn forget(&mut self, token: &[u8]) {
        if let Some(tail) = tail(token)
            && self.entries.get(&tail).is_some_and(|entry| *entry.token == *token)
        {
            self.drop(&tail);
        }
    }

    fn drop(&mut self, tail: &Tail) {
        if let Some(entry) = self.entries.remove(tail) {
            self.weight = self.weight.saturating_sub(entry.weight);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::{Claims, Principal};
    use super::*;

    fn proof(expiry: i64) -> Rc<Proof> {
        let claims = json!({ "exp": expiry }).as_object().unwrap().clone();
        let claims = Claims::new(claims).unwrap();
        Rc::new(Proof { claims, principal: Principal::None, signers: vec![] })
    }

    /// Enough for all tokens of a test.
    const ROOM: usize = 1 << 20;

    fn cache(entries: usize, total: usize) -> Cache {
        Cache::new(Limits { entries, token: 40, total })
    }

    #[test]
    fn a_token_is_found_by_all_its_bytes_and_its_keys() {
        let mut cache = cache(10, ROOM);
        cache.keep(b"header.payload.signature", 1, 0, &proof(100));
        assert!(cache.find(b"header.payload.signature", 1).is_some());
        assert!(cache.find(b"header.payload.signature", 2).is_none());
        assert!(cache.find(b"header.Payload.signature", 1).is_none());
        assert!(cache.find(b"short", 1).is_none());
        cache.forget(b"header.Payload.signature");
        assert!(cache.find(b"header.payload.signature", 1).is_some());
        cache.forget(b"header.payload.signature");
        assert!(cache.find(b"header.payload.signature", 1).is_none());
        assert_eq!((cache.entries.len(), cache.weight), (0, 0));
    }

    #[test]
    fn what_is_too_long_or_over_is_not_kept() {
        let mut cache = cache(10, ROOM);
        cache.keep(&[b'a'; 41], 1, 0, &proof(100));
        cache.keep(b"a.token.over", 1, 100, &proof(100));
        assert!(cache.entries.is_empty());
        let mut narrow = self::cache(10, proof(100).weight());
        narrow.keep(b"a.good.token", 1, 0, &proof(100));
        assert!(narrow.entries.is_empty());
        let mut off = self::cache(0, ROOM);
        off.keep(b"a.good.token", 1, 0, &proof(100));
        assert!(off.entries.is_empty());
    }

    #[test]
    fn the_expired_go_first_and_then_the_longest_not_seen() {
        let mut cache = cache(3, ROOM);
        let token = |name: char| format!("token.{}", name.to_string().repeat(8)).into_bytes();
        for (name, expiry) in [('a', 1000), ('b', 1000), ('c', 50)] {
            cache.keep(&token(name), 1, 0, &proof(expiry));
            cache.find(&token(name), 1);
        }
        cache.keep(&token('d'), 1, 60, &proof(1000));
        let mut kept = |name| cache.find(&token(name), 1).is_some();
        assert_eq!(['b', 'a', 'c', 'd'].map(&mut kept), [true, true, false, true]);
        cache.keep(&token('e'), 1, 60, &proof(1000));
        let mut kept = |name| cache.find(&token(name), 1).is_some();
        assert_eq!(['a', 'b', 'd', 'e'].map(&mut kept), [true, false, true, true]);
    }

    proptest! {
        #[test]
        fn it_never_holds_more_than_its_limits(
            tokens in prop::collection::vec(("[ab]{8,40}", 0_i64..20, 0_u64..2, any::<bool>()), 0..60),
            most in 1_usize..8,
        ) {
            let total = most * (proof(0).weight() + 30);
            let mut cache = cache(5, total);
            for (now, (token, expiry, generation, forget)) in tokens.into_iter().enumerate() {
                let now = i64::try_from(now / 3).unwrap();
                if forget {
                    cache.forget(token.as_bytes());
                } else {
                    cache.keep(token.as_bytes(), generation, now, &proof(expiry));
                }
                prop_assert!(cache.entries.len() <= 5 && cache.weight <= total);
                let weight = |entry: &Entry| entry.token.len() + entry.proof.weight();
                prop_assert_eq!(cache.entries.values().map(weight).sum::<usize>(), cache.weight);
            }
        }
    }
}
