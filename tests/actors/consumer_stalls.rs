//! A partition that stands still while others move.

use std::time::Duration;

use aqueduct::messages::Transform;

use crate::{
    clock::{on_real_time, until},
    consumer::{Scene, settle},
    neighbours::Pending,
    scripted_load::AtPoll,
    scripted_log::ScriptedLog,
};

fn partition_of(pending: &Pending<Transform>) -> i32 {
    pending.message.0.claim.key.partition
}

#[test]
fn a_partition_whose_records_do_not_come_is_found_while_another_one_moves_and_its_consumer_is_replaced() {
    on_real_time(async {
        let scene = Scene::with(ScriptedLog::new(), Duration::from_millis(400)).await;
        scene.log.state().at_poll.push_back(AtPoll::Deaf(1));
        scene.log.assign(0, 10_000_000);
        scene.log.assign(1, 10);
        let mut num_moved = 0;
        until("the stall is found", || {
            while scene.batches.len() > 0 {
                let batch = scene.batches.take();
                assert_eq!(partition_of(&batch), 0);
                settle(batch);
                num_moved += 1;
            }
            scene.room.child().life == 2
        })
        .await;
        assert!(num_moved > 2, "the other partition was to move");
        let reason = scene.room.child().last_failure.unwrap().reason;
        assert_eq!(
            reason,
            "failed: partition 1 of people has stalled: offsets 0 to 9 wait in the log, and nothing of them has come for 400ms"
        );
        // The next life hears.
        scene.log.assign(1, 10);
        let mut num_read = 0;
        until("its records come", || {
            while scene.batches.len() > 0 {
                let batch = scene.batches.take();
                num_read += if partition_of(&batch) == 1 {
                    batch.message.0.records.len()
                } else {
                    0
                };
                settle(batch);
            }
            num_read >= 10
        })
        .await;
        assert_eq!(scene.room.child().life, 2);
    });
}

#[test]
fn neither_a_partition_at_its_end_nor_one_that_waits_for_its_replies_is_a_stall_however_long() {
    on_real_time(async {
        let scene = Scene::with(ScriptedLog::new(), Duration::from_millis(200)).await;
        scene.log.assign(0, 6);
        until("everything of it is settled", || {
            while scene.batches.len() > 0 {
                settle(scene.batches.take());
            }
            scene.log.num_bounds(0) > 2
        })
        .await;
        scene.log.assign(1, 100);
        scene.until_batches(2).await;
        // Each look is a quarter of the time after which something that waits is a stall.
        until("it was looked at for long", || scene.log.num_bounds(0) > 24).await;
        assert!(scene.room.is_in_its_first_life());
        assert_eq!(scene.log.num_bounds(1), 1, "what is in flight is not the reader's");
        // And then what comes is read.
        scene.log.state().ends.insert(0, 8);
        scene.until_batches(3).await;
        assert!(scene.room.is_in_its_first_life());
    });
}
