//! OS threads that belong to a life.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
};

use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

/// How many threads of a life are alive.
#[derive(Clone, Debug)]
pub(super) struct Threads(watch::Sender<usize>);

impl Threads {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(0))
    }

    /// Counts a thread from now until the guard is dropped.
    pub(super) fn enter(&self) -> ThreadGuard {
        self.0.send_modify(|alive| *alive += 1);
        ThreadGuard(self.0.clone())
    }

    /// Waits until no thread is alive; returns how many are at the deadline.
    pub(super) async fn outlive(&self, deadline: Instant) -> usize {
        let mut alive = self.0.subscribe();
        // The sender is ours, so the wait itself cannot fail.
        let waited = timeout_at(deadline, alive.wait_for(|alive| *alive == 0)).await;
        if waited.is_ok() { 0 } else { *self.0.borrow() }
    }
}

/// A living thread.
pub(super) struct ThreadGuard(watch::Sender<usize>);

impl Drop for ThreadGuard {
    fn drop(&mut self) {
        self.0.send_modify(|alive| *alive -= 1);
    }
}

/// Spawns `body`, catches its panic, and drops `guard` as the thread's last act, after everything that `body` owned.
pub(super) fn spawn(
    name: String,
    guard: ThreadGuard,
    body: impl FnOnce() + Send + 'static,
    on_panic: impl FnOnce(Box<dyn std::any::Any + Send>) + Send + 'static,
) -> io::Result<()> {
    thread::Builder::new().name(name).spawn(move || {
        let _guard = guard;
        if let Err(payload) = catch_unwind(AssertUnwindSafe(body)) {
            on_panic(payload);
        }
    })?;
    Ok(())
}
