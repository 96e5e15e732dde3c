//! Runs the plans over one batch: decode, execute, find the records that fail, and hand over plain columns.

mod execute;
mod nul;
mod ordinal;
mod output;
mod settle;

use std::sync::Arc;

use arrow::{
    array::RecordBatch,
    datatypes::{Schema, SchemaRef},
    error::ArrowError,
};
use datafusion::error::DataFusionError;

pub(crate) use self::output::stored_type;
use self::{execute::TablePlan, settle::Failures};
use crate::{
    EngineError, InputRecord, Origin, Program, Transformed,
    decode::Decoder,
    plan::{self, Slot},
};

/// What one transformer runs: plans kept over batches.
pub struct Engine {
    program: Arc<Program>,
    decoder: Decoder,
    tables: Vec<TablePlan>,
}

impl Engine {
    pub(crate) async fn new(program: &Arc<Program>) -> Result<Self, EngineError> {
        let start = |table: &str, error: DataFusionError| EngineError::Query {
            table: table.to_owned(),
            reason: plan::problem_of(&error).message,
        };
        let context =
            plan::session(program.public.clone(), program.memory_limit_bytes).map_err(|e| start("records", e))?;
        let slot = Slot::new(program.layout.schema().clone());
        let mut tables = Vec::with_capacity(program.tables.len());
        for table in &program.tables {
            let plan = TablePlan::new(&context, &slot, &table.query, table.output.clone())
                .await
                .map_err(|error| start(&table.name, error))?;
            tables.push(plan);
        }
        let decoder = Decoder::new(Arc::clone(&program.layout));
        Ok(Self {
            program: Arc::clone(program),
            decoder,
            tables,
        })
    }

    /// Runs all queries over one batch. Blocks the calling thread with work; `async` only because the engine is.
    ///
    /// A record that one table's query fails on has no row in any table. Tombstones have no row and are no failure.
    pub async fn run(&mut self, origin: Origin<'_>, records: &[InputRecord<'_>]) -> Result<Transformed, EngineError> {
        let mut undecodable = Vec::new();
        let internal = |error: ArrowError| EngineError::Query {
            table: "records".into(),
            reason: error.to_string(),
        };
        let input = self
            .decoder
            .decode(origin, records, &mut undecodable)
            .map_err(internal)?;
        let mut failures = Failures::new(records.len(), undecodable);
        let mut outputs = Vec::with_capacity(self.tables.len());
        for table in 0..self.tables.len() {
            let rows = self.table(table, &input, origin, &mut failures).await?;
            outputs.push(nul::clean(rows, self.program.on_nul, table, &mut failures).map_err(internal)?);
        }
        let tables = outputs
            .into_iter()
            .map(|rows| ordinal::number(failures.without(rows)?))
            .collect::<Result<_, _>>()
            .map_err(internal)?;
        Ok(Transformed {
            tables,
            failures: failures.into_sorted(),
        })
    }
}

/// Runs a query over no record at all, as a check; gives the columns that it yields, without the record index.
pub(crate) async fn rehearse(program: &Program, table: usize) -> Result<SchemaRef, DataFusionError> {
    let context = plan::session(program.public.clone(), program.memory_limit_bytes)?;
    let slot = Slot::new(program.layout.schema().clone());
    let query = &program.tables[table].query;
    let mut plan = TablePlan::new(&context, &slot, query, Arc::new(Schema::empty())).await?;
    let schema = plan.yields();
    plan.begin().await?;
    plan.execute(Vec::new()).await?;
    let count = schema.fields().len().saturating_sub(1);
    Ok(Arc::new(schema.project(&(0..count).collect::<Vec<_>>())?))
}

/// Rows of one table: the query's columns, then the record index.
type Rows = RecordBatch;
