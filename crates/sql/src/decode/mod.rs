//! Records to Arrow: the sieve proves each record and appends it to the columns, a thousand records to a batch.
//!
//! A tombstone (a record without a value) is *filtered*: it has no row and is no failure. The mode `delete` will give it a
//! meaning.

pub(crate) mod bad;
mod columns;
mod cursor;
mod metadata;
mod number;
mod scalar;
mod shape;
mod sieve;
mod text;
pub(crate) mod time;
mod usage;

use std::sync::Arc;

use self::{bad::Outcome, columns::Parts, shape::StructShape, sieve::Sieve};
pub(crate) use self::{
    metadata::{Metadata, map_of},
    number::plain_decimal,
    usage::Usage,
};
use crate::{FailedAt, Failure, InputRecord, Origin};
use arrow::{
    array::{RecordBatch, RecordBatchOptions},
    datatypes::{Fields, Schema, SchemaRef},
    error::ArrowError,
};

/// How many records a batch has: what is worked on next should still lie in the processor's cache.
const CHUNK_RECORDS: usize = 1024;
/// … and how many bytes of them, so that a batch of huge records does not become one huge batch.
const CHUNK_BYTES: usize = 4 << 20;

/// Which columns are decoded, in the order of the batches that the plans scan.
#[derive(Debug)]
pub(crate) struct Layout {
    /// The declared columns that are used or declared NOT NULL.
    declared: SchemaRef,
    shape: StructShape,
    /// The other columns, the hidden record index last.
    metadata: Vec<Metadata>,
    /// All of them.
    schema: SchemaRef,
}

impl Layout {
    pub(crate) fn new(declared: &Fields, usage: &Usage) -> Self {
        let shape = StructShape::new(declared, usage);
        let kept = declared
            .iter()
            .filter(|field| shape.fields.iter().any(|kept| kept.name == *field.name()))
            .cloned();
        let declared: SchemaRef = Arc::new(Schema::new(kept.collect::<Fields>()));
        let used = |metadata: &Metadata| usage.of(metadata.name()).is_some();
        let mut metadata: Vec<_> = Metadata::PUBLIC.into_iter().filter(used).collect();
        metadata.push(Metadata::Record);
        let fields = declared
            .fields()
            .iter()
            .cloned()
            .chain(metadata.iter().map(|column| column.field()));
        let schema = Arc::new(Schema::new(fields.collect::<Fields>()));
        Self {
            declared,
            shape,
            metadata,
            schema,
        }
    }

    /// The batches' schema; its last column is the record index.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The smallest record that the schema admits, as JSON: NULL wherever NULL may be.
    pub(crate) fn smallest_record(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.shape.smallest(&mut out);
        out
    }
}

/// Decodes the records of one engine.
pub(crate) struct Decoder {
    layout: Arc<Layout>,
    sieve: Sieve,
    /// The declared columns of the batch in hand.
    row: Parts,
}

impl Decoder {
    pub(crate) fn new(layout: Arc<Layout>) -> Self {
        let row = Parts::new(&layout.shape, layout.declared.fields());
        Self {
            layout,
            sieve: Sieve::default(),
            row,
        }
    }

    /// The good records as batches of the layout's schema, in order; the others go to `failures`.
    pub(crate) fn decode(
        &mut self,
        origin: Origin<'_>,
        records: &[InputRecord<'_>],
        failures: &mut Vec<Failure>,
    ) -> Result<Vec<RecordBatch>, ArrowError> {
        let mut batches = Vec::with_capacity(records.len() / CHUNK_RECORDS + 1);
        let mut rows = Vec::with_capacity(CHUNK_RECORDS);
        let mut bytes = 0;
        for (row, record) in (0_u32..).zip(records) {
            let Some(value) = record.value else { continue };
            match self.sift(record, value) {
                Ok(()) => {
                    rows.push(row);
                    bytes += value.len();
                }
                Err(bad) => failures.push(failure(row, bad.reason())),
            }
            if rows.len() == CHUNK_RECORDS || bytes >= CHUNK_BYTES {
                batches.push(self.batch(origin, records, &rows)?);
                rows.clear();
                bytes = 0;
            }
        }
        if !rows.is_empty() {
            batches.push(self.batch(origin, records, &rows)?);
        }
        Ok(batches)
    }

    /// Appends the record to the columns, or leaves them as they were.
    fn sift(&mut self, record: &InputRecord<'_>, value: &[u8]) -> Outcome {
        let len = self.row.len();
        self.sieve.pass(value, &self.layout.shape, &mut self.row)?;
        let checked = self.layout.metadata.iter().try_for_each(|column| column.check(record));
        if checked.is_err() {
            self.row.truncate(len);
        }
        checked
    }

    /// Makes a batch of what is in the columns: `rows` of the input.
    fn batch(
        &mut self,
        origin: Origin<'_>,
        records: &[InputRecord<'_>],
        rows: &[u32],
    ) -> Result<RecordBatch, ArrowError> {
        let fields = self.layout.declared.fields();
        let finished = self.row.finish(fields);
        if finished.is_err() {
            self.row = Parts::new(&self.layout.shape, fields);
        }
        let (mut columns, _) = finished?;
        columns.extend(
            self.layout
                .metadata
                .iter()
                .map(|column| column.column(origin, records, rows)),
        );
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        RecordBatch::try_new_with_options(self.layout.schema.clone(), columns, &options)
    }
}

fn failure(record: u32, reason: String) -> Failure {
    Failure {
        record,
        at: FailedAt::Decode,
        table: None,
        reason,
    }
}

#[cfg(test)]
mod tests;
