//! The producer: to whom a shard is lent, and what goes into a transaction.

use std::{pin::Pin, sync::Arc};

use actix::dev::Request;
use aqueduct::{
    actors::producer::{Producer, ProducerSettings, Transaction},
    messages::{Delivered, Lend, Lent, Produce, Refused},
    supervision::Placement,
    telemetry::Gauges,
};
use serde_json::{Value, json};

use crate::{
    clock::{on_real_time, until},
    room::Room,
    scripted_log::{ScriptedLog, page, spec},
};

pub const TRANSACTION_RECORDS: usize = 10;

/// A producer on a log of its own.
pub struct Scene {
    pub log: ScriptedLog,
    pub room: Room<Producer>,
}

impl Scene {
    pub async fn new() -> Self {
        let log = ScriptedLog::new();
        let settings = ProducerSettings {
            log: Arc::new(log.clone()),
            spec: spec(),
            transaction: Transaction {
                records: TRANSACTION_RECORDS,
                bytes: usize::MAX,
            },
            gauges: Arc::new(Gauges::default()),
        };
        let make = move |life| Ok(Producer::new(life, settings.clone()));
        let room = Room::open("producer", Placement::Shared, false, make).await;
        Self { log, room }
    }

    pub fn ask(&self) -> Pin<Box<Request<Producer, Lend>>> {
        Box::pin(self.room.address().send(Lend))
    }

    /// Asks and has to get it.
    pub async fn lent(&self) -> Lent {
        self.ask().await.unwrap().expect("the shard")
    }

    /// Sends the page here and now; the answer comes with the future.
    pub fn send(&self, number: u64, num_records: usize) -> Pin<Box<Request<Producer, Produce>>> {
        Box::pin(self.room.address().send(Produce(page(number, num_records))))
    }

    pub async fn produce(&self, number: u64, num_records: usize) -> Result<Delivered, Refused> {
        self.send(number, num_records).await.unwrap()
    }
}

pub fn delivered(num_records: usize) -> Result<Delivered, Refused> {
    Ok(Delivered { num_records })
}

#[test]
fn a_shard_is_lent_to_one_fetcher_at_a_time() {
    on_real_time(async {
        let scene = Scene::new().await;
        scene.log.assign_shard();
        let mut waiting = vec![scene.ask(), scene.ask(), scene.ask()];
        for turn in 0..3 {
            // First come, first served.
            let lent = waiting.remove(0).await.unwrap().expect("the shard");
            assert_eq!(lent.cursor, (turn > 0).then(|| json!(turn)));
            // A round trip through the shard's thread gives every wrong answer the time to arrive.
            assert_eq!(scene.produce(turn, 1).await, delivered(1));
            for other in &mut waiting {
                assert!(futures::poll!(other).is_pending(), "lent twice in turn {turn}");
            }
            drop(lent);
        }
        assert_eq!(scene.log.state().openings.len(), 1);
        assert!(scene.room.is_in_its_first_life());
        scene.room.stop().await;
    });
}

/// Seen in an end-to-end run: the shard went round and round between requests whose fetchers were gone, and each round
/// started one more loop.
#[test]
fn fetchers_that_die_while_they_wait_get_nothing_and_hold_nobody_up() {
    on_real_time(async {
        let scene = Scene::new().await;
        scene.log.assign_shard();
        let holder = scene.lent().await;
        let dead: Vec<_> = (0..100).map(|_| scene.ask()).collect();
        // They are in the producer's queue by the time this is answered.
        assert_eq!(scene.produce(0, 1).await, delivered(1));
        drop(dead);
        let (mut alive, mut behind) = (scene.ask(), scene.ask());
        let before = scene.log.state().num_looks;
        drop(holder);
        let lent = (&mut alive).await.unwrap().expect("the shard");
        let num_rounds = scene.log.state().num_looks - before;
        assert!(num_rounds < 20, "it went round {num_rounds} times");
        assert_eq!(lent.cursor, Some(json!(1)));
        assert_eq!(scene.produce(1, 1).await, delivered(1));
        assert!(futures::poll!(&mut behind).is_pending());
        drop(lent);
        assert_eq!(behind.await.unwrap().expect("the shard").cursor, Some(json!(2)));
        scene.room.stop().await;
    });
}

#[test]
fn a_fetcher_that_dies_with_the_shard_in_hand_gives_it_back() {
    on_real_time(async {
        let scene = Scene::new().await;
        scene.log.assign_shard();
        for turn in 0..20 {
            let lent = scene.lent().await;
            assert_eq!(lent.cursor, (turn > 0).then(|| json!(turn)));
            let sent = scene.send(turn, 1);
            let begun = || scene.log.state().num_begun as u64 == turn + 1;
            until("its commit is under way", begun).await;
            // It does not live to hear the answer.
            drop(sent);
        }
        assert_eq!(scene.lent().await.cursor, Some(json!(20)));
        assert_eq!(scene.log.payloads().len(), 20);
        scene.room.stop().await;
    });
}

#[test]
fn the_next_borrower_begins_after_everything_that_the_last_one_sent() {
    on_real_time(async {
        let scene = Scene::new().await;
        scene.log.assign_shard();
        let first = scene.lent().await;
        scene.log.hold_commits(true);
        let sent: Vec<_> = (0..4).map(|number| scene.send(number, 7)).collect();
        until("the first transaction is under way", || {
            scene.log.state().num_begun == 1
        })
        .await;
        drop(first);
        let mut next = scene.ask();
        assert!(futures::poll!(&mut next).is_pending());
        scene.log.hold_commits(false);
        assert_eq!(next.await.unwrap().expect("the shard").cursor, Some(json!(4)));
        for answer in sent {
            assert_eq!(answer.await.unwrap(), delivered(7));
        }
        scene.room.stop().await;
    });
}

