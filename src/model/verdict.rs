//! What an error means for the record, the batch and the actor.

/// The four answers to "what now?" that every error of every adapter gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// An outage: the adapter repeats with back-off, the branch waits, no restart is spent, nothing is dead-lettered.
    Retry,
    /// This record's data: it alone goes to the dead letters, its neighbours are written, the offset moves on.
    Reject,
    /// Another owner has it: drop the client or the batch quietly, spend no restart, rebuild only if still assigned.
    Lost,
    /// Ours or the operator's: the actor ends with the reason and the supervisor decides.
    Fail,
}
