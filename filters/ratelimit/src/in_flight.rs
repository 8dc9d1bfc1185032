//! How many at the same time: the requests of a key that are in flight, over all workers, and never more than a limit.
//!
//! Each worker knows how many requests it has in flight itself, and writes that number into the key's cell whenever it
//! changes, by compare-and-swap, together with the time until which it is to be believed: a lease. By the clock it
//! renews what it wrote. A worker whose VM is gone renews nothing, so what it held comes back by itself. As it is always
//! the whole number that is written, a change that got lost is made up for by the next.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use filter_core::cells::{self, Cells, Step, Stored, Updated, update};

use crate::charge::{ATTEMPTS, Trouble};
use crate::gcra::{NEVER, TICKS_PER_SECOND};
use crate::leases::{Leases, OTHERS};
use crate::table::Place;

/// The cell that says how many holders there were.
const HOLDERS: &[u8] = b"orl1hold";
const MARK: [u8; 4] = *b"ORH\x01";

/// When a refused client is told to come again: nobody knows when a request ends.
const AGAIN: u64 = TICKS_PER_SECOND;

/// What this worker has in flight under one rule.
#[derive(Debug)]
pub(crate) struct Fleet {
    /// For how many ticks others believe what it writes.
    lease: u64,
    /// Tells what it writes from what others do.
    holder: OnceCell<u64>,
    held: RefCell<BTreeMap<Place, Held>>,
    /// Requests whose leases were found to have run out, since last asked.
    expired: Cell<u64>,
}

/// The requests of one key that are in flight here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    count: u32,
    /// Until when others believe what was written; none if it is not what is true.
    until: Option<u64>,
}

/// Who asks to go, and how many may be in flight then.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) fleet: Rc<Fleet>,
    pub(crate) place: Place,
    pub(crate) most: u64,
    pub(crate) now: u64,
}

/// What a rule says to a key, as of what its cell held when it was read.
#[derive(Debug)]
pub(crate) struct Quote {
    pub(crate) claim: Claim,
    holder: u64,
    held: Option<cells::Cell>,
    leases: Leases,
    /// How many may come before the limit is reached.
    free: u64,
}

impl Quote {
    /// Asks the store.
    pub(crate) fn ask(claim: Claim, cells: &dyn Cells) -> Result<Self, Trouble> {
        // Without a clock nobody could tell when a lease ends.
        if claim.now == 0 {
            return Err(Trouble::Unavailable);
        }
        let holder = claim.fleet.holder(cells)?;
        let held = cells.load(&claim.place.cell)?;
        let leases = Leases::parse(held.as_ref().map(|cell| &*cell.value), claim.now);
        let under = |fingerprint| {
            let own = claim.fleet.count(&Place { fingerprint, ..claim.place });
            leases.besides(holder, fingerprint).saturating_add(own)
        };
        let others = if claim.place.fingerprint == OTHERS { 0 } else { under(OTHERS) };
        let in_flight = under(claim.place.fingerprint).saturating_add(others);
        let free = claim.most.saturating_sub(in_flight);
        Ok(Self { claim, holder, held, leases, free })
    }

    /// In how many ticks it is worth another try; none if the request may go.
    pub(crate) fn wait(&self) -> Option<u64> {
        match (self.free, self.claim.most) {
            (0, 0) => Some(NEVER),
            (0, _) => Some(AGAIN),
            _ => None,
        }
    }

    /// How many more may come once this request goes; none if it may not.
    pub(crate) fn remaining(&self) -> u64 {
        self.free.saturating_sub(1)
    }

    /// Takes a lease, asking again as often as others wrote in between. `Ok(Err(quote))` when they took what was left.
    pub(crate) fn charge(
        mut self,
        cells: &dyn Cells,
    ) -> Result<Result<Receipt, Box<Self>>, Trouble> {
        for _ in 0..ATTEMPTS {
            if self.wait().is_some() {
                return Ok(Err(Box::new(self)));
            }
            let Claim { fleet, place, now, .. } = &self.claim;
            let place = Place { fingerprint: self.leases.seat(place.fingerprint), ..*place };
            let count = u32::try_from(fleet.count(&place).saturating_add(1)).unwrap_or(u32::MAX);
            let until = now.saturating_add(fleet.lease);
            self.leases.set(place.fingerprint, self.holder, count, until);
            let version = self.held.as_ref().map(|cell| cell.version);
            match cells.store(&place.cell, &self.leases.bytes(), version)? {
                Stored::Swapped => {
                    let held = Held { count, until: Some(until) };
                    fleet.held.borrow_mut().insert(place, held);
                    fleet.found(self.leases.expired);
                    return Ok(Ok(Receipt {
                        most: self.claim.most,
                        left: self.remaining(),
                        shared: place.fingerprint != self.claim.place.fingerprint,
                        lease: Lease { fleet: Rc::clone(fleet), place },
                    }));
                }
                Stored::Conflict => self = Self::ask(self.claim, cells)?,
            }
        }
        Err(Trouble::Contended)
    }
}

