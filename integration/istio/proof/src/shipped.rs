//! What `istio-manifests/` ships, as a user would apply it.

use std::path::{Path, PathBuf};

use serde_json::{Deserializer, Value, json};

use crate::{Bed, Fault};

/// Where the plugins' images are in the shipped manifests: to be replaced by whoever uses them.
const REGISTRY: &str = "oci://registry.example/outrigger/";

/// One thing that can be applied: a kustomization, or a file that belongs to none.
#[derive(Clone, Debug)]
pub struct Shipped {
    /// Its path in `istio-manifests/`.
    pub name: String,
    /// Its objects, in YAML.
    pub text: String,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../istio-manifests")
}

fn read(path: &Path) -> Result<String, Fault> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// All folders in this one, itself included, and all files in them.
fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), Fault> {
    let fault = |error: std::io::Error| format!("{}: {error}", folder.display());
    for entry in std::fs::read_dir(folder).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        if path.is_dir() {
            walk(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            found.push(path);
        }
    }
    Ok(())
}

impl Bed {
    /// One of them, by its path: a folder is built by `kubectl kustomize`.
    ///
    /// # Errors
    /// When it is not there or does not build.
    pub fn shipped(&self, name: &str) -> Result<Shipped, Fault> {
        let path = folder().join(name);
        let text = if path.is_dir() {
            self.kubectl(&["kustomize", &path.to_string_lossy()])?
        } else {
            read(&path)?
        };
        Ok(Shipped { name: name.to_owned(), text })
    }

    /// All of them: every kustomization, and every file that its folder's kustomization does not name. A component is no
    /// thing of its own, and `IstioOperator` is no object of the API server.
    ///
    /// # Errors
    /// When one cannot be read or does not build.
    pub fn everything_shipped(&self) -> Result<Vec<Shipped>, Fault> {
        let mut files = Vec::new();
        walk(&folder(), &mut files)?;
        files.sort();
        let mut all = Vec::new();
        for file in files {
            let (text, parent) = (read(&file)?, file.parent().unwrap_or(&file));
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let apart = if name == "kustomization.yaml" {
                text.contains("\nkind: Kustomization\n").then_some(parent)
            } else {
                let kustomization = parent.join("kustomization.yaml");
                let named = kustomization.is_file()
                    && read(&kustomization)?.split_whitespace().any(|word| word == name);
                (!named && !text.contains("\nkind: IstioOperator\n")).then_some(file.as_path())
            };
            if let Some(path) = apart {
                let name = path.strip_prefix(folder()).unwrap_or(path).to_string_lossy();
                all.push(self.shipped(&name)?);
            }
        }
        Ok(all)
    }

    /// Its objects as one list, their modules being those of this build, in the bed's registry.
    ///
    /// # Errors
    /// When an object cannot be read, or a module cannot be pushed.
    pub fn filled_in(&self, shipped: &Shipped) -> Result<Value, Fault> {
        let mut text = shipped.text.clone();
        for module in ["authz", "canary", "ratelimit", "suite", "telemetry"] {
            let shipped = format!("{REGISTRY}{module}:0.1.0");
            if text.contains(&shipped) {
                text = text.replace(&shipped, &self.push(module)?.url);
            }
        }
        let read = ["create", "--dry-run=client", "-o", "json", "-f", "-"];
        let objects = self.run("kubectl", &read, &text)?;
        let objects: Vec<Value> = Deserializer::from_str(&objects)
            .into_iter()
            .collect::<Result<_, _>>()
            .map_err(|error| format!("{}: {error}", shipped.name))?;
        Ok(json!({ "apiVersion": "v1", "kind": "List", "items": objects }))
    }
}
