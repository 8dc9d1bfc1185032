//! An image that every loader takes: one `tar+gzip` layer whose first and only entry is `plugin.wasm`. Istio's agent
//! reads the last layer of an image only, and Envoy Gateway has the same code.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::check::FilterName;
use crate::{layer, module};

/// What the manifest is.
pub(crate) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// The three files of an image, as a registry keeps them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) manifest: Vec<u8>,
    pub(crate) config: Vec<u8>,
    pub(crate) layer: Vec<u8>,
}

/// The digest by which a registry knows these bytes.
pub(crate) fn digest(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

impl Image {
    /// Packs a module. The same module and name make the same bytes: nothing of the machine or of the time goes in.
    pub(crate) fn pack(name: &str, module: &[u8]) -> Result<Self, String> {
        module::check(module)?;
        let tar = layer::tarred(module).map_err(|error| error.to_string())?;
        let layer = layer::gzipped(&tar).map_err(|error| error.to_string())?;
        let config = json!({
            // Not what runs it, but what Istio's agent asks for if the image ever becomes part of an index.
            "architecture": "amd64",
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [digest(&tar)]},
        });
        let config = config.to_string().into_bytes();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": descriptor(CONFIG_TYPE, &config),
            "layers": [descriptor(LAYER_TYPE, &layer)],
            "annotations": annotations(name),
        });
        Ok(Self { manifest: manifest.to_string().into_bytes(), config, layer })
    }

    /// Takes an image's manifest, gets the two files that it names, and checks that a loader would take it.
    pub(crate) fn assemble<E: From<String>>(
        manifest: Vec<u8>,
        mut blob: impl FnMut(&str) -> Result<Vec<u8>, E>,
    ) -> Result<Self, E> {
        let parsed: Value = serde_json::from_slice(&manifest)
            .map_err(|error| E::from(format!("its manifest is not JSON: {error}")))?;
        let layers = parsed.get("layers").and_then(Value::as_array).map(Vec::as_slice);
        let Some([layer]) = layers else {
            let found = layers.map_or(0, <[Value]>::len);
            return Err(E::from(format!("it must have one layer, found {found}")));
        };
        let mut taken = |described: Option<&Value>, media_type: &str| {
            let digest = expect_descriptor(described, media_type)?;
            let bytes = blob(&digest)?;
            if self::digest(&bytes) == digest {
                Ok(bytes)
            } else {
                Err(E::from(format!("the blob {digest} is not what its digest says")))
            }
        };
        let config = taken(parsed.get("config"), CONFIG_TYPE)?;
        let layer = taken(Some(layer), LAYER_TYPE)?;
        module::check(&layer::unpacked(&layer)?)?;
        Ok(Self { manifest, config, layer })
    }

    /// The digest that pins the image, in Istio too.
    pub(crate) fn digest(&self) -> String {
        digest(&self.manifest)
    }
}

/// What is said of the image. A module that is none of ours is given neither our version nor our licence.
fn annotations(name: &str) -> Value {
    // The first names the layout in the words of the Wasm image specification.
    let mut said = json!({
        "module.wasm.image/variant": "compat",
        "org.opencontainers.image.title": name,
    });
    if let (Ok(filter), Some(said)) = (FilterName::parse(name), said.as_object_mut()) {
        for (key, value) in [
            ("org.opencontainers.image.licenses", env!("CARGO_PKG_LICENSE")),
            ("org.opencontainers.image.title", &format!("Outrigger {}", filter.as_str())),
            ("org.opencontainers.image.version", env!("CARGO_PKG_VERSION")),
            ("outrigger.filter", filter.as_str()),
        ] {
            said.insert(key.to_owned(), value.into());
        }
    }
    said
}

/// How one file of an image names another.
pub(crate) fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": digest(bytes), "size": bytes.len()})
}

