//! The few plain types in which rows are handed to the encoder.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, RecordBatch, RecordBatchOptions},
    compute::{CastOptions, cast_with_options},
    datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit},
};
use datafusion::error::DataFusionError;

use super::Rows;

/// The plain type that stands for a type of DataFusion; `None` = there is none.
///
/// Timestamps become microseconds, which is what PostgreSQL keeps: digits below, as `now()` has them, are cut off.
/// (A *declared* timestamp with such digits is rejected when it is decoded.)
pub(crate) fn stored_type(data_type: &DataType) -> Option<DataType> {
    Some(match data_type {
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary | DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::Float16 => DataType::Float32,
        DataType::Date64 => DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Time32(_) | DataType::Time64(_) => DataType::Time64(TimeUnit::Microsecond),
        // With a zone it is a moment, whatever zone it is shown in.
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.as_ref().map(|_| "UTC".into())),
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::Dictionary(_, value) => stored_type(value)?,
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => DataType::List(stored_field(item)?),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(stored_field).collect::<Option<Fields>>()?),
        DataType::Map(entries, sorted) => DataType::Map(stored_field(entries)?, *sorted),
        DataType::Duration(_) => DataType::Duration(TimeUnit::Microsecond),
        DataType::Union(..) | DataType::RunEndEncoded(..) => return None,
        plain => plain.clone(),
    })
}

fn stored_field(field: &FieldRef) -> Option<FieldRef> {
    Some(Arc::new(Field::new(
        field.name(),
        stored_type(field.data_type())?,
        field.is_nullable(),
    )))
}

/// Casts the query's columns to the types handed over; the record index stays.
pub(super) fn plain(rows: RecordBatch, output: &SchemaRef) -> Result<Rows, DataFusionError> {
    let index = rows.num_columns() - 1;
    let strict = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(index + 1);
    for (column, field) in rows.columns()[..index].iter().zip(output.fields()) {
        columns.push(if column.data_type() == field.data_type() {
            Arc::clone(column)
        } else {
            cast_with_options(column, field.data_type(), &strict)?
        });
    }
    columns.push(Arc::clone(rows.column(index)));
    let mut fields: Vec<FieldRef> = output.fields().iter().cloned().collect();
    fields.push(Arc::clone(&rows.schema_ref().fields()[index]));
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    Ok(RecordBatch::try_new_with_options(
        Arc::new(Schema::new(fields)),
        columns,
        &options,
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{UnionFields, UnionMode};

    #[test]
    fn a_type_that_postgresql_has_not_has_no_plain_type_however_deep_it_stands() {
        let union = DataType::Union(UnionFields::empty(), UnionMode::Sparse);
        assert_eq!(stored_type(&union), None);
        assert_eq!(
            stored_type(&DataType::List(Arc::new(Field::new_list_field(union, true)))),
            None
        );
        let span = DataType::Duration(TimeUnit::Nanosecond);
        assert_eq!(stored_type(&span), Some(DataType::Duration(TimeUnit::Microsecond)));
    }
}
