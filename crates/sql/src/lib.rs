//! The transform of aqueduct without an actor: Spark DDL -> decode -> plan -> run -> PGCOPY.
//!
//! [`Program::compile`] checks a declaration once (a config check needs no more), [`Program::engine`] makes what one
//! transformer runs. The crate exists so that DataFusion's generics are compiled here and nowhere else.

mod ddl;
mod decode;
mod plan;
mod program;
mod run;

pub mod encode;

use std::sync::Arc;

pub use arrow;
use arrow::{
    array::{AsArray, RecordBatch},
    datatypes::UInt32Type,
};

pub use self::{program::Program, run::Engine};

/// The name of the hidden lineage columns that every output batch ends with: the index of the record in the input
/// (`UInt32`) and the number of the row within its record (`UInt32`; 0 unless the query unnests).
pub const LINEAGE: [&str; 2] = ["_aqueduct_record", "_aqueduct_ordinal"];

/// What a pipeline declares.
#[derive(Clone, Debug)]
pub struct Declaration {
    /// The records' schema as Spark DDL.
    pub schema: String,
    /// The tables' queries, in the config's order.
    pub tables: Vec<TableQuery>,
    /// What happens with U+0000 in output text.
    pub on_nul: OnNul,
    /// The most memory that one engine's plans may take.
    pub memory_limit_bytes: usize,
}

/// One table's query.
#[derive(Clone, Debug)]
pub struct TableQuery {
    /// For messages.
    pub table: String,
    /// The query over `records`.
    pub sql: String,
}

/// U+0000 in text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum OnNul {
    Reject,
    Strip,
    Replace,
}

/// Something wrong with a declaration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclarationProblem {
    /// The table whose query it is; `None` = the schema.
    pub table: Option<String>,
    /// Where in the text: line and column from 1, where known.
    pub place: Option<(u64, u64)>,
    /// A sentence with the remedy.
    pub message: String,
}

/// One input record, borrowed from the batch.
#[derive(Clone, Copy, Debug)]
pub struct InputRecord<'a> {
    #[allow(missing_docs)]
    pub key: Option<&'a [u8]>,
    /// The payload; `None` = tombstone.
    pub value: Option<&'a [u8]>,
    #[allow(missing_docs)]
    pub offset: i64,
    /// Milliseconds since 1970.
    pub timestamp_ms: Option<i64>,
    /// Name and value.
    pub headers: &'a [(&'a str, Option<&'a [u8]>)],
}

/// Where the batch comes from.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Origin<'a> {
    pub topic: &'a str,
    pub partition: i32,
}

/// Where a record failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum FailedAt {
    Decode,
    Transform,
}

/// A record that did not make it.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Index in the input.
    pub record: u32,
    /// Where.
    pub at: FailedAt,
    /// The table whose query failed on it.
    pub table: Option<usize>,
    /// Why, without the payload.
    pub reason: String,
}

/// The outcome of a batch.
pub struct Transformed {
    /// One batch a table, in the declaration's order; columns of the query, then [`LINEAGE`]. Rows are in record order.
    /// A record in `failures` has no row in any of them.
    pub tables: Vec<RecordBatch>,
    /// The records that failed, by index, each once.
    pub failures: Vec<Failure>,
}

impl Transformed {
    /// Replaces each record's index, in rows and failures, where the input was a selection of a larger batch.
    pub fn renumber(&mut self, index_of: impl Fn(u32) -> u32) {
        for failure in &mut self.failures {
            failure.record = index_of(failure.record);
        }
        for batch in &mut self.tables {
            let Ok(place) = batch.schema().index_of(LINEAGE[0]) else {
                continue;
            };
            let mut columns = batch.columns().to_vec();
            let renumbered = columns[place]
                .as_primitive::<UInt32Type>()
                .unary::<_, UInt32Type>(&index_of);
            columns[place] = Arc::new(renumbered);
            if let Ok(renumbered) = RecordBatch::try_new(batch.schema(), columns) {
                *batch = renumbered;
            }
        }
    }
}

/// An error of the engine itself, not of a record.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The query fails where no record can be to blame: on no record at all; or on every record of the batch and on the
    /// smallest record that the schema admits, while none has passed in this engine's life.
    #[error("the query of table {table} cannot run: {reason}")]
    Query {
        #[allow(missing_docs)]
        table: String,
        #[allow(missing_docs)]
        reason: String,
    },
    /// The memory pool's limit is reached even by the empty batch. (A record too large by itself is a [`Failure`].)
    #[error("a batch needs more than {limit_bytes} bytes")]
    Memory {
        #[allow(missing_docs)]
        limit_bytes: usize,
    },
}