/// The digest in a descriptor of this type; it is safe to be used as the name of a file.
pub(crate) fn expect_descriptor(
    described: Option<&Value>,
    media_type: &str,
) -> Result<String, String> {
    let text = |key| described.and_then(|found| found.get(key)).and_then(Value::as_str);
    match text("mediaType") {
        Some(found) if found == media_type => {}
        found => {
            return Err(format!("expected {media_type}, found {}", found.unwrap_or("nothing")));
        }
    }
    let digest = text("digest").unwrap_or_default();
    let hex = digest.strip_prefix("sha256:").unwrap_or_default();
    if hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        Ok(digest.to_owned())
    } else {
        Err(format!("expected a sha256 digest, found `{digest}`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::module::made::good;

    fn parsed(bytes: &[u8]) -> Value {
        serde_json::from_slice(bytes).unwrap()
    }

    fn again(image: &Image) -> Result<Image, String> {
        Image::assemble(image.manifest.clone(), |wanted| {
            let blobs = [&image.config, &image.layer];
            blobs.into_iter().find(|blob| digest(blob) == wanted).cloned().ok_or("gone".to_owned())
        })
    }

    #[test]
    fn the_same_module_makes_the_same_bytes() {
        let image = Image::pack("authz", &good()).unwrap();
        assert_eq!(Image::pack("authz", &good()), Ok(image));
    }

    #[test]
    fn the_manifest_tells_the_truth_about_its_blobs() {
        let image = Image::pack("authz", &good()).unwrap();
        let manifest = parsed(&image.manifest);
        assert_eq!(manifest["config"], descriptor(CONFIG_TYPE, &image.config));
        assert_eq!(manifest["layers"], json!([descriptor(LAYER_TYPE, &image.layer)]));
        let tar = layer::tarred(&good()).unwrap();
        assert_eq!(parsed(&image.config)["rootfs"]["diff_ids"], json!([digest(&tar)]));
        assert_eq!(layer::unpacked(&image.layer), Ok(good()));
    }

    #[test]
    fn a_module_of_ours_says_whose_it_is_and_another_does_not() {
        let said =
            |name| parsed(&Image::pack(name, &good()).unwrap().manifest)["annotations"].take();
        assert_eq!(said("suite")["outrigger.filter"], "suite");
        assert_eq!(said("suite")["org.opencontainers.image.title"], "Outrigger suite");
        assert_eq!(said("suite")["org.opencontainers.image.licenses"], "Apache-2.0");
        assert_eq!(
            said("theirs"),
            json!({
                "module.wasm.image/variant": "compat",
                "org.opencontainers.image.title": "theirs",
            })
        );
    }

    #[test]
    fn what_is_packed_is_taken_and_what_is_no_module_is_not_packed() {
        let image = Image::pack("authz", &good()).unwrap();
        assert_eq!(again(&image), Ok(image));
        assert!(Image::pack("authz", b"#!/bin/sh\n").is_err());
    }

    #[test]
    fn an_image_whose_layer_no_loader_takes_is_refused() {
        let not_a_module = layer::gzipped(&layer::tarred(b"no").unwrap()).unwrap();
        for (layer, told) in [
            (good(), "its layer is not a gzipped tar archive"),
            (not_a_module, "not a WebAssembly module"),
        ] {
            let mut image = Image::pack("authz", &good()).unwrap();
            let mut manifest = parsed(&image.manifest);
            *manifest.pointer_mut("/layers/0").unwrap() = descriptor(LAYER_TYPE, &layer);
            image.manifest = manifest.to_string().into_bytes();
            image.layer = layer;
            let error = again(&image).unwrap_err();
            assert!(error.starts_with(told), "{told}: {error}");
        }
    }

    #[test]
    fn a_manifest_of_another_layout_is_refused() {
        let image = Image::pack("authz", &good()).unwrap();
        let altered = |pointer: &str, value: Value| {
            let mut manifest = parsed(&image.manifest);
            *manifest.pointer_mut(pointer).unwrap() = value;
            again(&Image { manifest: manifest.to_string().into_bytes(), ..image.clone() })
                .unwrap_err()
        };
        let layer = descriptor(LAYER_TYPE, &image.layer);
        assert_eq!(altered("/layers", json!([])), "it must have one layer, found 0");
        assert_eq!(altered("/layers", json!([layer, layer])), "it must have one layer, found 2");
        assert_eq!(
            altered("/layers/0/mediaType", json!("application/wasm")),
            format!("expected {LAYER_TYPE}, found application/wasm")
        );
        assert_eq!(
            altered("/config/digest", json!("sha256:../../secret")),
            "expected a sha256 digest, found `sha256:../../secret`"
        );
    }

    #[test]
    fn a_blob_that_was_touched_is_refused() {
        let image = Image::pack("authz", &good()).unwrap();
        let error = Image::assemble(image.manifest.clone(), |_| Ok::<_, String>(b"{}".to_vec()));
        let told = format!("the blob {} is not what its digest says", digest(&image.config));
        assert_eq!(error, Err(told));
    }
}
