//! State that all workers share: cells with compare-and-swap.

/// A store of small values by key, one for the whole process. Keys are never forgotten, so none may be made of what a
/// client sent, nor of time.
pub trait Cells {
    /// What the cell holds, with the version to swap it by.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn load(&self, key: &[u8]) -> Result<Option<Cell>, Unavailable>;

    /// Writes `value` if the cell is still as it was when `expected` was read; `None` expects a cell that does not
    /// exist, and so creates it.
    ///
    /// # Errors
    /// When the store cannot be written.
    fn store(
        &self,
        key: &[u8],
        value: &[u8],
        expected: Option<Version>,
    ) -> Result<Stored, Unavailable>;
}

/// A cell's content and its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The content.
    pub value: Vec<u8>,
    /// Changes with every write.
    pub version: Version,
}

/// Tells one write of a cell from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version(pub u32);

/// What came of a conditional write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// The value is in the cell.
    Swapped,
    /// Somebody else wrote first; the cell is untouched.
    Conflict,
}

/// The store cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unavailable;

/// What to do with a cell, having seen what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<T> {
    /// Leave it, and answer this.
    Keep(T),
    /// Write this, and if nobody wrote in between answer that.
    Replace(Vec<u8>, T),
}

/// What came of [`update`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Updated<T> {
    /// The step's answer, on a content that nobody changed meanwhile.
    Done(T),
    /// Others wrote first, every time. Nothing was changed.
    Contended,
    /// The store cannot be used. Nothing was changed.
    Unavailable,
}

/// Reads a cell, lets `step` decide on what it holds, and writes what it says, as one atomic change. `step` is asked
/// anew, up to `attempts` times, whenever somebody else wrote in between.
pub fn update<T>(
    cells: &dyn Cells,
    key: &[u8],
    attempts: u32,
    mut step: impl FnMut(Option<&[u8]>) -> Step<T>,
) -> Updated<T> {
    for _ in 0..attempts {
        let Ok(cell) = cells.load(key) else {
            return Updated::Unavailable;
        };
        match step(cell.as_ref().map(|cell| cell.value.as_slice())) {
            Step::Keep(answer) => return Updated::Done(answer),
            Step::Replace(value, answer) => {
                match cells.store(key, &value, cell.map(|cell| cell.version)) {
                    Ok(Stored::Swapped) => return Updated::Done(answer),
                    Ok(Stored::Conflict) => {}
                    Err(Unavailable) => return Updated::Unavailable,
                }
            }
        }
    }
    Updated::Contended
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::VecDeque;

    use super::*;

    /// Answers stores from a script; holds nothing.
    struct Scripted(RefCell<VecDeque<Result<Stored, Unavailable>>>);

    impl Cells for Scripted {
        fn load(&self, _: &[u8]) -> Result<Option<Cell>, Unavailable> {
            Ok(None)
        }

        fn store(
            &self,
            _: &[u8],
            _: &[u8],
            expected: Option<Version>,
        ) -> Result<Stored, Unavailable> {
            assert_eq!(expected, None, "an absent cell is created, never overwritten");
            self.0.borrow_mut().pop_front().unwrap()
        }
    }

    fn run(script: &[Result<Stored, Unavailable>], attempts: u32) -> (Updated<u32>, u32) {
        let cells = Scripted(RefCell::new(script.iter().copied().collect()));
        let mut asked = 0;
        let updated = update(&cells, b"k", attempts, |held| {
            assert_eq!(held, None);
            asked += 1;
            Step::Replace(vec![], asked)
        });
        (updated, asked)
    }

    #[test]
    fn a_conflict_asks_again() {
        let script = [Ok(Stored::Conflict), Ok(Stored::Conflict), Ok(Stored::Swapped)];
        assert_eq!(run(&script, 5), (Updated::Done(3), 3));
    }

    #[test]
    fn attempts_are_bounded() {
        assert_eq!(run(&[Ok(Stored::Conflict); 9], 4), (Updated::Contended, 4));
    }

    #[test]
    fn a_broken_store_is_said() {
        assert_eq!(run(&[Err(Unavailable)], 4), (Updated::Unavailable, 1));
    }
}
