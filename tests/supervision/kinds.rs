//! The branches of a pipeline in their real shapes: whichever kind of actor comes to grief, however it does, the same
//! promise holds for it.

use std::sync::mpsc;

use aqueduct::supervision::{Branch, BranchHandle, BranchState, BranchStatus, Policy, Stopped};
use tokio::time::{Duration, Instant, sleep};

use crate::stage::{Birth, Do, Stage, lives, log, on_paused_time, on_real_time, policy, reason, until};

/// Kinds by tier, as in `src/topology.rs`; two actors of each.
type Shape = &'static [&'static str];

const INGEST: Shape = &["producer", "fetcher"];
const LOAD: Shape = &["writer", "transformer", "consumer"];

fn branch(stage: &Stage, name: &str, shape: Shape, policy: Policy) -> BranchHandle {
    let mut branch = Branch::new(name, policy, &log());
    for (tier, kind) in shape.iter().enumerate() {
        branch = branch.child(stage.spec(kind, 0, tier)).child(stage.spec(kind, 1, tier));
    }
    branch.start()
}

async fn running(stage: &Stage, name: &str, shape: Shape, policy: Policy) -> BranchHandle {
    let branch = branch(stage, name, shape, policy);
    until(&branch, |status| status.state == BranchState::Running).await;
    branch
}

/// The lives after the second actor of a tier has died once: it and all later tiers have a second one.
fn after_a_death(shape: Shape, tier: usize) -> Vec<u64> {
    let life = |place: usize| 1 + u64::from(place / 2 > tier || place == 2 * tier + 1);
    (0..2 * shape.len()).map(life).collect()
}

fn every_kind() -> impl Iterator<Item = (Shape, usize, &'static str)> {
    [INGEST, LOAD].into_iter().flat_map(|shape| {
        let kinds = shape.iter().enumerate();
        kinds.map(move |(tier, kind)| (shape, tier, *kind))
    })
}

/// Kills the second actor of each kind in turn, each on a branch of its own.
fn each_kind_comes_back_after(what: Do, expected: &str) {
    for (shape, tier, kind) in every_kind() {
        on_paused_time(async {
            let stage = Stage::default();
            let branch = running(&stage, "people", shape, policy()).await;
            let (victim, before) = (format!("{kind}-1"), Instant::now());
            stage.tell(&victim, what).await;
            let wanted = after_a_death(shape, tier);
            let status = until(&branch, |status| {
                status.state == BranchState::Running && lives(status) != vec![1; wanted.len()]
            })
            .await;
            assert_eq!(lives(&status), wanted, "{victim}");
            assert_eq!(reason(&status, &victim), expected);
            assert!(
                before.elapsed() >= policy().backoff,
                "{victim} came back without a back-off"
            );
            assert_eq!(status.restarts_left, policy().max_restarts - 1, "{victim}");
            all_answer(&stage, &status).await;
            assert!(branch.stop().await.is_clean(), "{victim}");
        });
    }
}

async fn all_answer(stage: &Stage, status: &BranchStatus) {
    for child in &status.children {
        let answer = stage.address(&child.name).send(Do::Nothing).await;
        answer.expect("everybody answers at the published address");
    }
}

#[test]
fn each_kind_that_panics_in_a_handler_comes_back_with_all_later_tiers() {
    each_kind_comes_back_after(Do::Panic, "panicked: boom");
}

#[test]
fn each_kind_that_fails_comes_back_with_all_later_tiers() {
    each_kind_comes_back_after(Do::Fail, "failed: write the batch: disk is full");
}

#[test]
fn each_kind_that_hangs_comes_back_with_all_later_tiers() {
    each_kind_comes_back_after(Do::Hang, "hung: no progress for 20s with work in hand");
}

/// Waits until the second actor of this tier, and what comes after it, runs in its second life.
async fn until_back(branch: &BranchHandle, shape: Shape, tier: usize) -> BranchStatus {
    let wanted = after_a_death(shape, tier);
    until(branch, |status| {
        status.state == BranchState::Running && lives(status) == wanted
    })
    .await
}

