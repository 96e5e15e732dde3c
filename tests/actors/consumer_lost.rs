//! A position that is lost stops its partition, and only a person leads it on.

use std::time::Duration;

use aqueduct::{
    messages::Refused,
    model::{Loss, LostRange, TopicId},
    store::{
        StoreError,
        skips::{self, Skip},
        stops,
    },
};
use tokio::time::advance;

use crate::{
    clock::{on_held_time, on_real_time, until},
    consumer::{Scene, move_to, settle},
    load::{TOPIC, key},
    scripted_load::AtPoll,
};

const NEW_TOPIC: TopicId = TopicId(uuid::Uuid::from_u128(8));

impl Scene {
    fn lost(&self) -> LostRange {
        stops::find(&mut self.database.session("look"), &key(0))
            .unwrap()
            .expect("the stop is written down")
    }

    /// As `aqueduct offsets skip` does.
    fn skip(&self, topic_id: TopicId, to: i64) {
        let mut session = self.database.session("operator");
        skips::skip(&mut session, &key(0), "operator", |_, _| {
            Ok::<_, StoreError>(Skip {
                topic_id,
                to,
                num_records: 0,
                num_uncounted_offsets: None,
                reason: "a test".into(),
            })
        })
        .unwrap();
    }
}

#[test]
fn a_log_that_has_lost_its_end_stops_the_partition_with_a_sentence() {
    on_real_time(async {
        let scene = Scene::new().await;
        move_to(&scene.database, &key(0), 8);
        scene.log.assign(0, 6);
        scene.until_state(0, "stopped: ").await;
        let state = scene.state(0);
        assert!(state.contains("ends at offset 6 but 8 was loaded"), "{state}");
        assert!(scene.log.starts(0).is_empty() && scene.room.is_in_its_first_life());
        assert!(
            scene.lost().remedy.ends_with(" --partition 0 --to 6"),
            "{}",
            scene.lost().remedy
        );
    });
}

#[test]
fn a_topic_that_was_made_again_stops_the_partition_with_a_sentence_and_its_batches_are_not_to_be_written() {
    on_real_time(async {
        let scene = Scene::new().await;
        scene.log.assign(0, 2);
        scene.until_batches(1).await;
        let batch = scene.batches.take();
        assert!(batch.message.0.identity.clone().holds().await);
        settle(batch);
        {
            let mut state = scene.log.state();
            state.topic_id = NEW_TOPIC;
            state.ends.insert(0, 4);
        }
        let has_stopped = || {
            let state = scene.state(0);
            state.starts_with("stopped: topic people was deleted and created again")
        };
        until("it stops, or a batch comes", || {
            has_stopped() || scene.batches.len() > 0
        })
        .await;
        // What is read of the new topic goes nowhere, or is refused by its identity.
        if scene.batches.len() > 0 {
            let batch = scene.batches.take();
            assert!(!batch.message.0.identity.clone().holds().await);
            batch.answer(Err(Refused::Lost));
        }
        until("it stops", has_stopped).await;
        assert_eq!((scene.lost().reason, scene.lost().to), (Loss::TopicReplaced, None));
        assert_eq!(scene.log.starts(0), [0], "nothing of the new topic is read");
        assert!(scene.room.is_in_its_first_life());
    });
}

#[test]
fn a_topic_that_was_made_again_before_the_claim_stops_the_partition() {
    on_real_time(async {
        let scene = Scene::new().await;
        move_to(&scene.database, &key(0), 5);
        scene.log.state().topic_id = NEW_TOPIC;
        scene.log.assign(0, 100);
        scene
            .until_state(0, "stopped: topic people was deleted and created again")
            .await;
        assert!(
            scene.state(0).contains("from offset 5 on is lost"),
            "{}",
            scene.state(0)
        );
        assert!(scene.log.starts(0).is_empty());
    });
}

#[test]
fn a_position_that_retention_has_passed_stops_the_partition_and_names_the_lost_range() {
    on_real_time(async {
        let scene = Scene::new().await;
        move_to(&scene.database, &key(0), 5);
        scene.log.assign(0, 100);
        scene.until_batches(2).await;
        scene.log.state().low = 20;
        scene.log.state().at_poll.push_back(AtPoll::OutOfRange(0));
        // What is in hand is settled first: a claim would fence it, and the log has no second copy.
        until("the partition stops", || {
            while scene.batches.len() > 0 {
                settle(scene.batches.take());
            }
            scene.state(0).starts_with("stopped: ")
        })
        .await;
        assert!(
            scene.state(0).contains("offsets 5 to 19 are gone"),
            "{}",
            scene.state(0)
        );
        assert_eq!((scene.lost().from, scene.lost().to), (5, Some(19)));
        // The others go on.
        scene.log.assign(1, 22);
        scene.until_state(1, "reading").await;
        // And this one, at once, when a person says so.
        scene.skip(TOPIC, 20);
        until("it is read on", || scene.log.starts(0).last() == Some(&20)).await;
        scene.until_state(0, "reading").await;
        assert!(scene.room.is_in_its_first_life());
    });
}

/// Whoever looks only when the log is longer than the position again sees nothing wrong, and passes over what is new.
#[test]
fn a_log_that_has_lost_its_end_and_grown_again_is_still_stopped() {
    on_real_time(async {
        let scene = Scene::new().await;
        move_to(&scene.database, &key(0), 8);
        scene.log.assign(0, 6);
        scene.until_state(0, "stopped: ").await;
        scene.log.revoke(0, true);
        scene.until_state(0, "with another consumer").await;
        scene.log.assign(0, 12);
        scene
            .until_state(0, "stopped: the log ends at offset 6 but 8 was loaded")
            .await;
        assert!(scene.log.starts(0).is_empty());
        scene.skip(TOPIC, 6);
        until("it is read on", || scene.log.starts(0) == [6]).await;
    });
}

#[test]
fn a_topic_that_is_gone_stops_its_partitions_and_one_that_comes_back_is_another_one() {
    on_real_time(async {
        let scene = Scene::at_work().await;
        scene.log.state().is_gone = true;
        until("the partition stops", || {
            while scene.batches.len() > 0 {
                settle(scene.batches.take());
            }
            scene
                .state(0)
                .starts_with("stopped: topic people does not exist any more")
        })
        .await;
        let stops = || stops::read_all(&mut scene.database.session("look"), &"people".into()).unwrap();
        assert_eq!(stops(), []);
        {
            let mut state = scene.log.state();
            (state.is_gone, state.topic_id) = (false, NEW_TOPIC);
        }
        scene
            .until_state(0, "stopped: topic people was deleted and created again")
            .await;
        assert_eq!(scene.log.starts(0), [0]);
        scene.skip(NEW_TOPIC, 0);
        until("it is read on", || scene.log.starts(0) == [0, 0]).await;
        assert_eq!(scene.rows()[0].topic_id, NEW_TOPIC);
        assert!(scene.room.is_in_its_first_life());
    });
}

#[test]
fn a_skip_fences_whoever_reads_the_partition_and_he_goes_on_behind_it() {
    on_held_time(async {
        let scene = Scene::at_work().await;
        scene.skip(TOPIC, 50);
        // What the writer answers: the fence has moved.
        scene.batches.take().answer(Err(Refused::Lost));
        scene.until_state(0, "fenced").await;
        advance(Duration::from_secs(4)).await;
        until("it is read on", || scene.log.starts(0) == [0, 50]).await;
    });
}
