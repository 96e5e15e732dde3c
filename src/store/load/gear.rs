//! The two gears of an `upsert`.
//!
//! Most streams bring keys that the table does not have yet. For them COPY straight into the table is half of the server's
//! work: no stage, no join, no second copy of each row. A batch in which one key is there after all fails with 23505; it is
//! taken back to a savepoint and goes the long way, by the stage. How soon the first gear is tried again depends on how
//! often it failed: a stream in which every batch has a known key should not pay for the attempt each time.

use diesel::{
    QueryableByName, RunQueryDsl,
    sql_types::{Bool, Oid},
};

use super::target::Target;
use crate::store::{Session, StoreError};

/// The most batches of nothing but new keys that the second gear wants to see before it gives way.
const MOST_CAUTION: u32 = 64;

/// Which gear a table's next batch takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gear {
    /// Batches in a row without a known key that are still wanted; 0 = the first gear.
    wanted: u32,
    /// `wanted` after the next failure.
    caution: u32,
    /// Batches in a row that went in by the first gear.
    num_held: u32,
}

impl Default for Gear {
    fn default() -> Self {
        Self {
            wanted: 0,
            caution: 1,
            num_held: 0,
        }
    }
}

impl Gear {
    /// Whether rows are copied straight into the table.
    pub(super) fn is_first(self) -> bool {
        self.wanted == 0
    }

    /// The first gear has met a key that was there.
    pub(super) fn failed(&mut self) {
        self.wanted = self.caution;
        self.caution = (self.caution * 2).min(MOST_CAUTION);
        self.num_held = 0;
    }

    /// Rows went in by the first gear.
    pub(super) fn held(&mut self) {
        self.num_held += 1;
        if self.num_held >= 2 * self.caution {
            self.caution = (self.caution / 2).max(1);
            self.num_held = 0;
        }
    }

    /// Rows went in by the second gear; `all_new`: it was not needed.
    pub(super) fn went_second(&mut self, all_new: bool) {
        self.wanted = if all_new {
            self.wanted.saturating_sub(1)
        } else {
            (self.caution / 2).max(1)
        };
    }
}

#[derive(QueryableByName)]
struct Allowed {
    #[diesel(sql_type = Bool)]
    allowed: bool,
}

/// COPY passes rules over and refuses row-level security; a trigger that runs before a row may change its key or leave it
/// out. These tables keep to the one way that means the same in both gears.
const ALLOWED: &str = "SELECT NOT (c.relhasrules OR row_security_active(c.oid) OR EXISTS (SELECT FROM pg_trigger AS g \
     WHERE (g.tgrelid = c.oid OR g.tgrelid IN (SELECT relid FROM pg_partition_tree(c.oid))) \
     AND NOT g.tgisinternal AND (g.tgtype & 7) = 7)) AS allowed FROM pg_class AS c WHERE c.oid = $1";

/// Whether COPY into this table does what INSERT does.
pub(super) fn first_is_allowed(session: &mut Session, target: &Target) -> Result<bool, StoreError> {
    let row: Allowed = diesel::sql_query(ALLOWED)
        .bind::<Oid, _>(target.oid)
        .get_result(session.conn())
        .map_err(|error| session.failed("read the triggers", target.place(), error))?;
    Ok(row.allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of `batches` (`true` = all keys are new) were tried in the first gear in vain.
    fn failures(batches: impl IntoIterator<Item = bool>) -> usize {
        let mut gear = Gear::default();
        let mut num_failures = 0;
        for all_new in batches {
            if gear.is_first() && all_new {
                gear.held();
                continue;
            }
            if gear.is_first() {
                gear.failed();
                num_failures += 1;
            }
            gear.went_second(all_new);
        }
        num_failures
    }

    #[test]
    fn a_stream_of_new_keys_stays_in_the_first_gear() {
        assert_eq!(failures([true; 1000]), 0);
    }

    #[test]
    fn a_stream_with_known_keys_in_each_batch_fails_once() {
        assert_eq!(failures([false; 1000]), 1);
    }

    #[test]
    fn one_known_key_does_not_keep_a_stream_of_new_keys_slow() {
        let mut gear = Gear::default();
        gear.failed();
        gear.went_second(false);
        assert!(!gear.is_first());
        gear.went_second(true);
        assert!(gear.is_first());
    }

    #[test]
    fn a_stream_that_changes_its_mind_fails_ever_more_rarely() {
        let every_third_is_known = (0..3_000).map(|number| number % 3 != 0);
        assert_eq!(failures(every_third_is_known), 3);
    }

    #[test]
    fn a_rare_known_key_costs_one_failure_and_is_forgotten() {
        let mut gear = Gear::default();
        for _ in 0..100 {
            gear.failed();
            gear.went_second(false);
            let mut num_second = 0;
            for _ in 0..99 {
                if gear.is_first() {
                    gear.held();
                } else {
                    gear.went_second(true);
                    num_second += 1;
                }
            }
            assert!(num_second <= 1, "{num_second}");
        }
    }
}
