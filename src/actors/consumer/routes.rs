//! Gives each claimed partition to the least loaded transformer and writer.

use std::sync::{Arc, Mutex, MutexGuard};

use crate::messages::Route;

/// The load of a branch's transformers and writers, in partitions. Shared by its consumers.
#[derive(Clone, Debug)]
pub struct Routes(Arc<Mutex<Load>>);

#[derive(Debug)]
struct Load {
    transformers: Vec<usize>,
    writers: Vec<usize>,
}

/// A partition's place; given back when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) route: Route,
    routes: Routes,
}

impl Routes {
    /// Nobody has anything yet.
    pub fn new(num_transformers: usize, num_writers: usize) -> Self {
        Self(Arc::new(Mutex::new(Load {
            transformers: vec![0; num_transformers],
            writers: vec![0; num_writers],
        })))
    }

    fn load(&self) -> MutexGuard<'_, Load> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(super) fn take(&self) -> Seat {
        let mut load = self.load();
        let route = Route {
            transformer: least(&load.transformers),
            writer: least(&load.writers),
        };
        load.transformers[route.transformer] += 1;
        load.writers[route.writer] += 1;
        drop(load);
        Seat {
            route,
            routes: self.clone(),
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut load = self.routes.load();
        load.transformers[self.route.transformer] -= 1;
        load.writers[self.route.writer] -= 1;
    }
}

fn least(loads: &[usize]) -> usize {
    (0..loads.len()).min_by_key(|index| loads[*index]).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_spread_and_places_come_back() {
        let routes = Routes::new(2, 3);
        let seats: Vec<_> = (0..4).map(|_| routes.take()).collect();
        let taken: Vec<_> = seats
            .iter()
            .map(|seat| (seat.route.transformer, seat.route.writer))
            .collect();
        assert_eq!(taken, [(0, 0), (1, 1), (0, 2), (1, 0)]);
        drop(seats);
        assert_eq!(
            routes.take().route,
            Route {
                transformer: 0,
                writer: 0
            }
        );
    }
}
