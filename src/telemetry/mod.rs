//! What the daemon says about itself: log lines and live numbers.

mod gauges;
pub mod logging;

pub use gauges::{Gauges, GaugesSnapshot, PartitionGauge, ShardGauge};
