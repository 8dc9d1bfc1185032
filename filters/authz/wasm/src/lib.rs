//! The authz filter as a module for the proxy.

filter_host::plugin!(authz::Authz);
