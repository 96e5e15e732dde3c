//! Which records may be committed with which state. Pure: records and states in, pages out.
//!
//! Records wait for the state that follows them, because only then does a run that begins at that state not print them
//! again. When more of them wait than a page holds they go all the same, and the cursor says how many they were and what
//! they were: a repeat of the run leaves out as many, if they are the same. A program that has never printed a state is
//! not waited for: its records go as they come.

use tokio::time::Instant;

use super::cursor::{Prefix, RunCursor};
use crate::{api::http::Fetched, config::settings::Batch, model::PageRecord};

/// The repeat of a run has printed other records than the run before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Diverged {
    /// How many of them were left out as known.
    pub(super) num_left_out: u64,
}

/// One run's records and states on their way into pages.
pub(super) struct Assembly {
    limits: Batch,
    /// Records wait for a state even before there has been one.
    waits: bool,
    /// What the pages so far have left: what the next one begins with.
    cursor: RunCursor,
    /// The state that was printed last, in whatever page it will be.
    state: Option<String>,
    /// Records that a state follows.
    ready: Vec<PageRecord>,
    /// Records that no state follows.
    tail: Vec<PageRecord>,
    size_bytes: usize,
    /// Records since `state` that are in pages already.
    since: Prefix,
    /// Since when something could go.
    oldest: Option<Instant>,
    /// What the run before has committed beyond its state, and how much of it was seen again.
    known: Option<(Prefix, Prefix)>,
}

impl Assembly {
    /// A run that begins at `cursor`. `waits`: the program is known to print states.
    pub(super) fn new(limits: Batch, waits: bool, cursor: RunCursor) -> Self {
        let known = (!cursor.since.is_empty()).then(|| (cursor.since.clone(), Prefix::default()));
        Self {
            limits,
            waits,
            state: cursor.state.clone(),
            cursor,
            ready: Vec::new(),
            tail: Vec::new(),
            size_bytes: 0,
            since: Prefix::default(),
            oldest: None,
            known,
        }
    }

    /// Takes a record.
    pub(super) fn record(&mut self, record: PageRecord, now: Instant) -> Result<(), Diverged> {
        if let Some((known, seen)) = &mut self.known {
            seen.extend(&record);
            self.since.extend(&record);
            if seen.records < known.records {
                return Ok(());
            }
            if seen != known {
                let num_left_out = seen.records;
                return Err(Diverged { num_left_out });
            }
            self.known = None;
            return Ok(());
        }
        self.size_bytes += record.payload.len();
        self.tail.push(record);
        if !self.holds() {
            self.oldest.get_or_insert(now);
        }
        Ok(())
    }

    /// Takes the program's state: everything before it is behind. The same state once more says nothing: a run that
    /// begins at it would print again what came since it was printed first.
    pub(super) fn state(&mut self, state: String, now: Instant) {
        if self.state.as_ref() == Some(&state) {
            return;
        }
        self.state = Some(state);
        self.since = Prefix::default();
        self.ready.append(&mut self.tail);
        // While known records pass, nothing of this run can go.
        if self.known.is_none() {
            self.oldest.get_or_insert(now);
        }
    }

    /// Whether records wait for a state.
    fn holds(&self) -> bool {
        self.waits || self.state.is_some()
    }

    /// When something will go of its own accord.
    pub(super) fn due(&self) -> Option<Instant> {
        self.oldest.map(|oldest| oldest + self.limits.age)
    }

    /// The next page, if one is full or old enough.
    pub(super) fn page(&mut self, now: Instant) -> Option<Fetched> {
        let is_full = self.ready.len() + self.tail.len() >= self.limits.rows || self.size_bytes >= self.limits.bytes;
        let is_old = self.due().is_some_and(|due| due <= now);
        if !is_full && !is_old {
            return None;
        }
        if self.has_ready() {
            return Some(self.ready_page());
        }
        self.extend_since();
        Some(self.cut(true, false))
    }

    /// Whether something has its state, so that a failure of the run does not concern it.
    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty() || (self.known.is_none() && self.state != self.cursor.state)
    }

    /// The records that a state follows, with that state.
    pub(super) fn ready_page(&mut self) -> Fetched {
        self.cut(false, false)
    }

    /// The run has ended well: all of it goes.
    pub(super) fn last_page(&mut self) -> Result<Fetched, Diverged> {
        if let Some((_, seen)) = &self.known {
            let num_left_out = seen.records;
            return Err(Diverged { num_left_out });
        }
        // What comes after the last state will come again when the next run begins there. Without a state the next run
        // is meant to begin anew.
        if self.state.is_some() {
            self.extend_since();
        } else {
            self.since = Prefix::default();
        }
        Ok(self.cut(true, true))
    }

    fn extend_since(&mut self) {
        // Where nothing is waited for, a repeat is not expected to print the same again.
        if self.holds() {
            self.tail.iter().for_each(|record| self.since.extend(record));
        }
    }

    fn cut(&mut self, with_tail: bool, done: bool) -> Fetched {
        let mut records = std::mem::take(&mut self.ready);
        if with_tail {
            records.append(&mut self.tail);
        }
        let size_bytes = records.iter().map(|record| record.payload.len()).sum();
        self.size_bytes -= size_bytes;
        self.oldest = None;
        self.cursor = RunCursor {
            state: self.state.clone(),
            since: self.since.clone(),
            records: self.cursor.records + records.len() as u64,
            done,
            ..self.cursor.clone()
        };
        Fetched {
            records,
            cursor_after: self.cursor.to_value(),
            at_end: done,
            size_bytes,
        }
    }

    /// Whether a repeat of the run leaves out what its pages have held.
    pub(super) fn is_kept(&self) -> bool {
        self.holds()
    }

    /// The cursor after the last page.
    pub(super) fn cursor(&self) -> &RunCursor {
        &self.cursor
    }
}

#[cfg(test)]
mod tests;
