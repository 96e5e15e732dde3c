//! The ledger counts records: each has one fate over all tables of its pipeline.

use serde::{Deserialize, Serialize};

/// What became of records that the load branch consumed. Kept in the same transaction as the rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordCounts {
    /// Records taken from the log.
    pub consumed: u64,
    /// Records of which at least one row was written (or found equal, or superseded).
    pub applied: u64,
    /// Records that the SQL left out.
    pub filtered: u64,
    /// Records in the dead letters.
    pub dead: u64,
    /// Records that an operator skipped with `aqueduct offsets skip`.
    pub skipped: u64,
}

impl RecordCounts {
    /// Whether every consumed record has exactly one fate.
    pub fn adds_up(&self) -> bool {
        self.consumed == self.applied + self.filtered + self.dead + self.skipped
    }
}

impl std::ops::AddAssign for RecordCounts {
    fn add_assign(&mut self, other: Self) {
        self.consumed += other.consumed;
        self.applied += other.applied;
        self.filtered += other.filtered;
        self.dead += other.dead;
        self.skipped += other.skipped;
    }
}

/// What became of the rows of one table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowCounts {
    /// Rows that were new.
    pub inserted: u64,
    /// Rows that replaced an older version.
    pub updated: u64,
    /// Rows that left the table as it was: there already, equal in every query column, or dropped by the table's trigger.
    pub unchanged: u64,
    /// Rows that a later record of the same batch replaced before they were written.
    pub superseded: u64,
}

impl std::ops::AddAssign for RowCounts {
    fn add_assign(&mut self, other: Self) {
        self.inserted += other.inserted;
        self.updated += other.updated;
        self.unchanged += other.unchanged;
        self.superseded += other.superseded;
    }
}

/// A pipeline's ledger: `fetched = produced`, `consumed = applied + filtered + dead + skipped`,
/// `produced = consumed + pending + lost`, and `pending = 0` at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// Records that the source served; `None` where aqueduct does not fetch (`kind = "none"`).
    pub fetched: Option<u64>,
    /// Records appended to the topic; `None` where aqueduct does not fetch.
    pub produced: Option<u64>,
    /// The load side.
    #[serde(flatten)]
    pub records: RecordCounts,
    /// Records in the topic that are not yet consumed.
    pub pending: u64,
    /// Records that nobody could count, because they were gone when an operator skipped them: what is missing between
    /// `produced` and `consumed`, as far as the skips account for it. Exact when nothing is pending.
    #[serde(default)]
    pub lost: u64,
    /// How many skips hold such records. While it is not 0, `lost` is concluded, not counted.
    #[serde(default)]
    pub uncounted_skips: u64,
    /// Row counters by table.
    pub tables: std::collections::BTreeMap<String, RowCounts>,
}

impl Ledger {
    /// The first equation that does not hold, as a sentence; `None` when the ledger adds up.
    pub fn gap(&self) -> Option<String> {
        let counts = &self.records;
        if !counts.adds_up() {
            return Some(format!(
                "consumed {} but applied {} + filtered {} + dead {} + skipped {}",
                counts.consumed, counts.applied, counts.filtered, counts.dead, counts.skipped
            ));
        }
        match (self.fetched, self.produced) {
            (Some(fetched), Some(produced)) if fetched != produced => {
                Some(format!("fetched {fetched} but produced {produced}"))
            }
            (_, Some(produced)) if produced != counts.consumed + self.pending + self.lost => Some(format!(
                "produced {produced} but consumed {} + pending {}{}",
                counts.consumed,
                self.pending,
                if self.lost > 0 {
                    format!(" + lost {}", self.lost)
                } else {
                    String::new()
                }
            )),
            _ => None,
        }
    }
}

/// Skips of ranges that were gone, over all partitions of a pipeline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UncountedSkips {
    /// How many.
    pub num_skips: u64,
    /// Offsets in their ranges: at least as many as records. `None` where not even that is known.
    pub num_offsets: Option<u64>,
}

impl UncountedSkips {
    /// How many of the records that were produced and not consumed the skips account for.
    pub fn account_for(&self, num_missing: u64) -> u64 {
        match self {
            Self { num_skips: 0, .. } => 0,
            Self {
                num_offsets: Some(most),
                ..
            } => num_missing.min(*most),
            Self { num_offsets: None, .. } => num_missing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(fetched: u64, produced: u64, consumed: u64, applied: u64, pending: u64) -> Ledger {
        Ledger {
            fetched: Some(fetched),
            produced: Some(produced),
            records: RecordCounts {
                consumed,
                applied,
                ..RecordCounts::default()
            },
            pending,
            ..Ledger::default()
        }
    }

    #[test]
    fn a_ledger_that_adds_up_has_no_gap() {
        assert_eq!(ledger(10, 10, 7, 7, 3).gap(), None);
    }

    #[test]
    fn each_broken_equation_is_named() {
        assert!(
            ledger(10, 9, 9, 9, 0)
                .gap()
                .is_some_and(|gap| gap.contains("fetched 10"))
        );
        assert!(
            ledger(10, 10, 9, 8, 1)
                .gap()
                .is_some_and(|gap| gap.contains("consumed 9"))
        );
        assert!(
            ledger(10, 10, 9, 9, 0)
                .gap()
                .is_some_and(|gap| gap.contains("produced 10"))
        );
    }
    #[test]
    fn a_skip_accounts_for_no_more_records_than_its_range_had_offsets() {
        let skips = |num_skips, num_offsets| UncountedSkips { num_skips, num_offsets };
        assert_eq!(skips(0, Some(0)).account_for(5), 0);
        assert_eq!(skips(1, Some(8)).account_for(5), 5);
        assert_eq!(skips(1, Some(8)).account_for(9), 8);
        assert_eq!(skips(2, None).account_for(9), 9);
        let ledger = Ledger {
            lost: 2,
            uncounted_skips: 1,
            ..ledger(10, 10, 8, 8, 0)
        };
        assert_eq!(ledger.gap(), None);
        let gap = Ledger { lost: 1, ..ledger }.gap().unwrap();
        assert_eq!(gap, "produced 10 but consumed 8 + pending 0 + lost 1");
    }
}
