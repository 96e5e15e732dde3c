//! Records to Arrow: the sieve proves and cuts each record, arrow-json builds the columns, a thousand records at a time.
//!
//! A tombstone (a record without a value) is *filtered*: it has no row and is no failure. The mode `delete` will give it a
//! meaning.

pub(crate) mod bad;
mod cursor;
mod metadata;
mod number;
mod scalar;
mod shape;
mod sieve;
mod text;
mod time;
mod usage;

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, RecordBatch, RecordBatchOptions},
    datatypes::{Fields, Schema, SchemaRef},
    error::ArrowError,
};
use arrow_json::ReaderBuilder;

pub(crate) use self::{
    metadata::{Metadata, map_of},
    usage::Usage,
};
use self::{shape::StructShape, sieve::Sieve};
use crate::{FailedAt, Failure, InputRecord, Origin, decode::bad::shown};

/// How many records arrow-json takes between two flushes: bigger tapes fall out of the processor's cache.
const CHUNK_RECORDS: usize = 1024;
/// … and how many bytes, so that a batch of huge records does not become one huge tape.
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

    fn builder(&self) -> Result<arrow_json::reader::Decoder, ArrowError> {
        ReaderBuilder::new(self.declared.clone())
            .with_batch_size(CHUNK_RECORDS)
            .with_coerce_primitive(true)
            .build_decoder()
    }
}

/// Decodes the records of one engine.
pub(crate) struct Decoder {
    layout: Arc<Layout>,
    arrow: arrow_json::reader::Decoder,
    sieve: Sieve,
    chunk: Chunk,
}

/// Records that passed the sieve and wait for arrow-json.
#[derive(Debug, Default)]
struct Chunk {
    text: Vec<u8>,
    /// Where each record ends in the text.
    ends: Vec<usize>,
    /// Which record of the input each one is.
    rows: Vec<u32>,
}

impl Decoder {
    pub(crate) fn new(layout: Arc<Layout>) -> Result<Self, ArrowError> {
        let arrow = layout.builder()?;
        Ok(Self {
            layout,
            arrow,
            sieve: Sieve::default(),
            chunk: Chunk::default(),
        })
    }

    /// The good records as batches of the layout's schema, in order; the others go to `failures`.
    pub(crate) fn decode(
        &mut self,
        origin: Origin<'_>,
        records: &[InputRecord<'_>],
        failures: &mut Vec<Failure>,
    ) -> Result<Vec<RecordBatch>, ArrowError> {
        let mut batches = Vec::with_capacity(records.len() / CHUNK_RECORDS + 1);
        for (row, record) in (0_u32..).zip(records) {
            let Some(value) = record.value else { continue };
            let passed = self
                .sieve
                .pass(value, &self.layout.shape, &mut self.chunk.text)
                .and_then(|()| self.layout.metadata.iter().try_for_each(|column| column.check(record)));
            match passed {
                Ok(()) => {
                    self.chunk.ends.push(self.chunk.text.len());
                    self.chunk.rows.push(row);
                }
                Err(bad) => {
                    let end = self.chunk.ends.last().copied().unwrap_or(0);
                    self.chunk.text.truncate(end);
                    failures.push(failure(row, bad.reason()));
                }
            }
            if self.chunk.rows.len() == CHUNK_RECORDS || self.chunk.text.len() >= CHUNK_BYTES {
                self.flush(origin, records, &mut batches, failures)?;
            }
        }
        self.flush(origin, records, &mut batches, failures)?;
        Ok(batches)
    }

    fn flush(
        &mut self,
        origin: Origin<'_>,
        records: &[InputRecord<'_>],
        batches: &mut Vec<RecordBatch>,
        failures: &mut Vec<Failure>,
    ) -> Result<(), ArrowError> {
        let chunk = std::mem::take(&mut self.chunk);
        let mut pending = vec![(0, chunk.rows.len())];
        // One part nearly always. What passed the sieve decodes; should arrow-json see it otherwise all the same, the
        // chunk is halved until the culprit stands alone.
        while let Some((first, end)) = pending.pop() {
            if first == end {
                continue;
            }
            let rows = &chunk.rows[first..end];
            let start = first.checked_sub(1).map_or(0, |last| chunk.ends[last]);
            match self.columns(&chunk.text[start..chunk.ends[end - 1]], rows.len()) {
                Ok(columns) => batches.push(self.batch(columns, origin, records, rows)?),
                Err(error) => {
                    // The tape keeps what it had read when it failed.
                    self.arrow = self.layout.builder()?;
                    if let [row] = rows {
                        failures.push(failure(
                            *row,
                            format!("cannot be decoded: {}", shown(error.to_string().as_bytes())),
                        ));
                    } else {
                        let middle = first + rows.len() / 2;
                        pending.push((middle, end));
                        pending.push((first, middle));
                    }
                }
            }
        }
        self.chunk = Chunk {
            text: chunk.text,
            ends: chunk.ends,
            rows: chunk.rows,
        };
        self.chunk.text.clear();
        self.chunk.ends.clear();
        self.chunk.rows.clear();
        Ok(())
    }

    fn columns(&mut self, text: &[u8], count: usize) -> Result<Vec<ArrayRef>, ArrowError> {
        if self.layout.declared.fields().is_empty() {
            return Ok(Vec::new());
        }
        let taken = self.arrow.decode(text)?;
        let batch = self.arrow.flush()?;
        match batch {
            Some(batch) if taken == text.len() && batch.num_rows() == count => Ok(batch.columns().to_vec()),
            _ => Err(ArrowError::JsonError(
                "another number of objects than of records".to_owned(),
            )),
        }
    }

    fn batch(
        &self,
        mut columns: Vec<ArrayRef>,
        origin: Origin<'_>,
        records: &[InputRecord<'_>],
        rows: &[u32],
    ) -> Result<RecordBatch, ArrowError> {
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
