//! Neighbours that write down what they get and answer when the test says so.

use std::sync::{Arc, Mutex, MutexGuard};

use actix::{Actor, Context, Handler, Message, ResponseFuture};
use tokio::sync::oneshot;

/// A message that nobody has answered yet, with the way back.
pub struct Pending<M: Message> {
    pub message: M,
    answer: oneshot::Sender<M::Result>,
}

impl<M: Message> Pending<M> {
    pub fn answer(self, reply: M::Result) -> M {
        // Whoever asked may be gone: some scenarios are about that.
        let _ = self.answer.send(reply);
        self.message
    }
}

/// What has arrived. Clones are the same desk.
pub struct Inbox<M: Message>(Arc<Mutex<Vec<Pending<M>>>>);

impl<M: Message> Clone for Inbox<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M: Message> Default for Inbox<M> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<M: Message> Inbox<M> {
    pub fn all(&self) -> MutexGuard<'_, Vec<Pending<M>>> {
        self.0.lock().unwrap()
    }

    pub fn len(&self) -> usize {
        self.all().len()
    }

    /// The oldest message.
    pub fn take(&self) -> Pending<M> {
        self.all().remove(0)
    }
}

/// An actor behind an [`Inbox`].
pub struct Neighbour<M: Message>(pub Inbox<M>);

impl<M: Message + Unpin + 'static> Actor for Neighbour<M> {
    type Context = Context<Self>;
}

impl<M> Handler<M> for Neighbour<M>
where
    M: Message + Unpin + Send + 'static,
    M::Result: Send,
{
    type Result = ResponseFuture<M::Result>;

    fn handle(&mut self, message: M, _: &mut Self::Context) -> Self::Result {
        let (answer, answered) = oneshot::channel();
        self.0.all().push(Pending { message, answer });
        Box::pin(async move {
            match answered.await {
                Ok(reply) => reply,
                // Never answered: as if it had died in the middle.
                Err(_) => std::future::pending().await,
            }
        })
    }
}
