//! A public key that can do one thing: check signatures of one algorithm.

use filter_core::ports::{PublicKey, Signatures};
use jsonwebtoken::DecodingKey;
use p256::ecdsa::Signature;
use p256::pkcs8::EncodePublicKey as _;
use rsa::traits::PublicKeyParts as _;
use rsa::{BigUint, RsaPublicKey};

use super::compact::Compact;

/// How a token may be signed (RFC 7518 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// ECDSA with P-256 and SHA-256.
    Es256,
}

impl Algorithm {
    /// The algorithm of that name, if it is one of ours.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "ES256" => Some(Self::Es256),
            _ => None,
        }
    }
}

/// A public key, checked when it was made.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    algorithm: Algorithm,
    signature_length: usize,
    der: Vec<u8>,
    decoding: DecodingKey,
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
    /// Coordinates that are not 32 bytes each, or not of a point on the curve.
    Point,
}

impl Key {
    /// An RSA key, by modulus and exponent, big-endian.
    pub(crate) fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, InvalidKey> {
        let n = BigUint::from_bytes_be(modulus);
        let e = BigUint::from_bytes_be(exponent);
        match n.bits() {
            bits @ 0..2048 => return Err(InvalidKey::TooShort(bits)),
            2048..=RsaPublicKey::MAX_SIZE => {}
            _ => return Err(InvalidKey::TooLong),
        }
        let odd = |number: &BigUint| number.to_bytes_le().first().is_some_and(|low| low & 1 == 1);
        if !odd(&n) || !odd(&e) || e < BigUint::from(3_u8) {
            return Err(InvalidKey::Modulus);
        }
        let key = RsaPublicKey::new(n, e).map_err(|_| InvalidKey::Modulus)?;
        let der = key.to_public_key_der().map_err(|_| InvalidKey::Modulus)?;
        let (n, e) = (key.n().to_bytes_be(), key.e().to_bytes_be());
        Ok(Self {
            algorithm: Algorithm::Rs256,
            signature_length: key.size(),
            der: der.into_vec(),
            decoding: DecodingKey::from_rsa_raw_components(&n, &e),
        })
    }

    /// A key on the curve P-256, by coordinates.
    pub(crate) fn p256(x: &[u8], y: &[u8]) -> Result<Self, InvalidKey> {
        if x.len() != 32 || y.len() != 32 {
            return Err(InvalidKey::Point);
        }
        // An uncompressed point (SEC 1 §2.3.3).
        let point = [&[4], x, y].concat();
        let key = p256::PublicKey::from_sec1_bytes(&point).map_err(|_| InvalidKey::Point)?;
        let der = key.to_public_key_der().map_err(|_| InvalidKey::Point)?;
        Ok(Self {
            algorithm: Algorithm::Es256,
            signature_length: 64,
            der: der.into_vec(),
            decoding: DecodingKey::from_ec_der(&point),
        })
    }

    /// The one algorithm of this key.
    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether both are the same key for the same algorithm.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.algorithm == other.algorithm && self.der == other.der
    }

    /// Whether this key made the token's signature: by the host's cryptography, or here where the host has none.
    pub(crate) fn signed(&self, token: &Compact<'_>, signatures: &dyn Signatures) -> bool {
        if token.algorithm != self.algorithm || token.signature.len() != self.signature_length {
            return false;
        }
        let algorithm = match self.algorithm {
            Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
            Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
        };
        let message = token.message.as_bytes();
        let key = PublicKey { hash: "sha256", der: &self.der };
        let told = match self.algorithm {
            Algorithm::Rs256 => signatures.verify(&key, message, &token.signature),
            // The host wants DER (RFC 3279 §2.2.3) where a JWS has two numbers side by side (RFC 7518 §3.4).
            Algorithm::Es256 => match Signature::from_slice(&token.signature) {
                Ok(signature) => signatures.verify(&key, message, signature.to_der().as_bytes()),
                Err(_) => Some(false),
            },
        };
        told.unwrap_or_else(|| {
            jsonwebtoken::crypto::verify(token.signature_text, message, &self.decoding, algorithm)
                .unwrap_or(false)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An odd number of this many bits; whether it is a product of two primes, nobody can tell by looking.
    fn modulus(bits: usize) -> Vec<u8> {
        let mut bytes = vec![0xff; bits.div_ceil(8)];
        bytes[0] = 0xff >> (bytes.len() * 8 - bits);
        bytes
    }

    #[test]
    fn rsa_keys_are_neither_short_nor_huge() {
        for (bits, verdict) in [
            (0, Err(InvalidKey::TooShort(0))),
            (512, Err(InvalidKey::TooShort(512))),
            (1024, Err(InvalidKey::TooShort(1024))),
            (2047, Err(InvalidKey::TooShort(2047))),
            (2048, Ok(256)),
            (3072, Ok(384)),
            (4096, Ok(512)),
            (4097, Err(InvalidKey::TooLong)),
            (16384, Err(InvalidKey::TooLong)),
        ] {
            let modulus = if bits == 0 { vec![] } else { modulus(bits) };
            let key = Key::rsa(&modulus, &[1, 0, 1]);
            assert_eq!(key.map(|key| key.signature_length), verdict, "{bits}");
        }
    }

    #[test]
    fn an_exponent_is_odd_and_at_least_3() {
        let n = modulus(2048);
        for exponent in [&[3][..], &[0, 3], &[1, 0, 1], &[1, 0xff, 0xff, 0xff, 0xff]] {
            assert!(Key::rsa(&n, exponent).is_ok(), "{exponent:?}");
        }
        for exponent in [&[][..], &[0], &[1], &[2], &[1, 0, 0], &[3, 0xff, 0xff, 0xff, 0xff], &n] {
            assert_eq!(Key::rsa(&n, exponent).unwrap_err(), InvalidKey::Modulus, "{exponent:?}");
        }
        let mut even = n;
        even[255] = 0xfe;
        assert_eq!(Key::rsa(&even, &[1, 0, 1]).unwrap_err(), InvalidKey::Modulus);
    }

    #[test]
    fn a_point_must_be_on_the_curve() {
        for (x, y) in [(vec![0; 32], vec![0; 32]), (vec![1; 32], vec![1; 32]), (vec![], vec![])] {
            assert_eq!(Key::p256(&x, &y).unwrap_err(), InvalidKey::Point);
        }
        assert_eq!(Key::p256(&[1; 31], &[1; 33]).unwrap_err(), InvalidKey::Point);
    }
}
