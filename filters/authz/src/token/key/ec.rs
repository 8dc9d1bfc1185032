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
        // The host wants DER where a JWS has two numbers side by side.
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

    /// The signature in DER (RFC 3279 §2.2.3), if it is two numbers of the curve's length. Whether they are in its range is
    /// for whoever verifies to see, but zero is kept from everybody.
    fn der_of(&self, signature: &[u8]) -> Option<Vec<u8>> {
        let (r, s) = signature.split_at_checked(self.curve.size())?;
        if s.len() != self.curve.size() {
            return None;
        }
        let (r, s) = (Unsigned::of(r)?, Unsigned::of(s)?);
        let length = r.encoded_length().checked_add(s.encoded_length())?;
        let mut der = Vec::with_capacity(length.checked_add(3)?);
        der.push(SEQUENCE);
        if length >= 0x80 {
            der.push(ONE_BYTE_OF_LENGTH);
        }
        der.push(u8::try_from(length).ok()?);
        r.encode(&mut der);
        s.encode(&mut der);
        Some(der)
    }

    fn signed_p521(&self, message: &[u8], signature: &[u8]) -> bool {
        let key = p521::ecdsa::VerifyingKey::from_sec1_bytes(&self.point);
        let signature = p521::ecdsa::Signature::from_slice(signature);
        key.is_ok_and(|key| {
            signature.is_ok_and(|signature| key.verify(message, &signature).is_ok())
        })
    }
}

/// Tags of DER, and what stands before a length of 128 bytes and more (ITU-T X.690 §8.1.3).
const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const ONE_BYTE_OF_LENGTH: u8 = 0x81;

/// A number above zero, big-endian without zeroes in front, of fewer than 127 bytes. The crates of the curves encode
/// signatures too, but only after they have computed with them, and the host does that as well.
#[derive(Clone, Copy)]
struct Unsigned<'a> {
    digits: &'a [u8],
    length: u8,
}

impl<'a> Unsigned<'a> {
    fn of(bytes: &'a [u8]) -> Option<Self> {
        let digits = bytes.get(bytes.iter().position(|byte| *byte != 0)?..)?;
        // The first bit is the sign.
        let sign = usize::from(digits.first()? & 0x80 != 0);
        let length = digits.len().checked_add(sign).filter(|length| *length < 0x80)?;
        Some(Self { digits, length: u8::try_from(length).ok()? })
    }

    /// With tag and length.
    fn encoded_length(self) -> usize {
        usize::from(self.length).saturating_add(2)
    }

    fn encode(self, der: &mut Vec<u8>) {
        der.extend([INTEGER, self.length]);
        if usize::from(self.length) > self.digits.len() {
            der.push(0);
        }
        der.extend_from_slice(self.digits);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Generators of the curves are points on them.
    fn key(curve: Curve) -> Ec {
        let point = on_its_curve!(curve, |krate| {
            use krate::elliptic_curve::sec1::ToEncodedPoint as _;
            krate::AffinePoint::GENERATOR.to_encoded_point(false).as_bytes().to_vec()
        });
        let (x, y) = point[1..].split_at(curve.size());
        Ec::new(curve, x, y).unwrap()
    }

    proptest! {
        #[test]
        fn a_signature_is_encoded_as_the_crates_do_it(
            curve in prop::sample::select(vec![Curve::P256, Curve::P384, Curve::P521]),
            zeroes in (0_usize..70, 0_usize..70),
            bytes in prop::collection::vec(any::<u8>(), 132),
        ) {
            let size = curve.size();
            let mut signature = bytes[..2 * size].to_vec();
            // Below the order of every curve, and of every length.
            for (half, zeroes) in signature.chunks_mut(size).zip([zeroes.0, zeroes.1]) {
                half[..zeroes.max(1).min(size)].fill(0);
            }
            let expected = on_its_curve!(curve, |krate| {
                krate::ecdsa::Signature::from_slice(&signature).ok().map(|own| own.to_der().as_bytes().to_vec())
            });
            prop_assert_eq!(key(curve).der_of(&signature), expected);
        }
    }

    #[test]
    fn what_is_no_pair_of_numbers_has_no_encoding() {
        for curve in [Curve::P256, Curve::P384, Curve::P521] {
            let (key, size) = (key(curve), curve.size());
            for length in [0, 1, size, 2 * size - 1, 2 * size + 1] {
                assert_eq!(key.der_of(&vec![1; length]), None, "{curve:?} {length}");
            }
            for zero in [0..size, size..2 * size] {
                let mut signature = vec![1; 2 * size];
                signature[zero].fill(0);
                assert_eq!(key.der_of(&signature), None, "{curve:?}");
            }
        }
    }

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
