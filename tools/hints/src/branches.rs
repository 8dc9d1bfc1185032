//! The branches of a module, and how often each goes either way.

use wasm_encoder::reencode::{self, Reencode, RoundtripReencoder};
use wasm_encoder::{
    CodeSection, ExportKind, ExportSection, Function, Instruction, MemArg, MemArgTarget,
    MemorySection, MemoryType, ValType,
};
use wasmparser::{
    BinaryReaderError, ExportSectionReader, FunctionBody, MemorySectionReader, Operator, Parser,
    Payload, TypeRef,
};

use crate::section::{Hint, Likely};

/// What the memory of the counts is exported as.
pub(crate) const COUNTS: &str = "branch_counts";
/// The index of that memory: modules have one of their own.
const MEMORY: u32 = 1;
const PAGE: usize = 65_536;
/// Two counts for each branch, of 32 bits: not taken, and taken.
const BYTES: usize = 8;

/// A way is seldom taken if the other one is taken more often than so many times as often.
const SELDOM: u64 = 10;

/// An instruction that goes on at one of two places: `br_if` or `if`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Branch {
    /// The index of its function.
    pub(crate) function: u32,
    /// The bytes from the beginning of the function's body, its locals included.
    pub(crate) offset: u32,
}

fn is_branch(operator: &Operator<'_>) -> bool {
    matches!(operator, Operator::BrIf { .. } | Operator::If { .. })
}

/// All branches of a module, in order.
pub(crate) fn of(module: &[u8]) -> Result<Vec<Branch>, BinaryReaderError> {
    let (mut function, mut branches) = (0, Vec::new());
    for payload in Parser::new(0).parse_all(module) {
        match payload? {
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    function += u32::from(matches!(import?.ty, TypeRef::Func(_)));
                }
            }
            Payload::CodeSectionEntry(body) => {
                let begin = body.range().start;
                for operator in body.get_operators_reader()?.into_iter_with_offsets() {
                    let (operator, at) = operator?;
                    if is_branch(&operator) {
                        let offset = u32::try_from(at - begin).unwrap_or(u32::MAX);
                        branches.push(Branch { function, offset });
                    }
                }
                function += 1;
            }
            _ => {}
        }
    }
    Ok(branches)
}

/// The same module, which counts in a memory of its own how often each of so many branches is taken, and how often not.
pub(crate) fn counting(module: &[u8], branches: usize) -> Result<Vec<u8>, reencode::Error> {
    let mut counting = wasm_encoder::Module::new();
    let counter =
        &mut Counter { branches, branch: 0, function: 0, parameters: parameters(module)? };
    counter.parse_core_module(&mut counting, Parser::new(0), module)?;
    Ok(counting.finish())
}

/// How many parameters each function has, imports left out.
fn parameters(module: &[u8]) -> Result<Vec<u32>, BinaryReaderError> {
    let (mut types, mut functions) = (Vec::new(), Vec::new());
    for payload in Parser::new(0).parse_all(module) {
        match payload? {
            Payload::TypeSection(section) => {
                for each in section.into_iter_err_on_gc_types() {
                    types.push(each?.params().len());
                }
            }
            Payload::FunctionSection(section) => {
                for index in section {
                    let count = types.get(index? as usize).copied().unwrap_or_default();
                    functions.push(u32::try_from(count).unwrap_or(u32::MAX));
                }
            }
            _ => {}
        }
    }
    Ok(functions)
}

struct Counter {
    branches: usize,
    /// The next branch.
    branch: u32,
    /// The next function.
    function: usize,
    parameters: Vec<u32>,
}

impl Reencode for Counter {
    type Error = std::convert::Infallible;

    fn parse_memory_section(
        &mut self,
        memories: &mut MemorySection,
        section: MemorySectionReader<'_>,
    ) -> Result<(), reencode::Error> {
        RoundtripReencoder.parse_memory_section(memories, section)?;
        let minimum = (self.branches * BYTES).div_ceil(PAGE) as u64;
        memories.memory(MemoryType {
            minimum,
            maximum: None,
            memory64: false,
            shared: false,
            page_size_log2: None,
        });
        Ok(())
    }

    fn parse_export_section(
        &mut self,
        exports: &mut ExportSection,
        section: ExportSectionReader<'_>,
    ) -> Result<(), reencode::Error> {
        RoundtripReencoder.parse_export_section(exports, section)?;
        exports.export(COUNTS, ExportKind::Memory, MEMORY);
        Ok(())
    }

    fn parse_function_body(
        &mut self,
        code: &mut CodeSection,
        body: FunctionBody<'_>,
    ) -> Result<(), reencode::Error> {
        let mut condition = self.parameters.get(self.function).copied().unwrap_or_default();
        let mut locals = Vec::new();
        for local in body.get_locals_reader()? {
            let (count, kind) = local?;
            condition += count;
            locals.push((count, self.val_type(kind)?));
        }
        locals.push((1, ValType::I32));
        let mut function = Function::new(locals);
        for operator in body.get_operators_reader()? {
            let operator = operator?;
            if is_branch(&operator) {
                count(&mut function, self.branch, condition);
                self.branch += 1;
            }
            function.instruction(&self.instruction(operator)?);
        }
        code.function(&function);
        self.function += 1;
        Ok(())
    }
}

