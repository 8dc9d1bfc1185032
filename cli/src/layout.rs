//! An image as a folder: the image layout of the Open Container Initiative.

use std::fs;
use std::io;
use std::path::Path;

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::image::{self, Image};

const MARK: &str = "oci-layout";
const INDEX: &str = "index.json";
const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
const NAME: &str = "org.opencontainers.image.ref.name";

/// Writes the image, and nothing else, into the folder. One that holds other things than a layout is not touched.
pub(crate) fn write(folder: &Path, image: &Image, tag: Option<&str>) -> Result<(), Failure> {
    if occupied(folder) {
        let told = "it holds something other than an image layout; name another with -o";
        return Err(Failure::NotDone(told.to_owned()).of(folder.display()));
    }
    let mut manifest = image::descriptor(image::MANIFEST_TYPE, &image.manifest);
    if let (Some(tag), Some(manifest)) = (tag, manifest.as_object_mut()) {
        manifest.insert("annotations".to_owned(), json!({NAME: tag}));
    }
    let index = json!({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [manifest]});
    let mark = json!({"imageLayoutVersion": "1.0.0"});
    let written = || -> io::Result<()> {
        if folder.join("blobs").exists() {
            fs::remove_dir_all(folder.join("blobs"))?;
        }
        fs::create_dir_all(folder.join("blobs/sha256"))?;
        for bytes in [&image.layer, &image.config, &image.manifest] {
            fs::write(folder.join(blob(&image::digest(bytes))), bytes)?;
        }
        fs::write(folder.join(INDEX), index.to_string())?;
        fs::write(folder.join(MARK), mark.to_string())
    };
    written().map_err(|error| Failure::NotDone(format!("{}: {error}", folder.display())))
}

/// Reads the one image of a folder, if it is one that loaders take.
pub(crate) fn read(folder: &Path) -> Result<Image, Failure> {
    let index = file(folder, INDEX)?;
    let index: Value = serde_json::from_slice(&index)
        .map_err(|error| Failure::Refused(format!("{INDEX} is not JSON: {error}")))?;
    let manifests = index.get("manifests").and_then(Value::as_array).map(Vec::as_slice);
    let Some([manifest]) = manifests else {
        let found = manifests.map_or(0, <[Value]>::len);
        return Err(Failure::Refused(format!("{INDEX} must name one manifest, found {found}")));
    };
    let digest = image::expect_descriptor(Some(manifest), image::MANIFEST_TYPE)?;
    let manifest = file(folder, &blob(&digest))?;
    if image::digest(&manifest) != digest {
        return Err(Failure::Refused(format!("the blob {digest} is not what its digest says")));
    }
    Image::assemble(manifest, |digest| file(folder, &blob(digest)))
}

fn occupied(folder: &Path) -> bool {
    let empty = fs::read_dir(folder).map_or(!folder.exists(), |mut held| held.next().is_none());
    !empty && !folder.join(MARK).is_file()
}

fn blob(digest: &str) -> String {
    format!("blobs/{}", digest.replace(':', "/"))
}

fn file(folder: &Path, name: &str) -> Result<Vec<u8>, Failure> {
    fs::read(folder.join(name)).map_err(|error| Failure::NotDone(format!("{name}: {error}")))
}
