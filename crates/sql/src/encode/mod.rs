//! Arrow to PostgreSQL's binary COPY format, with a writer chosen per column from the target's type and the query's.
//!
//! The format: <https://www.postgresql.org/docs/current/sql-copy.html>, "Binary Format"; the bytes of a value are what the
//! type's `_recv` function reads. A value that its column cannot hold refuses its *row*, with the SQLSTATE that
//! PostgreSQL would have given, so that most bad records never cost a round trip.

use std::ops::Range;

use arrow::{
    array::{Array, ArrayRef, RecordBatch},
    datatypes::{DataType, FieldRef, Schema},
};

mod array;
mod bytes;
mod choose;
mod clock;
mod float;
mod inet;
mod integer;
mod interval;
mod interval_text;
mod json;
mod json_values;
mod numeric;
pub mod oid;
mod remedy;
mod sort_key;
mod source;
mod time;
mod uuid;
mod write;

use choose::Kind;
pub use sort_key::SortKeys;
pub use source::spark_name;

use crate::{LINEAGE, OnNul};

/// What a COPY stream begins with: the signature, no flags, no header extension.
pub const HEADER: &[u8; 19] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// What a COPY stream ends with.
pub const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();

/// A column of the target table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name as PostgreSQL has it.
    pub name: String,
    /// Its type as people write it, for messages: `numeric(38,18)`.
    pub type_name: String,
    /// The type whose binary form it takes: that of a domain's base. A pseudo-type stands for each kind of type that has no
    /// fixed number: [`oid::ANYENUM`], [`oid::RECORD`], [`oid::ANYRANGE`]; [`oid::TEXT`] for what reads like text (citext).
    pub type_oid: u32,
    /// The type modifier; -1 = none.
    pub type_mod: i32,
    /// Whether a NULL may be refused before the server sees it. False where a trigger may still fill it in.
    pub not_null: bool,
    /// What it is an array of.
    pub element: Option<Element>,
}

/// The type of an array's elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// Like [`Column::type_oid`].
    pub type_oid: u32,
    /// The catalogue's own number, which goes over the wire.
    pub declared_oid: u32,
}

/// Why a row cannot be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowFailure {
    /// The row's index in the batch.
    pub row: usize,
    /// What PostgreSQL would have said: five characters.
    pub sqlstate: &'static str,
    /// A sentence that names the column and does not show the value.
    pub reason: String,
}

/// An error of the encoder itself, not of a row.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The batch is not what the encoder was made for.
    #[error("column {column} arrives as {found}, not as {expected}")]
    Schema {
        /// The column's name, or its number where it is missing.
        column: String,
        /// The type at hand.
        found: String,
        /// The type that the query declared.
        expected: String,
    },
    /// Arrow could not convert a column.
    #[error("convert column {column}")]
    Convert {
        /// The column's name.
        column: String,
        /// The cause.
        source: arrow::error::ArrowError,
    },
}

/// Why one value cannot be written; boxed, because almost none is.
struct Refusal {
    sqlstate: &'static str,
    reason: String,
}

type Written = Result<(), Box<Refusal>>;

fn refusal(sqlstate: &'static str, reason: impl Into<String>) -> Box<Refusal> {
    Box::new(Refusal {
        sqlstate,
        reason: reason.into(),
    })
}

/// The buffer of a batch is reused, but a larger one than this is given back.
const KEPT_BYTES: usize = 32 << 20;

/// Encoded rows, each in one piece, to be sent in any order. Its buffers are reused from batch to batch.
#[derive(Debug, Default)]
pub struct Tuples {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Tuples {
    /// How many rows there are, failed ones included.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The size of all rows.
    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes of the `index`-th row that was encoded: its field count and its fields. Empty for a row that failed.
    pub fn tuple(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.bytes[start..self.ends[index]]
    }

