use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::supervision::policy::test_policy;

const MILLI: Duration = Duration::from_millis(1);

/// Children 0 and 1 in tier 0, 2 and 3 in tier 1, 4 in tier 2.
const TIERS: [usize; 5] = [0, 0, 1, 1, 2];

/// A plan whose children do at once what they are told, on a clock that is moved by hand.
struct Stage {
    plan: Plan,
    now: Instant,
}

impl Stage {
    fn new(policy: Policy) -> Self {
        let mut stage = Self {
            plan: Plan::new(TIERS, policy),
            now: Instant::now(),
        };
        stage.settle();
        stage
    }

    /// Obeys all orders until there are none; returns them.
    fn settle(&mut self) -> Vec<Order> {
        let mut all = Vec::new();
        loop {
            let orders = self.plan.step(self.now);
            if orders.is_empty() {
                return all;
            }
            for order in &orders {
                match *order {
                    Order::Start { child, life } => self.plan.born(child, life),
                    Order::Stop { child } => {
                        self.die(child, End::Stopped);
                    }
                }
            }
            all.extend(orders);
        }
    }

    fn die(&mut self, child: usize, end: End) -> Meaning {
        let (_, life) = self.plan.child(child);
        let meaning = self.plan.died(child, life, &end, self.now);
        self.plan.gone(child, life);
        meaning
    }

    fn fail(&mut self, child: usize) -> Meaning {
        self.die(child, End::Failed("boom".to_owned()))
    }

    fn advance(&mut self, by: Duration) -> Vec<Order> {
        self.now += by;
        self.settle()
    }

    fn lives(&self) -> Vec<u64> {
        (0..TIERS.len()).map(|child| self.plan.child(child).1).collect()
    }

    /// Fails child 0 until the branch gives up.
    fn storm(&mut self) -> Meaning {
        loop {
            let meaning = self.fail(0);
            self.settle();
            if !matches!(meaning, Meaning::Restart(_)) {
                return meaning;
            }
            self.advance(Duration::from_secs(10));
        }
    }
}

#[test]
fn tiers_start_downstream_first_each_when_the_one_before_it_is_up() {
    let now = Instant::now();
    let mut plan = Plan::new(TIERS, test_policy());
    assert_eq!(
        plan.step(now),
        [Order::Start { child: 0, life: 1 }, Order::Start { child: 1, life: 1 }]
    );
    plan.born(0, 1);
    assert_eq!(plan.step(now), [], "child 1 is still starting");
    plan.born(1, 1);
    assert_eq!(
        plan.step(now),
        [Order::Start { child: 2, life: 1 }, Order::Start { child: 3, life: 1 }]
    );
    assert_eq!(plan.state(), BranchState::Starting);
}

#[test]
fn a_failure_takes_later_tiers_down_last_first_and_up_again_in_order() {
    let mut stage = Stage::new(test_policy());
    assert_eq!(stage.fail(0), Meaning::Restart(stage.now + 100 * MILLI));
    let orders = stage.settle();
    assert_eq!(
        orders,
        [
            Order::Stop { child: 4 },
            Order::Stop { child: 2 },
            Order::Stop { child: 3 }
        ]
    );
    assert_eq!(stage.advance(99 * MILLI), []);
    let orders = stage.advance(MILLI);
    let started: Vec<_> = orders
        .iter()
        .map(|order| matches!(order, Order::Start { life: 2, .. }))
        .collect();
    assert_eq!(started, [true; 4]);
    assert_eq!(stage.lives(), [2, 1, 2, 2, 2]);
    assert_eq!(stage.plan.state(), BranchState::Running);
}

#[test]
fn nothing_starts_while_a_later_tier_is_still_ending() {
    let mut stage = Stage::new(test_policy());
    stage.fail(2);
    assert_eq!(stage.plan.step(stage.now), [Order::Stop { child: 4 }]);
    stage.now += Duration::from_secs(1);
    assert_eq!(
        stage.plan.step(stage.now),
        [],
        "the back-off has passed, but child 4 lives"
    );
    assert!(
        stage.plan.wake_at().is_some_and(|time| time > stage.now),
        "and nothing spins meanwhile"
    );
    stage.die(4, End::Overdue(MILLI));
    stage.settle();
    assert_eq!(stage.lives(), [1, 1, 2, 1, 2]);
}

