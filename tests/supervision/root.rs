//! The root gives up when everything is parked, and not before.

use std::time::Duration;

use aqueduct::{
    config::settings::OnEscalate,
    supervision::{Branch, BranchState, Policy, Root, RootOutcome},
};
use futures::FutureExt;
use slog::{Drain, Level, Logger, Never, OwnedKVList, Record, o};
use tokio::time::sleep;

use crate::stage::{Birth, Do, Stage, log, on_paused_time, policy, until};

#[test]
fn the_root_gives_up_when_every_branch_is_parked() {
    on_paused_time(async {
        let (first, second) = (Stage::default(), Stage::default());
        let mut root = Root::new(&log());
        let (ingest, load) = (
            first.running("ingest", policy()).await,
            second.running("load", policy()).await,
        );
        root.add_line([ingest.clone(), load.clone()]);
        first.tell("a-0", Do::Park).await;
        until(&ingest, |status| status.state == BranchState::Parked).await;
        assert_eq!(root.outcome().now_or_never(), None, "the other branch runs");
        second.tell("a-0", Do::Park).await;
        let outcome = root.outcome().await;
        let reason = "every branch is parked: ingest: too many dead letters; load: too many dead letters";
        assert_eq!(outcome, RootOutcome::Escalated(reason.to_owned()));
        assert_eq!(outcome.exit_code(), 70);
    });
}

#[test]
fn with_exit_a_storm_in_one_branch_is_the_end() {
    on_paused_time(async {
        let (first, second) = (Stage::default(), Stage::default());
        first.script("b-0", [Birth::FactoryPanics; 100]);
        let mut root = Root::new(&log());
        let policy = Policy {
            on_escalate: OnEscalate::Exit,
            ..policy()
        };
        let ingest = first.branch("ingest", policy).start();
        let load = second.running("load", policy).await;
        root.add(ingest.clone());
        root.add(load.clone());
        let reason = "ingest: b-0 panicked: while being made: the factory is broken";
        assert_eq!(root.outcome().await, RootOutcome::Escalated(reason.to_owned()));
        assert_eq!(ingest.escalated().await, reason);
        assert_eq!(load.escalated().now_or_never(), None);
        let summaries = root.stop().await;
        assert_eq!(summaries.len(), 2);
        assert_eq!(load.status().state, BranchState::Stopped);
    });
}

#[test]
fn an_ordered_stop_is_no_escalation() {
    on_paused_time(async {
        let (first, second) = (Stage::default(), Stage::default());
        let mut root = Root::new(&log());
        root.add_line([
            first.running("ingest", policy()).await,
            second.running("load", policy()).await,
        ]);
        let (first_diary, second_diary) = (first.clone(), second.clone());
        let summaries = root.stop().await;
        let names: Vec<_> = summaries.iter().map(|summary| summary.branch.as_str()).collect();
        assert_eq!(names, ["ingest", "load"]);
        assert!(summaries.iter().all(|summary| summary.is_clean()));
        assert!(!first_diary.diary().is_empty() && !second_diary.diary().is_empty());
        tokio::select! {
            outcome = root.outcome() => panic!("{outcome:?}"),
            () = sleep(Duration::from_secs(3_600)) => (),
        }
    });
}

#[test]
fn the_status_is_json_with_the_whole_tree() {
    on_paused_time(async {
        let stage = Stage::default();
        let mut root = Root::new(&log());
        root.add(stage.running("load", policy()).await);
        stage.tell("c-0", Do::Wait).await;
        let status = serde_json::to_value(root.status()).unwrap();
        assert_eq!(status[0]["state"], "running");
        assert_eq!(status[0]["children"][4]["name"], "c-0");
        assert_eq!(status[0]["children"][4]["state"], "up");
        assert_eq!(status[0]["children"][4]["waiting"][0]["what"], "PostgreSQL");
    });
}

/// Panics when it should log a failure, and with it the supervisor's own task.
struct BrokenDrain;

impl Drain for BrokenDrain {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, _: &OwnedKVList) -> Result<(), Never> {
        assert!(
            !record.level().is_at_least(Level::Warning),
            "the disk of the log is full"
        );
        Ok(())
    }
}

#[test]
fn a_supervisor_that_itself_fails_ends_the_daemon_and_its_actors_do_not_go_on() {
    on_paused_time(async {
        let (broken, sound) = (Stage::default(), Stage::default());
        let mut root = Root::new(&log());
        let branch = Branch::new("load", policy(), &Logger::root(BrokenDrain, o!()))
            .child(broken.spec("a", 0, 0))
            .child(broken.spec("b", 0, 1))
            .start();
        until(&branch, |status| status.state == BranchState::Running).await;
        root.add(sound.running("ingest", policy()).await);
        root.add(branch.clone());
        broken.tell("b-0", Do::Fail).await;
        let outcome = root.outcome().await;
        assert_eq!(
            outcome,
            RootOutcome::Escalated("load: its supervisor has failed".to_owned())
        );
        assert_eq!(branch.escalated().await, "load: its supervisor has failed");
        broken.life("a-0", 1).over().cancelled().await;
        let summaries = root.stop().await;
        assert!(summaries[0].is_clean());
        assert!(summaries[1].is_supervisor_lost);
    });
}
