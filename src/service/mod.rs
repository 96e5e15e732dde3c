//! A daemon as a process: signals, door, readiness, exit code. `run` and `demo` share it.

mod exit;
pub mod ledger;
mod serve;
mod signals;

pub use exit::Exit;
pub use serve::{Ended, compile, serve};
pub use signals::Signals;
