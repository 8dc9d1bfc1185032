//! Doubles of the host, and the runner of case files, for native tests of filters.

mod doubles;
mod runner;

pub use doubles::{
    BrokenCells, FixtureExchange, MapCells, MovableClock, NoSignatures, SameSeed, World,
};
pub use runner::run_cases;
