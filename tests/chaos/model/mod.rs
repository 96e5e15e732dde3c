//! The load branch against a model: random interleavings of batches, rebalances, failures and restarts.
//!
//! Two processes, each with the real actors under the real supervision, share a group of a model of Kafka ([`log`]) and one
//! real PostgreSQL, whose faults (cut, away, an answer that is lost, a fail-over to an earlier state) are made from
//! outside. The clock is held and moves ten times as fast as the threads. When the faults are over, what each record's
//! fate should be is compared with what is in the table, the dead letters, the skips and the ledger ([`check`]).
//!
//! `AQUEDUCT_MODEL_CASES` asks for more cases than `make test` has; a case that fails is shrunk and printed.

mod check;
mod log;
mod records;
mod run;
mod steps;
mod store;

use proptest::test_runner::{Config, TestCaseError, TestRunner};

use self::{
    records::Kind::{Good, Refused},
    steps::{Step, scenarios},
    store::Sabotage,
};

const CASES: u32 = 5;

#[test]
fn whatever_is_interleaved_each_record_has_one_fate_and_the_ledger_adds_up() {
    let cases = std::env::var("AQUEDUCT_MODEL_CASES")
        .ok()
        .and_then(|text| text.parse().ok());
    let config = Config {
        cases: cases.unwrap_or(CASES),
        max_shrink_iters: 30,
        failure_persistence: None,
        ..Config::default()
    };
    let played = TestRunner::new(config).run(&scenarios(), |steps| {
        let played = run::play(&steps, None);
        // Shrinking takes its time.
        if let Err(problem) = &played {
            println!("found, shrinking: {problem}\n{steps:?}");
        }
        played.map_err(TestCaseError::fail)
    });
    if let Err(failure) = played {
        panic!("{failure}");
    }
}

/// Steps that bring each promise into play.
fn eventful() -> Vec<Step> {
    let append = |partition| Step::Append {
        partition,
        kinds: vec![Good, Refused, Good, Good],
    };
    vec![
        append(0),
        append(1),
        Step::Wait(1_000),
        append(0),
        Step::Move { partition: 0, to: 1 },
        Step::Wait(1_000),
        append(0),
        Step::Move { partition: 0, to: 0 },
        Step::Wait(1_000),
        append(0),
        append(1),
        Step::Wait(1_000),
    ]
}

#[test]
fn the_model_itself_finds_nothing_where_nothing_is_wrong() {
    run::play(&eventful(), None).unwrap();
}

#[test]
fn a_store_that_keeps_rows_without_their_position_is_found_out() {
    let found = run::play(&eventful(), Some(Sabotage::RowsWithoutPosition));
    assert!(found.is_err_and(|problem| problem.contains("fates")));
}

#[test]
fn a_store_that_moves_the_position_without_its_rows_is_found_out() {
    let found = run::play(&eventful(), Some(Sabotage::PositionWithoutRows));
    assert!(found.is_err_and(|problem| problem.contains("fates")));
}

#[test]
fn a_store_without_a_fence_is_found_out() {
    let found = run::play(&eventful(), Some(Sabotage::NoFence));
    assert!(found.is_err_and(|problem| problem.contains("epoch")));
}
