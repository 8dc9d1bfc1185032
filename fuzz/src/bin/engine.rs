//! Lets libFuzzer make up inputs for the target that the environment variable `FUZZ_TARGET` names.
#![no_main]

use std::sync::LazyLock;

use fuzz::Target;
use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    Target::named(&name).unwrap_or_else(|| panic!("FUZZ_TARGET is `{name}`, which is no target"))
});

// What every input shares is made before the first is timed.
fuzz_target!(init: TARGET.run(&[]), |input: &[u8]| TARGET.run(input));
