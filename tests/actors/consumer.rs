//! The consumer: what is read under which claim, and what a reply means.

use std::{sync::Arc, time::Duration};

use actix::Actor;
use aqueduct::{
    actors::consumer::{Consumer, ConsumerSettings, Routes},
    config::settings::Batch,
    messages::{Refused, Settled, Transform},
    model::{PartitionKey, RecordCounts},
    store::offsets::{self, Fence, PartitionState},
    supervision::Placement,
    telemetry::Gauges,
};
use tokio::time::advance;

use crate::{
    clock::{on_held_time, on_real_time, until},
    load::{TOPIC, key, postgres::TestDatabase},
    neighbours::{Inbox, Neighbour, Pending},
    room::Room,
    scripted_load::{AtPoll, LoadSide},
    scripted_log::{ScriptedLog, spec},
};

/// A consumer with batches of two records, on a log and in a database of its own.
pub struct Scene {
    pub database: TestDatabase,
    pub log: LoadSide,
    pub batches: Inbox<Transform>,
    pub room: Room<Consumer>,
    gauges: Arc<Gauges>,
}

impl Scene {
    pub async fn new() -> Self {
        Self::with_log(ScriptedLog::new()).await
    }

    /// Partition 0 has a hundred records; two batches of it are unsettled.
    pub async fn at_work() -> Self {
        let scene = Self::new().await;
        scene.log.assign(0, 100);
        scene.until_batches(2).await;
        scene
    }

    /// The group takes partition 0 away; what is in flight is drained.
    pub async fn let_go_of_0(&self) {
        self.log.revoke(0, false);
        self.until_state(0, "with another consumer").await;
    }

    pub async fn with_log(log: ScriptedLog) -> Self {
        Self::with(log, Duration::from_secs(3_600)).await
    }

    pub async fn with(log: ScriptedLog, stall_after: Duration) -> Self {
        Self::with_budget(log, stall_after, 2 << 20).await
    }

    async fn with_budget(log: ScriptedLog, stall_after: Duration, budget_bytes: usize) -> Self {
        let (database, batches) = (TestDatabase::new(), Inbox::default());
        let transformer = Neighbour(batches.clone()).start().recipient();
        let gauges = Arc::new(Gauges::default());
        let settings = ConsumerSettings {
            log: Arc::new(log.clone()),
            spec: spec(),
            limits: Batch {
                rows: 2,
                bytes: 1 << 20,
                age: Duration::from_secs(3_600),
            },
            budget_bytes,
            connect: Arc::new(database.info()),
            owner: "test".into(),
            routes: Routes::new(1, 1),
            stall_after,
            gauges: gauges.clone(),
        };
        let make = move |life| Ok(Consumer::new(life, settings.clone(), vec![transformer.clone()]));
        let room = Room::open("consumer", Placement::Shared, true, make).await;
        Self {
            database,
            log: log.load,
            batches,
            room,
            gauges,
        }
    }

    pub fn state(&self, partition: i32) -> String {
        let partitions = self.gauges.snapshot().partitions;
        partitions
            .get(&partition)
            .map(|gauge| gauge.state.clone())
            .unwrap_or_default()
    }

    pub async fn until_state(&self, partition: i32, state: &str) {
        until(state, || self.state(partition).starts_with(state)).await;
    }

    pub async fn until_batches(&self, num: usize) {
        until("its batches come", || self.batches.len() == num).await;
    }

    pub fn rows(&self) -> Vec<PartitionState> {
        offsets::read_all(&mut self.database.session("look"), "people").unwrap()
    }
}

pub fn settle(batch: Pending<Transform>) {
    let next_offset = batch.message.0.next_offset;
    batch.answer(Ok(Settled {
        next_offset,
        num_dead: 0,
    }));
}

fn partition(pending: &Pending<Transform>) -> i32 {
    pending.message.0.claim.key.partition
}

