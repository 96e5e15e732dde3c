//! How scenarios wait: on conditions, with a limit.

use std::time::Duration;

use actix::System;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(5);

/// Runs a scenario on the real clock, on which threads live.
pub fn on_real_time<T>(scenario: impl Future<Output = T>) -> T {
    System::new().block_on(async { timeout(LIMIT, scenario).await.expect("the scenario hangs") })
}

/// Runs a scenario on a clock that moves by `tokio::time::advance` alone, while threads live on the real one: [`until`]
/// holds it.
pub fn on_held_time<T>(scenario: impl Future<Output = T>) -> T {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap()
    };
    System::with_tokio_rt(runtime).block_on(scenario)
}

/// Waits until the condition holds.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..LIMIT.as_millis() / PAUSE.as_millis() {
        if condition() {
            return;
        }
        // A blocking task holds a paused clock, where a sleep would move it.
        tokio::task::spawn_blocking(|| std::thread::park_timeout(PAUSE))
            .await
            .unwrap();
    }
    panic!("waited {LIMIT:?} in vain until {what}");
}
