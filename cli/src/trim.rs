//! Which callbacks a module exports: those that its filter needs. The proxy makes every one that is exported, for each
//! exchange, and the SDK exports them all.

use std::fs;
use std::ops::Range;
use std::path::Path;

use filter_core::Phase;
use wasm_encoder::{ExportKind, ExportSection, Module, RawSection};
use wasmparser::{ExternalKind, Parser, Payload};

use crate::check::FilterName;
use crate::failure::Failure;

/// What a module of any filter exports: what the proxy needs to start it and to give it memory, and the callbacks that
/// are not about a later phase of an exchange.
const ALWAYS: [&str; 13] = [
    "memory",
    "_initialize",
    "proxy_abi_version_0_2_1",
    "proxy_on_memory_allocate",
    "proxy_on_vm_start",
    "proxy_on_configure",
    "proxy_on_context_create",
    "proxy_on_delete",
    "proxy_on_tick",
    "proxy_on_http_call_response",
    "proxy_on_request_headers",
    // These keep back the rest of a request that is held.
    "proxy_on_request_body",
    "proxy_on_request_trailers",
];

/// The callback of a later phase.
fn callback(phase: Phase) -> &'static str {
    match phase {
        Phase::Request => "proxy_on_request_headers",
        Phase::Response => "proxy_on_response_headers",
        Phase::Log => "proxy_on_log",
    }
}

/// Writes a module of the filter's with what it needs to export and nothing else.
pub(crate) fn trim(filter: FilterName, module: &Path, file: &Path) -> Result<(), Failure> {
    let failed = |path: &Path, error: String| Failure::NotDone(error).of(path.display());
    let whole = fs::read(module).map_err(|error| failed(module, error.to_string()))?;
    let trimmed = trimmed(filter.later(), &whole)
        .map_err(|error| Failure::Refused(error).of(module.display()))?;
    fs::write(file, trimmed).map_err(|error| failed(file, error.to_string()))
}

fn trimmed(later: &[Phase], module: &[u8]) -> Result<Vec<u8>, String> {
    let broken = |error: wasmparser::Error| format!("not a whole WebAssembly module: {error}");
    let wanted =
        |name: &str| ALWAYS.contains(&name) || later.iter().any(|phase| callback(*phase) == name);
    let mut out = Module::new();
    let mut kept = ExportSection::new();
    let mut names = Vec::new();
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload.map_err(broken)?;
        if let Payload::ExportSection(exports) = payload {
            for export in exports {
                let export = export.map_err(broken)?;
                if wanted(export.name) {
                    let kind = match export.kind {
                        ExternalKind::Func => ExportKind::Func,
                        ExternalKind::Memory => ExportKind::Memory,
                        _ => return Err(format!("`{}` is no function", export.name)),
                    };
                    kept.export(export.name, kind, export.index);
                    names.push(export.name);
                }
            }
            out.section(&kept);
        } else if let Some((id, range)) = payload.as_section() {
            let data = section(module, range).ok_or("not a whole WebAssembly module")?;
            out.section(&RawSection { id, data });
        }
    }
    let expected = ALWAYS.iter().copied().chain(later.iter().map(|phase| callback(*phase)));
    match expected.into_iter().find(|name| !names.contains(name)) {
        None => Ok(out.finish()),
        Some(missing) => Err(format!("exports no `{missing}`, as a filter's module does")),
    }
}

fn section(module: &[u8], range: Range<u64>) -> Option<&[u8]> {
    module.get(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?)
}

#[cfg(test)]
mod tests {
    use wasm_encoder::{CodeSection, Function, FunctionSection, TypeSection};

    use super::*;

    /// A module of one empty function that is exported by all these names, and a memory.
    fn module(names: &[&str]) -> Vec<u8> {
        let mut types = TypeSection::new();
        types.ty().function([], []);
        let mut functions = FunctionSection::new();
        functions.function(0);
        let mut memories = wasm_encoder::MemorySection::new();
        memories.memory(wasm_encoder::MemoryType {
            minimum: 1,
            maximum: None,
            memory64: false,
            shared: false,
            page_size_log2: None,
        });
        let mut exports = ExportSection::new();
        exports.export("memory", ExportKind::Memory, 0);
        names.iter().for_each(|name| {
            exports.export(name, ExportKind::Func, 0);
        });
        let mut body = Function::new([]);
        body.instructions().end();
        let mut code = CodeSection::new();
        code.function(&body);
        let mut module = Module::new();
        module.section(&types).section(&functions).section(&memories);
        module.section(&exports).section(&code);
        module.finish()
    }

    fn every() -> Vec<&'static str> {
        let later = ["proxy_on_response_headers", "proxy_on_response_body", "proxy_on_log"];
        let rest = ["proxy_on_done", "proxy_on_new_connection"];
        ALWAYS.into_iter().filter(|name| *name != "memory").chain(later).chain(rest).collect()
    }

    fn exported(module: &[u8]) -> Vec<String> {
        let mut names = Vec::new();
        for payload in Parser::new(0).parse_all(module) {
            if let Payload::ExportSection(exports) = payload.unwrap() {
                names.extend(exports.into_iter().map(|export| export.unwrap().name.to_owned()));
            }
        }
        names
    }

    #[test]
    fn a_module_keeps_the_callbacks_of_its_filter_and_all_else() {
        for (later, expected) in [
            (&[][..], &[][..]),
            (&[Phase::Response], &["proxy_on_response_headers"]),
            (&[Phase::Log, Phase::Response], &["proxy_on_response_headers", "proxy_on_log"]),
        ] {
            let names = exported(&trimmed(later, &module(&every())).unwrap());
            let all = ALWAYS.iter().copied().chain(expected.iter().copied());
            let mut all: Vec<&str> = all.collect();
            let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
            all.sort_unstable();
            names.sort_unstable();
            assert_eq!(names, all);
        }
    }

    #[test]
    fn what_is_trimmed_is_the_same_module_otherwise() {
        let names: Vec<&str> = every();
        let needed: Vec<&str> = names.iter().copied().filter(|n| ALWAYS.contains(n)).collect();
        let whole = module(&needed);
        assert_eq!(trimmed(&[], &whole).unwrap(), whole);
    }

    #[test]
    fn a_module_without_a_callback_that_its_filter_needs_is_refused() {
        let told = trimmed(&[Phase::Log], &module(&ALWAYS[1..])).unwrap_err();
        assert_eq!(told, "exports no `proxy_on_log`, as a filter's module does");
        assert!(trimmed(&[], b"\0asm\x01\0\0\0\x07\x7f").is_err());
    }
}