/// Claims the partition as another daemon, and moves it.
pub fn move_to(database: &TestDatabase, key: &PartitionKey, next_offset: i64) -> i64 {
    let mut session = database.session("other");
    let claimed = offsets::claim(&mut session, key, TOPIC, 0, "other").unwrap();
    let counts = RecordCounts {
        consumed: 1,
        applied: 1,
        ..RecordCounts::default()
    };
    let fence = Fence {
        key: key.clone(),
        topic_id: TOPIC,
        epoch: claimed.epoch,
        expected: claimed.next_offset,
    };
    session.begin().unwrap();
    assert!(offsets::advance(&mut session, &fence, next_offset, &counts).unwrap());
    session.commit().unwrap();
    claimed.epoch
}

#[test]
fn at_most_two_batches_of_a_partition_are_unsettled_and_their_offsets_have_no_gap() {
    on_real_time(async {
        let scene = Scene::new().await;
        scene.log.assign(0, 11);
        let mut expected = 0;
        while expected < 11 {
            let wanted = if expected < 8 { 2 } else { 1 };
            until("batches come", || scene.batches.len() >= wanted).await;
            assert!(scene.batches.len() <= 2, "{} are unsettled", scene.batches.len());
            let pending = scene.batches.take();
            let batch = &pending.message.0;
            assert_eq!(batch.expected_offset, expected);
            let offsets: Vec<_> = batch.records.iter().map(|record| record.offset).collect();
            assert_eq!(offsets, (expected..batch.next_offset).collect::<Vec<_>>());
            expected = batch.next_offset;
            settle(pending);
        }
        assert_eq!(scene.rows()[0].epoch, 1);
        assert!(scene.room.stop().await.is_clean());
    });
}

#[test]
fn beyond_the_budget_each_partition_still_has_one_batch_under_way_and_none_has_two() {
    on_real_time(async {
        let log = ScriptedLog::new();
        let scene = Scene::with_budget(log, Duration::from_secs(3_600), 1).await;
        scene.log.assign(0, 100);
        scene.log.assign(1, 100);
        for round in 0..20 {
            scene.until_batches(2).await;
            let mut partitions: Vec<_> = scene.batches.all().iter().map(partition).collect();
            partitions.sort_unstable();
            assert_eq!(partitions, [0, 1], "in round {round}");
            settle(scene.batches.take());
        }
    });
}

#[test]
fn a_partition_that_waits_for_its_replies_does_not_hold_up_another_one() {
    on_real_time(async {
        let scene = Scene::at_work().await;
        scene.log.assign(1, 8);
        for _ in 0..4 {
            until("the other partition's batch comes", || {
                scene.batches.all().iter().any(|pending| partition(pending) == 1)
            })
            .await;
            let pending = {
                let mut all = scene.batches.all();
                let place = all.iter().position(|pending| partition(pending) == 1).unwrap();
                all.remove(place)
            };
            settle(pending);
        }
        let waiting: Vec<_> = scene.batches.all().iter().map(partition).collect();
        assert_eq!(waiting, [0, 0]);
    });
}

#[test]
fn reading_begins_where_postgres_says() {
    on_real_time(async {
        let scene = Scene::new().await;
        assert_eq!(move_to(&scene.database, &key(0), 5), 1);
        scene.log.assign(0, 9);
        scene.until_batches(2).await;
        let pending = scene.batches.take();
        assert_eq!(
            (pending.message.0.expected_offset, pending.message.0.claim.epoch),
            (5, 2)
        );
        assert_eq!(scene.log.starts(0), [5]);
    });
}

/// The last owner goes on between the look at the log and the claim; its offset is then beyond the end that was seen.
#[test]
fn an_offset_beyond_the_end_that_was_seen_before_the_claim_is_no_loss() {
    on_real_time(async {
        let scene = Scene::new().await;
        move_to(&scene.database, &key(0), 8);
        scene.log.state().stale_ends.push_back(6);
        scene.log.assign(0, 12);
        scene.until_batches(2).await;
        assert_eq!(scene.log.starts(0), [8]);
    });
}

