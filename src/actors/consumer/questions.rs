//! The thread that asks the log whether the topic is still the one that was claimed.
//!
//! A topic that is deleted and created again is read on at the old number, with no error and no event (KAFKA.md). So
//! its identity is asked after a batch was read, while it is transformed, and the writer hears the answer before its
//! commit.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    time::Duration,
};

use futures::channel::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::{
    news::News,
    stalls::{Stalls, Stands},
};
use crate::{
    log::{Cancel, IdentityCheck, Inspector, Log, LogError, TopicSpec},
    model::{TopicId, Verdict},
    supervision::{BoxError, Life, Progress},
};

const LOOK: Duration = Duration::from_millis(100);

struct Question {
    claimed: TopicId,
    answer: oneshot::Sender<bool>,
}

/// Asks; clones ask the same thread.
#[derive(Clone)]
pub(super) struct Questions(Sender<Question>);

impl Questions {
    /// Starts the thread.
    pub(super) fn spawn(
        life: &Life,
        log: Arc<dyn Log>,
        spec: TopicSpec,
        (stands, stall_after): (Stands, Duration),
        news: UnboundedSender<News>,
    ) -> Self {
        let (sender, inbox) = channel();
        let failing = life.clone();
        let progress = life.progress().clone();
        let started = life.thread("questions", move |cancel| {
            let mut stalls = Stalls::new(&spec.topic, stands, stall_after);
            let answered = log.inspector(&spec).map_err(BoxError::from).and_then(|inspector| {
                answer_for_ever(inspector.as_ref(), &inbox, &news, &mut stalls, &progress, &cancel)
            });
            if let Err(error) = answered {
                failing.fail(error);
            }
        });
        if let Err(error) = started {
            life.fail(error);
        }
        Self(sender)
    }

    /// Begins to find out whether the topic still has the claimed identity.
    pub(super) fn ask(&self, claimed: TopicId) -> IdentityCheck {
        let (answer, answered) = oneshot::channel();
        // A thread that has ended drops the question, which counts as "no".
        let _ = self.0.send(Question { claimed, answer });
        IdentityCheck::pending(answered)
    }
}

fn answer_for_ever(
    inspector: &dyn Inspector,
    inbox: &Receiver<Question>,
    news: &UnboundedSender<News>,
    stalls: &mut Stalls,
    progress: &Progress,
    cancel: &Cancel,
) -> Result<(), BoxError> {
    while !cancel.is_cancelled() {
        stalls.look(inspector)?;
        let first = match inbox.recv_timeout(LOOK) {
            Ok(question) => question,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        };
        // One answer serves all who have asked before the call began.
        let questions: Vec<_> = std::iter::once(first).chain(inbox.try_iter()).collect();
        let Some(found) = topic_id(inspector, progress, cancel)? else {
            return Ok(());
        };
        for Question { claimed, answer } in questions {
            let holds = found == Found::Topic(claimed);
            if !holds && news.unbounded_send(News::TopicReplaced { claimed }).is_err() {
                return Ok(());
            }
            let _ = answer.send(holds);
        }
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    Topic(TopicId),
    Nothing,
}

/// Asks until there is an answer; `None` = cancelled.
fn topic_id(inspector: &dyn Inspector, progress: &Progress, cancel: &Cancel) -> Result<Option<Found>, LogError> {
    while !cancel.is_cancelled() {
        match inspector.topic_id() {
            Ok(found) => return Ok(Some(Found::Topic(found))),
            Err(LogError::Gone { .. }) => return Ok(Some(Found::Nothing)),
            Err(error) if error.verdict() == Verdict::Retry => {
                let _waiting = progress.wait("the log to say which topic it holds");
                std::thread::park_timeout(LOOK);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}
