//! What filters cost, measured on a real Envoy with one worker. In reading order: [`scenario`] is what can be measured,
//! [`scenarios`] what is, [`asks`] with which requests, [`listeners`] makes an Envoy of it; [`rounds`] measures with
//! [`load`] and [`cpu`], and [`report`] and `table` tell, by [`statistics`].
//!
//! Times differ between machines and are shown, never asserted. Asserted is that every scenario does what it promises:
//! one that answers otherwise is an error and not a number.

pub mod asks;
mod cast;
pub mod listeners;
mod native;
mod ours;
mod routes;
pub mod scenario;
pub mod scenarios;

pub mod cpu;
pub mod load;
pub mod rounds;
pub mod wire;
pub mod witness;

pub mod report;
pub mod statistics;
mod table;