#[test]
fn after_a_lost_reply_the_partition_is_claimed_again_no_sooner_than_a_heartbeat_later() {
    on_held_time(async {
        let scene = Scene::at_work().await;
        scene.batches.take().answer(Err(Refused::Lost));
        scene.until_state(0, "fenced").await;
        advance(Duration::from_millis(2_900)).await;
        // Claims are made one after the other: a claim of partition 0 would come before this one.
        scene.log.assign(1, 0);
        scene.until_state(1, "reading").await;
        assert_eq!(scene.log.num_bounds(0), 1);
        advance(Duration::from_millis(200)).await;
        until("it is claimed again", || scene.log.starts(0).len() == 2).await;
        // The other batch's late answer belongs to the old claim.
        scene.batches.take().answer(Err(Refused::Lost));
        scene.until_batches(2).await;
        let epochs: Vec<_> = scene
            .batches
            .all()
            .iter()
            .map(|batch| batch.message.0.claim.epoch)
            .collect();
        assert_eq!((epochs, scene.state(0).as_str()), (vec![2, 2], "reading"));
        assert!(scene.room.is_in_its_first_life(), "a fence spends no restart");
    });
}

#[test]
fn a_lost_partition_that_is_revoked_meanwhile_is_not_claimed_again() {
    on_held_time(async {
        let scene = Scene::at_work().await;
        scene.batches.take().answer(Err(Refused::Lost));
        scene.until_state(0, "fenced").await;
        scene.log.revoke(0, true);
        scene.until_state(0, "with another consumer").await;
        advance(Duration::from_secs(60)).await;
        scene.log.assign(1, 0);
        scene.until_state(1, "reading").await;
        assert_eq!((scene.log.num_bounds(0), scene.rows()[0].epoch), (1, 1));
    });
}

#[test]
fn where_postgres_went_back_the_partition_is_claimed_and_read_again_from_there() {
    on_real_time(async {
        let scene = Scene::at_work().await;
        settle(scene.batches.take());
        scene.until_batches(2).await;
        scene.batches.take().answer(Err(Refused::WentBack));
        until("it is read again", || scene.log.starts(0).len() == 2).await;
        // Nothing was ever written here: PostgreSQL is at 0.
        assert_eq!(scene.log.starts(0), [0, 0]);
        until("batches of the new claim come", || {
            scene.batches.all().iter().any(|batch| batch.message.0.claim.epoch == 2)
        })
        .await;
        assert!(scene.room.is_in_its_first_life());
    });
}

/// The news of an empty queue may come after the news that the partition has moved: a claim then would fence the new
/// owner.
#[test]
fn a_position_out_of_range_of_a_partition_that_has_moved_claims_nothing() {
    on_real_time(async {
        let scene = Scene::new().await;
        scene.log.assign(0, 2);
        scene.until_batches(1).await;
        settle(scene.batches.take());
        {
            let mut state = scene.log.state();
            let (partitions, lost) = (vec![0], true);
            let revoked = aqueduct::log::LoadEvent::Revoked { partitions, lost };
            // One poll: the reader hears of the move, tells it, and reads the queue once more.
            state.at_poll.extend([AtPoll::Tell(revoked), AtPoll::OutOfRange(0)]);
        }
        until("it is released", || scene.log.is_released(0)).await;
        scene.log.assign(1, 0);
        scene.until_state(1, "reading").await;
        assert_eq!((scene.log.num_bounds(0), scene.rows()[0].epoch), (1, 1));
        assert_eq!(scene.state(0), "with another consumer");
    });
}

#[test]
fn an_order_to_claim_is_taken_back_when_the_partition_is_revoked() {
    on_real_time(async {
        let scene = Scene::new().await;
        scene.log.state().is_away = true;
        scene.log.assign(0, 100);
        until("a claim waits for the log", || {
            let waiting = scene.room.child().waiting;
            waiting
                .iter()
                .any(|waiting| waiting.what.starts_with("a claim of partition 0"))
        })
        .await;
        scene.log.revoke(0, false);
        until("it is released", || scene.log.is_released(0)).await;
        scene.log.state().is_away = false;
        scene.log.assign(1, 0);
        scene.until_state(1, "reading").await;
        let partitions: Vec<_> = scene.rows().iter().map(|row| row.key.partition).collect();
        assert_eq!(
            partitions,
            [1],
            "a claim of the other one would have fenced its new owner"
        );
        assert!(scene.room.is_in_its_first_life());
    });
}