/// Counts by the condition on the stack, which is kept in this local and stays there.
fn count(function: &mut Function, branch: u32, condition: u32) {
    let place = MemArg {
        offset: u64::from(branch) * BYTES as u64,
        align: 2,
        target: MemArgTarget::Memory(MEMORY),
        ordering: None,
    };
    // Four bytes on if it holds.
    let way = [
        Instruction::LocalGet(condition),
        Instruction::I32Eqz,
        Instruction::I32Eqz,
        Instruction::I32Const(2),
        Instruction::I32Shl,
    ];
    let more = [
        Instruction::I32Load(place),
        Instruction::I32Const(1),
        Instruction::I32Add,
        Instruction::I32Store(place),
        Instruction::LocalGet(condition),
    ];
    let first = [Instruction::LocalSet(condition)];
    for instruction in first.iter().chain(&way).chain(&way).chain(&more) {
        function.instruction(instruction);
    }
}

/// How often branches were not taken, and taken.
#[derive(Debug)]
pub(crate) struct Counts(Vec<(u64, u64)>);

impl Counts {
    /// Of so many branches, none of which was reached.
    pub(crate) fn none(branches: usize) -> Self {
        Self(vec![(0, 0); branches])
    }

    /// Adds what a module counted, as it lies in its memory.
    pub(crate) fn add(&mut self, memory: &[u8]) {
        let (pairs, _) = memory.as_chunks::<BYTES>();
        for ((not, taken), [a, b, c, d, e, f, g, h]) in self.0.iter_mut().zip(pairs) {
            *not += u64::from(u32::from_le_bytes([*a, *b, *c, *d]));
            *taken += u64::from(u32::from_le_bytes([*e, *f, *g, *h]));
        }
    }

    /// How many were reached.
    pub(crate) fn reached(&self) -> usize {
        self.0.iter().filter(|count| **count != (0, 0)).count()
    }

    /// What is to be said of these branches: nothing of those that nothing is known of, or that go either way.
    pub(crate) fn hints(&self, branches: &[Branch]) -> Vec<Hint> {
        let hint = |(branch, (not, taken)): (&Branch, &(u64, u64))| {
            let likely = match (not, taken) {
                (not, taken) if *not > taken * SELDOM => Likely::NotTaken,
                (not, taken) if *taken > not * SELDOM => Likely::Taken,
                _ => return None,
            };
            Some(Hint { branch: *branch, likely })
        };
        branches.iter().zip(&self.0).filter_map(hint).collect()
    }
}

#[cfg(test)]
mod tests {
    use wasmi::{Engine, Linker, Module, Store};

    use super::*;

    /// Two functions with three branches, an imported one before them, and a memory of their own.
    fn module() -> Vec<u8> {
        wat::parse_str(
            r#"(module
                (import "env" "proxy_log" (func (param i32 i32 i32) (result i32)))
                (memory (export "memory") 1)
                (func (export "sign") (param $x i32) (result i32) (local i64)
                    (if (result i32) (i32.lt_s (local.get $x) (i32.const 0))
                        (then (i32.const -1))
                        (else (i32.const 1))))
                (func (export "count") (param $to i32) (result i32) (local $at i32)
                    (block $done
                        (loop $next
                            (br_if $done (i32.ge_u (local.get $at) (local.get $to)))
                            (local.set $at (i32.add (local.get $at) (i32.const 1)))
                            (br_if $next (i32.const 1))))
                    (local.get $at)))"#,
        )
        .unwrap()
    }

    #[test]
    fn a_branch_is_told_by_its_place_in_its_functions_body() {
        let module = module();
        let bodies: Vec<_> = Parser::new(0)
            .parse_all(&module)
            .filter_map(|payload| match payload.unwrap() {
                Payload::CodeSectionEntry(body) => Some(body.as_bytes().to_vec()),
                _ => None,
            })
            .collect();
        let opcodes: Vec<(u32, u8)> = of(&module)
            .unwrap()
            .iter()
            .map(|branch| {
                let body = &bodies[branch.function as usize - 1];
                (branch.function, body[branch.offset as usize])
            })
            .collect();
        const IF: u8 = 0x04;
        const BR_IF: u8 = 0x0d;
        assert_eq!(opcodes, [(1, IF), (2, BR_IF), (2, BR_IF)]);
    }

    #[test]
    fn the_module_that_counts_does_the_same_and_counts_both_ways() {
        let module = module();
        let branches = of(&module).unwrap();
        let engine = Engine::default();
        let counting = Module::new(&engine, counting(&module, branches.len()).unwrap()).unwrap();
        let mut store = Store::new(&engine, ());
        let mut linker = Linker::new(&engine);
        linker.func_wrap("env", "proxy_log", |_: i32, _: i32, _: i32| 0).unwrap();
        let instance = linker.instantiate_and_start(&mut store, &counting).unwrap();
        let sign = instance.get_typed_func::<i32, i32>(&store, "sign").unwrap();
        let signs = [-5, 3, 0, 7].map(|x| sign.call(&mut store, x).unwrap());
        assert_eq!(signs, [-1, 1, 1, 1]);
        let count = instance.get_typed_func::<i32, i32>(&store, "count").unwrap();
        assert_eq!(count.call(&mut store, 20).unwrap(), 20);
        let memory = instance.get_memory(&store, COUNTS).unwrap();
        let mut counts = Counts::none(branches.len());
        counts.add(memory.data(&store));
        assert_eq!(counts.0, [(3, 1), (20, 1), (0, 20)]);
        let hints: Vec<_> =
            counts.hints(&branches).iter().map(|hint| (hint.branch, hint.likely)).collect();
        assert_eq!(hints, [(branches[1], Likely::NotTaken), (branches[2], Likely::Taken)]);
    }

    #[test]
    fn of_what_was_never_reached_nothing_is_said() {
        let branches = of(&module()).unwrap();
        assert_eq!(Counts::none(branches.len()).hints(&branches), []);
    }
}
