//! The consumer lets go: of a partition, of all of them.

use std::time::Duration;

use aqueduct::{log::LoadEvent, messages::Refused, supervision::ChildState};
use tokio::time::advance;

use crate::{
    clock::{on_held_time, on_real_time, until},
    consumer::{Scene, move_to, settle},
    load::key,
    scripted_load::AtPoll,
};

#[test]
fn a_revoked_partition_is_released_when_its_batches_are_settled() {
    on_held_time(async {
        let scene = Scene::at_work().await;
        scene.let_go_of_0().await;
        settle(scene.batches.take());
        advance(Duration::from_secs(9)).await;
        // A partition without batches in flight is released at once, so the one before would have been.
        scene.log.assign(1, 0);
        scene.until_state(1, "reading").await;
        scene.log.revoke(1, false);
        until("the idle one is released", || scene.log.is_released(1)).await;
        assert!(!scene.log.is_released(0), "a batch of it is unsettled");
        settle(scene.batches.take());
        until("it is released", || scene.log.is_released(0)).await;
        assert_eq!(scene.batches.len(), 0, "nothing more was read");
    });
}

#[test]
fn a_revoked_partition_is_released_after_ten_seconds_whatever_is_in_flight() {
    on_held_time(async {
        let scene = Scene::at_work().await;
        scene.let_go_of_0().await;
        advance(Duration::from_secs(10)).await;
        until("it is released", || scene.log.is_released(0)).await;
        // Late answers change nothing.
        settle(scene.batches.take());
        scene.batches.take().answer(Err(Refused::Lost));
        scene.log.assign(1, 2);
        scene.until_batches(1).await;
        assert_eq!(
            (scene.log.num_bounds(0), scene.state(0).as_str()),
            (1, "with another consumer")
        );
        assert!(scene.room.is_in_its_first_life());
    });
}

#[test]
fn a_lost_partition_is_released_at_once() {
    on_held_time(async {
        let scene = Scene::at_work().await;
        scene.log.revoke(0, true);
        until("it is released", || scene.log.is_released(0)).await;
        assert_eq!(scene.batches.len(), 2, "nobody has answered");
    });
}

/// The drain's end would otherwise release what is ours again, and nobody would ever read it.
#[test]
fn a_partition_that_is_lost_in_its_drain_and_comes_back_is_read_on() {
    on_held_time(async {
        let scene = Scene::at_work().await;
        scene.let_go_of_0().await;
        {
            let mut state = scene.log.state();
            let (partitions, lost) = (vec![0], true);
            state
                .at_poll
                .push_back(AtPoll::Tell(LoadEvent::Revoked { partitions, lost }));
            state.at_poll.push_back(AtPoll::Tell(LoadEvent::Assigned(vec![0])));
        }
        scene.until_batches(4).await;
        for _ in 0..2 {
            scene.batches.take().answer(Err(Refused::Lost));
        }
        advance(Duration::from_secs(11)).await;
        for _ in 0..6 {
            until("a batch of the new claim comes", || scene.batches.len() == 2).await;
            assert_eq!(scene.batches.all()[0].message.0.claim.epoch, 2);
            settle(scene.batches.take());
        }
        assert!(scene.room.is_in_its_first_life());
    });
}

#[test]
fn an_ordered_stop_waits_for_what_is_in_flight() {
    on_real_time(async {
        let scene = Scene::at_work().await;
        let mut stopping = Box::pin(scene.room.stop());
        assert!(futures::poll!(&mut stopping).is_pending());
        until("it was told", || scene.room.child().state == ChildState::Stopping).await;
        settle(scene.batches.take());
        // Its reader is told before the answer to this comes, and reads no further.
        scene.log.revoke(1, false);
        until("the reader has heard it", || scene.log.is_released(1)).await;
        assert!(futures::poll!(&mut stopping).is_pending());
        assert_eq!(scene.batches.len(), 1);
        settle(scene.batches.take());
        assert!(stopping.await.is_clean());
    });
}

#[test]
fn an_ordered_stop_begins_nothing_new() {
    on_real_time(async {
        let scene = Scene::at_work().await;
        scene.log.state().is_away = true;
        scene.log.assign(1, 100);
        scene.until_state(1, "claiming").await;
        let mut stopping = Box::pin(scene.room.stop());
        assert!(futures::poll!(&mut stopping).is_pending());
        until("it was told", || scene.room.child().state == ChildState::Stopping).await;
        // The claim comes through now, in the middle of the stop.
        scene.log.state().is_away = false;
        until("it is claimed", || scene.rows().len() == 2).await;
        // By now it would be read.
        tokio::time::sleep(Duration::from_millis(100)).await;
        settle(scene.batches.take());
        settle(scene.batches.take());
        assert!(stopping.await.is_clean());
        assert!(scene.log.starts(1).is_empty(), "the newly claimed one is not read");
    });
}

#[test]
fn an_ordered_stop_ends_while_a_claim_waits_for_an_outage() {
    on_real_time(async {
        let scene = Scene::new().await;
        scene.log.state().is_away = true;
        scene.log.assign(0, 100);
        scene.until_state(0, "claiming").await;
        assert!(scene.room.stop().await.is_clean());
    });
}

/// A session that has timed out for good: another one bears its identity, or the group's strategy has changed.
#[test]
fn a_membership_that_is_of_no_use_any_more_costs_a_restart_with_back_off_and_nothing_hangs() {
    on_real_time(async {
        let scene = Scene::at_work().await;
        let first = scene.batches.take();
        let next_offset = first.message.0.next_offset;
        scene.log.state().at_poll.push_back(AtPoll::Fatal);
        until("it has another life", || scene.room.child().life == 2).await;
        let failure = scene.room.child().last_failure.unwrap();
        assert!(failure.reason.contains("has another owner"), "{}", failure.reason);
        // The old life's batch is settled meanwhile, as a writer would do it: the next claim finds it so.
        move_to(&scene.database, &key(0), next_offset);
        drop(first);
        scene.log.assign(0, 100);
        until("it reads again", || scene.log.starts(0).len() == 2).await;
        assert_eq!(scene.log.starts(0), [0, next_offset]);
    });
}
