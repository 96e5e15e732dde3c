//! systemd: readiness, and a watchdog that is fed only while the actors show signs of life.

use std::time::Duration;

use slog::Logger;

use crate::supervision::{BranchState, BranchStatus};

/// Feeds systemd's watchdog, if it is armed, while the daemon starts: each step of the start is bounded, or waits for
/// PostgreSQL and says so. Never returns.
pub async fn feed_watchdog_at_start(log: &Logger) -> std::convert::Infallible {
    if let Some(limit) = sd_notify::watchdog_enabled() {
        let mut interval = tokio::time::interval(period(limit));
        loop {
            interval.tick().await;
            feed(log);
        }
    }
    std::future::pending().await
}

/// Feeds systemd's watchdog, if it is armed, for as long as `status` shows that every branch moves or waits as declared.
/// Never returns; returns at once where no watchdog is armed.
pub async fn feed_watchdog(status: impl Fn() -> Vec<BranchStatus>, log: &Logger) {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        return;
    };
    let mut before: Vec<(String, u64)> = Vec::new();
    let mut interval = tokio::time::interval(period(limit));
    loop {
        interval.tick().await;
        let branches = status();
        let beats: Vec<_> = branches
            .iter()
            .map(|branch| (branch.name.clone(), branch.beats()))
            .collect();
        // A daemon in which nothing at all moves is stuck; which actor it is, its supervisor finds out. Where a branch is
        // parked or between two lives, its supervisor is at work by the clock.
        let supervised = branches.iter().any(|branch| branch.state != BranchState::Running);
        if beats != before || supervised {
            feed(log);
        }
        before = beats;
    }
}

/// Well within systemd's limit.
fn period(limit: Duration) -> Duration {
    (limit / 3).max(Duration::from_millis(100))
}

fn feed(log: &Logger) {
    if let Err(error) = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]) {
        slog::warn!(log, "cannot feed systemd's watchdog"; "reason" => %error);
    }
}
