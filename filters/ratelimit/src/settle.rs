//! What a response makes of its request's cost.

use filter_core::{Cells, Headers};

use crate::charge::Receipt;
use crate::config::Settle;
use crate::terms::{number, only_number};

impl Settle {
    /// What a request that was charged `paid` costs after all.
    fn cost(&self, paid: u64, response: Headers<'_>) -> u64 {
        let status = response.copies(":status").next().and_then(number);
        let Some(status) = status.and_then(|status| u16::try_from(status).ok()) else {
            return paid;
        };
        let among = |patterns: &[crate::config::StatusPattern]| {
            patterns.iter().any(|pattern| pattern.matches(status))
        };
        let counts = self.count_only.as_deref().is_none_or(among);
        if !counts || among(&self.refund) {
            return 0;
        }
        let Some((name, most)) = &self.header else { return paid };
        only_number(response, name).map_or(paid, |cost| cost.min(*most))
    }

    /// Charges what is missing, or gives back what was too much. Tells whether another key lost its place to this one.
    pub(crate) fn settle(
        &self,
        receipt: &Receipt,
        response: Headers<'_>,
        now: impl FnOnce() -> Option<u64>,
        cells: &dyn Cells,
    ) -> bool {
        let paid = receipt.claim.cost;
        let cost = self.cost(paid, response);
        if cost < paid {
            receipt.give_back(paid.saturating_sub(cost), now(), cells);
            return false;
        }
        cost > paid && {
            let now = now().unwrap_or(receipt.claim.now);
            receipt.charge_more(cost.saturating_sub(paid), now, cells)
        }
    }
}