#[test]
fn a_failure_in_an_earlier_tier_widens_a_restart_that_is_under_way() {
    let mut stage = Stage::new(test_policy());
    stage.fail(2);
    assert_eq!(stage.plan.step(stage.now), [Order::Stop { child: 4 }]);
    assert_eq!(stage.fail(1), Meaning::Restart(stage.now + 200 * MILLI));
    stage.die(4, End::Stopped);
    assert_eq!(stage.plan.step(stage.now), [Order::Stop { child: 3 }]);
    stage.die(3, End::Stopped);
    stage.advance(200 * MILLI);
    assert_eq!(stage.lives(), [1, 2, 2, 2, 2]);
}

#[test]
fn the_longer_of_two_back_offs_holds() {
    let policy = Policy {
        backoff_max: Duration::from_millis(150),
        ..test_policy()
    };
    let mut stage = Stage::new(policy);
    stage.fail(2);
    stage.fail(3);
    stage.settle();
    assert_eq!(stage.advance(149 * MILLI), []);
    stage.advance(MILLI);
    assert_eq!(stage.lives(), [1, 1, 2, 2, 2]);
}

#[test]
fn news_of_an_older_life_is_stale() {
    let mut stage = Stage::new(test_policy());
    stage.fail(4);
    stage.advance(Duration::from_secs(1));
    assert_eq!(stage.lives()[4], 2);
    assert_eq!(stage.plan.died(4, 1, &End::Stopped, stage.now), Meaning::Stale);
    stage.plan.gone(4, 1);
    stage.plan.born(4, 1);
    assert_eq!(stage.plan.child(4), (ChildState::Up, 2));
}

#[test]
fn a_child_that_was_to_end_spends_no_restart_by_failing() {
    let mut stage = Stage::new(test_policy());
    stage.fail(2);
    stage.plan.step(stage.now);
    assert_eq!(stage.die(4, End::Panicked("late".to_owned())), Meaning::Expected);
    assert_eq!(stage.plan.restarts_left(), 2);
}

#[test]
fn more_failures_than_max_restarts_park_the_branch() {
    let mut stage = Stage::new(test_policy());
    for left in [2, 1, 0] {
        assert!(matches!(stage.fail(0), Meaning::Restart(_)));
        assert_eq!(stage.plan.restarts_left(), left);
        stage.advance(Duration::from_secs(10));
    }
    assert_eq!(stage.fail(0), Meaning::Park);
    assert_eq!(stage.plan.state(), BranchState::WindingDown);
    stage.settle();
    assert_eq!(stage.plan.state(), BranchState::Parked);
    assert_eq!(stage.plan.next_try(), Some(stage.now + test_policy().backoff_max));
}

#[test]
fn a_window_without_a_failure_forgives() {
    let mut stage = Stage::new(test_policy());
    for _ in 0..20 {
        assert!(matches!(stage.fail(0), Meaning::Restart(_)));
        stage.advance(Duration::from_secs(30));
    }
    stage.advance(Duration::from_secs(60));
    assert_eq!(stage.plan.restarts_left(), 3);
    assert_eq!(
        stage.fail(0),
        Meaning::Restart(stage.now + 100 * MILLI),
        "the back-off is the first one again"
    );
}

#[test]
fn a_branch_parked_by_a_storm_is_parked_again_by_its_next_failure() {
    let mut stage = Stage::new(test_policy());
    assert_eq!(stage.storm(), Meaning::Park);
    stage.advance(test_policy().backoff_max);
    assert_eq!(
        (stage.plan.state(), stage.plan.restarts_left()),
        (BranchState::Running, 0)
    );
    assert_eq!(stage.fail(4), Meaning::Park);
    stage.settle();
    stage.advance(test_policy().backoff_max);
    stage.advance(test_policy().window);
    assert_eq!(stage.plan.restarts_left(), 3, "a healthy window ends the probation");
    assert!(matches!(stage.fail(4), Meaning::Restart(_)));
}

#[test]
fn a_resumed_branch_has_all_its_restarts() {
    let mut stage = Stage::new(test_policy());
    stage.storm();
    stage.plan.resume();
    stage.settle();
    assert_eq!(
        (stage.plan.state(), stage.plan.restarts_left()),
        (BranchState::Running, 3)
    );
    assert_eq!(stage.plan.reason(), None);
}

