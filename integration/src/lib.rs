//! Drives a real Envoy. In reading order: [`bootstrap`] makes a configuration out of one of `envoy-configs/`, [`envoy`]
//! runs it, [`upstream`] stands behind it and [`collector`] beside it, [`client`] asks it, and [`access_log`] and [`admin`]
//! tell what it did.
//!
//! This crate sees modules, YAML and HTTP, and none of the filters.

pub mod bootstrap;
mod document;
pub mod listener;
pub mod plugin;
pub mod workspace;

pub mod envoy;
pub mod folder;
pub mod watchdog;

pub mod client;
pub mod collector;
pub mod upstream;

pub mod bench;
pub mod corpus;
pub mod demo;
pub mod discovered;
pub mod refusal;
pub mod tour;

pub mod access_log;
pub mod admin;
pub mod poll;
pub mod prometheus;

pub use access_log::{AccessLog, Line};
pub use admin::Admin;
pub use bootstrap::Bootstrap;
pub use client::{Client, Request, Response};
pub use collector::Collector;
pub use envoy::{Envoy, Validation, validate};
pub use listener::Listener;
pub use plugin::Plugin;
pub use upstream::Upstream;
