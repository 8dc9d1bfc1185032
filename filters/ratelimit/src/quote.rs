//! What a rule says to a request and what it leaves behind, be its limit one of a rate or of requests in flight.

use filter_core::Cells;

use crate::charge::{self, Trouble};
use crate::fields::State;
use crate::in_flight;
use crate::reason::Why;

/// What a rule says to a key, as of what its cell held when it was read.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are of rates, and none is kept")]
pub(crate) enum Quote {
    Rate(charge::Quote),
    InFlight(Box<in_flight::Quote>),
}

/// A charge that was made, and can be taken back.
#[derive(Debug)]
pub(crate) enum Receipt {
    Rate(charge::Receipt),
    InFlight(in_flight::Receipt),
}

impl From<charge::Quote> for Quote {
    fn from(quote: charge::Quote) -> Self {
        Self::Rate(quote)
    }
}

impl From<in_flight::Quote> for Quote {
    fn from(quote: in_flight::Quote) -> Self {
        Self::InFlight(Box::new(quote))
    }
}

impl Quote {
    /// In how many ticks it is worth another try; none if the request may go.
    pub(crate) fn wait(&self) -> Option<u64> {
        match self {
            Self::Rate(quote) => quote.wait(),
            Self::InFlight(quote) => quote.wait(),
        }
    }

    /// How many more may come once this request goes; none if it may not.
    pub(crate) fn remaining(&self) -> u64 {
        match self {
            Self::Rate(quote) => quote.remaining(),
            Self::InFlight(quote) => quote.remaining(),
        }
    }

    /// Why it refuses, if it does.
    pub(crate) fn why(&self) -> Why {
        match self {
            Self::Rate(_) => Why::Limited,
            Self::InFlight(_) => Why::ConcurrencyLimited,
        }
    }

    /// Charges the key. `Ok(Err(quote))` when others took what was left.
    pub(crate) fn charge(self, cells: &dyn Cells) -> Result<Result<Receipt, Self>, Trouble> {
        Ok(match self {
            Self::Rate(quote) => {
                quote.charge(cells)?.map(Receipt::Rate).map_err(|quote| Self::Rate(*quote))
            }
            Self::InFlight(quote) => {
                quote.charge(cells)?.map(Receipt::InFlight).map_err(Self::InFlight)
            }
        })
    }

    /// What the client is told of it.
    pub(crate) fn state(&self) -> State {
        match self {
            Self::Rate(quote) => State::rate(&quote.claim, *quote.debts()),
            Self::InFlight(quote) => {
                State::InFlight { most: quote.claim.most, left: quote.remaining() }
            }
        }
    }
}

impl Receipt {
    /// How many more may come.
    pub(crate) fn remaining(&self) -> u64 {
        match self {
            Self::Rate(receipt) => receipt.remaining,
            Self::InFlight(receipt) => receipt.left,
        }
    }

    /// Whether there was no room in the table for all who owe something or have requests in flight.
    pub(crate) fn evicted(&self) -> bool {
        match self {
            Self::Rate(receipt) => receipt.evicted,
            Self::InFlight(receipt) => receipt.shared,
        }
    }

    /// Takes it back, since the request does not go after all.
    pub(crate) fn take_back(self, now: Option<u64>, cells: &dyn Cells) {
        match self {
            Self::Rate(receipt) => receipt.give_back(receipt.claim.cost, now, cells),
            Self::InFlight(receipt) => receipt.lease.release(cells),
        }
    }

    /// What the client is told of it.
    pub(crate) fn state(&self) -> State {
        match self {
            Self::Rate(receipt) => State::rate(&receipt.claim, receipt.debts),
            Self::InFlight(receipt) => State::InFlight { most: receipt.most, left: receipt.left },
        }
    }
}
