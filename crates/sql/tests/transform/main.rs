//! What the transform promises, run through its public API. One binary, because each one links all of DataFusion.

#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

#[path = "../../../../tests/support/fuzz.rs"]
mod fuzz;

mod bad_records;
mod exactness;
mod fuzz_decoder;
mod fuzz_kinds;
mod fuzz_reference;
mod fuzz_schema;
mod lineage;
mod metadata;
mod nul;
mod overflow;
mod queries;
mod random_user;
mod refusals;
mod support;
mod verdicts;
