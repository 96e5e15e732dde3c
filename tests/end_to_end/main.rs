//! The whole daemon, as a user runs it: the real binary, a real Apache Kafka and the embedded log, a real PostgreSQL.
//!
//! The check is always the same: the multiset of ids in the table and in the dead letters against what the API has.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the line that did")]

#[path = "../support/filled.rs"]
mod filled;
#[path = "../support/job.rs"]
mod job;
#[path = "../support/kafka.rs"]
mod kafka;
#[path = "../support/postgres.rs"]
mod postgres;
#[path = "../support/proxy.rs"]
mod proxy;

mod bad_records;
mod commit_lost;
mod crash;
mod exact;
mod failpoints;
mod foreign;
mod moving;
mod once;
mod outage;
mod positions;
mod program;
mod takeover;
