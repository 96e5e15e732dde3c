//! Supervision keeps its promises: every death is heard, the right children come back, and nothing waits for ever.

mod own;
mod parking;
mod restarts;
mod root;
mod stage;
mod stopping;
mod threads;
