//! A folder of `integration/istio`, brought up in a namespace that no test has had before.

use std::path::Path;

use crate::{Applied, Bed, Fault, Place, Shipped};

/// Deleted when dropped.
pub struct Scratch<'a> {
    /// The namespace.
    pub place: Place<'a>,
    _applied: Applied<'a>,
}

impl Bed {
    /// Builds `integration/istio/FOLDER`, puts the namespace in the place of the word that stands for it there, and
    /// applies that, with modules of this build.
    ///
    /// # Errors
    /// When it does not build, or is refused.
    pub fn scratch(&self, folder: &str, word: &str, namespace: &str) -> Result<Scratch<'_>, Fault> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
        let text = self.run("kubectl", &["kustomize", &path.to_string_lossy()], "")?;
        // Also in names of hosts and certificates, which kustomize knows nothing of.
        let text = text.replace(word, namespace);
        let list = self.filled_in(&Shipped { name: folder.to_owned(), text })?;
        let applied = self.apply_anywhere(&list.to_string())?;
        Ok(Scratch { place: self.place(namespace), _applied: applied })
    }
}
