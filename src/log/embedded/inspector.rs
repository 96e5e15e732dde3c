//! Questions about a pipeline's topics.

use std::sync::Arc;

use super::storage::Storage;
use crate::{
    log::{Bounds, Inspector, LogError, TopicSpec},
    model::{CursorRecord, ShardId, TopicId},
};

pub(super) struct EmbeddedInspector {
    pub(super) storage: Arc<Storage>,
    pub(super) spec: TopicSpec,
}

impl Inspector for EmbeddedInspector {
    fn topic_id(&self) -> Result<TopicId, LogError> {
        Ok(self.storage.topic(&self.spec.topic)?.id)
    }

    fn num_partitions(&self) -> Result<i32, LogError> {
        Ok(self.storage.topic(&self.spec.topic)?.num_partitions)
    }

    fn bounds(&self, partition: i32) -> Result<Bounds, LogError> {
        self.storage.bounds(&self.storage.topic(&self.spec.topic)?, partition)
    }

    fn cursors(&self) -> Result<Vec<(ShardId, Option<CursorRecord>)>, LogError> {
        let cursors = self.spec.cursors_topic();
        let read = |shard: &ShardId| Ok((shard.clone(), self.storage.cursor(&cursors, &shard.content)?));
        self.spec.shards.iter().map(read).collect()
    }
}
