//! The producer after a fence: the cursor says whether the pages went in.

use std::time::Duration;

use aqueduct::messages::Refused;
use serde_json::json;

use crate::{
    clock::{on_real_time, until},
    producer::{Scene, delivered},
    scripted_log::{Fate, HEARTBEAT},
};

#[test]
fn pages_that_went_in_before_the_fence_are_delivered_and_not_appended_again() {
    on_real_time(async {
        let scene = Scene::new().await;
        scene.log.assign_shard();
        let _lent = scene.lent().await;
        scene.log.state().fates.push_back(Fate::InButFenced);
        assert_eq!(scene.produce(0, 2).await, delivered(2));
        assert_eq!(scene.produce(1, 1).await, delivered(1));
        assert_eq!(scene.log.payloads(), ["0.0", "0.1", "1.0"]);
        assert_eq!(scene.log.state().openings.len(), 2);
        assert!(scene.room.is_in_its_first_life(), "a fence spends no restart");
        scene.room.stop().await;
    });
}

#[test]
fn pages_that_did_not_go_in_before_the_fence_are_appended_once() {
    on_real_time(async {
        let scene = Scene::new().await;
        scene.log.assign_shard();
        let _lent = scene.lent().await;
        scene.log.state().fates.extend([Fate::OutAndFenced, Fate::OutAndFenced]);
        let sent = [scene.send(0, 2), scene.send(1, 1)];
        for (answer, num_records) in futures::future::join_all(sent).await.into_iter().zip([2, 1]) {
            assert_eq!(answer.unwrap(), delivered(num_records));
        }
        assert_eq!(scene.log.payloads(), ["0.0", "0.1", "1.0"]);
        assert_eq!(scene.log.state().openings.len(), 3);
        assert!(scene.room.is_in_its_first_life());
        scene.room.stop().await;
    });
}

#[test]
fn where_somebody_else_has_gone_on_the_pages_are_refused_and_nothing_is_appended() {
    on_real_time(async {
        let scene = Scene::new().await;
        scene.log.assign_shard();
        let lent = scene.lent().await;
        scene.log.state().fates.push_back(Fate::Overtaken(json!(7)));
        let sent = [scene.send(0, 1), scene.send(1, 1)];
        for answer in futures::future::join_all(sent).await {
            assert_eq!(answer.unwrap(), Err(Refused::Lost));
        }
        assert!(scene.log.payloads().is_empty());
        drop(lent);
        assert_eq!(
            scene.lent().await.cursor,
            Some(json!(7)),
            "it goes on where the other one ended"
        );
        assert_eq!(scene.produce(7, 1).await, delivered(1));
        assert_eq!(scene.log.payloads(), ["7.0"]);
        scene.room.stop().await;
    });
}

/// Going on from there would append the page twice.
#[test]
fn a_log_that_shows_less_than_it_has_confirmed_fails_the_producer_with_the_reason() {
    on_real_time(async {
        let scene = Scene::new().await;
        scene.log.assign_shard();
        let _lent = scene.lent().await;
        assert_eq!(scene.produce(0, 2).await, delivered(2));
        // The shard is opened again, and the cursor is the one before.
        scene.log.state().fates.push_back(Fate::Overtaken(json!(0)));
        let _unanswered = scene.send(1, 1);
        let failure = || scene.room.child().last_failure;
        until("the producer fails", || failure().is_some()).await;
        let reason = failure().unwrap().reason;
        assert!(reason.contains("lost what it had confirmed"), "{reason}");
        assert!(reason.contains("after 0 pages, and 1 were committed"), "{reason}");
        assert_eq!(scene.log.payloads(), ["0.0", "0.1"]);
        scene.room.stop().await;
    });
}

/// A process that was stopped for a while is fenced before it hears that the shard has moved: if it opened the shard
/// at once, it would push the rightful owner out.
#[test]
fn a_fenced_shard_is_opened_again_only_after_a_heartbeat_and_a_poll() {
    on_real_time(async {
        let scene = Scene::new().await;
        scene.log.assign_shard();
        let _lent = scene.lent().await;
        // The group is heard of before the fence, and then not for a while.
        assert_eq!(scene.produce(0, 1).await, delivered(1));
        {
            let mut state = scene.log.state();
            state.is_silent = true;
            state.fates.push_back(Fate::OutAndFenced);
        }
        let mut answer = scene.send(1, 1);
        tokio::select! {
            _ = &mut answer => panic!("it was committed without news of the group"),
            () = tokio::time::sleep(4 * HEARTBEAT) => {}
        }
        scene.log.state().is_silent = false;
        assert_eq!(answer.await.unwrap(), delivered(1));
        let openings = scene.log.state().openings.clone();
        assert_eq!(openings.len(), 2, "{openings:?}");
        assert!(openings[1].polls_since_fence >= 1, "{openings:?}");
        assert!(openings[1].since_fence >= Some(HEARTBEAT), "{openings:?}");
        scene.room.stop().await;
    });
}

#[test]
fn a_fenced_shard_that_is_revoked_meanwhile_is_not_opened_again() {
    on_real_time(async {
        let scene = Scene::new().await;
        let own = scene.log.assign_shard();
        let lent = scene.lent().await;
        {
            let mut state = scene.log.state();
            state.is_silent = true;
            state.fates.push_back(Fate::OutAndFenced);
        }
        let answer = scene.send(0, 1);
        until("it is fenced", || scene.log.state().fates.is_empty()).await;
        scene.log.revoke_shard(&own);
        assert_eq!(answer.await.unwrap(), Err(Refused::Lost));
        lent.lease.revoked.cancelled().await;
        assert!(scene.room.stop().await.is_clean(), "its threads have ended");
        assert_eq!(scene.log.state().openings.len(), 1);
    });
}

#[test]
fn a_record_that_the_broker_finds_too_large_becomes_an_envelope_and_the_page_goes_in_once() {
    on_real_time(async {
        let scene = Scene::new().await;
        scene.log.assign_shard();
        let _lent = scene.lent().await;
        scene.log.state().fates.push_back(Fate::TooLarge(0, 1));
        assert_eq!(scene.produce(0, 3).await, delivered(3));
        let log = scene.log.state().log.clone();
        let records = &log[0].pages[0].records;
        let rejects: Vec<_> = records.iter().map(|record| record.reject.is_some()).collect();
        assert_eq!((log.len(), rejects), (1, vec![false, true, false]));
        scene.room.stop().await;
    });
}

#[test]
fn an_envelope_that_is_refused_all_the_same_fails_the_producer_and_does_not_spin() {
    on_real_time(async {
        let scene = Scene::new().await;
        scene.log.assign_shard();
        let _lent = scene.lent().await;
        scene
            .log
            .state()
            .fates
            .extend([Fate::TooLarge(0, 0), Fate::TooLarge(0, 0)]);
        let _ = scene.send(0, 1).await;
        until("it was restarted", || scene.room.child().life == 2).await;
        let failure = scene.room.child().last_failure.unwrap();
        assert!(
            failure.reason.contains("larger than the topic takes"),
            "{}",
            failure.reason
        );
        assert!(scene.log.payloads().is_empty());
        let stopped = tokio::time::timeout(Duration::from_secs(30), scene.room.stop()).await;
        assert!(stopped.unwrap().is_clean());
    });
}
