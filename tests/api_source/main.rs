//! Every way from page to page, every credential, and servers that mean no good: against a real HTTP server.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the line that did")]

mod auth;
mod bodies;
mod circles;
mod drain;
mod hosts;
mod offsets;
mod random;
mod server;
mod sweeps;
mod tokens;
