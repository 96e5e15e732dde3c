//! Nothing stuck, and nothing without a bound: a network that drops packets, a PostgreSQL that crawls, pages without end,
//! a poller that dies, a daemon that is told to end at once. The real binary, a real Kafka, a real PostgreSQL.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the line that did")]

#[path = "../support/door.rs"]
mod door;
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

mod letters;
mod memory;
mod network;
mod partitions;
mod pollers;
mod signals;
