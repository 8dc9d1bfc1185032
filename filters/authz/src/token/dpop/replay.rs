//! Which proofs were seen, in all workers: a proof is good once (RFC 9449 §11.1).
//!
//! A table of fixed size in shared cells. A proof has a place by a hash that is keyed with a secret of the process, so that
//! nobody can aim, and is forgotten when it has become too old to be good. Where a place is full of others that are
//! still good, a proof is refused rather than one of them forgotten.

use std::cell::Cell;

use filter_core::Ports;
use filter_core::cells::{Step, Updated, update};
use sha2::{Digest as _, Sha256};

use crate::Reason;

/// How many cells the table has.
const CELLS: u16 = 4096;
/// How many proofs are in one. A thousand proofs a second that are good for a minute fill it half.
const PROOFS: usize = 32;
/// For how many seconds a proof is kept after it became too old: workers read the clock before they come here, and clocks are
/// set back a little.
const LATE: i64 = 5;
/// How many bytes a proof is: its end in seconds since the epoch, and the rest of its hash.
const SIZE: usize = 4 + 12;
/// How often a cell is tried that others write to.
const ATTEMPTS: u32 = 32;
/// Where the secret is.
const SECRET: &[u8] = b"authz/dpop";

/// The memory of proofs. What is in it is shared; here is only the secret, once it was read.
#[derive(Debug, Default)]
pub(crate) struct Replays {
    secret: Cell<Option<[u8; 16]>>,
    /// How old, in seconds, a proof may be where it may be oldest: another rule may take what one finds too old.
    pub(crate) longest: i64,
}

impl Replays {
    /// Takes note of a proof, by its key and its `jti`, that was made then.
    ///
    /// # Errors
    /// When it was there, or when it cannot be told.
    pub(super) fn admit(
        &self,
        [key, id]: [&str; 2],
        made: i64,
        now: i64,
        ports: &Ports<'_>,
    ) -> Result<(), Reason> {
        // A thumbprint has no blank, so no two pairs look alike.
        let seen = Sha256::new().chain_update(self.secret(ports)?).chain_update(key);
        let seen: [u8; 32] = seen.chain_update(b" ").chain_update(id).finalize().into();
        let ([low, high, ..], Some(rest)) = (seen, seen.last_chunk::<12>()) else {
            return Err(Reason::DpopUnavailable);
        };
        let name = format!("authz/dpop/{}", u16::from_le_bytes([low, high]) % CELLS);
        let updated = update(ports.cells, name.as_bytes(), ATTEMPTS, |held| {
            let mut proofs: Vec<[u8; SIZE]> =
                held.map(|held| still_good(held, now)).unwrap_or_default();
            if proofs.iter().any(|proof| proof.ends_with(rest)) {
                return Step::Keep(Err(Reason::DpopReplayed));
            }
            if proofs.len() >= PROOFS {
                return Step::Keep(Err(Reason::DpopUnavailable));
            }
            let mut proof = [0; SIZE];
            let end = made.saturating_add(self.longest).saturating_add(LATE);
            let end = u32::try_from(end.max(0)).unwrap_or(u32::MAX).to_le_bytes();
            for (to, from) in proof.iter_mut().zip(end.iter().chain(rest)) {
                *to = *from;
            }
            proofs.push(proof);
            Step::Replace(proofs.concat(), Ok(()))
        });
        match updated {
            Updated::Done(told) => told,
            Updated::Contended | Updated::Unavailable => Err(Reason::DpopUnavailable),
        }
    }

    /// The secret of this process: the one that is there, or else a new one, which from then on is there for all.
    fn secret(&self, ports: &Ports<'_>) -> Result<[u8; 16], Reason> {
        if let Some(secret) = self.secret.get() {
            return Ok(secret);
        }
        let parse = |held: &[u8]| <[u8; 16]>::try_from(held).ok();
        let found = update(ports.cells, SECRET, ATTEMPTS, |held| match held.and_then(parse) {
            Some(secret) => Step::Keep(secret),
            None => {
                let secret = ports.entropy.seed();
                Step::Replace(secret.to_vec(), secret)
            }
        });
        let Updated::Done(secret) = found else {
            return Err(Reason::DpopUnavailable);
        };
        self.secret.set(Some(secret));
        Ok(secret)
    }
}

/// The proofs of a cell that are not too old to be good.
fn still_good(held: &[u8], now: i64) -> Vec<[u8; SIZE]> {
    let (proofs, _) = held.as_chunks::<SIZE>();
    let good = |proof: &&[u8; SIZE]| {
        proof.first_chunk().is_some_and(|end| i64::from(u32::from_le_bytes(*end)) >= now)
    };
    proofs.iter().filter(good).copied().collect()
}
