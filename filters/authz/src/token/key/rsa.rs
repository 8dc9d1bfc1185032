//! RSA keys: PKCS #1 v1.5 by the host where it can, PSS here (RFC 7518 §3.3, §3.5).

use ::rsa::pkcs8::EncodePublicKey as _;
use ::rsa::traits::PublicKeyParts as _;
use ::rsa::{BigUint, RsaPublicKey};
use filter_core::ports::{PublicKey, Signatures};
use jsonwebtoken::{Algorithm, DecodingKey};

use super::{Compact, InvalidKey, computed};
use crate::token::algorithm::Hash;

/// An RSA public key of 2048 to 4096 bits.
#[derive(Clone, Debug)]
pub(super) struct Rsa {
    /// The length of the modulus, and so of every signature, in bytes.
    size: usize,
    der: Vec<u8>,
    decoding: DecodingKey,
}

impl PartialEq for Rsa {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for Rsa {}

impl Rsa {
    pub(super) fn new(modulus: &[u8], exponent: &[u8]) -> Result<Self, InvalidKey> {
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
        let decoding = DecodingKey::from_rsa_raw_components(&n, &e);
        Ok(Self { size: key.size(), der: der.into_vec(), decoding })
    }

    pub(super) fn signed_pkcs1(
        &self,
        token: &Compact<'_>,
        hash: Hash,
        host: &dyn Signatures,
    ) -> bool {
        if token.signature.len() != self.size {
            return false;
        }
        let key = PublicKey { hash: hash.name(), der: &self.der };
        let told = host.verify(&key, token.message, &token.signature);
        let algorithm = match hash {
            Hash::Sha256 => Algorithm::RS256,
            Hash::Sha384 => Algorithm::RS384,
            Hash::Sha512 => Algorithm::RS512,
        };
        told.unwrap_or_else(|| computed(token, &self.decoding, algorithm))
    }

    pub(super) fn signed_pss(&self, token: &Compact<'_>, hash: Hash) -> bool {
        let algorithm = match hash {
            Hash::Sha256 => Algorithm::PS256,
            Hash::Sha384 => Algorithm::PS384,
            Hash::Sha512 => Algorithm::PS512,
        };
        token.signature.len() == self.size && computed(token, &self.decoding, algorithm)
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
            let key = Rsa::new(&modulus, &[1, 0, 1]);
            assert_eq!(key.map(|key| key.size), verdict, "{bits}");
        }
    }

    #[test]
    fn an_exponent_is_odd_and_at_least_3() {
        let n = modulus(2048);
        for exponent in [&[3][..], &[0, 3], &[1, 0, 1], &[1, 0xff, 0xff, 0xff, 0xff]] {
            assert!(Rsa::new(&n, exponent).is_ok(), "{exponent:?}");
        }
        for exponent in [&[][..], &[0], &[1], &[2], &[1, 0, 0], &[3, 0xff, 0xff, 0xff, 0xff], &n] {
            assert_eq!(Rsa::new(&n, exponent).unwrap_err(), InvalidKey::Modulus, "{exponent:?}");
        }
        let mut even = n;
        even[255] = 0xfe;
        assert_eq!(Rsa::new(&even, &[1, 0, 1]).unwrap_err(), InvalidKey::Modulus);
    }
}
