//! What a filter may ask of the world besides the exchange at hand.

use std::time::Duration;

use crate::Cells;

/// The world, as a filter may ask for it. Asking costs a host call each time: ask once, and only when needed.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    /// What time it is.
    pub clock: &'a dyn Clock,
    /// State that all workers share.
    pub cells: &'a dyn Cells,
    /// Signatures, checked by the proxy's own cryptography.
    pub signatures: &'a dyn Signatures,
    /// Randomness.
    pub entropy: &'a dyn Entropy,
}

/// Tells the time.
pub trait Clock {
    /// Time since the Unix epoch, by the system's clock, which people and protocols may set back.
    fn wall(&self) -> Duration;

    /// Time since some moment that is the same for all workers of the process. Never goes back.
    fn monotonic(&self) -> Duration;
}

/// Checks signatures faster than WebAssembly can.
pub trait Signatures {
    /// Whether `signature` over `message` is the key's; `None` if the proxy cannot tell, so that the filter must
    /// compute it itself.
    fn verify(&self, key: &PublicKey<'_>, message: &[u8], signature: &[u8]) -> Option<bool>;
}

/// A public key, for [`Signatures::verify`].
#[derive(Clone, Copy, Debug)]
pub struct PublicKey<'a> {
    /// The hash function to sign over: `sha256`, `sha384` or `sha512`.
    pub hash: &'static str,
    /// SubjectPublicKeyInfo in DER (RFC 5280 §4.1). RSA means PKCS #1 v1.5, EC means ECDSA with a signature in DER.
    pub der: &'a [u8],
}

/// Makes random bytes.
pub trait Entropy {
    /// Sixteen bytes that nobody can guess.
    fn seed(&self) -> [u8; 16];
}
