//! A Random User API of our own: answers as the real one does, so that the demo and the tests need no internet.
//!
//! The same seed, page and query always give the same people, whoever asks and whenever; only their ages follow the
//! calendar. What the real server does to a client (rate limit, outages) can be switched on, and what was served is
//! counted, so that a test can compare it with what arrived.

mod ascii;
mod csv;
mod emit;
mod handler;
mod json;
mod nations;
mod options;
mod page;
mod query;
mod quota;
mod rng;
mod server;
mod state;
mod user;
mod xml;
mod yaml;

pub use options::{Corrupt, Options};
pub use page::expected_uuids;
pub use server::{Simulator, serve};