/// On the real clock: a paused one stands still while somebody is busy.
#[test]
fn each_kind_that_spins_comes_back_with_all_later_tiers() {
    let quick = Policy {
        stall_after: Duration::from_millis(200),
        ..policy()
    };
    for (shape, tier, kind) in every_kind() {
        on_real_time(async {
            let stage = Stage::default();
            let branch = running(&stage, "people", shape, quick).await;
            let victim = format!("{kind}-1");
            stage.tell(&victim, Do::Spin).await;
            let status = until_back(&branch, shape, tier).await;
            assert_eq!(
                reason(&status, &victim),
                "hung: no progress for 200ms with work in hand"
            );
            all_answer(&stage, &status).await;
            assert!(branch.stop().await.is_clean(), "{victim}");
        });
    }
}

#[test]
fn each_kind_whose_thread_blocks_for_ever_comes_back_and_the_thread_is_counted() {
    for (shape, tier, kind) in every_kind() {
        on_paused_time(async {
            let stage = Stage::default();
            let branch = running(&stage, "people", shape, policy()).await;
            let victim = format!("{kind}-1");
            let (life, (release, blocked)) = (stage.life(&victim, 1), mpsc::channel::<()>());
            // As the threads of producers and consumers do: the work in hand is theirs.
            let work = life.progress().work();
            let body = move |_| {
                let _ = blocked.recv();
                drop(work);
            };
            life.thread("poll", body).unwrap();
            let status = until_back(&branch, shape, tier).await;
            assert_eq!(reason(&status, &victim), "hung: no progress for 20s with work in hand");
            let left = |name: &str| status.child(name).unwrap().abandoned_threads;
            assert_eq!((status.abandoned_threads, left(&victim)), (1, 1), "{victim}");
            all_answer(&stage, &status).await;
            branch.stop().await;
            drop(release);
        });
    }
}

#[test]
fn each_kind_that_dies_while_its_sibling_is_being_restarted_comes_back_with_it() {
    for (shape, tier, kind) in every_kind() {
        on_paused_time(async {
            let stage = Stage::default();
            let branch = running(&stage, "people", shape, policy()).await;
            let (victim, sibling) = (format!("{kind}-1"), format!("{kind}-0"));
            stage.tell(&sibling, Do::Fail).await;
            until(&branch, |status| status.state == BranchState::Restarting).await;
            stage.tell(&victim, Do::Panic).await;
            let life = |place: usize| 1 + u64::from(place / 2 >= tier);
            let wanted: Vec<u64> = (0..2 * shape.len()).map(life).collect();
            let status = until(&branch, |status| {
                status.state == BranchState::Running && status.child(&victim).is_some_and(|child| child.life == 2)
            })
            .await;
            assert_eq!(lives(&status), wanted, "{victim}");
            assert_eq!(reason(&status, &sibling), "failed: write the batch: disk is full");
            assert_eq!(reason(&status, &victim), "panicked: boom");
            assert_eq!(status.restarts_left, policy().max_restarts - 2, "{victim}");
            all_answer(&stage, &status).await;
            assert!(branch.stop().await.is_clean(), "{victim}");
        });
    }
}

#[test]
fn each_kind_that_dies_during_the_shutdown_is_named_and_nobody_comes_back() {
    for (shape, _, kind) in every_kind() {
        on_paused_time(async {
            let stage = Stage::default();
            let branch = running(&stage, "people", shape, policy()).await;
            let victim = format!("{kind}-1");
            stage.tell(&victim, Do::RefuseToStop).await;
            let life = stage.life(&victim, 1);
            let (summary, ()) = tokio::join!(branch.stop(), async {
                life.stop_requested().cancelled().await;
                stage.tell(&victim, Do::Panic).await;
            });
            assert_eq!(summary.children.len(), 2 * shape.len(), "{victim}");
            for child in &summary.children {
                let expected = match child.name == victim {
                    true => Stopped::Failed("panicked: boom".to_owned()),
                    false => Stopped::InTime,
                };
                assert_eq!(child.how, expected, "{} beside {victim}", child.name);
            }
            assert_eq!(summary.abandoned_threads, 0);
            sleep(Duration::from_secs(3_600)).await;
            let status = branch.status();
            assert_eq!(status.state, BranchState::Stopped);
            assert!(lives(&status).iter().all(|life| *life == 1), "{victim}");
        });
    }
}

