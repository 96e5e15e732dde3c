//! What keeps failing is parked, and does not disturb the others.

use std::time::Duration;

use aqueduct::supervision::{BranchState, ChildState};
use tokio::time::{Instant, sleep};

use crate::stage::{Birth, Do, Stage, lives, on_paused_time, policy, until};

const ALWAYS: [Birth; 1_000] = [Birth::FactoryFails; 1_000];

#[test]
fn a_storm_parks_its_branch_while_another_branch_goes_on() {
    on_paused_time(async {
        let (stormy, calm) = (Stage::default(), Stage::default());
        stormy.script("b-0", ALWAYS);
        let other = calm.running("ingest", policy()).await;
        let branch = stormy.branch("load", policy()).start();
        let status = until(&branch, |status| status.state == BranchState::Parked).await;
        assert_eq!(lives(&status), [1, 1, 4, 1, 0], "three restarts, then no more");
        assert!(status.children.iter().all(|child| child.state == ChildState::Down));
        assert_eq!(status.reason.as_deref(), Some("b-0 failed: cannot be made: no luck"));
        assert!(status.next_try.is_some());
        sleep(Duration::from_secs(3_600)).await;
        assert_eq!(
            (other.status().state, lives(&other.status())),
            (BranchState::Running, vec![1; 5])
        );
        calm.address("c-0").send(Do::Nothing).await.unwrap();
    });
}

#[test]
fn a_parked_branch_is_tried_again_at_backoff_max_once_each_time() {
    on_paused_time(async {
        let stage = Stage::default();
        stage.script("b-0", [Birth::FactoryFails; 6]);
        let branch = stage.branch("load", policy()).start();
        until(&branch, |status| status.state == BranchState::Parked).await;
        let parked = Instant::now();
        let status = until(&branch, |status| status.state == BranchState::Running).await;
        assert_eq!(parked.elapsed().as_secs(), 3 * policy().backoff_max.as_secs());
        assert_eq!(lives(&status), [4, 4, 7, 4, 1], "two tries failed, the third did not");
        assert_eq!((status.reason, status.next_try, status.restarts_left), (None, None, 0));
        let status = until(&branch, |status| status.restarts_left == 3).await;
        assert_eq!(
            status.state,
            BranchState::Running,
            "a window without a failure gives all restarts back"
        );
    });
}

#[test]
fn resume_tries_a_parked_branch_at_once() {
    on_paused_time(async {
        let stage = Stage::default();
        stage.script("b-0", [Birth::FactoryFails; 4]);
        let branch = stage.branch("load", policy()).start();
        until(&branch, |status| status.state == BranchState::Parked).await;
        let parked = Instant::now();
        branch.resume();
        let status = until(&branch, |status| status.state == BranchState::Running).await;
        assert!(parked.elapsed() < Duration::from_secs(1));
        assert_eq!((lives(&status), status.restarts_left), (vec![2, 2, 5, 2, 1], 3));
    });
}

#[test]
fn an_actor_may_park_its_branch_which_winds_down_in_order_and_spends_no_restart() {
    on_paused_time(async {
        let stage = Stage::default();
        let branch = stage.running("load", policy()).await;
        stage.diary();
        stage.tell("a-0", Do::Park).await;
        let status = until(&branch, |status| status.state == BranchState::Parked).await;
        assert_eq!(status.reason.as_deref(), Some("too many dead letters"));
        assert_eq!(status.restarts_left, 3);
        let stopped: Vec<_> = stage
            .diary()
            .into_iter()
            .filter(|line| line.ends_with("stopped"))
            .collect();
        assert_eq!(
            stopped,
            [
                "a-0 stopped",
                "c-0 stopped",
                "b-0 stopped",
                "b-1 stopped",
                "a-1 stopped"
            ]
        );
        until(&branch, |status| {
            status.state == BranchState::Running && lives(status) == [2; 5]
        })
        .await;
    });
}

#[test]
fn a_parked_branch_stops_at_once() {
    on_paused_time(async {
        let stage = Stage::default();
        let branch = stage.running("load", policy()).await;
        stage.tell("a-0", Do::Park).await;
        until(&branch, |status| status.state == BranchState::Parked).await;
        let before = Instant::now();
        assert!(branch.stop().await.children.is_empty());
        assert_eq!(before.elapsed(), Duration::ZERO);
        assert_eq!(branch.status().state, BranchState::Stopped);
    });
}
