//! The layer of an image: a gzipped tar archive whose first and only entry is `plugin.wasm`.

use std::io::{self, Read as _, Write as _};

use flate2::read::GzDecoder;
use flate2::{Compression, GzBuilder};

const ENTRY: &str = "plugin.wasm";

/// The most that Istio's agent unpacks by default.
const LARGEST: u64 = 256 << 20;

/// A tar archive of the module, the same on any day and machine.
pub(crate) fn tarred(module: &[u8]) -> io::Result<Vec<u8>> {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(module.len() as u64);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, ENTRY, module)?;
    archive.into_inner()
}

/// The same bytes in, the same bytes out.
pub(crate) fn gzipped(tar: &[u8]) -> io::Result<Vec<u8>> {
    const UNKNOWN_SYSTEM: u8 = 255;
    let header = GzBuilder::new().mtime(0).operating_system(UNKNOWN_SYSTEM);
    let mut encoder = header.write(Vec::new(), Compression::best());
    encoder.write_all(tar)?;
    encoder.finish()
}

/// The module in a layer, which must be its first and only entry.
pub(crate) fn unpacked(layer: &[u8]) -> Result<Vec<u8>, String> {
    let broken = |error: io::Error| format!("its layer is not a gzipped tar archive: {error}");
    let bounded = GzDecoder::new(layer).take(LARGEST);
    let mut archive = tar::Archive::new(bounded);
    let mut entries = archive.entries().map_err(broken)?;
    let mut module = Vec::new();
    match entries.next().transpose().map_err(broken)? {
        Some(mut entry) if &*entry.path_bytes() == ENTRY.as_bytes() => {
            entry.read_to_end(&mut module).map_err(broken)?;
        }
        Some(entry) => {
            let found = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            return Err(format!("its layer must hold `{ENTRY}`, found `{found}`"));
        }
        None => return Err(format!("its layer must hold `{ENTRY}`, found nothing")),
    }
    match entries.next().transpose().map_err(broken)? {
        None => Ok(module),
        Some(entry) => {
            let found = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            Err(format!("its layer must hold `{ENTRY}` only, found `{found}` too"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODULE: &[u8] = b"\0asm\x01\0\0\0";

    #[test]
    fn nothing_of_the_day_and_the_machine_goes_in() {
        let tar = tarred(MODULE).unwrap();
        assert_eq!(tar.len(), 512 + 512 + 1024);
        let header = tar::Header::from_byte_slice(&tar[..512]);
        assert_eq!(&*header.path_bytes(), b"plugin.wasm");
        assert_eq!(header.mode().unwrap(), 0o644);
        assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
        assert_eq!(header.mtime().unwrap(), 0);
        assert_eq!((header.username(), header.groupname()), (Ok(Some("")), Ok(Some(""))));
        // RFC 1952: no flags, no time, best compression, unknown system.
        assert_eq!(gzipped(&tar).unwrap()[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255]);
        assert_eq!(unpacked(&gzipped(&tar).unwrap()), Ok(MODULE.to_vec()));
    }

    #[test]
    fn a_layer_that_holds_anything_else_is_refused() {
        let layer_of = |entries: &[&str]| {
            let mut archive = tar::Builder::new(Vec::new());
            for entry in entries {
                let mut header = tar::Header::new_ustar();
                header.set_size(MODULE.len() as u64);
                archive.append_data(&mut header, entry, MODULE).unwrap();
            }
            gzipped(&archive.into_inner().unwrap()).unwrap()
        };
        let mut cut = layer_of(&["plugin.wasm"]);
        cut.truncate(20);
        for (layer, told) in [
            (layer_of(&[]), "its layer must hold `plugin.wasm`, found nothing"),
            (layer_of(&["authz.wasm"]), "its layer must hold `plugin.wasm`, found `authz.wasm`"),
            (
                layer_of(&["plugin.wasm", "x"]),
                "its layer must hold `plugin.wasm` only, found `x` too",
            ),
            (MODULE.to_vec(), "its layer is not a gzipped tar archive"),
            (cut, "its layer is not a gzipped tar archive"),
        ] {
            let error = unpacked(&layer).unwrap_err();
            assert!(error.starts_with(told), "{told}: {error}");
        }
    }
}
