//! The vocabulary that every filter decides in. Pure: no clock, no randomness, no I/O, no host.
//!
//! In reading order:
//! [`filter`] is the one trait a filter implements; [`view`] is what it may ask of the exchange at hand, over
//! [`headers`], [`cookies`] and [`query`]; [`expression`] is what it has the proxy judge; [`ports`] is what it may ask of the world, [`cells`] above all; [`outcome`] is what it answers, with
//! the evidence of [`decision`]; [`background`] is what it does apart from any exchange; [`metrics`] are the series it may count in; [`config`] parses or refuses its
//! configuration; [`matching`] is the language in which rules select requests.

pub mod background;
pub mod cells;
pub mod config;
pub mod cookies;
pub mod decision;
pub mod expression;
pub mod filter;
pub mod headers;
pub mod matching;
pub mod metrics;
pub mod outcome;
pub mod ports;
pub mod query;
pub mod view;

#[cfg(feature = "fixture")]
pub mod fixture;

pub use background::{Chores, Errand};
pub use cells::{Cells, Step, Updated};
pub use config::Invalid;
pub use decision::{Decision, Ledger, Rule};
pub use expression::{Expression, Stated};
pub use filter::{Filter, Phase};
pub use headers::{Copies, HeaderMap, HeaderName, Headers};
pub use metrics::{Metrics, Series};
pub use outcome::{Answer, Callout, Count, Edit, Outcome, Publication, Reply, Verdict};
pub use ports::Ports;
pub use view::{Attribute, Exchange, View};
