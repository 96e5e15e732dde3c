//! Each room alone keeps its promises: one actor under its supervisor, between a scripted log, recording neighbours and a
//! real PostgreSQL where it needs one.

#![allow(clippy::unwrap_used, reason = "a scenario that cannot go on has failed")]

#[allow(dead_code, reason = "each test binary uses a part of it")]
#[path = "../support_api/mod.rs"]
mod http;
#[path = "../support/load.rs"]
mod load;
#[path = "../support/proxy.rs"]
mod proxy;

mod clock;
mod consumer;
mod consumer_lost;
mod consumer_stalls;
mod consumer_stops;
mod fetcher;
mod neighbours;
mod pipeline;
mod producer;
mod producer_fence;
mod room;
mod scripted_load;
mod scripted_log;
mod topology;
mod transformer;
mod writer;
