//! Modules as images in the bed's registry, made and pushed by the program that users have.

use std::path::PathBuf;

use crate::{Bed, Fault};

/// An image in the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// As the machine names it: `HOST:PORT/NAME:TAG@DIGEST`.
    pub reference: String,
    /// As the mesh names it, behind `oci://`: the same, by the registry's name in there.
    pub url: String,
    /// The digest's hexadecimal part: the agent names the file by it that it gives to the proxy.
    pub digest: String,
}

impl Bed {
    /// Makes an image of a module and pushes it, as `make build` left it.
    ///
    /// # Errors
    /// When there is no such module, or the registry does not take it.
    pub fn push(&self, module: &str) -> Result<Image, Fault> {
        self.package(module, "0.1.0", &[])
    }

    /// The same module with another version's bytes: a custom section (WebAssembly Core 2.0, §5.5.3) that names it.
    ///
    /// # Errors
    /// As [`Bed::push`].
    pub fn push_version(&self, module: &str, version: &str) -> Result<Image, Fault> {
        let named = [b"\x07version", version.as_bytes()].concat();
        let length = u8::try_from(named.len()).ok().filter(|length| *length < 0x80);
        let length = length.ok_or_else(|| format!("{version:?} is too long for a version"))?;
        self.package(module, version, &[&[0, length], named.as_slice()].concat())
    }

    /// The program that users have, with this on its standard input.
    ///
    /// # Errors
    /// With what it said.
    pub fn outrigger(&self, arguments: &[&str], input: &str) -> Result<String, Fault> {
        self.run(&self.modules.join("outrigger").to_string_lossy(), arguments, input)
    }

    fn package(&self, module: &str, version: &str, section: &[u8]) -> Result<Image, Fault> {
        let file = |path: PathBuf| path.to_string_lossy().into_owned();
        let built = file(self.modules.join(format!("{module}.wasm")));
        let mut bytes = std::fs::read(&built).map_err(|error| format!("{built}: {error}"))?;
        bytes.extend(section);
        let folder = self.state.join("images").join(module).join(version);
        let told = |error: std::io::Error| format!("{}: {error}", folder.display());
        std::fs::create_dir_all(&folder).map_err(told)?;
        let wasm = file(folder.join("plugin.wasm"));
        std::fs::write(&wasm, bytes).map_err(told)?;

        let layout = file(folder.join("plugin.oci"));
        let tag = format!("{}/outrigger/{module}:{version}", self.registry);
        self.outrigger(&["package", &wasm, "--tag", &tag, "-o", &layout], "")?;
        let reference = self.outrigger(&["push", &layout, &tag, "--plain-http"], "")?;
        let reference = reference.trim().to_owned();
        Ok(Image {
            url: format!("oci://{}", reference.replacen(&self.registry, &self.registry_name, 1)),
            digest: reference.rsplit(':').next().unwrap_or_default().to_owned(),
            reference,
        })
    }
}
