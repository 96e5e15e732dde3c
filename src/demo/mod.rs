//! Everything for a first look without the internet.

pub mod simulator;
