//! What the user types: one file a command.

pub mod args;
mod check;
mod dead_letters;
mod execute;
mod migrate;
mod moving;
mod offsets;
mod run;
mod simulate;
mod status;

pub use execute::execute;
