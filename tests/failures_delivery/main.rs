//! What has happened to others between source, log and table: members that come and go, zombies, open transactions, batches
//! that fail. On a real Apache Kafka and a real PostgreSQL.
//!
//! The check is always the same: the multiset of ids in the table, in the dead letters and in the ledger against what was
//! served.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the line that did")]

#[path = "../support/filled.rs"]
mod filled;
#[path = "../support/job.rs"]
mod job;
#[path = "../support/kafka.rs"]
mod kafka;
#[path = "../support/postgres.rs"]
mod postgres;
#[path = "../support/kafka_log.rs"]
mod support;

mod batches;
mod group;
mod members;
mod slow;
mod strangers;
mod transactions;
