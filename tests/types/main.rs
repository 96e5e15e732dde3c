//! Every type of PostgreSQL's that can be written arrives as it was sent; every other one is refused with a sentence.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the line that did")]

#[path = "../support/fuzz.rs"]
mod fuzz;
#[path = "../support/load.rs"]
mod load;

mod arrays;
mod check_live;
mod created;
mod kinds;
mod nul;
mod properties;
mod random;
mod records;
mod scalars;
mod tables;
mod triggers;
mod upserts;
mod values;
