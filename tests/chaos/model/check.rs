//! What should have become of each record, against what became of it.

use std::collections::BTreeMap;

use aqueduct::model::TopicId;
use diesel::{
    QueryableByName, RunQueryDsl,
    sql_types::{BigInt, Bool, Integer, Text},
};

use super::{
    log::State,
    records::{Kind, Written},
    store::Store,
};
use crate::load::ask;

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

#[derive(QueryableByName)]
struct Letter {
    #[diesel(sql_type = Text)]
    topic_id: String,
    #[diesel(sql_type = Integer)]
    partition: i32,
    #[diesel(sql_type = BigInt)]
    record_offset: i64,
}

#[derive(QueryableByName)]
struct Skipped {
    #[diesel(sql_type = Integer)]
    partition: i32,
    #[diesel(sql_type = Text)]
    topic_id: String,
    #[diesel(sql_type = BigInt)]
    skipped_from: i64,
    #[diesel(sql_type = Text)]
    new_topic_id: String,
    #[diesel(sql_type = BigInt)]
    skipped_to: i64,
}

#[derive(QueryableByName)]
struct Move {
    #[diesel(sql_type = Integer)]
    partition: i32,
    #[diesel(sql_type = BigInt)]
    old_epoch: i64,
    #[diesel(sql_type = BigInt)]
    new_epoch: i64,
    #[diesel(sql_type = Bool)]
    is_claim: bool,
    #[diesel(sql_type = BigInt)]
    old_next: i64,
    #[diesel(sql_type = BigInt)]
    new_next: i64,
}

impl Skipped {
    fn covers(&self, record: &Written) -> bool {
        let is_of = |id: &str| id == record.topic_id.to_string();
        let is_replaced = self.topic_id != self.new_topic_id;
        let was_left = is_of(&self.topic_id) && record.offset >= self.skipped_from;
        // What retention took from the new topic before anybody was led there.
        let was_passed = is_of(&self.new_topic_id) && record.offset < self.skipped_to;
        self.partition == record.partition
            && if is_replaced {
                was_left || was_passed
            } else {
                was_left && was_passed
            }
    }
}

pub fn check(store: &Store, state: &State) -> Result<(), String> {
    let mut session = store.session();
    let rows: Vec<Row> = diesel::sql_query("SELECT id FROM people").load(session.conn()).unwrap();
    let letters: Vec<Letter> =
        diesel::sql_query("SELECT topic_id::text, partition, record_offset FROM aqueduct.dead_letters")
            .load(session.conn())
            .unwrap();
    let skips: Vec<Skipped> = diesel::sql_query(
        "SELECT partition, topic_id::text, skipped_from, new_topic_id::text, skipped_to FROM aqueduct.skips",
    )
    .load(session.conn())
    .unwrap();
    let moves: Vec<Move> = diesel::sql_query("SELECT * FROM moves ORDER BY number")
        .load(session.conn())
        .unwrap();

    let mut in_table: BTreeMap<i64, usize> = BTreeMap::new();
    rows.iter().for_each(|row| *in_table.entry(row.id).or_default() += 1);
    let mut counts = Counts::default();
    for record in &state.written {
        let id: TopicId = record.topic_id;
        let num_dead = letters
            .iter()
            .filter(|letter| {
                letter.topic_id == id.to_string()
                    && (letter.partition, letter.record_offset) == (record.partition, record.offset)
            })
            .count();
        let num_rows = in_table.get(&record.id).copied().unwrap_or(0);
        let is_skipped = skips.iter().any(|skip| skip.covers(record));
        let expected = match record.kind {
            _ if is_skipped => (0, 0),
            Kind::Good => (1, 0),
            Kind::Broken | Kind::Refused => (0, 1),
            Kind::Filtered => (0, 0),
        };
        if (num_rows, num_dead) != expected {
            return Err(format!(
                "two fates or none: {record:?} is {num_rows} times in the table and {num_dead} times in the dead letters"
            ));
        }
        counts.applied += num_rows;
        counts.dead += num_dead;
        counts.filtered += usize::from(!is_skipped && record.kind == Kind::Filtered);
    }
    let Counts {
        applied,
        filtered,
        dead,
    } = counts;
    let ledger = "SELECT sum(applied) || ' ' || sum(filtered) || ' ' || sum(dead) || ' ' || sum(consumed) || ' ' ||
        (SELECT coalesce(sum(inserted), 0) FROM aqueduct.row_counts) FROM aqueduct.offsets";
    let ledger = ask(&mut session, ledger).unwrap_or_default();
    let expected = format!("{applied} {filtered} {dead} {} {applied}", applied + filtered + dead);
    if ledger != expected {
        return Err(format!("the ledger says {ledger} instead of {expected}"));
    }
    contiguous(&moves)
}

#[derive(Default)]
struct Counts {
    applied: usize,
    filtered: usize,
    dead: usize,
}

fn contiguous(moves: &[Move]) -> Result<(), String> {
    let mut last: BTreeMap<i32, (i64, i64)> = BTreeMap::new();
    for step in moves {
        let (epoch, next) = last
            .get(&step.partition)
            .copied()
            .unwrap_or((step.old_epoch, step.old_next));
        if (epoch, next) != (step.old_epoch, step.old_next) {
            return Err(format!(
                "partition {} went from {next} and on from {}",
                step.partition, step.old_next
            ));
        }
        if step.is_claim && step.new_epoch <= step.old_epoch {
            return Err(format!(
                "a claim of partition {} has left the epoch at {epoch}",
                step.partition
            ));
        }
        last.insert(step.partition, (step.new_epoch, step.new_next));
    }
    Ok(())
}
