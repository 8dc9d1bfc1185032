//! Inputs that once failed, replayed for ever: every file in `failures/TARGET/`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use fuzz::Target;

/// Far above what any input takes, far below what one that never ends does.
const LONGEST: Duration = Duration::from_secs(20);

/// The inputs kept for a target, with their files.
fn kept(target: Target) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("failures").join(target.name());
    let Ok(entries) = std::fs::read_dir(&folder) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.expect("an entry of the folder").path());
    paths.map(|path| (path.clone(), std::fs::read(path).expect("a file of the folder"))).collect()
}

#[test]
fn what_once_failed_is_lawful() {
    let mut failed = Vec::new();
    for target in Target::ALL {
        for (path, input) in kept(target) {
            let began = Instant::now();
            if std::panic::catch_unwind(|| target.run(&input)).is_err() || began.elapsed() > LONGEST
            {
                failed.push(path);
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn what_is_made_up_without_an_engine_is_lawful() {
    // A few inputs for each target, always the same: xorshift, for want of anything better to choose by.
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    for target in Target::ALL {
        for length in 0..100 {
            let byte = |_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_le_bytes()[0]
            };
            target.run(&(0..length).map(byte).collect::<Vec<u8>>());
        }
    }
}

#[test]
fn targets_have_names_of_their_own() {
    for target in Target::ALL {
        assert_eq!(Target::named(target.name()), Some(target));
    }
}
