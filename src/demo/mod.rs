//! Everything for a first look without the internet: the simulated Random User API and the guided run.

mod guided;
mod progress;
pub mod simulator;

pub use guided::{DemoOptions, guided};
