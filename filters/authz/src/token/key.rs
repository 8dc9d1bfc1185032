//! Keys that check signatures, each for the algorithms that fit it and no other.

mod ec;
mod okp;
mod rsa;
mod secret;

use filter_core::ports::Signatures;

use super::algorithm::{Algorithm, Curve};
use super::compact::Compact;

/// A key, checked when it was made.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    material: Material,
    /// The one algorithm that the key's `alg` leaves.
    only: Option<Algorithm>,
}

/// What a key is made of. The type decides with what it can be compared: bytes of one never act for another's.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Material {
    Rsa(rsa::Rsa),
    Ec(ec::Ec),
    Ed25519(okp::Ed25519),
    Secret(secret::Secret),
}

/// Why there is no key in what was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InvalidKey {
    /// An RSA modulus of fewer than 2048 bits: this many.
    TooShort(usize),
    /// An RSA modulus of more than 4096 bits, which not every host can compute with.
    TooLong,
    /// An even RSA modulus, or an exponent that is even, below 3 or of more than 33 bits.
    Modulus,
    /// Coordinates of another length than the curve's, or not of a point on it.
    Point,
    /// Not 32 bytes that are a point of Ed25519, or one of a small order, for which signatures hold by themselves.
    Edwards,
    /// A secret of fewer bytes than its hash has (RFC 7518 §3.2): this many.
    Guessable(usize),
}

impl Key {
    /// An RSA key, by modulus and exponent, big-endian.
    ///
    /// # Errors
    /// When the numbers are no such key.
    pub(crate) fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, InvalidKey> {
        rsa::Rsa::new(modulus, exponent).map(|key| Self::of(Material::Rsa(key)))
    }

    /// A key on a curve, by coordinates.
    ///
    /// # Errors
    /// When the point is not on the curve.
    pub(crate) fn ec(curve: Curve, x: &[u8], y: &[u8]) -> Result<Self, InvalidKey> {
        ec::Ec::new(curve, x, y).map(|key| Self::of(Material::Ec(key)))
    }

    /// A key on Ed25519, by its encoded point.
    ///
    /// # Errors
    /// When that is not a point with which to verify.
    pub(crate) fn ed25519(x: &[u8]) -> Result<Self, InvalidKey> {
        okp::Ed25519::new(x).map(|key| Self::of(Material::Ed25519(key)))
    }

    /// A secret, for `only` or for every HMAC that it is long enough for.
    ///
    /// # Errors
    /// When it is too short.
    pub(crate) fn secret(bytes: &[u8], only: Option<Algorithm>) -> Result<Self, InvalidKey> {
        secret::Secret::new(bytes, only).map(|key| Self::of(Material::Secret(key)))
    }

    /// Whether whoever verifies with it could also sign.
    pub(crate) fn is_symmetric(&self) -> bool {
        matches!(self.material, Material::Secret(_))
    }

    fn of(material: Material) -> Self {
        Self { material, only: None }
    }

    /// The same key for this algorithm alone; `None` if it does not fit the key.
    pub(crate) fn restricted(self, only: Algorithm) -> Option<Self> {
        self.verifies(only).then_some(Self { only: Some(only), ..self })
    }

    /// Whether signatures of this algorithm may be checked with the key.
    pub(crate) fn verifies(&self, algorithm: Algorithm) -> bool {
        let fits = match (&self.material, algorithm) {
            (Material::Rsa(_), Algorithm::Rsa(_) | Algorithm::Pss(_))
            | (Material::Ed25519(_), Algorithm::Ed25519) => true,
            (Material::Ec(key), Algorithm::Ecdsa(curve)) => key.curve() == curve,
            (Material::Secret(key), Algorithm::Hmac(hash)) => key.suffices(hash),
            _ => false,
        };
        fits && self.only.is_none_or(|only| only == algorithm)
    }

    /// Whether there is an algorithm that both verify, so that one `kid` cannot tell them apart.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        Algorithm::ALL
            .iter()
            .any(|(_, algorithm)| self.verifies(*algorithm) && other.verifies(*algorithm))
    }

    /// Whether both are the same key for the same algorithms.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.only == other.only && self.material == other.material
    }

    /// Whether this key made the token's signature: by the host's cryptography where it has the algorithm, else here.
    pub(crate) fn signed(&self, token: &Compact<'_>, host: &dyn Signatures) -> bool {
        let algorithm = token.header.algorithm;
        if !self.verifies(algorithm) {
            return false;
        }
        match (&self.material, algorithm) {
            (Material::Rsa(key), Algorithm::Rsa(hash)) => key.signed_pkcs1(token, hash, host),
            (Material::Rsa(key), Algorithm::Pss(hash)) => key.signed_pss(token, hash),
            (Material::Ec(key), _) => key.signed(token, host),
            (Material::Ed25519(key), _) => key.signed(token),
            (Material::Secret(key), Algorithm::Hmac(hash)) => key.signed(token, hash),
            _ => false,
        }
    }
}

/// Whether the signature is the key's, computed here.
fn computed(
    token: &Compact<'_>,
    key: &jsonwebtoken::DecodingKey,
    algorithm: jsonwebtoken::Algorithm,
) -> bool {
    std::str::from_utf8(token.signature_text).is_ok_and(|signature| {
        jsonwebtoken::crypto::verify(signature, token.message, key, algorithm).unwrap_or(false)
    })
}
