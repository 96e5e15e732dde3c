//! What can happen, and in which order.

use proptest::{
    collection::vec,
    prelude::{BoxedStrategy, Just, Strategy, any, prop_oneof},
};

use super::records::Kind;

pub const PARTITIONS: i32 = 3;

#[derive(Clone, Debug)]
pub enum Step {
    /// A transaction with these records; its marker takes an offset.
    Append {
        partition: i32,
        kinds: Vec<Kind>,
    },
    /// A transaction that was aborted: offsets without records.
    Aborted {
        partition: i32,
        offsets: i64,
    },
    /// Retention takes so many offsets.
    Retention {
        partition: i32,
        offsets: i64,
    },
    /// The topic is deleted and created again; once in a scenario.
    Recreate,
    /// The group moves a partition by agreement, to a member of this process.
    Move {
        partition: i32,
        to: usize,
    },
    /// The owner's session times out: it does not hear that it has lost everything until it wakes.
    Deafen {
        partition: i32,
    },
    /// All hear again.
    Wake,
    /// The owner's client fails for good: the actor is replaced.
    Fail {
        partition: i32,
    },
    /// A process ends in order and begins anew.
    Restart {
        process: usize,
    },
    /// The log answers no questions.
    LogAway,
    LogBack,
    /// All connections to PostgreSQL end.
    Cut,
    /// The next COMMIT of a writer is not answered.
    CommitLost {
        delivers: bool,
    },
    PostgresAway,
    PostgresBack,
    /// What a standby has; a fail-over leads there.
    Snapshot,
    FailOver,
    /// Milliseconds.
    Wait(u64),
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        6 => Just(Kind::Good),
        1 => Just(Kind::Broken),
        1 => Just(Kind::Refused),
        1 => Just(Kind::Filtered),
    ]
}

fn step() -> BoxedStrategy<Step> {
    let partition = || 0..PARTITIONS;
    prop_oneof![
        8 => (partition(), vec(kind(), 1..25)).prop_map(|(partition, kinds)| Step::Append { partition, kinds }),
        1 => (partition(), 1..4_i64).prop_map(|(partition, offsets)| Step::Aborted { partition, offsets }),
        1 => (partition(), 1..40_i64).prop_map(|(partition, offsets)| Step::Retention { partition, offsets }),
        1 => Just(Step::Recreate),
        3 => (partition(), 0..2_usize).prop_map(|(partition, to)| Step::Move { partition, to }),
        2 => partition().prop_map(|partition| Step::Deafen { partition }),
        1 => Just(Step::Wake),
        1 => partition().prop_map(|partition| Step::Fail { partition }),
        1 => (0..2_usize).prop_map(|process| Step::Restart { process }),
        1 => Just(Step::LogAway),
        1 => Just(Step::LogBack),
        1 => Just(Step::Cut),
        2 => any::<bool>().prop_map(|delivers| Step::CommitLost { delivers }),
        1 => Just(Step::PostgresAway),
        1 => Just(Step::PostgresBack),
        1 => Just(Step::Snapshot),
        1 => Just(Step::FailOver),
        6 => (1..800_u64).prop_map(Step::Wait),
    ]
    .boxed()
}

pub fn scenarios() -> impl Strategy<Value = Vec<Step>> {
    vec(step(), 10..40)
}
