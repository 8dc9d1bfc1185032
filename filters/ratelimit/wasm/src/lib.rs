//! The ratelimit filter as a module for Envoy.

filter_host::plugin!(ratelimit::RateLimit, Response, Log);
