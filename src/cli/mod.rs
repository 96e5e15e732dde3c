//! What the user types: one file a command.

pub mod args;
mod check;
mod exit;
pub mod ledger;
mod migrate;
mod run;
pub mod serve;
pub mod signals;
mod status;

pub use exit::Exit;
