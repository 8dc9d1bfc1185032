//! Who signs tokens: the keys of the corpus.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use p521::ecdsa::signature::Signer as _;
use p521::pkcs8::DecodePrivateKey as _;

const ES512: &str = include_str!("../keys/es512.pem");

/// A private key and the algorithm that it signs with.
pub(crate) enum Signer {
    /// All algorithms but one.
    Usual(Algorithm, EncodingKey),
    /// ES512, which `jsonwebtoken` has not.
    Es512(p521::ecdsa::SigningKey),
}

impl Signer {
    /// The key of that name.
    pub(crate) fn of(name: &str) -> Result<Self, String> {
        let rsa: &[u8] = include_bytes!("../keys/rs256.pem");
        let secret: &[u8] = include_bytes!("../keys/secret.txt");
        let (algorithm, key) = match name {
            "rs256" => (Algorithm::RS256, EncodingKey::from_rsa_pem(rsa)),
            "rs384" => (Algorithm::RS384, EncodingKey::from_rsa_pem(rsa)),
            "rs512" => (Algorithm::RS512, EncodingKey::from_rsa_pem(rsa)),
            "ps256" => (Algorithm::PS256, EncodingKey::from_rsa_pem(rsa)),
            "ps384" => (Algorithm::PS384, EncodingKey::from_rsa_pem(rsa)),
            "ps512" => (Algorithm::PS512, EncodingKey::from_rsa_pem(rsa)),
            "rs256-stranger" => {
                let key = include_bytes!("../keys/rs256-stranger.pem");
                (Algorithm::RS256, EncodingKey::from_rsa_pem(key))
            }
            "es256" => {
                (Algorithm::ES256, EncodingKey::from_ec_pem(include_bytes!("../keys/es256.pem")))
            }
            "es256-stranger" => {
                let key = include_bytes!("../keys/es256-stranger.pem");
                (Algorithm::ES256, EncodingKey::from_ec_pem(key))
            }
            "es384" => {
                (Algorithm::ES384, EncodingKey::from_ec_pem(include_bytes!("../keys/es384.pem")))
            }
            "eddsa" => {
                (Algorithm::EdDSA, EncodingKey::from_ed_pem(include_bytes!("../keys/eddsa.pem")))
            }
            "hs256" => (Algorithm::HS256, Ok(EncodingKey::from_secret(secret))),
            "hs384" => (Algorithm::HS384, Ok(EncodingKey::from_secret(secret))),
            "hs512" => (Algorithm::HS512, Ok(EncodingKey::from_secret(secret))),
            "es512" => {
                let key = p521::SecretKey::from_pkcs8_pem(ES512).map_err(|e| e.to_string())?;
                return Ok(Self::Es512(
                    p521::ecdsa::SigningKey::from_slice(&key.to_bytes())
                        .map_err(|error| error.to_string())?,
                ));
            }
            other => return Err(format!("no key `{other}` in the corpus")),
        };
        Ok(Self::Usual(algorithm, key.map_err(|error| error.to_string())?))
    }

    /// What `alg` calls the algorithm.
    pub(crate) fn algorithm(&self) -> String {
        match self {
            Self::Usual(algorithm, _) => format!("{algorithm:?}"),
            Self::Es512(_) => "ES512".to_owned(),
        }
    }

    /// The signature in base64url.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<String, String> {
        match self {
            Self::Usual(algorithm, key) => jsonwebtoken::crypto::sign(message, key, *algorithm)
                .map_err(|error| error.to_string()),
            Self::Es512(key) => {
                let signature: p521::ecdsa::Signature = key.sign(message);
                Ok(URL_SAFE_NO_PAD.encode(signature.to_bytes()))
            }
        }
    }
}
