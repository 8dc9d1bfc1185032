//! The section that tells a compiler what is likely (WebAssembly's branch hinting, "Binary format").

use std::collections::BTreeMap;

use wasm_encoder::{CustomSection, Encode as _, RawSection};
use wasmparser::{BinaryReaderError, Parser, Payload};

use crate::branches::Branch;

const NAME: &str = "metadata.code.branch_hint";

/// Which way a branch nearly always goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Likely {
    NotTaken = 0,
    Taken = 1,
}

/// What is said of a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hint {
    pub(crate) branch: Branch,
    pub(crate) likely: Likely,
}

/// The module with these hints, which must be in order, before its code.
pub(crate) fn written(module: &[u8], hints: &[Hint]) -> Result<Vec<u8>, BinaryReaderError> {
    let data = body(hints);
    let mut out = wasm_encoder::Module::new();
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload?;
        if let Payload::CodeSectionStart { .. } = payload {
            out.section(&CustomSection { name: NAME.into(), data: data.as_slice().into() });
        }
        if let Some((id, range)) = payload.as_section() {
            let [start, end] =
                [range.start, range.end].map(|at| usize::try_from(at).unwrap_or(usize::MAX));
            out.section(&RawSection { id, data: module.get(start..end).unwrap_or_default() });
        }
    }
    Ok(out.finish())
}

/// For each function, by index, what is said of its branches, by offset.
fn body(hints: &[Hint]) -> Vec<u8> {
    /// The length of what is said of a branch.
    const LENGTH: u32 = 1;
    let mut functions: BTreeMap<u32, Vec<&Hint>> = BTreeMap::new();
    for hint in hints {
        functions.entry(hint.branch.function).or_default().push(hint);
    }
    let mut body = Vec::new();
    functions.len().encode(&mut body);
    for (function, hints) in functions {
        function.encode(&mut body);
        hints.len().encode(&mut body);
        for hint in hints {
            hint.branch.offset.encode(&mut body);
            LENGTH.encode(&mut body);
            body.push(hint.likely as u8);
        }
    }
    body
}

#[cfg(test)]
mod tests {
    use wasmparser::KnownCustom;

    use super::*;

    /// A section: its id and what it holds.
    type Section = (u8, Vec<u8>);
    /// What is said of a branch: its function, its offset, and whether it is likely taken.
    type Said = (u32, u32, bool);

    /// Every section but ours, and what ours says.
    fn read(module: &[u8]) -> (Vec<Section>, Vec<Said>) {
        let (mut sections, mut said) = (Vec::new(), Vec::new());
        for payload in Parser::new(0).parse_all(module) {
            let payload = payload.unwrap();
            if let Payload::CustomSection(custom) = &payload
                && let KnownCustom::BranchHints(functions) = custom.as_known()
            {
                assert!(sections.iter().all(|(id, _)| *id != 10), "hints come before code");
                for function in functions {
                    let function = function.unwrap();
                    for hint in function.hints {
                        let hint = hint.unwrap();
                        said.push((function.func, hint.func_offset, hint.taken));
                    }
                }
            } else if let Some((id, range)) = payload.as_section() {
                sections.push((id, module[range.start as usize..range.end as usize].to_vec()));
            }
        }
        (sections, said)
    }

    #[test]
    fn a_module_with_hints_is_the_module_and_the_hints() {
        let module = wat::parse_str(
            r#"(module (@custom "before" "1") (memory 1) (data (i32.const 0) "x")
                (func (param i32) (if (local.get 0) (then (unreachable))))
                (func (param i32) (block (br_if 0 (local.get 0)) (unreachable)))
                (@custom "after" "2"))"#,
        )
        .unwrap();
        let hint = |function, offset, likely| Hint { branch: Branch { function, offset }, likely };
        let hints = [
            hint(0, 3, Likely::NotTaken),
            hint(1, 5, Likely::Taken),
            hint(1, 300, Likely::NotTaken),
        ];
        let (sections, said) = read(&written(&module, &hints).unwrap());
        assert_eq!(sections, read(&module).0);
        assert_eq!(said, [(0, 3, false), (1, 5, true), (1, 300, false)]);
    }

    #[test]
    fn what_is_no_module_gets_no_hints() {
        assert!(written(b"\0asm\x02\0\0\0", &[]).is_err());
    }
}
