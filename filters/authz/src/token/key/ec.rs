//! Keys on NIST's curves, for ECDSA (RFC 7518 §3.4).

use filter_core::ports::{PublicKey, Signatures};
use jsonwebtoken::{Algorithm, DecodingKey};
use p256::pkcs8::EncodePublicKey as _;
use p521::ecdsa::signature::Verifier as _;

use super::{Compact, InvalidKey, computed};
use crate::token::algorithm::Curve;

/// Says the same in the words of the crate of each curve.
macro_rules! on_its_curve {
    ($curve:expr, |$krate:ident| $body:expr) => {
        match $curve {
            Curve::P256 => {
                use p256 as $krate;
                $body
            }
            Curve::P384 => {
                use p384 as $krate;
                $body
            }
            Curve::P521 => {
                use p521 as $krate;
                $body
            }
        }
    };
}

/// A public key on one of the curves.
#[derive(Clone, Debug)]
pub(super) struct Ec {
    curve: Curve,
    der: Vec<u8>,
    /// The point, uncompressed (SEC 1 §2.3.3).
    point: Vec<u8>,
    decoding: DecodingKey,
}

impl PartialEq for Ec {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for Ec {}

impl Ec {
    pub(super) fn new(curve: Curve, x: &[u8], y: &[u8]) -> Result<Self, InvalidKey> {
        if x.len() != curve.size() || y.len() != curve.size() {
            return Err(InvalidKey::Point);
        }
        let point = [&[4], x, y].concat();
        let der = on_its_curve!(curve, |krate| {
            krate::PublicKey::from_sec1_bytes(&point)
                .map_err(|_| InvalidKey::Point)?
                .to_public_key_der()
        })
        .map_err(|_| InvalidKey::Point)?;
        let decoding = DecodingKey::from_ec_der(&point);
        Ok(Self { curve, der: der.into_vec(), point, decoding })
    }

    pub(super) fn curve(&self) -> Curve {
        self.curve
    }

    pub(super) fn signed(&self, token: &Compact<'_>, host: &dyn Signatures) -> bool {
        // The host wants DER (RFC 3279 §2.2.3) where a JWS has two numbers side by side. Neither may be zero.
        let Some(der) = self.der_of(&token.signature) else {
            return false;
        };
        let message = token.message;
        let key = PublicKey { hash: self.curve.hash().name(), der: &self.der };
        host.verify(&key, message, &der).unwrap_or_else(|| match self.curve {
            Curve::P256 => computed(token, &self.decoding, Algorithm::ES256),
            Curve::P384 => computed(token, &self.decoding, Algorithm::ES384),
            // The one algorithm of ours that `jsonwebtoken` has not.
            Curve::P521 => self.signed_p521(message, &token.signature),
        })
    }

    /// The signature in DER, if it is two numbers of the curve's length and range.
    fn der_of(&self, signature: &[u8]) -> Option<Vec<u8>> {
        if signature.len() != self.curve.size().checked_mul(2)? {
            return None;
        }
        on_its_curve!(self.curve, |krate| {
            let signature = krate::ecdsa::Signature::from_slice(signature).ok()?;
            Some(signature.to_der().as_bytes().to_vec())
        })
    }

    fn signed_p521(&self, message: &[u8], signature: &[u8]) -> bool {
        let key = p521::ecdsa::VerifyingKey::from_sec1_bytes(&self.point);
        let signature = p521::ecdsa::Signature::from_slice(signature);
        key.is_ok_and(|key| {
            signature.is_ok_and(|signature| key.verify(message, &signature).is_ok())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_must_be_on_the_curve() {
        for curve in [Curve::P256, Curve::P384, Curve::P521] {
            let size = curve.size();
            for (x, y) in [
                (vec![0; size], vec![0; size]),
                (vec![1; size], vec![1; size]),
                (vec![], vec![]),
                (vec![1; size - 1], vec![1; size + 1]),
            ] {
                assert_eq!(Ec::new(curve, &x, &y).unwrap_err(), InvalidKey::Point, "{curve:?}");
            }
        }
    }
}
