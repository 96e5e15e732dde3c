//! What the broker said about the records.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

/// Counts acknowledgements and keeps the first refusal.
#[derive(Default)]
pub(crate) struct Reports {
    num_acknowledged: AtomicUsize,
    refusal: Mutex<Option<String>>,
}

impl Reports {
    pub(crate) fn acknowledged(&self) {
        self.num_acknowledged.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn refused(&self, reason: String) {
        let mut refusal = self.refusal.lock().unwrap_or_else(PoisonError::into_inner);
        refusal.get_or_insert(reason);
    }

    /// Whether the figures may be believed.
    pub(crate) fn all_acknowledged(&self, num_sent: usize) -> Result<(), String> {
        let num = self.num_acknowledged.load(Ordering::Relaxed);
        if num == num_sent {
            return Ok(());
        }
        let refusal = self.refusal.lock().unwrap_or_else(PoisonError::into_inner);
        let reason = refusal.as_deref().unwrap_or("no report came");
        Err(format!("{num} of {num_sent} records were acknowledged: {reason}"))
    }
}
