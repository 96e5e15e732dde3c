//! What a kept plan scans: a slot into which the engine lays the batch at hand.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use datafusion::{
    catalog::{TableProvider, streaming::StreamingTable},
    error::DataFusionError,
    execution::{SendableRecordBatchStream, TaskContext},
    physical_plan::{stream::RecordBatchStreamAdapter, streaming::PartitionStream},
};

/// The slot of one engine.
#[derive(Debug)]
pub(crate) struct Slot {
    schema: SchemaRef,
    batches: Mutex<Vec<RecordBatch>>,
}

impl Slot {
    pub(crate) fn new(schema: SchemaRef) -> Arc<Self> {
        Arc::new(Self {
            schema,
            batches: Mutex::new(Vec::new()),
        })
    }

    /// The table that a plan scans.
    pub(crate) fn provider(self: &Arc<Self>) -> Result<Arc<dyn TableProvider>, DataFusionError> {
        let partition = Arc::clone(self) as Arc<dyn PartitionStream>;
        Ok(Arc::new(StreamingTable::try_new(self.schema.clone(), vec![partition])?))
    }

    /// What the next execution reads. No batch at all reads as one empty batch, so that every expression is evaluated.
    pub(crate) fn lay(&self, batches: Vec<RecordBatch>) {
        let batches = if batches.is_empty() {
            vec![RecordBatch::new_empty(self.schema.clone())]
        } else {
            batches
        };
        *self.batches.lock().unwrap_or_else(PoisonError::into_inner) = batches;
    }

    /// Lets go of the batches.
    pub(crate) fn clear(&self) {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl PartitionStream for Slot {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let stream = futures::stream::iter(batches.into_iter().map(Ok));
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), stream))
    }
}
