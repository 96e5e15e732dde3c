//! The number of each row within its record.

use std::sync::Arc;

use arrow::{
    array::{RecordBatch, UInt32Array},
    datatypes::{DataType, Field, FieldRef, Schema},
    error::ArrowError,
};

use super::{Rows, settle::records_of};
use crate::LINEAGE;

/// Appends the ordinal. Rows are in record order: a plan of one partition with projection, filter and unnest keeps it.
pub(super) fn number(rows: Rows) -> Result<RecordBatch, ArrowError> {
    let records = records_of(&rows).values();
    let mut ordinals = Vec::with_capacity(records.len());
    let mut ordinal = 0;
    for (row, record) in records.iter().enumerate() {
        ordinal = if row > 0 && records[row - 1] == *record {
            ordinal + 1
        } else {
            0
        };
        if row > 0 && records[row - 1] > *record {
            return Err(ArrowError::ComputeError(
                "the rows left the order of the records".to_owned(),
            ));
        }
        ordinals.push(ordinal);
    }
    let ordinals = UInt32Array::from(ordinals);
    let mut fields: Vec<FieldRef> = rows.schema_ref().fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new(LINEAGE[1], DataType::UInt32, false)));
    let mut columns = rows.columns().to_vec();
    columns.push(Arc::new(ordinals));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}
