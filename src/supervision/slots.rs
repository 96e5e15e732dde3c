//! Where a tier's addresses are put down for the tiers after it.

use std::sync::{Arc, Mutex, PoisonError};

/// One slot a child of a tier. The factories of later tiers read them when they make an actor, which is after every
/// child of the earlier tiers has been published.
pub struct Slots<T>(Arc<Mutex<Vec<Option<T>>>>);

impl<T> Clone for Slots<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Clone> Slots<T> {
    /// Empty slots for so many children.
    pub fn new(num_children: usize) -> Self {
        Self(Arc::new(Mutex::new((0..num_children).map(|_| None).collect())))
    }

    /// Puts down the address of a child's new life.
    pub fn put(&self, index: usize, address: T) {
        if let Some(slot) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(index) {
            *slot = Some(address);
        }
    }

    /// The addresses that are there, by index.
    pub fn all(&self) -> Vec<T> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .flatten()
            .cloned()
            .collect()
    }
}
