//! The part of a load transaction in which rows are written and records found guilty.

use std::collections::BTreeMap;

use diesel::{
    QueryableByName, RunQueryDsl,
    connection::SimpleConnection,
    sql_types::{BigInt, Integer, Nullable},
};

use super::{
    batch::LoadBatch,
    bisect::{Attempt, Search},
    copy::copy_in,
    gear::Gear,
    loader::TableSpec,
    prepared::{Prepared, Upsert},
    rows::{Rows, Selection},
};
use crate::{
    failpoint,
    model::{Rejected, RowCounts},
    store::{Remedy, Session, StoreError},
};

/// "ON CONFLICT DO UPDATE command cannot affect row a second time".
const CARDINALITY_VIOLATION: &str = "21000";

/// "duplicate key value violates unique constraint".
const UNIQUE_VIOLATION: &str = "23505";

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

/// A stage that holds more rows of earlier attempts than this, and than a few times the next one, is emptied before it.
/// Emptying makes a new file and a new row of `pg_class`, and a transaction that did it for each of ten thousand attempts
/// would take minutes.
const LONG_STAGE: usize = 1_000;

/// What a stage holds.
#[derive(Clone, Copy, Default)]
pub(super) struct Staged {
    /// Rows that a merge has to read, those of attempts that were rolled back included.
    num_rows: usize,
    /// The sequence of the next row: a merge leaves out what came before.
    next: u32,
}

/// What is known within the transaction.
pub(super) struct Writing<'a> {
    pub session: &'a mut Session,
    pub batch: &'a LoadBatch<'a>,
    pub specs: &'a [TableSpec],
    pub prepared: &'a [Prepared],
    pub rows: &'a [Rows],
    pub counts: Vec<RowCounts>,
    /// What a table's stage holds of earlier attempts.
    pub staged: Vec<Staged>,
    /// Whether a table's rows go by the second gear for the rest of the batch: the first has met a key, or another unique
    /// value, that was there.
    pub second: Vec<bool>,
    /// How the next rows of each table are sent.
    pub gears: &'a mut [Gear],
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
        if selection.rows.is_empty() {
            return Ok(RowCounts::default());
        }
        let Some(upsert) = &prepared.upsert else {
            return self.copy(table, &selection);
        };
        if upsert.may_copy && !self.second[table] && self.gears[table].is_first() {
            self.execute("set savepoint", "SAVEPOINT aqueduct_gear")
                .map_err(|error| failed(table, false, error))?;
            match self.copy(table, &selection) {
                Ok(counts) => {
                    self.execute("release savepoint", "RELEASE SAVEPOINT aqueduct_gear")
                        .map_err(|error| failed(table, false, error))?;
                    self.gears[table].held();
                    return Ok(counts);
                }
                // Of the key, or of another index: then the second gear meets it again.
                Err(refused) if refused.error.sqlstate() == Some(UNIQUE_VIOLATION) => {
                    self.gears[table].failed();
                    self.second[table] = true;
                }
                Err(refused) => return Err(refused),
            }
            let back = "ROLLBACK TO SAVEPOINT aqueduct_gear; RELEASE SAVEPOINT aqueduct_gear";
            self.execute("roll back to savepoint", back)
                .map_err(|error| failed(table, false, error))?;
        }
        let counts = self.merge(table, upsert, &selection)?;
        self.gears[table].went_second(counts.inserted == selection.rows.len() as u64);
        Ok(counts)
    }

    /// Sends rows straight to the table.
    fn copy(&mut self, table: usize, selection: &Selection) -> Result<RowCounts, Failed> {
        let target = &self.prepared[table].copy_target;
        let num_copied = self.send(table, selection, target, None)?;
        Ok(RowCounts {
            inserted: num_copied,
            // The server does not count the rows that a trigger drops: they leave the table as it was.
            unchanged: (selection.rows.len() as u64).saturating_sub(num_copied),
            superseded: selection.num_superseded,
            ..RowCounts::default()
        })
    }

    /// Sends rows to the stage, and merges that.
    fn merge(&mut self, table: usize, upsert: &Upsert, selection: &Selection) -> Result<RowCounts, Failed> {
        let first = self.staged[table].next;
        // Counted whether they stay or not: what is rolled back is still in the file.
        self.staged[table].num_rows += selection.rows.len();
        self.staged[table].next += selection.rows.len() as u32;
        let num_copied = self.send(table, selection, &upsert.stage_target, Some(first))?;
        let place = self.prepared[table].target.place();
        let session = &mut *self.session;
        let merged: Merged = diesel::sql_query(&upsert.merge)
            .bind::<Integer, _>(first.cast_signed())
            .get_result(session.conn())
            .map_err(|error| failed(table, false, session.failed("merge rows", place, error)))?;
        failpoint::reach("load-after-merge");
        let count = |value: i64| value.max(0).cast_unsigned();
        let (inserted, updated) = (count(merged.inserted), count(merged.updated));
        let rest = num_copied.saturating_sub(inserted + updated);
        let unchanged = merged.unchanged.map_or(rest, count).min(rest);
        let superseded = selection.num_superseded + rest - unchanged;
        Ok(RowCounts {
            inserted,
            updated,
            unchanged,
            superseded,
        })
    }

    /// Outside the attempt, whose failure would undo it.
    fn empty_long_stages(&mut self, num_records: usize) -> Result<(), StoreError> {
        let prepared = self.prepared;
        for (table, prepared) in prepared.iter().enumerate() {
            if let Some(upsert) = &prepared.upsert
                && self.staged[table].num_rows > LONG_STAGE.max(4 * num_records)
            {
                self.execute("empty the stage", &upsert.empty_stage)?;
                self.staged[table].num_rows = 0;
            }
        }
        Ok(())
    }

    fn send(
        &mut self,
        table: usize,
        selection: &Selection,
        target: &str,
        staged_from: Option<u32>,
    ) -> Result<u64, Failed> {
        let (rows, session) = (&self.rows[table], &mut *self.session);
        let is_upsert = self.prepared[table].upsert.is_some();
        let append = |index, out: &mut Vec<u8>| rows.append(selection, index, is_upsert, staged_from, out);
        failpoint::reach("load-before-copy");
        let sent = copy_in(session.conn(), target, selection.rows.len(), append);
        failpoint::reach("load-after-copy");
        let place = || self.prepared[table].target.place();
        sent.map(|num_copied| num_copied as u64)
            .map_err(|error| failed(table, true, session.failed("copy rows", place(), error)))
    }
}

fn failed(table: usize, within_copy: bool, error: StoreError) -> Failed {
    Failed {
        table,
        within_copy,
        error,
    }
}

impl Search for Writing<'_> {
    type Refusal = Refusal;
    type Error = Stop;

    fn attempt(&mut self, records: &[u32]) -> Result<Attempt<Refusal>, Stop> {
        *self.num_attempts += 1;
        self.empty_long_stages(records.len())?;
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
