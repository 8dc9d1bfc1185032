//! Many clients at once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::http::Connection;
use crate::{Fault, until};

/// How many there are.
const CLIENTS: usize = 8;

/// What was answered so far: how often each status, or each fault.
#[derive(Debug, Default)]
pub struct Answers(Mutex<BTreeMap<String, usize>>);

impl Answers {
    /// How often this, a status or a fault.
    #[must_use]
    pub fn of(&self, answer: &str) -> usize {
        self.locked().get(answer).copied().unwrap_or_default()
    }

    /// Everything, by status or fault.
    #[must_use]
    pub fn all(&self) -> BTreeMap<String, usize> {
        self.locked().clone()
    }

    /// Waits until this many more were answered so.
    ///
    /// # Errors
    /// When they are not: with everything that was answered.
    pub fn wait_for_more(&self, answer: &str, count: usize) -> Result<(), Fault> {
        let wanted = self.of(answer) + count;
        until(&format!("{wanted} times {answer}"), || {
            if self.of(answer) >= wanted { Ok(()) } else { Err(format!("{:?}", self.all())) }
        })
    }

    fn count(&self, answer: String) {
        *self.locked().entry(answer).or_default() += 1;
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts one request to the address, over and over, from eight clients that keep their connections, while `meanwhile`
/// runs; then tells what they were answered.
pub fn under_load<T>(
    address: &str,
    path: &str,
    headers: &[(&str, &str)],
    meanwhile: impl FnOnce(&Answers) -> T,
) -> (T, BTreeMap<String, usize>) {
    let (answers, over) = (Answers::default(), AtomicBool::new(false));
    let result = std::thread::scope(|scope| {
        // Also when `meanwhile` panics, or the clients would never end.
        let _ending = Ending(&over);
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut connection = Connection::to(address, 80);
                while !over.load(Ordering::Relaxed) {
                    answers.count(match connection.get("shop.example", path, headers) {
                        Ok(answer) => answer.status.to_string(),
                        Err(fault) => fault,
                    });
                }
            });
        }
        meanwhile(&answers)
    });
    (result, answers.all())
}

struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
