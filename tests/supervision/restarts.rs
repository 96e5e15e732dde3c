//! Whatever ends an actor: it comes back, later tiers come back with it, everybody else stays.

use std::time::Duration;

use aqueduct::supervision::{Branch, BranchState, BranchStatus, ChildState, Policy};
use tokio::time::{Instant, sleep};

use crate::stage::{Birth, Do, Stage, lives, log, on_paused_time, policy, reason, until, until_lives};

/// `b-0` comes to grief by `what`; it and `c-0` have to come back, and only they.
fn b_comes_back_after(what: Do, expected: &str) {
    on_paused_time(async {
        let stage = Stage::default();
        let branch = stage.running("load", policy()).await;
        let before = Instant::now();
        stage.tell("b-0", what).await;
        let status = until_lives(&branch, [1, 1, 2, 1, 2]).await;
        assert_eq!(reason(&status, "b-0"), expected);
        assert!(before.elapsed() >= policy().backoff, "it came back without a back-off");
        assert_eq!(status.restarts_left, 2);
        for child in ["a-0", "a-1", "b-0", "b-1", "c-0"] {
            stage
                .address(child)
                .send(Do::Nothing)
                .await
                .expect("everybody answers at the published address");
        }
        assert!(branch.stop().await.is_clean());
    });
}

#[test]
fn an_actor_that_panics_in_a_handler_comes_back() {
    b_comes_back_after(Do::Panic, "panicked: boom");
}

#[test]
fn an_actor_whose_future_panics_comes_back() {
    b_comes_back_after(Do::PanicInFuture, "panicked: boom in a future");
}

#[test]
fn an_actor_that_fails_comes_back_and_the_chain_of_causes_is_told_once() {
    b_comes_back_after(Do::Fail, "failed: write the batch: disk is full");
}

#[test]
fn an_actor_that_ends_without_a_reason_comes_back() {
    b_comes_back_after(Do::End, "ended without a reason");
}

#[test]
fn an_actor_that_panics_in_its_destructor_comes_back() {
    b_comes_back_after(Do::DropBadly, "panicked: while being dropped: cannot be dropped");
}

#[test]
fn an_actor_that_hangs_with_work_in_hand_comes_back() {
    b_comes_back_after(Do::Hang, "hung: no progress for 20s with work in hand");
}

#[test]
fn an_attempt_that_hangs_within_a_declared_wait_is_a_stall() {
    b_comes_back_after(Do::HangInAttempt, "hung: no progress for 20s with work in hand");
}

#[test]
fn an_actor_that_fails_and_refuses_to_stop_comes_back_all_the_same() {
    on_paused_time(async {
        let stage = Stage::default();
        let branch = stage.running("load", policy()).await;
        stage.tell("b-0", Do::RefuseToStop).await;
        stage.tell("b-0", Do::Fail).await;
        let status = until_lives(&branch, [1, 1, 2, 1, 2]).await;
        assert_eq!(reason(&status, "b-0"), "failed: write the batch: disk is full");
    });
}

/// `b-0` cannot start twice; later tiers wait for it and start once.
fn b_starts_in_spite_of(birth: Birth, expected: &str) {
    on_paused_time(async {
        let stage = Stage::default();
        stage.script("b-0", [birth, birth]);
        let before = Instant::now();
        let branch = stage.branch("load", policy()).start();
        let status = until_lives(&branch, [1, 1, 3, 1, 1]).await;
        assert_eq!(reason(&status, "b-0"), expected);
        assert!(
            before.elapsed() >= policy().backoff * 3,
            "one back-off and then a doubled one"
        );
        branch.stop().await;
    });
}

#[test]
fn a_factory_that_errs_is_tried_again() {
    b_starts_in_spite_of(Birth::FactoryFails, "failed: cannot be made: no luck");
}

#[test]
fn a_factory_that_panics_is_tried_again() {
    b_starts_in_spite_of(
        Birth::FactoryPanics,
        "panicked: while being made: the factory is broken",
    );
}

#[test]
fn an_actor_that_panics_in_started_is_tried_again() {
    b_starts_in_spite_of(Birth::PanicsInStarted, "panicked: cannot start");
}

#[test]
fn an_actor_that_fails_in_started_is_tried_again() {
    b_starts_in_spite_of(Birth::FailsInStarted, "failed: cannot connect");
}

#[test]
fn an_actor_that_stops_itself_in_started_does_not_spin() {
    b_starts_in_spite_of(Birth::StopsInStarted, "ended without a reason");
}

#[test]
fn an_address_is_published_after_started_and_before_later_tiers_start() {
    on_paused_time(async {
        let stage = Stage::default();
        let branch = stage.running("load", policy()).await;
        stage.diary();
        stage.tell("b-0", Do::Fail).await;
        until_lives(&branch, [1, 1, 2, 1, 2]).await;
        let expected = [
            "b-0 stopped",
            "b-0 dropped",
            "c-0 stopped",
            "c-0 dropped",
            "b-0 started",
            "b-0 published",
            "c-0 started",
            "c-0 published",
        ];
        assert_eq!(stage.diary(), expected);
    });
}

#[test]
fn an_address_that_cannot_be_published_fails_its_actor() {
    on_paused_time(async {
        let stage = Stage::default();
        let spec = stage.spec("a", 0, 0).published(|_| panic!("nobody home"));
        let branch = Branch::new("load", policy(), &log()).child(spec).start();
        let status = until(&branch, |status| lives(status) == [2]).await;
        assert_eq!(
            reason(&status, "a-0"),
            "failed: its address could not be published: nobody home"
        );
    });
}

