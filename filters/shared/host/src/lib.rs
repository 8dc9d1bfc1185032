//! The only crate that talks to the proxy (proxy-wasm ABI 0.2.1). It reads for a [`filter_core::Filter`], asks it, and
//! performs what it answers; no status, no bytes and no phase make it panic.
//!
//! In reading order: [`exports`](self) is what the proxy calls, [`module`](self) knows which plugin and which exchange a
//! call is about; [`plugin`](self) is a filter with its configuration, [`passage`](self) plays one exchange,
//! [`waiting`](self) are those that are held; [`apply`](self) is the one place where effects happen; below them `exchange`
//! reads, `cel` has the proxy judge, `world` answers the ports, `metrics` counts; `wire` and `abi` know the bytes, and
//! `memory` hands them out.
//!
//! The SDK, `proxy-wasm`, is not used: its wrappers of host calls panic on a status that they do not expect and on headers
//! that are not UTF-8, its dispatcher on a context or a call that it does not know, and a panic ends every exchange of the
//! VM. It also costs a good part of what a filter that does nothing costs. ARCHITECTURE.md says more.

mod abi;
mod answer;
mod apply;
mod cel;
mod exchange;
mod exports;
mod logger;
#[cfg(any(target_arch = "wasm32", test))]
mod memory;
mod metrics;
mod module;
mod passage;
mod plugin;
mod waiting;
mod wire;
mod world;

#[doc(hidden)]
pub use abi::allocate;
#[doc(hidden)]
pub use exports::{Action, is_asked_in, start};
#[doc(hidden)]
pub use filter_core::Phase;
#[doc(hidden)]
pub use module::Module;
