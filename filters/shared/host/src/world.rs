//! The ports of a filter over the proxy: clocks, shared data, cryptography, randomness.

use std::time::Duration;

use filter_core::cells::{Cell, Cells, Stored, Unavailable, Version};
use filter_core::ports::{Clock, Entropy, Ports, PublicKey, Signatures};

use crate::abi::{self, Status};
use crate::wire;

/// The proxy.
pub(crate) struct World;

/// The ports over the proxy. Lent, they are made when the module is compiled and not for each request.
pub(crate) const PORTS: Ports<'static> =
    Ports { clock: &World, cells: &World, signatures: &World, entropy: &World };

impl Clock for World {
    fn wall(&self) -> Duration {
        // Without a clock every token has expired.
        abi::wall_clock().map_or(Duration::MAX, Duration::from_nanos)
    }

    fn monotonic(&self) -> Duration {
        // Without a clock no debt is ever paid back.
        abi::monotonic_clock().map_or(Duration::ZERO, Duration::from_nanos)
    }
}

/// Before every key, as Istio gives all plugins of a proxy one namespace; the number is the layout's.
const PREFIX: &[u8] = b"or1:";

/// Calls `with` with the prefixed key. A short one costs no allocation, as it is asked for with every request.
fn prefixed<T>(key: &[u8], with: impl FnOnce(&[u8]) -> T) -> T {
    let mut buffer = [0; 32];
    let length = PREFIX.len().saturating_add(key.len());
    match buffer.get_mut(..length) {
        Some(whole) => {
            let parts = PREFIX.iter().chain(key);
            whole.iter_mut().zip(parts).for_each(|(to, from)| *to = *from);
            with(whole)
        }
        None => with(&[PREFIX, key].concat()),
    }
}

/// A compare-and-swap value that no cell has. The proxy lets *any* write to an absent key succeed, and one that
/// expects a version which is not there fail, so writing with this one is create-if-absent.
/// `integration/tests/host.rs` holds the proxy to it.
const ABSENT: u32 = u32::MAX;

impl Cells for World {
    fn load(&self, key: &[u8]) -> Result<Option<Cell>, Unavailable> {
        match prefixed(key, abi::shared_data) {
            Ok((value, cas)) => Ok(Some(Cell { value, version: Version(cas) })),
            Err(Status::NOT_FOUND) => Ok(None),
            Err(_) => Err(Unavailable),
        }
    }

    fn store(
        &self,
        key: &[u8],
        value: &[u8],
        expected: Option<Version>,
    ) -> Result<Stored, Unavailable> {
        // To the proxy, zero means "whatever is there".
        let cas = expected.map_or(ABSENT, |version| version.0);
        if cas == 0 {
            return Err(Unavailable);
        }
        match prefixed(key, |key| abi::set_shared_data(key, value, cas)) {
            Ok(()) => Ok(Stored::Swapped),
            Err(Status::CAS_MISMATCH) => Ok(Stored::Conflict),
            Err(_) => Err(Unavailable),
        }
    }
}

impl Signatures for World {
    fn verify(&self, key: &PublicKey<'_>, message: &[u8], signature: &[u8]) -> Option<bool> {
        let arguments = wire::verify_signature_arguments(key.hash, key.der, signature, message);
        let answer = abi::call_foreign("verify_signature", &arguments).ok()?;
        let (verified, error) = wire::verify_signature_result(&answer)?;
        // Envoy words a signature that is wrong, and an algorithm that it lacks, as errors of one kind.
        let lacking = [&b"initialize"[..], b"not supported"];
        if !verified
            && lacking.iter().any(|text| error.windows(text.len()).any(|part| part == *text))
        {
            return None;
        }
        Some(verified)
    }
}

impl Entropy for World {
    fn seed(&self) -> [u8; 16] {
        let mut seed = [0; 16];
        if let Err(status) = abi::random(&mut seed) {
            log::error!("no randomness from the proxy: {status:?}");
        }
        seed
    }
}
