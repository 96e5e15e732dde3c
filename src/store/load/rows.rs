//! One table's rows of one batch: encoded once, then sent in any order and any part.

use std::ops::Range;

use super::prepared::Prepared;
use crate::{
    sql::{
        LINEAGE,
        arrow::array::{AsArray, RecordBatch},
        arrow::datatypes::UInt32Type,
        encode::{EncodeError, RowFailure, SortKeys, Tuples},
    },
    store::StoreError,
};

/// Reused from batch to batch.
#[derive(Default)]
pub(super) struct Rows {
    tuples: Tuples,
    /// `starts[i]..starts[i + 1]` are the rows of the window's i-th record, counted from the window's first row.
    starts: Vec<u32>,
    first_record: u32,
    keys: Option<SortKeys>,
    order: Option<SortKeys>,
}

/// The rows to send, in the order in which to send them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Selection {
    /// Indices of rows.
    pub rows: Vec<u32>,
    /// What goes into the stage's sequence; empty where it is the place in `rows`.
    pub ages: Vec<u32>,
    /// How many rows were left out because a later one has the same key.
    pub num_superseded: u64,
}

impl Rows {
    /// Encodes the rows of the window's records. Failures name rows of the batch; see [`Rows::record_of`].
    pub(super) fn encode(
        &mut self,
        prepared: &Prepared,
        batch: &RecordBatch,
        window: &Range<usize>,
        failures: &mut Vec<(u32, RowFailure)>,
    ) -> Result<(), StoreError> {
        let wrong = |problem: String| StoreError::Mismatch {
            place: prepared.target.place(),
            problem,
        };
        let records = batch
            .column_by_name(LINEAGE[0])
            .and_then(|column| column.as_primitive_opt::<UInt32Type>())
            .ok_or_else(|| wrong(format!("the rows have no column {}", LINEAGE[0])))?
            .values();
        if !records.is_sorted() {
            return Err(wrong("the rows are not in the order of their records".into()));
        }
        let first_row = records.partition_point(|&record| (record as usize) < window.start);
        let end_row = records.partition_point(|&record| (record as usize) < window.end);
        let rows = first_row..end_row;
        self.first_record = window.start as u32;
        self.starts.clear();
        let mut row = first_row;
        for record in window.clone() {
            self.starts.push((row - first_row) as u32);
            while row < end_row && records[row] as usize == record {
                row += 1;
            }
        }
        self.starts.push((end_row - first_row) as u32);

        let encoded = |error: EncodeError| wrong(error.to_string());
        let mut failed = Vec::new();
        prepared
            .encoder
            .encode(batch, rows.clone(), &mut self.tuples, &mut failed)
            .map_err(encoded)?;
        failures.extend(failed.into_iter().map(|failure| (records[failure.row], failure)));
        let keys = |positions: &[usize]| -> Result<Option<SortKeys>, StoreError> {
            if positions.is_empty() {
                return Ok(None);
            }
            prepared
                .encoder
                .sort_keys(batch, positions, rows.clone())
                .map(Some)
                .map_err(encoded)
        };
        self.keys = keys(&prepared.sort)?;
        self.order = keys(prepared.upsert.as_ref().and_then(|upsert| upsert.order_by).as_slice())?;
        Ok(())
    }

    /// Whether the record has a row here.
    pub(super) fn has(&self, record: u32) -> bool {
        !self.of(record).is_empty()
    }

    fn of(&self, record: u32) -> Range<u32> {
        let index = (record - self.first_record) as usize;
        self.starts[index]..self.starts[index + 1]
    }

    /// Takes all rows of these records, sorted by the table's key; for an `upsert` only the newest of each key.
    pub(super) fn select(&self, records: &[u32], prepared: &Prepared) -> Selection {
        let mut rows: Vec<u32> = records.iter().flat_map(|&record| self.of(record)).collect();
        let Some(keys) = &self.keys else {
            return Selection {
                rows,
                ..Selection::default()
            };
        };
        let Some(upsert) = &prepared.upsert else {
            sort_by_key(&mut rows, keys, |_, _| std::cmp::Ordering::Equal);
            return Selection {
                rows,
                ..Selection::default()
            };
        };
        let by_age = |left: u32, right: u32| match &self.order {
            Some(order) => order.key(left as usize).cmp(order.key(right as usize)),
            None => std::cmp::Ordering::Equal,
        };
        sort_by_key(&mut rows, keys, by_age);
        let num_rows = rows.len();
        let mut newest: Vec<u32> = Vec::with_capacity(num_rows);
        for row in rows {
            match newest.last_mut() {
                Some(last) if keys.key(*last as usize) == keys.key(row as usize) && !keys.has_null(row as usize) => {
                    *last = row;
                }
                _ => newest.push(row),
            }
        }
        let num_superseded = (num_rows - newest.len()) as u64;
        let ages = if upsert.sequence_is_age {
            ages(&newest, by_age)
        } else {
            Vec::new()
        };
        Selection {
            rows: newest,
            ages,
            num_superseded,
        }
    }

    /// Appends a selected row as COPY wants it, into the table or into the stage of an `upsert`, whose sequence begins at
    /// `staged_from`.
    pub(super) fn append(
        &self,
        selection: &Selection,
        index: usize,
        is_upsert: bool,
        staged_from: Option<u32>,
        out: &mut Vec<u8>,
    ) {
        let start = out.len();
        out.extend_from_slice(self.tuples.tuple(selection.rows[index] as usize));
        if let Some(first) = staged_from {
            let sequence = first + selection.ages.get(index).copied().unwrap_or(index as u32);
            out.extend_from_slice(&4_i32.to_be_bytes());
            out.extend_from_slice(&sequence.to_be_bytes());
        } else if is_upsert && let Some(count) = out[start..].first_chunk_mut() {
            // The tuple was written for the stage, which has a column more.
            *count = u16::from_be_bytes(*count).saturating_sub(1).to_be_bytes();
        }
    }
}

/// Sorts by key, then by age, then as the log has them. The first eight bytes decide most comparisons without a look
/// at the keys themselves.
fn sort_by_key(rows: &mut Vec<u32>, keys: &SortKeys, by_age: impl Fn(u32, u32) -> std::cmp::Ordering) {
    let prefix = |row: u32| {
        let key = keys.key(row as usize);
        let mut prefix = [0; 8];
        let len = key.len().min(8);
        prefix[..len].copy_from_slice(&key[..len]);
        u64::from_be_bytes(prefix)
    };
    let mut sorted: Vec<(u64, u32)> = rows.iter().map(|&row| (prefix(row), row)).collect();
    sorted.sort_unstable_by(|left, right| {
        left.0
            .cmp(&right.0)
            .then_with(|| keys.key(left.1 as usize).cmp(keys.key(right.1 as usize)))
            .then_with(|| by_age(left.1, right.1))
            .then(left.1.cmp(&right.1))
    });
    rows.clear();
    rows.extend(sorted.into_iter().map(|(_, row)| row));
}

/// The rank of each row among all by age, then as the log has them.
fn ages(rows: &[u32], by_age: impl Fn(u32, u32) -> std::cmp::Ordering) -> Vec<u32> {
    let mut places: Vec<u32> = (0..rows.len() as u32).collect();
    places.sort_by(|&left, &right| {
        let (left, right) = (rows[left as usize], rows[right as usize]);
        by_age(left, right).then(left.cmp(&right))
    });
    let mut ages = vec![0; rows.len()];
    for (age, &place) in places.iter().enumerate() {
        ages[place as usize] = age as u32;
    }
    ages
}
