//! Writes batches: what a writer keeps for its pipeline, and the transaction itself.

mod replay;

use std::{collections::BTreeMap, mem};

pub use replay::Revived;

use super::{
    batch::{LoadBatch, Outcome},
    bisect,
    create::create_table,
    gear::Gear,
    prepared::Prepared,
    rows::Rows,
    target::{self, Target},
    writing::{Staged, Stop, Writing},
};
use crate::{
    config::settings,
    failpoint,
    model::{RecordCounts, Rejected, RowCounts, Verdict},
    sql::{OnNul, arrow::datatypes::SchemaRef, encode::RowFailure},
    store::{Session, StoreError, dead_letters, ledger, offsets},
};

/// A table of the pipeline and what its query yields.
#[derive(Clone, Debug)]
pub struct TableSpec {
    /// As configured.
    pub table: settings::Table,
    /// The query's columns, with or without the lineage.
    pub schema: SchemaRef,
}

/// Writes a pipeline's batches through one session at a time. On a new session it makes itself ready again.
pub struct Loader {
    specs: Vec<TableSpec>,
    on_nul: OnNul,
    prepared: Vec<Prepared>,
    /// What the tables looked like when they were read.
    shape: String,
    /// The backend on which `prepared` holds: its temporary tables are there.
    backend_pid: Option<i32>,
    rows: Vec<Rows>,
    gears: Vec<Gear>,
    num_attempts: u64,
    /// Rows that are there are left as they are, unless `order_by` says that they are older.
    keeps_existing: bool,
    /// What the last transaction would have settled, for the case that its answer was lost.
    last: Option<(offsets::Fence, Summary)>,
}

/// What a transaction settles.
#[derive(Clone, Default)]
struct Summary {
    counts: RecordCounts,
    rows: Vec<RowCounts>,
    dead: Vec<Rejected>,
}

impl Loader {
    /// A loader that has not touched a server yet.
    pub fn new(specs: Vec<TableSpec>) -> Self {
        let rows = specs.iter().map(|_| Rows::default()).collect();
        let gears = vec![Gear::default(); specs.len()];
        Self {
            specs,
            on_nul: OnNul::Reject,
            prepared: Vec::new(),
            shape: String::new(),
            backend_pid: None,
            rows,
            gears,
            num_attempts: 0,
            keeps_existing: false,
            last: None,
        }
    }

    /// Says what happens with U+0000 in a JSON text that goes into a `jsonb`.
    pub fn with_on_nul(mut self, on_nul: OnNul) -> Self {
        self.on_nul = on_nul;
        self
    }

    /// A loader for records that come long after their neighbours: an `upsert` leaves rows that are there as they are,
    /// unless `order_by` says that the record is strictly newer. Which record wrote them, and when, no table remembers.
    pub fn keeping_existing(specs: Vec<TableSpec>) -> Self {
        Self {
            keeps_existing: true,
            ..Self::new(specs)
        }
    }

    /// Reads every table, creates what is to be created, and checks that the queries fit; all problems at once.
    /// [`Loader::write_batch`] does it by itself when the session is new.
    pub fn prepare(&mut self, session: &mut Session) -> Result<(), StoreError> {
        self.backend_pid = None;
        self.prepared.clear();
        let mut problems = Vec::new();
        for spec in &self.specs {
            if spec.table.create && Target::read(session, &spec.table.name)?.is_none() {
                create_table(session, &spec.table, &spec.schema)?;
            }
        }
        // Before the tables are read: what changes meanwhile is found by the first batch.
        self.shape = self.shape_now(session)?;
        for (index, spec) in self.specs.iter().enumerate() {
            match Prepared::new(session, spec, (index, self.keeps_existing), self.on_nul) {
                Ok(prepared) => self.prepared.push(prepared),
                Err(StoreError::Mismatch { place, problem }) => problems.push((place, problem)),
                Err(error) => return Err(error),
            }
        }
        if problems.is_empty() {
            self.backend_pid = Some(session.backend_pid());
            return Ok(());
        }
        let (place, problem) = problems.remove(0);
        let rest = problems
            .into_iter()
            .map(|(place, problem)| format!("; {place}: {problem}"));
        Err(StoreError::Mismatch {
            place,
            problem: problem + &rest.collect::<String>(),
        })
    }

    fn shape_now(&self, session: &mut Session) -> Result<String, StoreError> {
        target::shape(session, self.specs.iter().map(|spec| spec.table.name.as_str()))
    }

    /// How many times rows were sent to be written, over all batches: one a batch, and the bisections.
    pub fn num_attempts(&self) -> u64 {
        self.num_attempts
    }

