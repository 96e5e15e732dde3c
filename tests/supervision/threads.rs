//! Threads that belong to a life end with it, or are counted.

use std::{sync::mpsc, time::Duration};

use aqueduct::supervision::{Policy, Stopped};

use crate::stage::{Do, Stage, on_paused_time, on_real_time, policy, reason, until_lives};

#[test]
fn a_thread_that_outlives_the_grace_is_abandoned_and_counted() {
    on_paused_time(async {
        let stage = Stage::default();
        let branch = stage.running("load", policy()).await;
        let (release, blocked) = mpsc::channel::<()>();
        stage
            .life("b-0", 1)
            .thread("poll", move |_| blocked.recv().unwrap_or_default())
            .unwrap();
        stage.tell("b-0", Do::Panic).await;
        let status = until_lives(&branch, [1, 1, 2, 1, 2]).await;
        assert_eq!(
            (status.abandoned_threads, status.child("b-0").unwrap().abandoned_threads),
            (1, 1)
        );
        let summary = branch.stop().await;
        assert_eq!(summary.abandoned_threads, 1);
        assert!(summary.is_clean(), "the second life left nothing behind");
        drop(release);
    });
}

#[test]
fn a_thread_that_outlives_an_ordered_stop_is_told_in_the_summary() {
    on_paused_time(async {
        let stage = Stage::default();
        let branch = stage.running("load", policy()).await;
        let (release, blocked) = mpsc::channel::<()>();
        stage
            .life("c-0", 1)
            .thread("poll", move |_| blocked.recv().unwrap_or_default())
            .unwrap();
        let summary = branch.stop().await;
        assert_eq!(
            (summary.children[0].name.as_str(), &summary.children[0].how),
            ("c-0", &Stopped::Abandoned)
        );
        drop(release);
    });
}

#[test]
fn a_panicking_thread_fails_its_life() {
    on_real_time(async {
        let stage = Stage::default();
        let branch = stage.running("load", policy()).await;
        stage
            .life("b-0", 1)
            .thread("poll", |_| panic!("librdkafka is cross"))
            .unwrap();
        let status = until_lives(&branch, [1, 1, 2, 1, 2]).await;
        assert_eq!(
            reason(&status, "b-0"),
            "failed: thread poll panicked: librdkafka is cross"
        );
        branch.stop().await;
    });
}

/// Starts a thread that obeys its token, ends the life by `what`, and sees the thread gone before the next life.
fn the_thread_is_gone_after(what: Do) {
    on_real_time(async {
        let stage = Stage::default();
        let patient = Policy {
            grace: Duration::from_secs(50),
            ..policy()
        };
        let branch = stage.running("load", patient).await;
        let diary = stage.clone();
        let body = move |token: tokio_util::sync::CancellationToken| {
            futures::executor::block_on(token.cancelled());
            diary.note("thread ended".to_owned());
        };
        stage.life("c-0", 1).thread("poll", body).unwrap();
        stage.diary();
        stage.tell("c-0", what).await;
        let status = until_lives(&branch, [1, 1, 1, 1, 2]).await;
        assert_eq!(status.abandoned_threads, 0);
        let diary = stage.diary();
        let (thread, next) = (place(&diary, "thread ended"), place(&diary, "c-0 started"));
        assert!(thread < next, "{diary:?}");
        branch.stop().await;
    });
}

fn place(diary: &[String], line: &str) -> usize {
    diary.iter().position(|entry| entry == line).expect("it happened")
}

#[test]
fn after_a_panic_the_thread_ends_before_the_next_life() {
    the_thread_is_gone_after(Do::Panic);
}

#[test]
fn after_a_failure_the_thread_ends_before_the_next_life() {
    the_thread_is_gone_after(Do::Fail);
}

#[test]
fn after_an_end_without_a_reason_the_thread_ends_before_the_next_life() {
    the_thread_is_gone_after(Do::End);
}
