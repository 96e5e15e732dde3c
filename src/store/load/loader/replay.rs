//! The transaction of a replay: rows, letters and ledger, as in a load, but neither fence nor offset.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
};

use super::{Loader, settled_stop};
use crate::{
    model::{RecordCounts, Rejected, RowCounts},
    store::{
        Session, StoreError, dead_letters, ledger,
        load::{
            batch::LoadBatch,
            bisect,
            rows::Rows,
            target,
            writing::{Staged, Stop, Writing},
        },
    },
};

/// What became of replayed letters.
#[derive(Clone, Debug, Default)]
pub struct Revived {
    /// Records that are not dead any more: applied and filtered. `consumed` is their sum.
    pub counts: RecordCounts,
    /// Letters that were refused again, with the new reason.
    pub refused: Vec<Rejected>,
    /// What became of rows, by table.
    pub rows: Vec<RowCounts>,
    /// Letters that somebody else has replayed or purged meanwhile.
    pub num_gone: u64,
}

impl Loader {
    /// Writes the records of dead letters. `batch.records[i]` is the record of letter `ids[i]`, in offset order; fence and
    /// `next_offset` say only which offsets they lie between. Each letter is locked first, and one that is gone is left
    /// out: a record is written once, however often it is replayed, by whomever.
    pub fn replay(&mut self, session: &mut Session, batch: &LoadBatch<'_>, ids: &[i64]) -> Result<Revived, StoreError> {
        if self.backend_pid != Some(session.backend_pid()) {
            self.prepare(session)?;
        }
        let mut tried = self.try_replay(session, batch, ids);
        if let Err(stop) = &tried
            && self.may_be_stale(session, stop)?
        {
            self.prepare(session)?;
            tried = self.try_replay(session, batch, ids);
        }
        tried.map_err(|stop| settled_stop(batch, stop))
    }

    fn try_replay(&mut self, session: &mut Session, batch: &LoadBatch<'_>, ids: &[i64]) -> Result<Revived, Stop> {
        let dead = self.encode(batch)?;
        session.begin()?;
        let mut rows = mem::take(&mut self.rows);
        let revived = self.revive(session, batch, &rows, dead, ids);
        rows.truncate(self.specs.len());
        self.rows = rows;
        match revived {
            Ok(revived) => {
                session.commit()?;
                Ok(revived)
            }
            Err(stop) => {
                session.roll_back();
                Err(stop)
            }
        }
    }

    fn revive(
        &mut self,
        session: &mut Session,
        batch: &LoadBatch<'_>,
        rows: &[Rows],
        dead: BTreeMap<u32, Rejected>,
        ids: &[i64],
    ) -> Result<Revived, Stop> {
        let there: BTreeSet<i64> = dead_letters::lock(session, ids)?.into_iter().collect();
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
            max_dead: usize::MAX,
            dead,
        };
        writing.execute("set constraints", "SET CONSTRAINTS ALL IMMEDIATE")?;
        let with_rows: Vec<u32> = (0..ids.len() as u32)
            .filter(|&record| there.contains(&ids[record as usize]) && rows.iter().any(|rows| rows.has(record)))
            .collect();
        let alive: Vec<u32> = with_rows
            .iter()
            .copied()
            .filter(|record| !writing.dead.contains_key(record))
            .collect();
        if self.keeps_existing {
            bisect::write_all_newest_first(&mut writing, &alive)?;
        } else {
            bisect::write_all(&mut writing, &alive)?;
        }
        let shape = target::shape(writing.session, self.specs.iter().map(|spec| spec.table.name.as_str()))?;
        if shape != self.shape {
            return Err(Stop::Stale("a table has changed".into()));
        }
        let id_at: BTreeMap<i64, i64> = batch
            .records
            .iter()
            .zip(ids)
            .filter(|(_, id)| there.contains(id))
            .map(|(record, id)| (record.offset, *id))
            .collect();
        let (letters, row_counts) = (writing.letters(), mem::take(&mut writing.counts));
        // A record has one letter, whatever refused it first.
        let refused: BTreeMap<i64, &Rejected> = letters
            .iter()
            .rev()
            .filter_map(|letter| Some((*id_at.get(&letter.position.offset)?, letter)))
            .collect();
        let num_applied = with_rows
            .iter()
            .filter(|&&record| !refused.contains_key(&ids[record as usize]))
            .count() as u64;
        let revived: Vec<i64> = there.iter().copied().filter(|id| !refused.contains_key(id)).collect();
        let counts = RecordCounts {
            consumed: revived.len() as u64,
            applied: num_applied,
            filtered: (revived.len() as u64).saturating_sub(num_applied),
            ..RecordCounts::default()
        };
        let again: Vec<(i64, &Rejected)> = refused.iter().map(|(id, letter)| (*id, *letter)).collect();
        dead_letters::refuse_again(session, &again)?;
        let key = &batch.fence.key;
        for (spec, counts) in self.specs.iter().zip(&row_counts) {
            if *counts != RowCounts::default() {
                ledger::add_row_counts(session, key, &spec.table.name, counts)?;
            }
        }
        dead_letters::revive(session, key, &revived, &counts)?;
        Ok(Revived {
            counts,
            refused: refused.into_values().cloned().collect(),
            rows: row_counts,
            num_gone: (ids.len() - there.len()) as u64,
        })
    }
}
