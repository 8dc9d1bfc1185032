//! Whether a proxy can load a module: it is one, and it imports nothing that a proxy does not provide.

use wasmparser::{Encoding, Import, Parser, Payload, TypeRef};

/// Looks at every section of the module, at no function's body.
pub(crate) fn check(module: &[u8]) -> Result<(), String> {
    if !module.starts_with(b"\0asm") {
        return Err("not a WebAssembly module: it does not begin with `\\0asm`".to_owned());
    }
    let broken = |error: wasmparser::Error| format!("not a whole WebAssembly module: {error}");
    for payload in Parser::new(0).parse_all(module) {
        match payload.map_err(broken)? {
            Payload::Version { encoding: Encoding::Component, .. } => {
                return Err("a WebAssembly component, but a proxy loads modules only".to_owned());
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    provided(&import.map_err(broken)?)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn provided(import: &Import<'_>) -> Result<(), String> {
    let Import { module, name, .. } = import;
    let function = matches!(import.ty, TypeRef::Func(_));
    let known =
        *module == "wasi_snapshot_preview1" || (*module == "env" && name.starts_with("proxy_"));
    if function && known {
        return Ok(());
    }
    let kind = match import.ty {
        TypeRef::Func(_) | TypeRef::FuncExact(_) => "function",
        TypeRef::Table(_) => "table",
        TypeRef::Memory(_) => "memory",
        TypeRef::Global(_) => "global",
        TypeRef::Tag(_) => "tag",
    };
    Err(format!("imports the {kind} {module}.{name}, which no proxy provides"))
}

/// Modules for tests.
#[cfg(test)]
pub(crate) mod made {
    /// A module that imports these, each with the bytes of its type.
    pub(crate) fn importing(imports: &[(&str, &str, &[u8])]) -> Vec<u8> {
        let length = |bytes: &[u8]| u8::try_from(bytes.len()).unwrap();
        let mut section = vec![u8::try_from(imports.len()).unwrap()];
        for (module, name, ty) in imports {
            for text in [module, name] {
                section.push(length(text.as_bytes()));
                section.extend_from_slice(text.as_bytes());
            }
            section.extend_from_slice(ty);
        }
        // One type, a function of nothing; then the imports.
        let mut made = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x02".to_vec();
        made.push(length(&section));
        made.extend(section);
        made
    }

    /// A module like those of ours.
    pub(crate) fn good() -> Vec<u8> {
        importing(&[
            ("env", "proxy_log", FUNCTION),
            ("wasi_snapshot_preview1", "fd_write", FUNCTION),
        ])
    }

    pub(crate) const FUNCTION: &[u8] = &[0, 0];
}

#[cfg(test)]
mod tests {
    use super::made::{FUNCTION, good, importing};
    use super::*;

    #[test]
    fn what_a_proxy_provides_may_be_imported() {
        assert_eq!(check(&good()), Ok(()));
        assert_eq!(check(&importing(&[])), Ok(()));
    }

    #[test]
    fn what_no_proxy_provides_is_named() {
        let memory: &[u8] = &[2, 0, 1];
        let global: &[u8] = &[3, 0x7f, 0];
        for (import, told) in [
            (("env", "abort", FUNCTION), "function env.abort"),
            (("env", "emscripten_proxy_log", FUNCTION), "function env.emscripten_proxy_log"),
            (("env", "proxy_memory", memory), "memory env.proxy_memory"),
            (("wasi_snapshot_preview1", "x", global), "global wasi_snapshot_preview1.x"),
            (("wasi_unstable", "fd_write", FUNCTION), "function wasi_unstable.fd_write"),
            (("__wbindgen_placeholder__", "f", FUNCTION), "function __wbindgen_placeholder__.f"),
        ] {
            let both = [("env", "proxy_log", FUNCTION), import];
            let expected = format!("imports the {told}, which no proxy provides");
            assert_eq!(check(&importing(&both)), Err(expected));
        }
    }

    #[test]
    fn what_is_no_module_is_refused() {
        for (bytes, told) in [
            (&b""[..], "not a WebAssembly module"),
            (b"\x7fELF\x01\0\0\0", "not a WebAssembly module"),
            (b"(module)", "not a WebAssembly module"),
            (b"\0asm", "not a whole WebAssembly module"),
            (b"\0asm\x01\0\0\0\x02\x7f", "not a whole WebAssembly module"),
            (b"\0asm\x07\0\0\0", "not a whole WebAssembly module"),
            (b"\0asm\x0d\0\x01\0", "a WebAssembly component"),
        ] {
            let error = check(bytes).unwrap_err();
            assert!(error.starts_with(told), "{bytes:?}: {error}");
        }
    }
}
