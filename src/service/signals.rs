//! The first signal asks for an orderly stop, the second one ends at once.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Tokens that SIGTERM and SIGINT cancel.
#[derive(Clone, Debug, Default)]
pub struct Signals {
    /// Cancelled by the first signal.
    pub stop: CancellationToken,
    /// Cancelled by the second one.
    pub at_once: CancellationToken,
}

impl Signals {
    /// Listens from now on.
    pub fn listen() -> io::Result<Self> {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let signals = Self::default();
        let tokens = [signals.stop.clone(), signals.at_once.clone()];
        actix_rt::spawn(async move {
            for token in tokens {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                token.cancel();
            }
        });
        Ok(signals)
    }
}
