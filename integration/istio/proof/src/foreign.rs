//! Images as other programs make them, or nobody should: what Istio's agent has to refuse.

use serde_json::{Value, json};

use crate::{Bed, Fault, Image};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

impl Bed {
    /// Pushes a module as an artifact: the module itself as the only layer, of this media type. Gives its address.
    ///
    /// # Errors
    /// When there is no such module, or the registry does not take it.
    pub fn push_artifact(&self, module: &str, name: &str, layer: &str) -> Result<String, Fault> {
        let folder = self.state.join("images").join(name);
        let blobs = folder.join("blobs/sha256");
        let told = |error: std::io::Error| format!("{}: {error}", folder.display());
        std::fs::create_dir_all(&blobs).map_err(told)?;
        let blob = |media: &str, bytes: &[u8]| -> Result<Value, Fault> {
            let new = folder.join("new");
            std::fs::write(&new, bytes).map_err(told)?;
            let said = self.run("sha256sum", &[&new.to_string_lossy()], "")?;
            let digest = said.split(' ').next().unwrap_or_default();
            std::fs::rename(&new, blobs.join(digest)).map_err(told)?;
            Ok(
                json!({ "mediaType": media, "digest": format!("sha256:{digest}"), "size": bytes.len() }),
            )
        };
        let wasm = std::fs::read(self.modules.join(format!("{module}.wasm"))).map_err(told)?;
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": blob("application/vnd.oci.empty.v1+json", b"{}")?, "layers": [blob(layer, &wasm)?],
        });
        let manifest = blob(MANIFEST, manifest.to_string().as_bytes())?;
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [manifest] });
        std::fs::write(folder.join("index.json"), index.to_string()).map_err(told)?;
        std::fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)
            .map_err(told)?;
        let tag = format!("{}/foreign/{name}:test", self.registry);
        self.run("crane", &["push", "--insecure", &folder.to_string_lossy(), &tag], "")?;
        Ok(format!("oci://{}/foreign/{name}:test", self.registry_name))
    }

    /// Puts an index around an image, as builders for several platforms do. Gives its address, with the index's digest.
    ///
    /// # Errors
    /// When the registry does not take it.
    pub fn push_index(&self, image: &Image) -> Result<String, Fault> {
        let tag = format!("{}/foreign/index:test", self.registry);
        self.run(
            "crane",
            &["index", "append", "--insecure", "-m", &image.reference, "-t", &tag],
            "",
        )?;
        let digest = self.run("crane", &["digest", "--insecure", &tag], "")?;
        Ok(format!("oci://{}/foreign/index@{}", self.registry_name, digest.trim()))
    }

    /// Gives an image one more name in the registry: `NAME:TAG`.
    ///
    /// # Errors
    /// When the registry does not take it.
    pub fn copy(&self, image: &Image, name: &str) -> Result<(), Fault> {
        let target = format!("{}/{name}", self.registry);
        self.run("crane", &["copy", "--insecure", &image.reference, &target], "").map(drop)
    }

    /// An image of the module that crashes when it is asked to (`x-probe: panic`).
    ///
    /// # Errors
    /// When there is no such module, or the registry does not take it.
    pub fn push_probe(&self) -> Result<String, Fault> {
        let probe = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../target/probes/probe.wasm");
        let tag = format!("{}/foreign/probe:test", self.registry);
        let outrigger = self.modules.join("outrigger");
        self.run(&outrigger.to_string_lossy(), &["push", probe, &tag, "--plain-http"], "")?;
        Ok(format!("oci://{}/foreign/probe:test", self.registry_name))
    }

    /// The bed's name in the mesh for what listens at this port beside its registry: 5001 and 5002 have the same images,
    /// for those who log in; at 5999 is nobody.
    #[must_use]
    pub fn beside_the_registry(&self, port: u16) -> String {
        let host = self.registry_name.split(':').next().unwrap_or_default();
        format!("{host}:{port}")
    }
}