/// A request that goes.
#[derive(Debug)]
pub(crate) struct Receipt {
    pub(crate) most: u64,
    /// How many more may come.
    pub(crate) left: u64,
    /// Whether its key found no room of its own.
    pub(crate) shared: bool,
    pub(crate) lease: Lease,
}

/// A request that is in flight. When it is dropped it is no more, and the next tick tells the others.
#[derive(Debug)]
pub(crate) struct Lease {
    fleet: Rc<Fleet>,
    place: Place,
}

impl Lease {
    /// Tells the others at once.
    pub(crate) fn release(self, cells: &dyn Cells) {
        let (fleet, place) = (Rc::clone(&self.fleet), self.place);
        drop(self);
        // What fails is made up for by the next tick.
        let _ = fleet.write(&place, None, cells);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Ok(mut all) = self.fleet.held.try_borrow_mut()
            && let Some(held) = all.get_mut(&self.place)
        {
            held.count = held.count.saturating_sub(1);
            held.until = None;
        }
    }
}

impl Fleet {
    /// A worker with nothing in flight, whose word holds for so many ticks.
    pub(crate) fn new(lease: u64) -> Self {
        let (holder, held) = (OnceCell::new(), RefCell::default());
        Self { lease, holder, held, expired: Cell::new(0) }
    }

    /// How many requests are in flight here under this fingerprint.
    fn count(&self, place: &Place) -> u64 {
        self.held.borrow().get(place).map_or(0, |held| u64::from(held.count))
    }

    fn found(&self, expired: u64) {
        self.expired.set(self.expired.get().saturating_add(expired));
    }

    /// How many requests were found whose leases have run out, since last asked.
    pub(crate) fn expired(&self) -> u64 {
        self.expired.take()
    }

    /// How often to renew, so that three times may fail.
    pub(crate) fn period(&self) -> u64 {
        self.lease / 4
    }

    /// Renews what others will soon not believe any more, and writes what they do not know.
    pub(crate) fn renew(&self, now: impl FnOnce() -> Option<u64>, cells: &dyn Cells) {
        if self.held.borrow().is_empty() {
            return;
        }
        let Some(now) = now() else { return };
        let soon = now.saturating_add(self.lease.saturating_sub(self.period()));
        let due = |held: &Held| held.until.is_none_or(|until| until <= soon);
        let all = self.held.borrow();
        let due: Vec<Place> = all.iter().filter(|(_, held)| due(held)).map(|(at, _)| *at).collect();
        drop(all);
        for place in due {
            let _ = self.write(&place, Some(now), cells);
        }
    }

    /// Writes how many requests are in flight here. Without the time, how long that is believed stays as it is.
    fn write(&self, place: &Place, now: Option<u64>, cells: &dyn Cells) -> Result<(), Trouble> {
        let holder = self.holder(cells)?;
        let Some(Held { count, .. }) = self.held.borrow().get(place).copied() else {
            return Ok(());
        };
        let updated = update(cells, &place.cell, ATTEMPTS, |bytes| {
            let mut leases = Leases::parse(bytes, now.unwrap_or(0));
            let kept = leases.until(place.fingerprint, holder);
            let until = now.map_or(kept, |now| now.saturating_add(self.lease));
            leases.set(place.fingerprint, holder, count, until);
            Step::Replace(leases.bytes(), (until, leases.expired))
        });
        let (until, expired) = match updated {
            Updated::Done(done) => done,
            Updated::Contended => return Err(Trouble::Contended),
            Updated::Unavailable => return Err(Trouble::Unavailable),
        };
        self.found(expired);
        let mut all = self.held.borrow_mut();
        if count == 0 {
            all.remove(place);
        } else if let Some(held) = all.get_mut(place) {
            held.until = Some(until);
        }
        Ok(())
    }

    /// The number of this worker under the rule, which no other has had.
    fn holder(&self, cells: &dyn Cells) -> Result<u64, Trouble> {
        if let Some(holder) = self.holder.get() {
            return Ok(*holder);
        }
        let updated = update(cells, HOLDERS, ATTEMPTS, |held| {
            let before = held.and_then(|bytes| bytes.strip_prefix(&MARK)?.first_chunk());
            let next = before.map_or(0, |number| u64::from_le_bytes(*number)).saturating_add(1);
            Step::Replace([&MARK[..], &next.to_le_bytes()].concat(), next)
        });
        match updated {
            Updated::Done(holder) => Ok(*self.holder.get_or_init(|| holder)),
            Updated::Contended => Err(Trouble::Contended),
            Updated::Unavailable => Err(Trouble::Unavailable),
        }
    }
}

#[cfg(test)]
mod tests;