#[test]
fn each_kind_that_cannot_start_is_tried_again_with_a_growing_back_off_before_later_tiers_begin() {
    for (shape, tier, kind) in every_kind() {
        on_paused_time(async {
            let stage = Stage::default();
            let (victim, before) = (format!("{kind}-1"), Instant::now());
            stage.script(&victim, [Birth::FactoryFails, Birth::FactoryFails]);
            let branch = running(&stage, "people", shape, policy()).await;
            let status = branch.status();
            let life = |place| if place == 2 * tier + 1 { 3 } else { 1 };
            let wanted: Vec<u64> = (0..2 * shape.len()).map(life).collect();
            assert_eq!(lives(&status), wanted, "{victim}");
            assert_eq!(reason(&status, &victim), "failed: cannot be made: no luck");
            assert!(
                before.elapsed() >= policy().backoff * 3,
                "one back-off and then a doubled one"
            );
            all_answer(&stage, &status).await;
        });
    }
}

#[test]
fn each_kind_that_cannot_start_again_keeps_later_tiers_down_and_earlier_ones_up() {
    for (shape, tier, kind) in every_kind() {
        on_paused_time(async {
            let stage = Stage::default();
            let branch = running(&stage, "people", shape, policy()).await;
            let victim = format!("{kind}-1");
            stage.script(&victim, [Birth::FactoryFails]);
            stage.tell(&victim, Do::Panic).await;
            let is_back =
                |status: &BranchStatus| status.state == BranchState::Running && lives(status)[2 * tier + 1] == 3;
            let status = until(&branch, is_back).await;
            let life = |place: usize| match place {
                _ if place == 2 * tier + 1 => 3,
                _ if place / 2 > tier => 2,
                _ => 1,
            };
            let wanted: Vec<u64> = (0..2 * shape.len()).map(life).collect();
            assert_eq!(lives(&status), wanted, "{victim}");
        });
    }
}

#[test]
fn a_storm_in_any_kind_parks_its_branch_while_the_other_pipeline_goes_on() {
    for (shape, _, kind) in every_kind() {
        on_paused_time(async {
            let (stormy, calm) = (Stage::default(), Stage::default());
            let (ingest, load) = (Stage::default(), Stage::default());
            let others = [
                (running(&ingest, "calm/ingest", INGEST, policy()).await, ingest),
                (running(&load, "calm/load", LOAD, policy()).await, load),
                // The stormy pipeline's own other branch: joined by the log alone, it goes on too.
                (
                    running(
                        &calm,
                        "stormy/other",
                        if shape == LOAD { INGEST } else { LOAD },
                        policy(),
                    )
                    .await,
                    calm,
                ),
            ];
            let branch = running(&stormy, "stormy", shape, policy()).await;
            let victim = format!("{kind}-1");
            stormy.script(&victim, [Birth::FactoryFails; 1_000]);
            stormy.tell(&victim, Do::Panic).await;
            let status = until(&branch, |status| status.state == BranchState::Parked).await;
            assert_eq!(
                status.reason.as_deref(),
                Some(format!("{victim} failed: cannot be made: no luck").as_str())
            );
            sleep(Duration::from_secs(3_600)).await;
            for (other, stage) in &others {
                let status = other.status();
                assert_eq!(status.state, BranchState::Running, "{} beside {victim}", status.name);
                assert!(
                    lives(&status).iter().all(|life| *life == 1),
                    "{} beside {victim}",
                    status.name
                );
                assert_eq!(status.restarts_left, policy().max_restarts);
                all_answer(stage, &status).await;
            }
        });
    }
}