    fn clear(&mut self) {
        self.bytes.clear();
        // One huge row is no reason to keep its memory for good.
        self.bytes.shrink_to(KEPT_BYTES);
        self.ends.clear();
    }
}

/// Writes the rows of one query for one table.
#[derive(Clone, Debug)]
pub struct Encoder {
    fields: Vec<Field>,
    num_extra: usize,
    on_nul: OnNul,
}

#[derive(Clone, Debug)]
struct Field {
    column: Column,
    source: FieldRef,
    kind: Kind,
}

impl Encoder {
    /// Chooses a writer for each column that the query yields ([`LINEAGE`] left out). `columns` are the target's;
    /// those that the query does not yield are not written. `Err`: one sentence a problem, all at once.
    pub fn new(columns: &[Column], schema: &Schema) -> Result<Self, Vec<String>> {
        let mut fields = Vec::new();
        let mut problems = Vec::new();
        for field in schema
            .fields()
            .iter()
            .filter(|field| !LINEAGE.contains(&field.name().as_str()))
        {
            let Some(column) = columns.iter().find(|column| &column.name == field.name()) else {
                problems.push(format!(
                    "column \"{}\": the query yields it, the table does not have it; add it to the table or leave it \
                     out of the query",
                    field.name()
                ));
                continue;
            };
            match choose::choose(column, field.data_type()) {
                Ok(kind) => {
                    fields.push(Field {
                        column: column.clone(),
                        source: field.clone(),
                        kind,
                    });
                }
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() {
            Ok(Self {
                fields,
                num_extra: 0,
                on_nul: OnNul::Reject,
            })
        } else {
            Err(problems)
        }
    }

    /// Announces `num_extra` further fields in each tuple, which the caller appends itself.
    pub fn with_extra_fields(mut self, num_extra: usize) -> Self {
        self.num_extra = num_extra;
        self
    }

    /// Says what happens with U+0000 where only the target makes it one: the escape in a JSON text that becomes a `jsonb`.
    /// Everything else was cleaned when the query ran.
    pub fn with_on_nul(mut self, on_nul: OnNul) -> Self {
        self.on_nul = on_nul;
        self
    }

    /// The columns that are written, in the order in which COPY has to name them.
    pub fn columns(&self) -> impl ExactSizeIterator<Item = &Column> {
        self.fields.iter().map(|field| &field.column)
    }

    /// The place of a column among those that are written.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.column.name == name)
    }

    /// Whether equal sort keys of this column mean equal values to PostgreSQL *and the reverse*. False where the column
    /// still changes what it is given (rounding, padding), so that different keys may meet in one row.
    pub fn key_is_exact(&self, position: usize) -> bool {
        sort_key::is_exact(&self.fields[position])
    }

    /// Whether the column can be sorted by; arrays and values that are serialised as JSON cannot.
    pub fn sorts(&self, position: usize) -> bool {
        sort_key::exists(&self.fields[position])
    }

    /// Encodes `rows` of a batch into `tuples` (which is cleared first); what cannot be written is added to `failures`.
    pub fn encode(
        &self,
        batch: &RecordBatch,
        rows: Range<usize>,
        tuples: &mut Tuples,
        failures: &mut Vec<RowFailure>,
    ) -> Result<(), EncodeError> {
        tuples.clear();
        let arrays = self.arrays(batch)?;
        let mut writers = Vec::with_capacity(self.fields.len());
        for (field, array) in self.fields.iter().zip(&arrays) {
            writers.push((array.logical_nulls(), write::value(field, array.as_ref(), self.on_nul)?));
        }
        let num_fields = ((self.fields.len() + self.num_extra) as u16).to_be_bytes();
        for row in rows {
            let start = tuples.bytes.len();
            tuples.bytes.extend_from_slice(&num_fields);
            for (field, (nulls, write)) in self.fields.iter().zip(&mut writers) {
                let written = if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                    write_null(&field.column, &mut tuples.bytes)
                } else {
                    write(row, &mut tuples.bytes)
                };
                if let Err(refusal) = written {
                    tuples.bytes.truncate(start);
                    let reason = format!("column \"{}\": {}", field.column.name, refusal.reason);
                    failures.push(RowFailure {
                        row,
                        sqlstate: refusal.sqlstate,
                        reason,
                    });
                    break;
                }
            }
            tuples.ends.push(tuples.bytes.len());
        }
        Ok(())
    }

    /// Memory-comparable keys of `rows`: two rows have the same values in the columns at `positions` exactly when their
    /// keys are equal, and keys sort as the values do (text by its bytes, NULL first).
    pub fn sort_keys(
        &self,
        batch: &RecordBatch,
        positions: &[usize],
        rows: Range<usize>,
    ) -> Result<SortKeys, EncodeError> {
        let arrays = self.arrays(batch)?;
        let columns = positions
            .iter()
            .map(|&position| (&self.fields[position], arrays[position].as_ref()));
        SortKeys::new(columns, rows)
    }

    fn arrays(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>, EncodeError> {
        let schema = batch.schema_ref();
        self.fields
            .iter()
            .enumerate()
            .map(|(index, field)| array(field, index, schema, batch))
            .collect()
    }
}

fn array(field: &Field, index: usize, schema: &Schema, batch: &RecordBatch) -> Result<ArrayRef, EncodeError> {
    let found = schema.fields().get(index);
    if found.is_none_or(|found| found.name() != &field.column.name || found.data_type() != field.source.data_type()) {
        return Err(EncodeError::Schema {
            column: field.column.name.clone(),
            found: found.map_or_else(
                || "nothing".into(),
                |found| format!("{} {}", found.name(), found.data_type()),
            ),
            expected: field.source.data_type().to_string(),
        });
    }
    let array = batch.column(index);
    match field.source.data_type() {
        DataType::Dictionary(_, value) => arrow::compute::cast(array, value).map_err(|source| EncodeError::Convert {
            column: field.column.name.clone(),
            source,
        }),
        _ => Ok(array.clone()),
    }
}

fn write_null(column: &Column, out: &mut Vec<u8>) -> Written {
    if column.not_null {
        return Err(refusal("23502", "null violates the not-null constraint"));
    }
    out.extend_from_slice(&(-1_i32).to_be_bytes());
    Ok(())
}

#[cfg(test)]
mod tests;
