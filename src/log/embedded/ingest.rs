//! The ingest side: members that share the shards, and the only writer of a shard.

use std::{sync::Arc, time::Duration};

use super::{
    HEARTBEAT,
    group::Group,
    storage::{Storage, Topic},
};
use crate::{
    log::{Cancel, IngestEvent, IngestMember, LogError, Ownership, ShardWriter, TopicSpec, Waker},
    model::{CursorRecord, Page, ShardId},
};

pub(super) struct Member {
    group: Arc<Group>,
    number: u64,
    shards: Arc<[ShardId]>,
    owned: Vec<(i32, Ownership)>,
}

impl Member {
    pub(super) fn join(group: Arc<Group>, shards: Arc<[ShardId]>, waker: Waker) -> Self {
        let number = group.join(waker);
        Self {
            group,
            number,
            shards,
            owned: Vec::new(),
        }
    }

    fn shard(&self, number: i32) -> Option<ShardId> {
        self.shards.iter().find(|shard| shard.number == number).cloned()
    }
}

impl IngestMember for Member {
    /// Never waits: the group calls the waker when there is something new.
    fn poll(&mut self, _wait: Duration) -> Result<Vec<IngestEvent>, LogError> {
        let changes = self.group.sync(self.number);
        let mut events = Vec::new();
        if !changes.to_release.is_empty() {
            self.owned.retain(|(item, own)| {
                let keep = !changes.to_release.contains(item);
                if !keep {
                    own.clear();
                }
                keep
            });
            self.group.release(self.number, &changes.to_release);
            events.push(IngestEvent::Revoked(
                changes.to_release.iter().filter_map(|item| self.shard(*item)).collect(),
            ));
        }
        self.owned.iter().for_each(|(_, own)| own.polled());
        if !changes.assigned.is_empty() {
            let granted: Vec<_> = changes
                .assigned
                .iter()
                .map(|item| (*item, Ownership::granted()))
                .collect();
            let named = granted
                .iter()
                .filter_map(|(item, own)| Some((self.shard(*item)?, own.clone())));
            events.push(IngestEvent::Assigned(named.collect()));
            self.owned.extend(granted);
        }
        Ok(events)
    }

    fn heartbeat(&self) -> Duration {
        HEARTBEAT
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.owned.iter().for_each(|(_, own)| own.clear());
        self.group.leave(self.number);
    }
}

/// Names one writer; the storage knows which one is the newest.
pub(super) struct WriterKey {
    pub(super) cursors: String,
    pub(super) content: String,
    pub(super) number: u64,
}

pub(super) struct Writer {
    storage: Arc<Storage>,
    topic: Topic,
    key: WriterKey,
    committed: Option<CursorRecord>,
}

impl Writer {
    pub(super) fn open(storage: Arc<Storage>, spec: &TopicSpec, shard: &ShardId) -> Result<Self, LogError> {
        let topic = storage.topic(&spec.topic)?;
        let (cursors, content) = (spec.cursors_topic(), shard.content.to_string());
        let number = storage.open_writer(&cursors, &content);
        let committed = storage.cursor(&cursors, &content)?;
        Ok(Self {
            storage,
            topic,
            key: WriterKey {
                cursors,
                content,
                number,
            },
            committed,
        })
    }
}

impl ShardWriter for Writer {
    fn committed(&self) -> Option<&CursorRecord> {
        self.committed.as_ref()
    }

    fn commit(
        &mut self,
        pages: &[Page],
        after: &CursorRecord,
        own: &Ownership,
        _cancel: &Cancel,
    ) -> Result<(), LogError> {
        if !own.holds() {
            return Err(LogError::Lost {
                place: format!("shard {}", self.key.content),
            });
        }
        self.storage.append(&self.topic, &self.key, pages, after)?;
        self.committed = Some(after.clone());
        Ok(())
    }

    /// redb takes values up to 3 GiB; a record is bounded by the page's size limit long before.
    fn max_record_bytes(&self) -> usize {
        usize::MAX
    }
}
