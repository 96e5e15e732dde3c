//! U+0000 in output text. JSON may hold it as an escape, PostgreSQL takes it in neither text nor jsonb.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, ListArray, MapArray, RecordBatch, StringArray, StructArray},
    datatypes::DataType,
    error::ArrowError,
};

use super::{
    Rows,
    settle::{Failures, records_of},
};
use crate::{FailedAt, Failure, OnNul};

/// Strips or replaces U+0000 in every text of the rows, nested ones too, or rejects the records that hold it.
pub(super) fn clean(rows: Rows, on_nul: OnNul, table: usize, failures: &mut Failures) -> Result<Rows, ArrowError> {
    let tainted: Vec<usize> = (0..rows.num_columns() - 1)
        .filter(|&column| has_nul(rows.column(column)))
        .collect();
    if tainted.is_empty() {
        return Ok(rows);
    }
    if on_nul == OnNul::Reject {
        for column in tainted {
            let name = rows.schema_ref().field(column).name();
            for (row, &record) in records_of(&rows).values().iter().enumerate() {
                if has_nul(&rows.column(column).slice(row, 1)) {
                    failures.add(Failure {
                        record,
                        at: FailedAt::Transform,
                        table: Some(table),
                        reason: format!("column {name}: holds U+0000, which PostgreSQL cannot store in text"),
                    });
                }
            }
        }
        return Ok(rows);
    }
    let replacement = if on_nul == OnNul::Strip { "" } else { "\u{FFFD}" };
    let mut columns = rows.columns().to_vec();
    for column in tainted {
        columns[column] = replaced(&columns[column], replacement)?;
    }
    RecordBatch::try_new(rows.schema(), columns)
}

/// One search over the bytes of each text buffer, since there is nearly never any.
fn has_nul(array: &ArrayRef) -> bool {
    match array.data_type() {
        DataType::Utf8 => {
            let texts: &StringArray = array.as_string();
            let (first, last) = (texts.value_offsets()[0], texts.value_offsets()[texts.len()]);
            texts.value_data()[first as usize..last as usize].contains(&0)
        }
        DataType::List(_) => {
            let lists: &ListArray = array.as_list();
            let (first, last) = (lists.value_offsets()[0], lists.value_offsets()[lists.len()]);
            has_nul(&lists.values().slice(first as usize, (last - first) as usize))
        }
        DataType::Map(..) => {
            let maps: &MapArray = array.as_map();
            let (first, last) = (maps.value_offsets()[0], maps.value_offsets()[maps.len()]);
            let entries = maps.entries().slice(first as usize, (last - first) as usize);
            entries.columns().iter().any(has_nul)
        }
        DataType::Struct(_) => array.as_struct().columns().iter().any(has_nul),
        _ => false,
    }
}

fn replaced(array: &ArrayRef, replacement: &str) -> Result<ArrayRef, ArrowError> {
    Ok(match array.data_type() {
        DataType::Utf8 => {
            let texts: &StringArray = array.as_string();
            let clean = texts
                .iter()
                .map(|text| text.map(|text| text.replace('\0', replacement)));
            Arc::new(clean.collect::<StringArray>())
        }
        DataType::List(item) => {
            let lists: &ListArray = array.as_list();
            let values = replaced(lists.values(), replacement)?;
            Arc::new(ListArray::try_new(
                item.clone(),
                lists.offsets().clone(),
                values,
                lists.nulls().cloned(),
            )?)
        }
        DataType::Map(entry, sorted) => {
            let maps: &MapArray = array.as_map();
            let entries: ArrayRef = Arc::new(maps.entries().clone());
            let entries = replaced(&entries, replacement)?.as_struct().clone();
            Arc::new(MapArray::try_new(
                entry.clone(),
                maps.offsets().clone(),
                entries,
                maps.nulls().cloned(),
                *sorted,
            )?)
        }
        DataType::Struct(fields) => {
            let parts = array.as_struct();
            let columns = parts
                .columns()
                .iter()
                .map(|column| replaced(column, replacement))
                .collect::<Result<_, _>>()?;
            Arc::new(StructArray::try_new(fields.clone(), columns, parts.nulls().cloned())?)
        }
        _ => Arc::clone(array),
    })
}
