//! What people and their tools see of a running daemon: readiness, metrics, outages, logs, and the dead letters' commands.
//! The real binary, a real log, a real PostgreSQL.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the line that did")]

#[path = "../support/door.rs"]
mod door;
#[path = "../support/job.rs"]
mod job;
#[path = "../support/kafka.rs"]
mod kafka;
#[path = "../support/load.rs"]
mod load;

use load::postgres;

mod letters;
mod logs;
mod metrics;
mod proxy;
mod ready;
mod replay_order;
