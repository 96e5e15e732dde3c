//! One life of one child: the actor's line to its supervisor.

use std::{
    error::Error,
    io,
    sync::{Arc, OnceLock},
};

use slog::{Logger, o, warn};
use tokio_util::sync::CancellationToken;

use super::{
    BoxError, ChildId, Progress,
    chain::{chain, panic_text},
    threads::{self, Threads},
};

/// Why an actor means to end. Written once; the first reason is the one that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Obituary {
    Failed(String),
    Parked(String),
}

/// One life of one child, handed to its factory. Clones are the same life; they may be kept and used on any thread.
///
/// A life that is over hears nothing any more: whatever is reported through an old clone is ignored.
#[derive(Clone, Debug)]
pub struct Life(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    child: ChildId,
    number: u64,
    log: Logger,
    progress: Progress,
    obituary: OnceLock<Obituary>,
    /// Cancelled when the obituary is written.
    ending: CancellationToken,
    /// Cancelled when the life has ended or is given up.
    over: CancellationToken,
    /// Cancelled when the actor should end; a child of `over`.
    stop: CancellationToken,
    threads: Threads,
}

impl Life {
    pub(super) fn new(child: ChildId, number: u64, log: &Logger, progress: Progress) -> Self {
        let over = CancellationToken::new();
        Self(Arc::new(Inner {
            log: log.new(o!("actor" => child.name().to_owned(), "life" => number)),
            child,
            number,
            progress,
            obituary: OnceLock::new(),
            ending: CancellationToken::new(),
            stop: over.child_token(),
            over,
            threads: Threads::new(),
        }))
    }

    /// A first life outside any branch, for an actor that is tried alone. What it reports is kept in
    /// [`epitaph`](Self::epitaph); nobody stops or restarts the actor.
    pub fn detached(child: ChildId, log: &Logger) -> Self {
        Self::new(child, 1, log, Progress::default())
    }

    /// Whose life it is.
    pub fn child(&self) -> &ChildId {
        &self.0.child
    }

    /// The life's number, from 1; it grows by one with each start of this child.
    pub fn number(&self) -> u64 {
        self.0.number
    }

    /// A logger that names the actor and its life.
    pub fn log(&self) -> &Logger {
        &self.0.log
    }

    /// The actor's progress, by which the supervisor knows a busy actor from a hung one.
    pub fn progress(&self) -> &Progress {
        &self.0.progress
    }

    /// Ends the actor with a reason; the supervisor restarts it. The first reason counts. Any thread may call it.
    pub fn fail(&self, error: impl Into<Box<dyn Error + Send + Sync>>) {
        let error: BoxError = error.into();
        self.end(Obituary::Failed(chain(&*error)));
    }

    /// Winds the whole branch down and parks it with this reason. No restart is spent. Any thread may call it.
    pub fn park(&self, reason: impl Into<String>) {
        self.end(Obituary::Parked(reason.into()));
    }

    /// Cancelled when the actor should end, and at the latest when its life is over.
    pub fn stop_requested(&self) -> CancellationToken {
        self.0.stop.clone()
    }

    /// Cancelled when the life is over, however it ended, or when the supervisor has given it up.
    pub fn over(&self) -> CancellationToken {
        self.0.over.clone()
    }

    /// The reason that was given to [`fail`](Self::fail) or [`park`](Self::park) first.
    pub fn epitaph(&self) -> Option<&str> {
        self.0.obituary.get().map(|obituary| match obituary {
            Obituary::Failed(reason) | Obituary::Parked(reason) => reason.as_str(),
        })
    }

    /// Runs `body` on an OS thread of this life. Its token is cancelled when the life ends, however it ends; then the
    /// thread has `grace` to return before the next life starts without it. A panic in it fails the life.
    ///
    /// # Errors
    /// The thread could not be spawned, or the life is over.
    pub fn thread(
        &self,
        name: impl Into<String>,
        body: impl FnOnce(CancellationToken) + Send + 'static,
    ) -> io::Result<()> {
        let name = name.into();
        // Counted before `over` is looked at: the supervisor cancels `over` before it looks at the count.
        let guard = self.0.threads.enter();
        if self.0.over.is_cancelled() {
            return Err(io::Error::other(format!(
                "{} is over, it starts no thread {name}",
                self.0.child
            )));
        }
        let (life, token, label) = (self.clone(), self.over(), name.clone());
        threads::spawn(
            name,
            guard,
            move || body(token),
            move |payload| {
                let text = panic_text(&*payload);
                warn!(life.log(), "a thread panicked"; "thread" => &label, "panic" => &text);
                life.fail(format!("thread {label} panicked: {text}"));
            },
        )
    }

    fn end(&self, obituary: Obituary) {
        if self.0.obituary.set(obituary).is_ok() {
            self.0.ending.cancel();
        }
    }

    pub(super) fn obituary(&self) -> Option<&Obituary> {
        self.0.obituary.get()
    }

    pub(super) fn ending(&self) -> &CancellationToken {
        &self.0.ending
    }

    pub(super) fn threads(&self) -> &Threads {
        &self.0.threads
    }

    pub(super) fn request_stop(&self) {
        self.0.stop.cancel();
    }

    pub(super) fn give_up(&self) {
        self.0.over.cancel();
    }
}

#[cfg(test)]
mod tests {
    use slog::Discard;

    use super::*;

    fn life() -> Life {
        Life::detached(ChildId::new("writer", 3), &Logger::root(Discard, o!()))
    }

    #[test]
    fn the_first_reason_counts() {
        let life = life();
        life.fail("disk is full");
        life.park("too many dead letters");
        assert_eq!(life.epitaph(), Some("disk is full"));
        assert!(life.ending().is_cancelled());
    }

    #[test]
    fn a_life_that_is_over_also_asks_to_stop_and_starts_no_thread() {
        let life = life();
        life.give_up();
        assert!(life.stop_requested().is_cancelled());
        let error = life.thread("poll", |_| ()).unwrap_err();
        assert_eq!(error.to_string(), "writer-3 is over, it starts no thread poll");
    }

    #[test]
    fn a_request_to_stop_leaves_the_threads_alone() {
        let life = life();
        life.request_stop();
        assert!(life.stop_requested().is_cancelled());
        assert!(!life.over().is_cancelled());
    }
}
