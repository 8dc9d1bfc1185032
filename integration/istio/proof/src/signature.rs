//! Images signed and verified by cosign, with keys of our own and no service beside the registry.

use crate::{Bed, Fault, Image};

/// A pair of keys, by the path of its files without their endings.
#[derive(Clone, Debug)]
pub struct KeyPair(String);

/// The registry speaks plain HTTP, and there is no transparency log to ask.
const HERE: [&str; 2] = ["--allow-http-registry", "--new-bundle-format=false"];

impl Bed {
    /// Makes a pair of keys.
    ///
    /// # Errors
    /// With what cosign said.
    pub fn key_pair(&self) -> Result<KeyPair, Fault> {
        let folder = self.state.join("keys");
        std::fs::create_dir_all(&folder)
            .map_err(|error| format!("{}: {error}", folder.display()))?;
        let taken = std::fs::read_dir(&folder).map(Iterator::count).unwrap_or_default();
        let prefix = folder.join(format!("cosign{taken}")).to_string_lossy().into_owned();
        self.cosign(&["generate-key-pair", "--output-key-prefix", &prefix])?;
        Ok(KeyPair(prefix))
    }

    /// Signs an image's digest.
    ///
    /// # Errors
    /// With what cosign said.
    pub fn sign(&self, image: &Image, keys: &KeyPair) -> Result<(), Fault> {
        let key = format!("{}.key", keys.0);
        let offline = ["--tlog-upload=false", "--use-signing-config=false", "--yes"];
        let arguments = [&["sign", "--key", &key], &HERE[..], &offline, &[&image.reference]];
        self.cosign(&arguments.concat()).map(drop)
    }

    /// The signatures of an image that this pair of keys has made, as JSON.
    ///
    /// # Errors
    /// When there are none: with what cosign said.
    pub fn verify(&self, image: &Image, keys: &KeyPair) -> Result<String, Fault> {
        let key = format!("{}.pub", keys.0);
        let offline = ["--insecure-ignore-tlog", "--output", "json"];
        let arguments = [&["verify", "--key", &key], &HERE[..], &offline, &[&image.reference]];
        self.cosign(&arguments.concat())
    }

    fn cosign(&self, arguments: &[&str]) -> Result<String, Fault> {
        self.run("env", &[&["COSIGN_PASSWORD=", "cosign"], arguments].concat(), "")
    }
}
