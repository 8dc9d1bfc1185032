//! Keys on Ed25519 (RFC 8037 §3.1). Envoy's `verify_signature` has no such algorithm, so they work here.

use ed25519_dalek::{Signature, VerifyingKey};

use super::{Compact, InvalidKey};

/// A public key on Ed25519.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ed25519(VerifyingKey);

impl Ed25519 {
    pub(super) fn new(x: &[u8]) -> Result<Self, InvalidKey> {
        let point = x.try_into().map_err(|_| InvalidKey::Edwards)?;
        let key = VerifyingKey::from_bytes(point).map_err(|_| InvalidKey::Edwards)?;
        if key.is_weak() { Err(InvalidKey::Edwards) } else { Ok(Self(key)) }
    }

    /// Strictly, so that a signature has one form (RFC 8032 §5.1.7, §8.4).
    pub(super) fn signed(&self, token: &Compact<'_>) -> bool {
        Signature::from_slice(&token.signature)
            .is_ok_and(|signature| self.0.verify_strict(token.message, &signature).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_on_the_curve_and_of_full_order() {
        let neutral: Vec<u8> = [[1].as_slice(), &[0; 31]].concat();
        for x in [vec![], vec![9; 31], vec![9; 33], vec![0; 32], neutral, vec![2; 32]] {
            assert_eq!(Ed25519::new(&x).unwrap_err(), InvalidKey::Edwards, "{x:?}");
        }
    }
}
