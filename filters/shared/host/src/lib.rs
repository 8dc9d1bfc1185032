//! The only crate that talks to the proxy (proxy-wasm ABI 0.2.1). It reads for a [`filter_core::Filter`], asks it, and
//! performs what it answers; no status, no bytes and no phase make it panic.
//!
//! In reading order: [`root`](self) configures and does the filter's chores, [`stream`](self) is one exchange and
//! [`passage`](self) plays it, [`waiting`](self) are those that are held; [`apply`](self) is the one place where effects
//! happen; below them `exchange` reads, `cel` has the proxy judge, `world` answers the ports, `metrics` counts; `wire` and `abi`
//! know the bytes.
//!
//! The SDK dispatches callbacks to contexts; its own wrappers of host calls are not used, as they panic on a status
//! that they do not expect and on headers that are not UTF-8. The one exception is `dispatch_http_call`, because the
//! SDK must learn the token of a call to deliver its answer.

mod abi;
mod answer;
mod apply;
mod cel;
mod exchange;
mod logger;
mod metrics;
mod passage;
mod root;
mod stream;
mod waiting;
mod wire;
mod world;

#[doc(hidden)]
pub use proxy_wasm;
#[doc(hidden)]
pub use root::start;

/// Makes a crate of type `cdylib` the module of one filter.
#[macro_export]
macro_rules! plugin {
    ($filter:ty) => {
        // In a block, what the SDK's macro makes is exported to the proxy but not to Rust.
        const _: () = {
            use $crate::proxy_wasm;
            proxy_wasm::main! {{ $crate::start::<$filter>(); }}
        };
    };
}
