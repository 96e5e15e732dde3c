//! Members of the load group whose answers come late, or never.

use std::collections::BTreeSet;

use aqueduct::log::{LoadEvent, LoadMember, Log, TopicSpec, kafka::KafkaLog};
use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer},
};

use crate::{
    kafka::TestKafka,
    support::{LIMIT, POLL, kafka_log, kafka_log_with, no_waker, prepared, wait_for},
};

/// A member and what it holds, as its room does: claims at once, gives back at once, or only when it is told to.
struct Member {
    inner: Box<dyn LoadMember>,
    held: BTreeSet<i32>,
    answers: bool,
    unanswered: Vec<i32>,
}

impl Member {
    fn join(log: &KafkaLog, spec: &TopicSpec) -> Self {
        Self {
            inner: log.join_load(spec, no_waker()).unwrap(),
            held: BTreeSet::new(),
            answers: true,
            unanswered: Vec::new(),
        }
    }

    fn poll(&mut self) {
        for event in self.inner.poll(POLL).unwrap() {
            match event {
                LoadEvent::Assigned(partitions) => {
                    for partition in partitions {
                        self.inner.assign(&[(partition, 0)]).unwrap();
                        self.held.insert(partition);
                    }
                }
                LoadEvent::Revoked { partitions, lost } => {
                    self.held.retain(|partition| !partitions.contains(partition));
                    if self.answers || lost {
                        self.unanswered.retain(|partition| !partitions.contains(partition));
                        self.inner.release(&partitions).unwrap();
                    } else {
                        self.unanswered.extend(partitions);
                    }
                }
            }
        }
    }

    fn answer(&mut self) {
        self.answers = true;
        let unanswered = std::mem::take(&mut self.unanswered);
        self.inner.release(&unanswered).unwrap();
    }
}

/// Polls them all until each partition has exactly one holder, each member holds something, and that stays so for a few
/// heartbeats.
fn until_shared(members: &mut [&mut Member], num_partitions: usize) {
    let mut num_calm = 0;
    wait_for("the partitions to be shared", || {
        members.iter_mut().for_each(|member| member.poll());
        let all: BTreeSet<i32> = members.iter().flat_map(|it| it.held.iter().copied()).collect();
        let total: usize = members.iter().map(|it| it.held.len()).sum();
        let is_shared = all.len() == num_partitions && total == num_partitions;
        let is_fair = members.iter().all(|it| !it.held.is_empty());
        num_calm = if is_shared && is_fair { num_calm + 1 } else { 0 };
        (num_calm >= 20).then_some(())
    });
}

fn until_revoked(first: &mut Member, others: &mut [&mut Member]) {
    first.answers = false;
    wait_for("a revocation", || {
        first.poll();
        others.iter_mut().for_each(|other| other.poll());
        (!first.unanswered.is_empty()).then_some(())
    });
}

fn num_members(spec: &TopicSpec) -> usize {
    let tool: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", TestKafka::shared().address())
        .create()
        .unwrap();
    let list = tool.fetch_group_list(Some(&spec.pipeline), LIMIT).unwrap();
    list.groups()[0].members().len()
}

fn impatient() -> KafkaLog {
    kafka_log_with(TestKafka::shared().address(), &[("max.poll.interval.ms", "2500")])
}

#[test]
fn a_member_that_stops_polling_in_the_middle_of_a_revocation_is_a_member_again_when_it_polls() {
    let spec = prepared(&kafka_log(TestKafka::shared().address()), 4, 1);
    let log = impatient();
    let mut zombie = Member::join(&log, &spec);
    until_shared(&mut [&mut zombie], 4);
    let mut heir = Member::join(&log, &spec);
    until_revoked(&mut zombie, &mut [&mut heir]);
    wait_for("the silent member to be put out", || {
        heir.poll();
        (num_members(&spec) == 1 && heir.held.len() == 4).then_some(())
    });
    zombie.answer();
    until_shared(&mut [&mut zombie, &mut heir], 4);
}

#[test]
fn a_member_that_answers_a_revocation_later_than_the_group_waits_is_a_member_again() {
    let spec = prepared(&kafka_log(TestKafka::shared().address()), 6, 1);
    let log = impatient();
    let mut slow = Member::join(&log, &spec);
    until_shared(&mut [&mut slow], 6);
    let mut second = Member::join(&log, &spec);
    until_revoked(&mut slow, &mut [&mut second]);
    // It polls on. But a rebalance begins that it cannot join before it has answered the last one.
    let mut third = Member::join(&log, &spec);
    wait_for("the slow member to be put out", || {
        [&mut slow, &mut second, &mut third].into_iter().for_each(Member::poll);
        (num_members(&spec) == 2 && second.held.len() + third.held.len() == 6).then_some(())
    });
    slow.answer();
    until_shared(&mut [&mut slow, &mut second, &mut third], 6);
}