#[test]
fn an_actor_whose_address_nobody_keeps_lives_on() {
    on_paused_time(async {
        let stage = Stage::default();
        let branch = Branch::new("load", policy(), &log())
            .child(stage.spec("a", 0, 0).published(drop))
            .start();
        until(&branch, |status| status.state == BranchState::Running).await;
        sleep(Duration::from_secs(3_600)).await;
        assert_eq!(
            (branch.status().state, lives(&branch.status())),
            (BranchState::Running, vec![1])
        );
    });
}

#[test]
fn after_a_panic_no_hook_runs_on_the_broken_actor_and_it_serves_no_more_mail() {
    on_paused_time(async {
        let stage = Stage::default();
        let branch = stage.running("load", policy()).await;
        stage.tell("c-0", Do::RefuseToStop).await;
        stage.diary();
        let (panic, next) = (
            stage.address("c-0").send(Do::Panic),
            stage.address("c-0").send(Do::Nothing),
        );
        let (panic, next) = tokio::join!(panic, next);
        assert!(panic.is_err() && next.is_err());
        until_lives(&branch, [1, 1, 1, 1, 2]).await;
        assert_eq!(stage.diary(), ["c-0 dropped", "c-0 started", "c-0 published"]);
    });
}

#[test]
fn a_failure_in_the_first_tier_restarts_all_later_tiers_but_not_its_sibling() {
    on_paused_time(async {
        let stage = Stage::default();
        let branch = stage.running("load", policy()).await;
        stage.tell("a-1", Do::Panic).await;
        until_lives(&branch, [1, 2, 2, 2, 2]).await;
    });
}

#[test]
fn a_failure_while_a_restart_is_under_way_widens_it() {
    on_paused_time(async {
        let stage = Stage::default();
        let branch = stage.running("load", policy()).await;
        stage.tell("c-0", Do::RefuseToStop).await;
        stage.tell("b-0", Do::Fail).await;
        let stopping = |status: &BranchStatus| status.children[4].state == ChildState::Stopping;
        until(&branch, stopping).await;
        stage.tell("a-0", Do::Panic).await;
        let status = until_lives(&branch, [2, 1, 2, 2, 2]).await;
        assert_eq!(status.restarts_left, 1);
    });
}

#[test]
fn two_siblings_that_fail_together_come_back_together() {
    on_paused_time(async {
        let stage = Stage::default();
        let branch = stage.running("load", policy()).await;
        tokio::join!(stage.tell("b-0", Do::Fail), stage.tell("b-1", Do::Panic));
        until_lives(&branch, [1, 1, 2, 2, 2]).await;
    });
}

#[test]
fn late_news_of_an_old_life_is_ignored() {
    on_paused_time(async {
        let stage = Stage::default();
        let branch = stage.running("load", policy()).await;
        stage.tell("b-0", Do::Panic).await;
        until_lives(&branch, [1, 1, 2, 1, 2]).await;
        stage.life("b-0", 1).fail("late");
        stage.life("b-0", 1).park("too late");
        sleep(Duration::from_secs(3_600)).await;
        let status = branch.status();
        assert_eq!(
            (status.state, lives(&status)),
            (BranchState::Running, vec![1, 1, 2, 1, 2])
        );
    });
}

#[test]
fn a_declared_wait_is_no_stall_and_is_shown_while_it_lasts() {
    on_paused_time(async {
        let stage = Stage::default();
        let branch = stage.running("load", policy()).await;
        stage.tell("b-0", Do::Wait).await;
        let before = branch.status();
        sleep(Duration::from_secs(3_600)).await;
        let status = branch.status();
        assert_eq!(lives(&status), [1; 5]);
        assert_eq!(status.child("b-0").unwrap().waiting[0].what, "PostgreSQL");
        assert_eq!(status.marks(), before.marks(), "nothing was achieved");
        assert!(status.beats() > before.beats(), "but the watchdog is content");
    });
}

#[test]
fn work_with_marks_and_idleness_without_are_no_stalls() {
    on_paused_time(async {
        let stage = Stage::default();
        let branch = stage.running("load", policy()).await;
        stage.tell("b-0", Do::Labour).await;
        sleep(Duration::from_secs(2 * 3_600)).await;
        let status = branch.status();
        assert_eq!((lives(&status), status.marks()), (vec![1; 5], 3_600));
    });
}

#[test]
fn progress_counts_on_over_a_restart() {
    on_paused_time(async {
        let stage = Stage::default();
        let branch = stage.running("load", policy()).await;
        stage.life("b-0", 1).progress().mark();
        stage.tell("b-0", Do::Fail).await;
        let status = until_lives(&branch, [1, 1, 2, 1, 2]).await;
        stage.life("b-0", 2).progress().mark();
        assert_eq!((status.marks(), branch.status().marks()), (1, 2));
    });
}

#[test]
fn a_healthy_spell_forgives() {
    on_paused_time(async {
        let stage = Stage::default();
        let branch = stage
            .running(
                "load",
                Policy {
                    max_restarts: 1,
                    ..policy()
                },
            )
            .await;
        for life in 2..6 {
            stage.tell("c-0", Do::Fail).await;
            let status = until_lives(&branch, [1, 1, 1, 1, life]).await;
            assert_eq!(status.restarts_left, 0);
            until(&branch, |status| status.restarts_left == 1).await;
        }
    });
}
