//! Revocations that wait for batches to settle.

use std::collections::HashMap;

/// All revocations that are not answered yet.
#[derive(Default)]
pub(super) struct Leaving(Vec<Revocation>);

struct Revocation {
    ticket: u64,
    partitions: Vec<i32>,
    /// By partition and epoch.
    in_flight: HashMap<(i32, i64), usize>,
}

impl Leaving {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// These partitions wait for these batches, by partition and epoch.
    pub(super) fn add(&mut self, ticket: u64, partitions: Vec<i32>, in_flight: HashMap<(i32, i64), usize>) {
        self.0.push(Revocation {
            ticket,
            partitions,
            in_flight,
        });
    }

    /// Nobody waits for these any more: they were lost while they were drained, and may come back before their batches
    /// are answered.
    pub(super) fn forget(&mut self, partitions: &[i32]) {
        for revocation in &mut self.0 {
            revocation
                .partitions
                .retain(|partition| !partitions.contains(partition));
            revocation
                .in_flight
                .retain(|(partition, _), _| !partitions.contains(partition));
        }
    }

    /// A batch was answered.
    pub(super) fn heard(&mut self, batch: (i32, i64)) {
        for revocation in &mut self.0 {
            if let Some(num) = revocation.in_flight.get_mut(&batch) {
                *num -= 1;
                if *num == 0 {
                    revocation.in_flight.remove(&batch);
                }
            }
        }
    }

    /// Takes out what is drained: to be released.
    pub(super) fn drained(&mut self) -> Vec<Vec<i32>> {
        self.0
            .extract_if(.., |revocation| revocation.in_flight.is_empty())
            .map(|revocation| revocation.partitions)
            .filter(|partitions| !partitions.is_empty())
            .collect()
    }

    /// Takes out a revocation that has waited long enough.
    pub(super) fn give_up(&mut self, ticket: u64) -> Option<Vec<i32>> {
        let index = self.0.iter().position(|revocation| revocation.ticket == ticket)?;
        Some(self.0.swap_remove(index).partitions)
    }
}