    /// Writes a batch in one transaction. `gate` is asked last, just before the offset moves: `false` = roll back,
    /// [`Outcome::Lost`].
    ///
    /// [`StoreError::Commit`]: ask [`Loader::settle_unknown`] on a new session. [`crate::store::Remedy::RetrySmaller`]: try again,
    /// then [`LoadBatch::split`]. Whatever the error, nothing was written but in the first case.
    pub fn write_batch(
        &mut self,
        session: &mut Session,
        batch: &LoadBatch<'_>,
        gate: &mut dyn FnMut() -> bool,
    ) -> Result<Outcome, StoreError> {
        if self.backend_pid != Some(session.backend_pid()) {
            self.prepare(session)?;
        }
        let mut written = self.try_batch(session, batch, gate);
        if let Err(stop) = &written
            && self.may_be_stale(session, stop)?
        {
            self.prepare(session)?;
            written = self.try_batch(session, batch, gate);
        }
        match written {
            Ok(summary) => Ok(settled(batch, summary)),
            Err(stop @ (Stop::Error(_) | Stop::Stale(_))) => Err(settled_stop(batch, stop)),
            Err(Stop::Braked(dead)) => Ok(Outcome::Braked { dead }),
            Err(Stop::GateShut) => Ok(Outcome::Lost),
            Err(Stop::Fenced) => self.decide(session, batch),
        }
    }

    /// Whether a batch may have failed, or its records have been refused, only because the tables have changed since
    /// they were read.
    fn may_be_stale(&self, session: &mut Session, stop: &Stop) -> Result<bool, StoreError> {
        let ask = match stop {
            Stop::Stale(_) => return Ok(true),
            Stop::Braked(_) => true,
            Stop::Error(error) => error.verdict() == Verdict::Fail && !session.is_broken(),
            Stop::GateShut | Stop::Fenced => false,
        };
        Ok(ask && self.shape_now(session)? != self.shape)
    }

    /// After [`StoreError::Commit`], on a session that works: whether the batch is settled.
    /// [`Outcome::NotWritten`] = write it again.
    pub fn settle_unknown(&mut self, session: &mut Session, batch: &LoadBatch<'_>) -> Result<Outcome, StoreError> {
        match offsets::decide(session, &batch.fence, batch.next_offset)? {
            offsets::Decision::NotYet => Ok(Outcome::NotWritten),
            decision => self.outcome_of(decision, batch),
        }
    }

    /// The fence did not move: why?
    fn decide(&mut self, session: &mut Session, batch: &LoadBatch<'_>) -> Result<Outcome, StoreError> {
        let decision = offsets::decide(session, &batch.fence, batch.next_offset)?;
        self.outcome_of(decision, batch)
    }

    fn outcome_of(&mut self, decision: offsets::Decision, batch: &LoadBatch<'_>) -> Result<Outcome, StoreError> {
        use offsets::Decision;

        let impossible = |problem: String| StoreError::Mismatch {
            place: batch.fence.key.to_string(),
            problem,
        };
        match decision {
            Decision::Settled => {
                let last = self.last.take().filter(|(fence, _)| *fence == batch.fence);
                Ok(settled(batch, last.map(|(_, summary)| summary).unwrap_or_default()))
            }
            Decision::NotMine => Ok(Outcome::Lost),
            Decision::WentBack { .. } => Ok(Outcome::WentBack),
            Decision::NotYet => Err(impossible("the offset is where it was, and could not be moved".into())),
            Decision::Impossible { found } => Err(impossible(found)),
        }
    }

    fn try_batch(
        &mut self,
        session: &mut Session,
        batch: &LoadBatch<'_>,
        gate: &mut dyn FnMut() -> bool,
    ) -> Result<Summary, Stop> {
        // Outside the transaction: it holds no lock while the encoder works.
        let dead = self.encode(batch)?;
        session.begin()?;
        failpoint::reach("load-after-begin");
        let mut rows = mem::take(&mut self.rows);
        let written = self.write(session, batch, &rows, dead, gate);
        rows.truncate(self.specs.len());
        self.rows = rows;
        let summary = match written {
            Ok(summary) => summary,
            Err(stop) => {
                session.roll_back();
                return Err(stop);
            }
        };
        self.last = Some((batch.fence.clone(), summary.clone()));
        failpoint::reach("load-before-commit");
        session.commit()?;
        failpoint::reach("load-after-commit");
        self.last = None;
        Ok(summary)
    }

