//! The thread that polls the group of the shards. It does nothing else: a group member that does not poll is taken for
//! dead, and its shards go to somebody else.

use std::{sync::Arc, time::Duration};

use futures::channel::mpsc::UnboundedSender;

use crate::{
    log::{Cancel, IngestEvent, Log, LogError, TopicSpec},
    supervision::{Life, Progress},
};

use super::news::News;

/// How long one poll may take: the longest that a stop waits for this thread.
const POLL: Duration = Duration::from_millis(100);

/// Starts the thread.
pub(super) fn spawn(life: &Life, log: Arc<dyn Log>, spec: TopicSpec, news: UnboundedSender<News>) {
    let failing = life.clone();
    let started = life.thread("membership", move |cancel: Cancel| {
        if let Err(error) = poll_for_ever(log.as_ref(), &spec, &news, failing.progress(), &cancel)
            && !cancel.is_cancelled()
        {
            failing.fail(error);
        }
    });
    if let Err(error) = started {
        life.fail(error);
    }
}

fn poll_for_ever(
    log: &dyn Log,
    spec: &TopicSpec,
    news: &UnboundedSender<News>,
    progress: &Progress,
    cancel: &Cancel,
) -> Result<(), LogError> {
    let thread = std::thread::current();
    let mut member = {
        let _waiting = progress.wait("the log to have the topics ready");
        log.prepare(spec, cancel)?;
        log.join_ingest(spec, Arc::new(move || thread.unpark()))?
    };
    while !cancel.is_cancelled() {
        let events = member.poll(POLL)?;
        let idle = events.is_empty();
        for event in events {
            let item = match event {
                IngestEvent::Assigned(shards) => News::Assigned {
                    shards,
                    heartbeat: member.heartbeat(),
                },
                IngestEvent::Revoked(shards) => News::Revoked(shards),
            };
            if news.unbounded_send(item).is_err() {
                return Ok(());
            }
        }
        if idle {
            // The embedded log's poll does not wait; Kafka's has waited already and finds the token or a short nap here.
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }
    Ok(())
}
