//! What happens to PostgreSQL and to its tables happens to nobody's records: refused rows, outages, fail-overs, equal keys,
//! and tables that are altered while the daemon runs.
//!
//! The servers are real, and so are their failures.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the line that did")]

#[path = "../actors/clock.rs"]
#[allow(dead_code, reason = "each test binary uses a part of it")]
mod clock;
#[path = "../support/job.rs"]
mod job;
#[path = "../support/load.rs"]
mod load;
#[path = "../actors/pipeline.rs"]
#[allow(dead_code, reason = "each test binary uses a part of it")]
mod pipeline;
#[path = "../actors/room.rs"]
#[allow(dead_code, reason = "each test binary uses a part of it")]
mod room;

mod altered;
mod locks;
mod outages;
mod promoted;
mod refused;
mod same_key;
mod stage;
mod statements;

use load::postgres;
