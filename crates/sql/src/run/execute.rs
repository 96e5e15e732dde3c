//! One table's plan, executed over what lies in the slot.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    compute::concat_batches,
    datatypes::{DataType, SchemaRef},
    error::ArrowError,
};
use datafusion::{
    error::DataFusionError,
    execution::{context::SessionContext, memory_pool::MemoryConsumer},
    logical_expr::LogicalPlan,
    physical_plan::{ExecutionPlan, execute_stream, execution_plan::reset_plan_states},
};
use futures::StreamExt;

use super::{Rows, output};
use crate::plan::{self, Query, Slot};

/// A table's plan, kept over batches.
pub(super) struct TablePlan {
    context: SessionContext,
    slot: Arc<Slot>,
    logical: LogicalPlan,
    physical: Arc<dyn ExecutionPlan>,
    /// Planned anew for each batch, since it holds the time of its planning.
    stable: bool,
    /// The columns as handed over, without the record index.
    output: SchemaRef,
    /// A record has passed in this engine's life, so a failure is not the query's.
    pub(super) proven: bool,
}

impl TablePlan {
    pub(super) async fn new(
        context: &SessionContext,
        slot: &Arc<Slot>,
        query: &Query,
        output: SchemaRef,
    ) -> Result<Self, DataFusionError> {
        let logical = query.over(slot)?;
        let physical = plan::physical(context, &logical).await?;
        Ok(Self {
            context: context.clone(),
            slot: Arc::clone(slot),
            logical,
            physical,
            stable: query.stable,
            output,
            proven: false,
        })
    }

    /// What the plan yields: the query's columns in DataFusion's types, then the record index.
    pub(super) fn yields(&self) -> SchemaRef {
        self.physical.schema()
    }

    /// Before each batch.
    pub(super) async fn begin(&mut self) -> Result<(), DataFusionError> {
        if self.stable {
            self.physical = plan::physical(&self.context, &self.logical).await?;
        }
        Ok(())
    }

    /// The rows of these records, in their order.
    pub(super) async fn rows(&self, input: Vec<RecordBatch>) -> Result<Rows, DataFusionError> {
        let batches = self.execute(input).await?;
        let rows = concat_batches(&self.yields(), &batches)?;
        output::plain(rows, &self.output)
    }

    /// Executes the plan. What is read and what comes out counts against the memory pool, because row-local operators
    /// reserve nothing themselves.
    pub(super) async fn execute(&self, input: Vec<RecordBatch>) -> Result<Vec<RecordBatch>, DataFusionError> {
        let task = self.context.task_ctx();
        let reservation = MemoryConsumer::new("batch").register(task.memory_pool());
        for batch in &input {
            reservation.try_grow(size_bytes(batch)?)?;
        }
        self.slot.lay(input);
        let executed = async {
            // Without the reset a plan with state would yield nothing from the second batch on.
            let plan = reset_plan_states(Arc::clone(&self.physical))?;
            let mut stream = execute_stream(plan, task)?;
            let mut batches = Vec::new();
            while let Some(batch) = stream.next().await {
                let batch = batch?;
                reservation.try_grow(size_bytes(&batch)?)?;
                batches.push(batch);
            }
            Ok(batches)
        };
        let executed = executed.await;
        self.slot.clear();
        executed
    }
}

/// What the rows take, which for a slice is less than its buffers.
fn size_bytes(batch: &RecordBatch) -> Result<usize, DataFusionError> {
    Ok(batch
        .columns()
        .iter()
        .map(array_bytes)
        .sum::<Result<usize, ArrowError>>()?)
}

/// Arrow's own figure counts the elements of all lists of the buffer, not only those of the slice.
fn array_bytes(array: &ArrayRef) -> Result<usize, ArrowError> {
    let elements = |elements: &ArrayRef, offsets: &[i32]| {
        let (first, last) = (offsets[0] as usize, offsets[offsets.len() - 1] as usize);
        Ok(size_of_val(offsets) + array_bytes(&elements.slice(first, last - first))?)
    };
    match array.data_type() {
        DataType::List(_) => elements(array.as_list::<i32>().values(), array.as_list().value_offsets()),
        DataType::Map(..) => {
            let entries: ArrayRef = Arc::new(array.as_map().entries().clone());
            elements(&entries, array.as_map().value_offsets())
        }
        DataType::Struct(_) => array.as_struct().columns().iter().map(array_bytes).sum(),
        _ => array.to_data().get_slice_memory_size(),
    }
}
