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
pub(crate) mod time;
mod usage;

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, RecordBatch, RecordBatchOptions},
    datatypes::{Fields, Schema, SchemaRef},
    error::ArrowError,
};
use arrow_json::ReaderBuilder;

use self::{
    bad::{Outcome, shown},
    shape::StructShape,
    sieve::Sieve,
};
pub(crate) use self::{
    metadata::{Metadata, map_of},
    usage::Usage,
};
use crate::{FailedAt, Failure, InputRecord, Origin};

/// How many records arrow-json takes between two flushes: bigger tapes fall out of the processor's cache.
const CHUNK_RECORDS: usize = 1024;
/// … and how many bytes of them, so that a batch of huge records does not become one huge tape.
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
    /// The used part of the record at hand; it stays in the processor's first cache.
    used: Vec<u8>,
}

impl Decoder {
    pub(crate) fn new(layout: Arc<Layout>) -> Result<Self, ArrowError> {
        let arrow = layout.builder()?;
        Ok(Self {
            layout,
            arrow,
            sieve: Sieve::default(),
            used: Vec::new(),
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
        let mut rows = Vec::with_capacity(CHUNK_RECORDS);
        let mut bytes = 0;
        let mut taken = Ok(());
        for (row, record) in (0_u32..).zip(records) {
            let Some(value) = record.value else { continue };
            match self.sift(record, value) {
                Ok(()) => {
                    rows.push(row);
                    bytes += self.used.len();
                    taken = taken.and_then(|()| self.take());
                }
                Err(bad) => failures.push(failure(row, bad.reason())),
            }
            if rows.len() == CHUNK_RECORDS || bytes >= CHUNK_BYTES {
                let chunk = std::mem::take(&mut rows);
                self.flush(
                    std::mem::replace(&mut taken, Ok(())),
                    chunk,
                    origin,
                    records,
                    &mut batches,
                    failures,
                )?;
                bytes = 0;
            }
        }
        self.flush(taken, rows, origin, records, &mut batches, failures)?;
        Ok(batches)
    }

    /// Leaves the used part of the record in `used`.
    fn sift(&mut self, record: &InputRecord<'_>, value: &[u8]) -> Outcome {
        self.used.clear();
        self.sieve.pass(value, &self.layout.shape, &mut self.used)?;
        self.layout.metadata.iter().try_for_each(|column| column.check(record))
    }

    /// Hands `used` to arrow-json.
    fn take(&mut self) -> Result<(), ArrowError> {
        if self.layout.declared.fields().is_empty() {
            return Ok(());
        }
        let before = self.arrow.len();
        let taken = self.arrow.decode(&self.used)?;
        if taken == self.used.len() && self.arrow.len() == before + 1 && !self.arrow.has_partial_record() {
            return Ok(());
        }
        Err(ArrowError::JsonError("is not one object".to_owned()))
    }

    /// Makes a batch of the records that arrow-json has taken, `rows` of the input.
    fn flush(
        &mut self,
        taken: Result<(), ArrowError>,
        rows: Vec<u32>,
        origin: Origin<'_>,
        records: &[InputRecord<'_>],
        batches: &mut Vec<RecordBatch>,
        failures: &mut Vec<Failure>,
    ) -> Result<(), ArrowError> {
        if rows.is_empty() {
            return Ok(());
        }
        if let Ok(columns) = taken.and_then(|()| self.columns(rows.len())) {
            batches.push(self.batch(columns, origin, records, &rows)?);
            return Ok(());
        }
        // What passed the sieve decodes. Should arrow-json see it otherwise all the same, each record of the chunk is
        // tried alone, by a new decoder: the old one's tape is poisoned.
        for row in rows {
            self.arrow = self.layout.builder()?;
            let record = &records[row as usize];
            // It passed before, so it does again.
            let _ = self.sift(record, record.value.unwrap_or_default());
            match self.take().and_then(|()| self.columns(1)) {
                Ok(columns) => batches.push(self.batch(columns, origin, records, &[row])?),
                Err(error) => {
                    failures.push(failure(
                        row,
                        format!("cannot be decoded: {}", shown(error.to_string().as_bytes())),
                    ));
                }
            }
        }
        self.arrow = self.layout.builder()?;
        Ok(())
    }

    fn columns(&mut self, count: usize) -> Result<Vec<ArrayRef>, ArrowError> {
        if self.layout.declared.fields().is_empty() {
            return Ok(Vec::new());
        }
        match self.arrow.flush()? {
            Some(batch) if batch.num_rows() == count => Ok(batch.columns().to_vec()),
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
