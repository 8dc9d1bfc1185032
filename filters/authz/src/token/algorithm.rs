//! How a token may be signed: RFC 7518 §3.1 and RFC 8037 §3.1, all but `none`.

/// A signature algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// `RS256` and its like: RSASSA-PKCS1-v1_5.
    Rsa(Hash),
    /// `PS256` and its like: RSASSA-PSS, the salt as long as the hash.
    Pss(Hash),
    /// `ES256`, `ES384`, `ES512`: ECDSA, each with the hash of its curve.
    Ecdsa(Curve),
    /// `EdDSA`, of whose curves this filter knows Ed25519.
    Ed25519,
    /// `HS256` and its like: HMAC, with a secret that both sides know.
    Hmac(Hash),
}

/// A hash function of the SHA-2 family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// An elliptic curve of NIST's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Curve {
    /// P-256, also secp256r1.
    P256,
    /// P-384, also secp384r1.
    P384,
    /// P-521, also secp521r1.
    P521,
}

impl Algorithm {
    /// Every algorithm, by the name that `alg` gives it.
    pub(crate) const ALL: [(&'static str, Self); 13] = [
        ("RS256", Self::Rsa(Hash::Sha256)),
        ("RS384", Self::Rsa(Hash::Sha384)),
        ("RS512", Self::Rsa(Hash::Sha512)),
        ("PS256", Self::Pss(Hash::Sha256)),
        ("PS384", Self::Pss(Hash::Sha384)),
        ("PS512", Self::Pss(Hash::Sha512)),
        ("ES256", Self::Ecdsa(Curve::P256)),
        ("ES384", Self::Ecdsa(Curve::P384)),
        ("ES512", Self::Ecdsa(Curve::P521)),
        ("EdDSA", Self::Ed25519),
        ("HS256", Self::Hmac(Hash::Sha256)),
        ("HS384", Self::Hmac(Hash::Sha384)),
        ("HS512", Self::Hmac(Hash::Sha512)),
    ];

    /// The algorithm of that name, in just that case, if it is one of ours.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(own, _)| *own == name).map(|(_, algorithm)| *algorithm)
    }

    /// Whether whoever verifies could also sign.
    pub(crate) fn is_symmetric(self) -> bool {
        matches!(self, Self::Hmac(_))
    }
}

impl Hash {
    /// What the proxy calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// The length of its values, in bytes.
    pub(crate) fn size(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

impl Curve {
    /// The curve that `crv` names, if it is one of these.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "P-256" => Some(Self::P256),
            "P-384" => Some(Self::P384),
            "P-521" => Some(Self::P521),
            _ => None,
        }
    }

    /// The hash function that ECDSA goes with on this curve (RFC 7518 §3.4).
    pub(crate) fn hash(self) -> Hash {
        match self {
            Self::P256 => Hash::Sha256,
            Self::P384 => Hash::Sha384,
            Self::P521 => Hash::Sha512,
        }
    }

    /// The length of a coordinate, and of each half of a signature, in bytes.
    pub(crate) fn size(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_exact() {
        for (name, algorithm) in Algorithm::ALL {
            assert_eq!(Algorithm::named(name), Some(algorithm));
            assert_eq!(Algorithm::named(&name.to_lowercase()), None, "{name}");
        }
        for name in ["", "none", "NONE", "ES256K", "ES521", "Ed448", "RSA-OAEP", "HS1", "dir"] {
            assert_eq!(Algorithm::named(name), None, "{name}");
        }
    }

    #[test]
    fn only_hmac_is_symmetric() {
        for (name, algorithm) in Algorithm::ALL {
            assert_eq!(algorithm.is_symmetric(), name.starts_with("HS"), "{name}");
        }
    }
}
