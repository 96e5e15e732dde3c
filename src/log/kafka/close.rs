//! Drops a client without hanging on it.

use std::{sync::mpsc, thread, time::Duration};

use slog::{Logger, warn};

/// How long a client may take to say good-bye. Leaving a group takes a round trip, and the brokers may be away.
const LIMIT: Duration = Duration::from_secs(5);

/// Drops `client` on a thread of its own and waits for it, but not for ever: rdkafka polls a consumer until it is
/// closed, whatever happens.
pub(super) fn close<T: Send + 'static>(log: &Logger, place: &str, client: T) {
    let (sender, receiver) = mpsc::sync_channel::<()>(1);
    let spawned = thread::Builder::new().name("kafka-close".to_owned()).spawn(move || {
        drop(client);
        let _ = sender.send(());
    });
    if spawned.is_ok() && receiver.recv_timeout(LIMIT) == Err(mpsc::RecvTimeoutError::Timeout) {
        warn!(log, "a Kafka client does not close and was left behind"; "place" => place);
    }
}
