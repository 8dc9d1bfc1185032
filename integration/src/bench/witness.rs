//! What a status does not show, counters must.

use crate::{Admin, poll};

/// Some of Envoy's counters, and what they stood at.
#[derive(Clone, Debug)]
pub struct Witness<'a> {
    admin: &'a Admin,
    name: &'static str,
    before: u64,
}

impl<'a> Witness<'a> {
    /// The counters whose name contains this.
    ///
    /// # Errors
    /// When the admin interface does not answer.
    pub fn of(admin: &'a Admin, name: &'static str) -> Result<Self, String> {
        Ok(Self { admin, name, before: count(admin, name)? })
    }

    /// Waits until they have counted so many more: a request is counted a moment after it is answered.
    ///
    /// # Errors
    /// When they do not.
    pub fn saw(&self, requests: usize) -> Result<(), String> {
        let enough = self.before.saturating_add(requests as u64);
        let what = format!("`{}` to count {requests} requests", self.name);
        poll::until(poll::DEADLINE, &what, || {
            count(self.admin, self.name).is_ok_and(|count| count >= enough).then_some(())
        })
    }
}

fn count(admin: &Admin, name: &str) -> Result<u64, String> {
    Ok(admin.stats(name)?.values().sum())
}
