//! Fetches pages over HTTP: one page a call, with its rate, its deadline and its repeats.
//!
//! An outage is waited out in here, without end; the caller hears of each attempt and each pause ([`Attempt`]), because a
//! bounded attempt and a declared wait are what tells a patient fetcher from a stalled one. A call may be dropped at any
//! time: nothing is remembered but the requests that count against the rate.

mod body;
mod credentials;
mod exchange;
mod fingerprint;
mod limits;
mod links;
mod narrate;
mod oauth2;
mod pause;
mod question;
mod rate;
mod redact;
mod redirect;
mod repeat;
mod source;

pub use limits::Limits;
pub use pause::Pauses;
pub use rate::RequestRate;
pub use repeat::Attempt;
pub use source::{Fetched, HttpSource};
