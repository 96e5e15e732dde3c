//! Whatever comes in: hostile records, hostile APIs, and random bytes where a file or a page is expected. Through the real
//! daemon on its embedded log with a real PostgreSQL, and piece by piece with random inputs.
//!
//! The random ones are short; `AQUEDUCT_FUZZ_SECONDS` gives each of them that long.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the line that did")]

#[path = "../support/fuzz.rs"]
mod fuzz;
#[path = "../support/job.rs"]
mod job;
#[path = "../support/postgres.rs"]
mod postgres;

mod alarms;
mod api;
mod fuzz_config;
mod fuzz_pagination;
mod fuzz_split;
mod hostile_api;
mod hostile_records;
mod long_text;
mod pipeline;