#[test]
fn pages_that_wait_share_a_transaction_up_to_its_size() {
    on_real_time(async {
        let scene = Scene::new().await;
        scene.log.assign_shard();
        let _lent = scene.lent().await;
        scene.log.hold_commits(true);
        let first = scene.send(0, 4);
        until("the first transaction is under way", || {
            scene.log.state().num_begun == 1
        })
        .await;
        let rest: Vec<_> = (1..6).map(|number| scene.send(number, 4)).collect();
        // The mailbox is served in order: when this one is refused, all the others lie before the shard's thread.
        let mut elsewhere = page(0, 1);
        elsewhere.shard.number = 5;
        let refused = scene.room.address().send(Produce(elsewhere)).await.unwrap();
        assert_eq!(refused, Err(Refused::Lost), "a shard that it does not have");
        scene.log.hold_commits(false);
        assert_eq!(first.await.unwrap(), delivered(4));
        for answer in rest {
            assert_eq!(answer.await.unwrap(), delivered(4));
        }
        assert_eq!(
            scene.log.pages_by_transaction(),
            [1, 3, 2],
            "ten records and no more than it takes"
        );
        let after = scene.log.state().committed.clone().unwrap();
        assert_eq!(
            (after.cursor, after.fetched, after.produced, after.pages),
            (json!(6), 24, 24, 6)
        );
        scene.room.stop().await;
    });
}

#[test]
fn a_page_that_does_not_follow_on_the_committed_cursor_is_refused() {
    on_real_time(async {
        let scene = Scene::new().await;
        scene.log.assign_shard();
        let _lent = scene.lent().await;
        assert_eq!(scene.produce(5, 1).await, Err(Refused::Lost));
        assert_eq!(scene.produce(0, 1).await, delivered(1));
        assert_eq!(scene.produce(0, 1).await, Err(Refused::Lost), "the same page again");
        // A gap in the middle of what waits: the pages before it go in, those after it do not.
        let sent = [scene.send(1, 1), scene.send(3, 1), scene.send(4, 1), scene.send(2, 1)];
        let answers = futures::future::join_all(sent).await;
        let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
        assert_eq!(
            answers,
            [delivered(1), Err(Refused::Lost), Err(Refused::Lost), delivered(1)]
        );
        assert_eq!(scene.log.payloads(), ["0.0", "1.0", "2.0"]);
        scene.room.stop().await;
    });
}

#[test]
fn an_empty_page_moves_the_cursor() {
    on_real_time(async {
        let scene = Scene::new().await;
        scene.log.assign_shard();
        let lent = scene.lent().await;
        assert_eq!(scene.produce(0, 0).await, delivered(0));
        drop(lent);
        assert_eq!(scene.lent().await.cursor, Some(json!(1)));
        scene.room.stop().await;
    });
}

#[test]
fn a_record_that_is_too_large_for_the_topic_becomes_an_envelope_among_its_neighbours() {
    on_real_time(async {
        let scene = Scene::new().await;
        scene.log.state().max_record_bytes = 10_000;
        scene.log.assign_shard();
        let _lent = scene.lent().await;
        let mut large = page(0, 3);
        large.records[1].payload = vec![b'x'; 20_000].into();
        let answer = scene.room.address().send(Produce(large)).await.unwrap();
        assert_eq!(answer, delivered(3));
        let log = scene.log.state().log.clone();
        let records = &log[0].pages[0].records;
        let reject = records[1].reject.as_ref().expect("an envelope");
        assert_eq!(reject.size_bytes, 20_000);
        assert!(reject.reason.contains("20000 bytes"), "{}", reject.reason);
        assert!(records[1].payload.len() < 10_000);
        assert!(records[0].reject.is_none() && records[2].reject.is_none());
        assert_eq!((log[0].after.produced, log[0].after.rejected), (3, 1));
        scene.room.stop().await;
    });
}

#[test]
fn a_revoked_shard_cancels_its_lease_and_refuses_what_comes_late() {
    on_real_time(async {
        let scene = Scene::new().await;
        let own = scene.log.assign_shard();
        let lent = scene.lent().await;
        assert_eq!(scene.produce(0, 1).await, delivered(1));
        scene.log.hold_commits(true);
        let under_way = scene.send(1, 1);
        until("its commit is under way", || scene.log.state().num_begun == 2).await;
        scene.log.revoke_shard(&own);
        lent.lease.revoked.cancelled().await;
        scene.log.hold_commits(false);
        assert_eq!(under_way.await.unwrap(), Err(Refused::Lost));
        assert_eq!(scene.produce(1, 1).await, Err(Refused::Lost));
        assert_eq!(scene.log.payloads(), ["0.0"]);

        // It comes back: another lease, at the committed cursor; the old one gives nothing back any more.
        scene.log.assign_shard();
        let again = scene.lent().await;
        assert_eq!(again.cursor, Some(json!(1)));
        drop(lent);
        let mut third = scene.ask();
        assert_eq!(scene.produce(1, 1).await, delivered(1));
        assert!(futures::poll!(&mut third).is_pending(), "lent twice");
        assert!(scene.room.is_in_its_first_life());
        scene.room.stop().await;
    });
}

#[test]
fn a_producer_that_ends_cancels_its_leases() {
    on_real_time(async {
        let scene = Scene::new().await;
        scene.log.assign_shard();
        let lent = scene.lent().await;
        assert_eq!(lent.cursor, None::<Value>);
        assert!(scene.room.stop().await.is_clean());
        lent.lease.revoked.cancelled().await;
    });
}