    /// Encodes all rows; the records of those that cannot be encoded are dead.
    fn encode(&mut self, batch: &LoadBatch<'_>) -> Result<BTreeMap<u32, Rejected>, StoreError> {
        let num_tables = batch.rows.tables.len();
        if num_tables != self.prepared.len() || batch.window.end > batch.records.len() {
            return Err(StoreError::Mismatch {
                place: batch.fence.key.to_string(),
                problem: format!("rows of {num_tables} tables for {} queries", self.prepared.len()),
            });
        }
        let mut dead = BTreeMap::new();
        for (index, prepared) in self.prepared.iter().enumerate() {
            let mut failures: Vec<(u32, RowFailure)> = Vec::new();
            self.rows[index].encode(prepared, &batch.rows.tables[index], &batch.window, &mut failures)?;
            for (record, failure) in failures {
                let reason = format!("{} {}", failure.sqlstate, failure.reason);
                dead.entry(record)
                    .or_insert_with(|| batch.letter(record, &self.specs[index].table.name, reason));
            }
        }
        Ok(dead)
    }

    /// Everything between BEGIN and COMMIT.
    fn write(
        &mut self,
        session: &mut Session,
        batch: &LoadBatch<'_>,
        rows: &[Rows],
        dead: BTreeMap<u32, Rejected>,
        gate: &mut dyn FnMut() -> bool,
    ) -> Result<Summary, Stop> {
        let num_earlier = batch.earlier_letters().count();
        let mut writing = Writing {
            session,
            batch,
            specs: &self.specs,
            prepared: &self.prepared,
            rows,
            counts: vec![RowCounts::default(); rows.len()],
            staged: vec![Staged::default(); rows.len()],
            second: vec![false; rows.len()],
            gears: &mut self.gears,
            num_attempts: &mut self.num_attempts,
            max_dead: batch.max_dead.saturating_sub(num_earlier),
            dead,
        };
        if num_earlier > batch.max_dead || writing.dead.len() > writing.max_dead {
            return Err(Stop::Braked(writing.letters()));
        }
        // Deferred constraints would fail at COMMIT, outside every savepoint.
        writing.execute("set constraints", "SET CONSTRAINTS ALL IMMEDIATE")?;
        let window = batch.window.start as u32..batch.window.end as u32;
        let with_rows: Vec<u32> = window
            .filter(|&record| rows.iter().any(|rows| rows.has(record)))
            .collect();
        let alive: Vec<u32> = with_rows
            .iter()
            .copied()
            .filter(|record| !writing.dead.contains_key(record))
            .collect();
        bisect::write_all(&mut writing, &alive)?;

        // The rows that were sent hold a lock on their tables by now. It is asked after them, for two reasons: bytes that
        // were meant for another type, and records that were refused for a limit that is gone.
        let shape = target::shape(writing.session, self.specs.iter().map(|spec| spec.table.name.as_str()))?;
        if shape != self.shape {
            return Err(Stop::Stale("a table has changed".into()));
        }
        let num_applied = with_rows
            .iter()
            .filter(|record| !writing.dead.contains_key(record))
            .count();
        let (letters, row_counts) = (writing.letters(), mem::take(&mut writing.counts));
        let consumed = batch.window.len() as u64;
        let mut offsets_of_dead: Vec<i64> = letters.iter().map(|letter| letter.position.offset).collect();
        offsets_of_dead.dedup();
        let num_dead = offsets_of_dead.len() as u64;
        let counts = RecordCounts {
            consumed,
            applied: num_applied as u64,
            filtered: consumed.saturating_sub(num_applied as u64 + num_dead),
            dead: num_dead,
            skipped: 0,
        };
        if batch.allow_dead.is_some_and(|allow| !allow(letters.len())) {
            return Err(Stop::Braked(letters));
        }
        let fence = &batch.fence;
        dead_letters::insert(session, &fence.key.pipeline, fence.topic_id, &letters)?;
        failpoint::reach("load-after-dead-letters");
        for (spec, counts) in self.specs.iter().zip(&row_counts) {
            if *counts != RowCounts::default() {
                ledger::add_row_counts(session, &fence.key, &spec.table.name, counts)?;
            }
        }
        failpoint::reach("load-after-counts");
        if !gate() {
            return Err(Stop::GateShut);
        }
        if !offsets::advance(session, fence, batch.next_offset, &counts)? {
            return Err(Stop::Fenced);
        }
        failpoint::reach("load-after-fence");
        Ok(Summary {
            counts,
            rows: row_counts,
            dead: letters,
        })
    }
}

/// A stop that is an error, or has become one by being repeated.
fn settled_stop(batch: &LoadBatch<'_>, stop: Stop) -> StoreError {
    let problem = match stop {
        Stop::Error(error) => return error,
        Stop::Stale(reason) => format!("the types were read again, and still: {reason}"),
        Stop::Braked(_) | Stop::GateShut | Stop::Fenced => "it was stopped by what a replay has not".into(),
    };
    StoreError::Mismatch {
        place: batch.fence.key.to_string(),
        problem,
    }
}

fn settled(batch: &LoadBatch<'_>, summary: Summary) -> Outcome {
    Outcome::Settled {
        next_offset: batch.next_offset,
        counts: summary.counts,
        rows: summary.rows,
        dead: summary.dead,
    }
}
