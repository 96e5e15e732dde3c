//! What the daemon says about itself: log lines and live numbers.

mod gauges;
pub mod logging;
mod meters;

pub use gauges::{Gauges, GaugesSnapshot, PartitionGauge, ShardGauge};
pub use meters::{Asking, AskingGuard, Meters, MetersSnapshot};
