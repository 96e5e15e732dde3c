//! What the user types: one file a command.

pub mod args;
