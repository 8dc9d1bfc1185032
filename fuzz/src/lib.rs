//! What clients and configurations may say, made up, and what must hold of it.
//!
//! A [`Target`] turns bytes into something to say, says it to the filters through their public trait, and panics when
//! what comes of it breaks a law. Who makes up the bytes is not its business: libFuzzer does in `make fuzz`
//! (`bin/engine.rs`), and `tests/replay.rs` replays those that once failed.
//!
//! In reading order: [`draw`](self) reads choices from bytes; `bytes` and `json` change what they are given; `corpus` is
//! what there is to change, the cases of the filters; `play` is the proxy's part, with the laws that hold of every
//! answer; `request` makes up requests; `laws/` has a file for each target.

mod bytes;
mod corpus;
mod draw;
mod json;
mod laws;
mod play;
mod request;

use draw::Draw;

/// What is made up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Tokens, for authz.
    Token,
    /// Key sets, in the configuration and fetched, for authz.
    Jwks,
    /// Configurations, of every filter.
    Configuration,
    /// Requests, for every filter.
    Request,
}

impl Target {
    /// Every target.
    pub const ALL: [Self; 4] = [Self::Token, Self::Jwks, Self::Configuration, Self::Request];

    /// The target of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|target| target.name() == name)
    }

    /// Its name, also that of its folder in `failures/`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Jwks => "jwks",
            Self::Configuration => "configuration",
            Self::Request => "request",
        }
    }

    /// Says what `input` stands for.
    ///
    /// # Panics
    /// When a law is broken.
    pub fn run(self, input: &[u8]) {
        let draw = &mut Draw::new(input);
        match self {
            Self::Token => laws::token::run(draw),
            Self::Jwks => laws::jwks::run(draw),
            Self::Configuration => laws::configuration::run(draw),
            Self::Request => laws::request::run(draw),
        }
    }
}