#[test]
fn resume_also_cuts_a_back_off_short_and_catches_a_branch_that_is_winding_down() {
    let mut stage = Stage::new(test_policy());
    stage.fail(4);
    stage.plan.resume();
    stage.settle();
    assert_eq!(stage.lives(), [1, 1, 1, 1, 2]);

    stage.die(4, End::Parked("too many dead letters".to_owned()));
    assert_eq!(
        stage.plan.step(stage.now),
        [Order::Stop { child: 2 }, Order::Stop { child: 3 }]
    );
    stage.plan.resume();
    stage.die(2, End::Stopped);
    stage.die(3, End::Stopped);
    stage.settle();
    assert_eq!(stage.plan.state(), BranchState::Running);
    assert_eq!(stage.lives(), [2, 2, 2, 2, 3]);
}

#[test]
fn an_actor_that_parks_its_branch_spends_no_restart() {
    let mut stage = Stage::new(test_policy());
    assert_eq!(
        stage.die(0, End::Parked("too many dead letters".to_owned())),
        Meaning::Park
    );
    stage.settle();
    assert_eq!(
        (stage.plan.state(), stage.plan.restarts_left()),
        (BranchState::Parked, 3)
    );
    assert_eq!(stage.plan.reason(), Some("too many dead letters"));
    stage.advance(test_policy().backoff_max);
    assert!(
        matches!(stage.fail(0), Meaning::Restart(_)),
        "it was not parked for failing, so it is not on probation"
    );
}

#[test]
fn with_exit_a_storm_ends_in_escalation_for_good() {
    let mut stage = Stage::new(Policy {
        on_escalate: OnEscalate::Exit,
        ..test_policy()
    });
    assert_eq!(stage.storm(), Meaning::Exit);
    assert_eq!(stage.plan.state(), BranchState::Escalated);
    stage.plan.resume();
    assert_eq!(stage.advance(Duration::from_secs(3_600)), []);
    stage.plan.stop();
    stage.settle();
    assert_eq!(stage.plan.state(), BranchState::Stopped);
}

#[test]
fn a_stop_ends_the_last_tier_first_whatever_is_under_way() {
    let mut stage = Stage::new(test_policy());
    stage.fail(2);
    stage.plan.stop();
    assert_eq!(
        stage.settle(),
        [
            Order::Stop { child: 4 },
            Order::Stop { child: 3 },
            Order::Stop { child: 0 },
            Order::Stop { child: 1 }
        ]
    );
    assert_eq!(stage.plan.state(), BranchState::Stopped);
    assert_eq!(stage.advance(Duration::from_secs(3_600)), []);
}

/// Any order of news: a tier starts only on tiers that are up, a step never leaves a wake-up in the past (that would
/// spin), and when the faults end the branch runs again.
#[test]
fn whatever_happens_the_branch_comes_back_and_never_spins() {
    for seed in 0..300 {
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        let policy = Policy {
            max_restarts: 6,
            ..test_policy()
        };
        let mut plan = Plan::new(TIERS, policy);
        let mut now = Instant::now();
        for round in 0..400 {
            let is_calm = round >= 300;
            for order in plan.step(now) {
                if let Order::Start { child, .. } = order {
                    let lower = (0..TIERS.len()).filter(|other| TIERS[*other] < TIERS[child]);
                    assert!(
                        lower.into_iter().all(|other| plan.child(other).0 == ChildState::Up),
                        "seed {seed}"
                    );
                }
            }
            assert!(
                plan.wake_at().is_none_or(|time| time > now),
                "seed {seed} round {round}"
            );
            let child = dice.random_range(0..TIERS.len());
            let (state, life) = plan.child(child);
            let end = match dice.random_range(0..12) {
                0 => End::Parked("brake".to_owned()),
                _ => End::Failed("boom".to_owned()),
            };
            match state {
                ChildState::Starting if is_calm || dice.random_bool(0.7) => plan.born(child, life),
                ChildState::Stopping => drop(plan.died(child, life, &End::Stopped, now)),
                ChildState::Dying => plan.gone(child, life),
                ChildState::Starting | ChildState::Up if !is_calm => drop(plan.died(child, life, &end, now)),
                _ => (),
            }
            if !is_calm && dice.random_bool(0.02) {
                plan.resume();
            }
            now += Duration::from_millis(dice.random_range(0..2_000));
        }
        assert_eq!(plan.state(), BranchState::Running, "seed {seed}");
    }
}
