//! The part of a load transaction in which rows are written and records found guilty.

use std::collections::BTreeMap;

use diesel::{
    QueryableByName, RunQueryDsl,
    connection::SimpleConnection,
    sql_types::{BigInt, Nullable},
};

use super::{
    batch::LoadBatch,
    bisect::{Attempt, Search},
    copy::copy_in,
    loader::TableSpec,
    prepared::Prepared,
    rows::Rows,
};
use crate::{
    model::{Rejected, RowCounts},
    store::{Remedy, Session, StoreError},
};

/// "ON CONFLICT DO UPDATE command cannot affect row a second time".
const CARDINALITY_VIOLATION: &str = "21000";

/// Why a transaction cannot go on.
pub(super) enum Stop {
    /// As it says.
    Error(StoreError),
    /// The tables are not any more what was read: read them again, once.
    Stale(String),
    /// Too many dead letters.
    Braked(Vec<Rejected>),
    /// The caller's gate was shut.
    GateShut,
    /// The fence did not let it through.
    Fenced,
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Error(error)
    }
}

/// What is known within the transaction.
pub(super) struct Writing<'a> {
    pub session: &'a mut Session,
    pub batch: &'a LoadBatch<'a>,
    pub specs: &'a [TableSpec],
    pub prepared: &'a [Prepared],
    pub rows: &'a [Rows],
    pub counts: Vec<RowCounts>,
    /// Whether a table's stage holds rows of an attempt that succeeded.
    pub staged: Vec<bool>,
    pub num_attempts: &'a mut u64,
    pub max_dead: usize,
    pub dead: BTreeMap<u32, Rejected>,
}

#[derive(QueryableByName)]
struct Merged {
    #[diesel(sql_type = BigInt)]
    inserted: i64,
    #[diesel(sql_type = BigInt)]
    updated: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    unchanged: Option<i64>,
}

/// What the server refused, where.
struct Failed {
    table: usize,
    within_copy: bool,
    error: StoreError,
}

/// What is known about a refused record.
pub(super) struct Refusal {
    table: usize,
    reason: String,
}

impl Writing<'_> {
    pub(super) fn execute(&mut self, operation: &'static str, statement: &str) -> Result<(), StoreError> {
        let place = self.session.place().to_owned();
        self.session
            .conn()
            .batch_execute(statement)
            .map_err(|error| self.session.failed(operation, place, error))
    }

    /// The letters of this batch, in offset order.
    pub(super) fn letters(&self) -> Vec<Rejected> {
        let mut letters: Vec<Rejected> = self
            .batch
            .earlier_letters()
            .cloned()
            .chain(self.dead.values().cloned())
            .collect();
        letters.sort_by_key(|letter| letter.position.offset);
        letters
    }

    fn write_tables(&mut self, records: &[u32]) -> Result<Vec<RowCounts>, Failed> {
        (0..self.prepared.len())
            .map(|table| self.write_table(table, records))
            .collect()
    }

    fn write_table(&mut self, table: usize, records: &[u32]) -> Result<RowCounts, Failed> {
        let (prepared, rows) = (&self.prepared[table], &self.rows[table]);
        let selection = rows.select(records, prepared);
        let num_rows = selection.rows.len();
        if num_rows == 0 {
            return Ok(RowCounts::default());
        }
        let session = &mut *self.session;
        let place = || prepared.target.place();
        let failed = |within_copy, error| Failed {
            table,
            within_copy,
            error,
        };
        let staged = prepared.upsert.is_some();
        if let Some(upsert) = prepared.upsert.as_ref().filter(|_| self.staged[table]) {
            let emptied = session.conn().batch_execute(&upsert.empty_stage);
            emptied.map_err(|error| failed(false, session.failed("empty the stage", place(), error)))?;
        }
        let append = |index, out: &mut Vec<u8>| rows.append(&selection, index, staged, out);
        let num_copied = copy_in(session.conn(), &prepared.copy_target, num_rows, append)
            .map_err(|error| failed(true, session.failed("copy rows", place(), error)))?;
        let Some(upsert) = &prepared.upsert else {
            // The server does not count the rows that a trigger drops: they leave the table as it was.
            let unchanged = num_rows.saturating_sub(num_copied) as u64;
            return Ok(RowCounts {
                inserted: num_copied as u64,
                unchanged,
                ..RowCounts::default()
            });
        };
        self.staged[table] = true;
        let merged: Merged = diesel::sql_query(&upsert.merge)
            .get_result(session.conn())
            .map_err(|error| failed(false, session.failed("merge rows", place(), error)))?;
        let count = |value: i64| value.max(0).cast_unsigned();
        let (inserted, updated) = (count(merged.inserted), count(merged.updated));
        let rest = (num_copied as u64).saturating_sub(inserted + updated);
        let unchanged = merged.unchanged.map_or(rest, count).min(rest);
        let superseded = selection.num_superseded + rest - unchanged;
        Ok(RowCounts {
            inserted,
            updated,
            unchanged,
            superseded,
        })
    }
}

impl Search for Writing<'_> {
    type Refusal = Refusal;
    type Error = Stop;

    fn attempt(&mut self, records: &[u32]) -> Result<Attempt<Refusal>, Stop> {
        *self.num_attempts += 1;
        let staged = self.staged.clone();
        self.execute("set savepoint", "SAVEPOINT aqueduct_attempt")?;
        let failed = match self.write_tables(records) {
            Ok(counts) => {
                self.execute("release savepoint", "RELEASE SAVEPOINT aqueduct_attempt")?;
                self.counts
                    .iter_mut()
                    .zip(counts)
                    .for_each(|(sum, counts)| *sum += counts);
                return Ok(Attempt::Written);
            }
            Err(failed) => failed,
        };
        let Failed {
            table,
            within_copy,
            error,
        } = failed;
        match error.remedy(within_copy) {
            Remedy::Bisect => {}
            // A trigger has made two keys equal that were not. One after the other they are fine.
            _ if error.sqlstate() == Some(CARDINALITY_VIOLATION) => {}
            Remedy::RetrySmaller if self.batch.reject_if_too_large && records.len() == 1 => {}
            Remedy::ReadTypes => return Err(Stop::Stale(error.reason())),
            _ => return Err(Stop::Error(error)),
        }
        self.execute(
            "roll back to savepoint",
            "ROLLBACK TO SAVEPOINT aqueduct_attempt; RELEASE SAVEPOINT aqueduct_attempt",
        )?;
        self.staged = staged;
        Ok(Attempt::Refused(Refusal {
            table,
            reason: error.reason(),
        }))
    }

    fn reject(&mut self, record: u32, refusal: Refusal) -> Result<(), Stop> {
        let letter = self
            .batch
            .letter(record, &self.specs[refusal.table].table.name, refusal.reason);
        self.dead.insert(record, letter);
        if self.dead.len() > self.max_dead {
            Err(Stop::Braked(self.letters()))
        } else {
            Ok(())
        }
    }
}
