//! Secrets for HMAC (RFC 7518 §3.2).

use jsonwebtoken::DecodingKey;

use super::{Compact, InvalidKey, computed};
use crate::token::algorithm::{Algorithm, Hash};

/// A secret. It is compared in constant time, and never printed.
#[derive(Clone)]
pub(super) struct Secret {
    bytes: Vec<u8>,
    decoding: DecodingKey,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Secret {}

impl Secret {
    pub(super) fn new(bytes: &[u8], only: Option<Algorithm>) -> Result<Self, InvalidKey> {
        let least = match only {
            Some(Algorithm::Hmac(hash)) => hash.size(),
            _ => Hash::Sha256.size(),
        };
        if bytes.len() < least {
            return Err(InvalidKey::Guessable(bytes.len()));
        }
        Ok(Self { bytes: bytes.to_vec(), decoding: DecodingKey::from_secret(bytes) })
    }

    /// Whether the secret is as long as the hash.
    pub(super) fn suffices(&self, hash: Hash) -> bool {
        self.bytes.len() >= hash.size()
    }

    pub(super) fn signed(&self, token: &Compact<'_>, hash: Hash) -> bool {
        let algorithm = match hash {
            Hash::Sha256 => jsonwebtoken::Algorithm::HS256,
            Hash::Sha384 => jsonwebtoken::Algorithm::HS384,
            Hash::Sha512 => jsonwebtoken::Algorithm::HS512,
        };
        token.signature.len() == hash.size() && computed(token, &self.decoding, algorithm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_at_least_as_long_as_its_hash() {
        let only = |hash| Some(Algorithm::Hmac(hash));
        for (length, only, verdict) in [
            (0, None, Err(InvalidKey::Guessable(0))),
            (31, None, Err(InvalidKey::Guessable(31))),
            (32, None, Ok(())),
            (47, only(Hash::Sha384), Err(InvalidKey::Guessable(47))),
            (48, only(Hash::Sha384), Ok(())),
            (63, only(Hash::Sha512), Err(InvalidKey::Guessable(63))),
            (64, only(Hash::Sha512), Ok(())),
        ] {
            assert_eq!(Secret::new(&vec![7; length], only).map(|_| ()), verdict, "{length}");
        }
        let short = Secret::new(&[7; 47], None).unwrap();
        assert_eq!([Hash::Sha256, Hash::Sha384].map(|hash| short.suffices(hash)), [true, false]);
    }

    #[test]
    fn a_secret_is_not_printed() {
        assert_eq!(format!("{:?}", Secret::new(&[65; 32], None).unwrap()), "Secret");
    }
}
