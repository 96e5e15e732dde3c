//! An ordered stop ends the last tier first and waits for nobody for ever.

use std::time::Duration;

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, WrapFuture};
use aqueduct::supervision::{Branch, BranchState, ChildSpec, Life, Placement, StopSummary, Stopped};
use tokio::time::{Instant, sleep};

use crate::stage::{Birth, Do, Stage, log, on_paused_time, policy, until};

fn ended(summary: &StopSummary) -> Vec<(&str, Stopped)> {
    summary
        .children
        .iter()
        .map(|child| (child.name.as_str(), child.how.clone()))
        .collect()
}

#[test]
fn later_tiers_stop_before_earlier_ones() {
    on_paused_time(async {
        let stage = Stage::default();
        let branch = stage.running("load", policy()).await;
        stage.diary();
        let summary = branch.stop().await;
        let names: Vec<_> = ended(&summary).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["c-0", "b-0", "b-1", "a-0", "a-1"]);
        assert!(summary.is_clean());
        let stopped: Vec<_> = stage
            .diary()
            .into_iter()
            .filter(|line| line.ends_with("stopped"))
            .collect();
        assert_eq!(
            stopped,
            [
                "c-0 stopped",
                "b-0 stopped",
                "b-1 stopped",
                "a-0 stopped",
                "a-1 stopped"
            ]
        );
        assert_eq!(branch.stop().await, summary, "a second stop tells the same");
    });
}

#[test]
fn an_actor_that_ignores_the_stop_is_aborted_after_the_grace() {
    on_paused_time(async {
        let stage = Stage::default();
        let branch = stage.running("load", policy()).await;
        stage.tell("b-1", Do::RefuseToStop).await;
        let before = Instant::now();
        let summary = branch.stop().await;
        assert_eq!(before.elapsed().as_secs(), policy().grace.as_secs());
        assert_eq!(ended(&summary)[2], ("b-1", Stopped::Aborted));
        assert!(!summary.is_clean());
        assert_eq!(summary.abandoned_threads, 0);
        assert!(stage.diary().contains(&"b-1 dropped".to_owned()));
    });
}

/// Ends by itself, a second after it was asked to.
struct Drainer {
    life: Life,
    stage: Stage,
}

impl Actor for Drainer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let stop = self.life.stop_requested();
        let drained = async move {
            stop.cancelled().await;
            sleep(Duration::from_secs(1)).await;
        };
        ctx.spawn(drained.into_actor(self).map(|(), drainer, ctx| {
            drainer.stage.note("drained".to_owned());
            ctx.stop();
        }));
    }
}

#[test]
fn an_actor_that_drains_is_waited_for() {
    on_paused_time(async {
        let stage = Stage::default();
        let noted = stage.clone();
        let spec = ChildSpec::new("consumer", 0, 1, Placement::Shared, move |life| {
            Ok(Drainer {
                life,
                stage: noted.clone(),
            })
        });
        let branch = Branch::new("load", policy(), &log())
            .child(stage.spec("a", 0, 0))
            .child(spec.drains(true))
            .start();
        until(&branch, |status| status.state == BranchState::Running).await;
        stage.diary();
        assert!(branch.stop().await.is_clean());
        assert_eq!(stage.diary(), ["drained", "a-0 stopped", "a-0 dropped"]);
    });
}

#[test]
fn a_stop_during_a_back_off_does_not_wait_for_it() {
    on_paused_time(async {
        let stage = Stage::default();
        stage.script("b-0", [Birth::FactoryFails; 3]);
        let branch = stage.branch("load", policy()).start();
        until(&branch, |status| status.restarts_left == 1).await;
        let before = Instant::now();
        let summary = branch.stop().await;
        assert_eq!(before.elapsed(), Duration::ZERO);
        let names: Vec<_> = ended(&summary).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["b-1", "a-0", "a-1"]);
    });
}

#[test]
fn an_actor_that_fails_while_it_is_stopped_is_named_in_the_summary() {
    on_paused_time(async {
        let stage = Stage::default();
        let branch = stage.running("load", policy()).await;
        stage.tell("a-0", Do::RefuseToStop).await;
        let life = stage.life("a-0", 1);
        let (summary, ()) = tokio::join!(branch.stop(), async {
            life.stop_requested().cancelled().await;
            life.fail("connection lost");
        });
        assert!(ended(&summary).contains(&("a-1", Stopped::InTime)));
        assert!(ended(&summary).contains(&("a-0", Stopped::Failed("failed: connection lost".to_owned()))));
    });
}

#[test]
fn a_branch_that_nobody_holds_stops_in_order() {
    on_paused_time(async {
        let stage = Stage::default();
        let branch = stage.running("load", policy()).await;
        let mut watch = branch.watch();
        drop(branch);
        watch
            .wait_for(|status| status.state == BranchState::Stopped)
            .await
            .unwrap();
        assert_eq!(stage.diary().last().map(String::as_str), Some("a-1 dropped"));
    });
}
