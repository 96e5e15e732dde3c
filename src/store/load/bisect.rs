//! Finds the records that PostgreSQL refuses, in about 2·log2(n) attempts a record.

/// How an attempt to write some records ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Attempt<R> {
    /// They are written, within the transaction.
    Written,
    /// None of them is: one or more are refused.
    Refused(R),
}

/// What the search does with the server.
pub(super) trait Search {
    /// Why an attempt was refused.
    type Refusal;
    /// What ends the search.
    type Error;

    /// Writes these records, all or none.
    fn attempt(&mut self, records: &[u32]) -> Result<Attempt<Self::Refusal>, Self::Error>;

    /// This record alone was refused.
    fn reject(&mut self, record: u32, refusal: Self::Refusal) -> Result<(), Self::Error>;
}

/// Writes `records` in their order, without those that are refused.
pub(super) fn write_all<S: Search>(search: &mut S, records: &[u32]) -> Result<(), S::Error> {
    if records.is_empty() {
        return Ok(());
    }
    write(search, records, Order::First, false).map(drop)
}

/// The same from the last to the first: where rows that are there are left alone, the last of several versions has to be
/// written first.
pub(super) fn write_all_newest_first<S: Search>(search: &mut S, records: &[u32]) -> Result<(), S::Error> {
    if records.is_empty() {
        return Ok(());
    }
    write(search, records, Order::Last, false).map(drop)
}

/// Which half is written first.
#[derive(Clone, Copy)]
enum Order {
    First,
    Last,
}

/// Returns whether all were written. `known_refused`: an attempt at them all would fail.
fn write<S: Search>(search: &mut S, records: &[u32], order: Order, known_refused: bool) -> Result<bool, S::Error> {
    if !known_refused || records.len() == 1 {
        match search.attempt(records)? {
            Attempt::Written => return Ok(true),
            Attempt::Refused(refusal) => {
                if let [record] = *records {
                    search.reject(record, refusal)?;
                    return Ok(false);
                }
            }
        }
    }
    let (left, right) = records.split_at(records.len() / 2);
    let (one, other) = match order {
        Order::First => (left, right),
        Order::Last => (right, left),
    };
    let clean = write(search, one, order, false)?;
    // The whole was refused and one half of it was not: the culprit is in the other, so that one is not tried as
    // a whole. (Should it be fine after all, its halves are still written one after the other.)
    write(search, other, order, clean)?;
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Recorder {
        bad: Vec<u32>,
        written: Vec<u32>,
        rejected: Vec<u32>,
        attempts: usize,
    }

    impl Search for Recorder {
        type Refusal = ();
        type Error = std::convert::Infallible;

        fn attempt(&mut self, records: &[u32]) -> Result<Attempt<()>, Self::Error> {
            self.attempts += 1;
            if records.iter().any(|record| self.bad.contains(record)) {
                return Ok(Attempt::Refused(()));
            }
            self.written.extend(records);
            Ok(Attempt::Written)
        }

        fn reject(&mut self, record: u32, (): ()) -> Result<(), Self::Error> {
            self.rejected.push(record);
            Ok(())
        }
    }

    fn search(num_records: u32, bad: &[u32]) -> Recorder {
        let mut recorder = Recorder {
            bad: bad.to_vec(),
            ..Recorder::default()
        };
        let records: Vec<u32> = (0..num_records).collect();
        match write_all(&mut recorder, &records) {
            Ok(()) => recorder,
        }
    }

    #[test]
    fn exactly_the_bad_records_are_rejected_and_the_others_keep_their_order() {
        for num_records in 0..20 {
            for bad in 0..1_u32 << num_records.min(10) {
                let bad: Vec<u32> = (0..num_records)
                    .filter(|record| bad >> (record % 10) & 1 == 1)
                    .collect();
                let found = search(num_records, &bad);
                assert_eq!(found.rejected, bad);
                let good: Vec<u32> = (0..num_records).filter(|record| !bad.contains(record)).collect();
                assert_eq!(found.written, good);
            }
        }
    }

    #[test]
    fn newest_first_writes_the_last_records_first_and_rejects_the_same() {
        let mut recorder = Recorder {
            bad: vec![2, 7],
            ..Recorder::default()
        };
        let records: Vec<u32> = (0..10).collect();
        match write_all_newest_first(&mut recorder, &records) {
            Ok(()) => assert_eq!((recorder.rejected, recorder.written.len()), (vec![7, 2], 8)),
        }
        assert!(recorder.written[..2].contains(&9), "{:?}", recorder.written);
    }

    #[test]
    fn one_bad_record_costs_two_attempts_a_halving_at_most() {
        for bad in [0, 1, 4_999, 5_000, 9_998, 9_999] {
            let found = search(10_000, &[bad]);
            assert_eq!(found.rejected, [bad]);
            assert!(found.attempts <= 2 * 14 + 2, "{bad}: {} attempts", found.attempts);
        }
    }

    #[test]
    fn a_clean_batch_is_one_attempt_and_an_empty_one_is_none() {
        assert_eq!(search(10_000, &[]).attempts, 1);
        assert_eq!(search(0, &[]).attempts, 0);
    }
}
