//! What one rule says to one key, and the change of the shared table that charges it: exactly once, or not at all.

use std::rc::Rc;

use filter_core::cells::{Cells, Stored, Unavailable, Version};

use crate::debt::Debt;
use crate::gcra::TICKS_PER_SECOND;
use crate::limit::{Debts, Limits, Verdict};
use crate::slot::{Seat, Slot};
use crate::table::Place;

/// How often a change of a cell is tried before others are let go first.
pub(crate) const ATTEMPTS: u32 = 32;

/// Why nothing could be decided. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Others wrote first, every time.
    Contended,
    /// The store cannot be used.
    Unavailable,
}

impl From<Unavailable> for Trouble {
    fn from(Unavailable: Unavailable) -> Self {
        Self::Unavailable
    }
}

/// Who asks for how much, of what, and when.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) limits: Rc<Limits>,
    pub(crate) place: Place,
    pub(crate) cost: u64,
    pub(crate) now: u64,
}

/// What a rule says to a key, as of what its cell held when it was read.
#[derive(Debug)]
pub(crate) struct Quote {
    pub(crate) claim: Claim,
    slot: Slot,
    version: Option<Version>,
    seat: Seat,
    verdict: Verdict,
}

impl Quote {
    /// Asks the store.
    pub(crate) fn ask(claim: Claim, cells: &dyn Cells) -> Result<Self, Unavailable> {
        let Claim { limits, place, cost, now } = &claim;
        let held = cells.load(&place.cell)?;
        let version = held.as_ref().map(|cell| cell.version);
        let mut slot = Slot::parse(limits.layout(), held.map(|cell| cell.value), *now);
        let mut seat = slot.seat(place.fingerprint);
        let verdict = limits.decide(&seat.debts, *now, *cost);
        if matches!(verdict, Verdict::Refuse { .. }) && seat.own && *now > 0 {
            let debts = limits.reckoned(&seat.debts, *now);
            // From now on tokens come back by this limit. Whoever wins here has written the same.
            if debts != seat.debts {
                slot.write(place.fingerprint, &seat, &debts, *now);
                let _ = cells.store(&place.cell, slot.as_bytes(), version)?;
                seat.debts = debts;
            }
        }
        Ok(Self { claim, slot, version, seat, verdict })
    }

    /// What a rule says to a key that is known to owe at least so much: only ever a refusal.
    pub(crate) fn recalled(claim: &Claim, debts: Debts) -> Option<Self> {
        let verdict = claim.limits.decide(&debts, claim.now, claim.cost);
        let slot = Slot::parse(claim.limits.layout(), None, claim.now);
        let mut seat = slot.seat(claim.place.fingerprint);
        seat.debts = debts;
        let refused = matches!(verdict, Verdict::Refuse { .. });
        refused.then(|| Self { claim: claim.clone(), slot, version: None, seat, verdict })
    }

    /// What the key would owe if it is charged, or owes if it is refused.
    pub(crate) fn debts(&self) -> &Debts {
        match &self.verdict {
            Verdict::Admit { debts, .. } => debts,
            Verdict::Refuse { .. } => &self.seat.debts,
        }
    }

    /// The whole tokens that are left when the key is charged; none if it is refused.
    pub(crate) fn remaining(&self) -> u64 {
        match self.verdict {
            Verdict::Admit { remaining, .. } => remaining,
            Verdict::Refuse { .. } => 0,
        }
    }

    /// In how many ticks the key would be admitted; none if it is now.
    pub(crate) fn wait(&self) -> Option<u64> {
        match self.verdict {
            Verdict::Admit { .. } => None,
            Verdict::Refuse { retry_after, .. } => Some(retry_after),
        }
    }

    /// Charges the key, asking again as often as others wrote in between. `Ok(Err(quote))` when they took what was
    /// left.
    pub(crate) fn charge(
        mut self,
        cells: &dyn Cells,
    ) -> Result<Result<Receipt, Box<Self>>, Trouble> {
        let Place { cell, fingerprint } = self.claim.place;
        for _ in 0..ATTEMPTS {
            let Verdict::Admit { debts, remaining, .. } = self.verdict else {
                return Ok(Err(Box::new(self)));
            };
            let evicted = self.slot.evicts(&self.seat, self.claim.now);
            self.slot.write(fingerprint, &self.seat, &debts, self.claim.now);
            match cells.store(&cell, self.slot.as_bytes(), self.version)? {
                Stored::Swapped => {
                    return Ok(Ok(Receipt { claim: self.claim, debts, remaining, evicted }));
                }
                Stored::Conflict => self = Self::ask(self.claim, cells)?,
            }
        }
        Err(Trouble::Contended)
    }

