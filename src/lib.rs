//! Moves records from HTTP JSON APIs through Kafka and SQL into PostgreSQL: each record is in the table exactly once,
//! or in the dead letters with the reason.
//!
//! ```text
//! Fetcher --Produce--> Producer ==> topic ==> Consumer --Transform--> Transformer --Write--> Writer ==> PostgreSQL
//! \________ ingest branch ________/           \____________________ load branch ____________________/
//! ```
//!
//! The modules stand in the order in which data meets them. Imports go down only; `tests/architecture.rs` holds that.

pub mod failpoint;
pub mod model;

pub mod messages;

pub mod config;
pub mod telemetry;

pub mod api;
pub mod log;
pub mod sql;
pub mod store;
pub mod supervision;

pub mod actors;
pub mod topology;

pub mod daemon;

pub mod web;

pub mod service;

pub mod demo;

pub mod cli;