    /// Bars a key that was refused, where the rule has a penalty, and tells what it is told then. One attempt: if
    /// others wrote in between, one of the next refusals will do it.
    pub(crate) fn bar(&mut self, cells: &dyn Cells) -> Result<(), Unavailable> {
        let mut debts = self.seat.debts;
        if self.wait().is_none() || self.claim.limits.bar(&mut debts, self.claim.now).is_none() {
            return Ok(());
        }
        let Place { cell, fingerprint } = self.claim.place;
        self.slot.write(fingerprint, &self.seat, &debts, self.claim.now);
        if cells.store(&cell, self.slot.as_bytes(), self.version)? == Stored::Swapped {
            self.seat.debts = debts;
            self.verdict = self.claim.limits.decide(&debts, self.claim.now, self.claim.cost);
        }
        Ok(())
    }
}

/// A charge that was made, and can be corrected.
#[derive(Clone, Debug)]
pub(crate) struct Receipt {
    pub(crate) claim: Claim,
    /// What the key owed with it.
    pub(crate) debts: Debts,
    /// The whole tokens that were left.
    pub(crate) remaining: u64,
    /// Whether another key, which still owed something, lost its place to this one.
    pub(crate) evicted: bool,
}

impl Receipt {
    /// Gives back `cost` of what was charged. If others have charged the key since, no more than is sure not to have
    /// come back with time already, and nothing if it is not known how late it is: what they owe is not forgiven. When
    /// the store fails or is contended the charge stands: that can only refuse, and comes back with time.
    pub(crate) fn give_back(&self, cost: u64, now: Option<u64>, cells: &dyn Cells) {
        let Claim { limits, place, .. } = &self.claim;
        for _ in 0..ATTEMPTS {
            let Ok(Some(cell)) = cells.load(&place.cell) else { return };
            let as_of = now.unwrap_or(self.claim.now);
            let mut slot = Slot::parse(limits.layout(), Some(cell.value), as_of);
            let seat = slot.seat(place.fingerprint);
            if !seat.own {
                return;
            }
            let mut debts = seat.debts;
            let pairs = debts.iter_mut().zip(&self.debts).take(limits.windows().len());
            for (debt, charged) in pairs {
                // In tokens as the cell has them: another configuration may have charged since.
                let amount = debt.token.saturating_mul(cost);
                let sure = |now| charged.reckoned(debt.token, now).saturating_sub(now);
                let sure = now.map_or(0, sure);
                let amount = if debt == charged { amount } else { amount.min(sure) };
                debt.tat = debt.tat.saturating_sub(amount);
            }
            if debts == seat.debts {
                return;
            }
            slot.write(place.fingerprint, &seat, &debts, as_of);
            match cells.store(&place.cell, slot.as_bytes(), Some(cell.version)) {
                Ok(Stored::Conflict) => {}
                Ok(Stored::Swapped) | Err(Unavailable) => return,
            }
        }
    }

    /// Charges `cost` on top, whether there are tokens for it or not. A key comes to owe one more full bucket at most.
    /// What cannot be charged is lost: the response is on its way. Tells whether another key lost its place to this one.
    pub(crate) fn charge_more(&self, cost: u64, now: u64, cells: &dyn Cells) -> bool {
        let Claim { limits, place, .. } = &self.claim;
        for _ in 0..ATTEMPTS {
            let Ok(held) = cells.load(&place.cell) else { return false };
            let version = held.as_ref().map(|cell| cell.version);
            let mut slot = Slot::parse(limits.layout(), held.map(|cell| cell.value), now);
            let seat = slot.seat(place.fingerprint);
            let mut debts = seat.debts;
            for (window, debt) in limits.windows().iter().zip(&mut debts) {
                // In tokens as the cell has them: the configuration may have changed since the request came.
                let token = if debt.owed(now) > 0 { debt.token } else { window.gcra.token() };
                let most = token.saturating_mul(window.burst).saturating_mul(2);
                let charged = debt.tat.max(now).saturating_add(token.saturating_mul(cost));
                let tat = charged.min(now.saturating_add(most)).max(debt.tat);
                *debt = Debt { tat, token };
            }
            let evicted = slot.evicts(&seat, now);
            slot.write(place.fingerprint, &seat, &debts, now);
            match cells.store(&place.cell, slot.as_bytes(), version) {
                Ok(Stored::Conflict) => {}
                Ok(Stored::Swapped) => return evicted,
                Err(Unavailable) => return false,
            }
        }
        false
    }
}

/// Ticks as whole seconds for a client to wait: rounded up, at least one.
pub(crate) fn seconds(wait: u64) -> u64 {
    wait.div_ceil(TICKS_PER_SECOND).max(1)
}

#[cfg(test)]
mod tests;
