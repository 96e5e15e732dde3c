//! The decisions of a branch, without clock, task or actor: news come in, orders go out.
//!
//! Each child has a state, the branch a phase. [`Plan::step`] compares what is with what should be and returns the next
//! orders; whatever happens in between, also a failure in the middle of a restart, only changes what should be.

use tokio::time::Instant;

use super::{BranchState, ChildState, Policy, policy::Intensity, spawn::End};
use crate::config::settings::OnEscalate;

/// What the branch has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Start this life of this child.
    Start { child: usize, life: u64 },
    /// Ask this child to end.
    Stop { child: usize },
}

/// What a death means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// News of an older life, or of one that is dead already.
    Stale,
    /// It was to end anyway.
    Expected,
    /// It is started again at this time, with all later tiers.
    Restart(Instant),
    /// The branch is wound down and parked.
    Park,
    /// The branch is wound down and the daemon should exit.
    Exit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// All children should be up.
    Running,
    /// All children should be down, and then…
    WindingDown(Then),
    Parked {
        next_try: Instant,
        on_probation: bool,
    },
    Escalated,
    Stopped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// On probation: what was parked because it kept failing is parked again by its next failure.
    Park {
        on_probation: bool,
    },
    Exit,
    Stop,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    tier: usize,
    state: ChildState,
    life: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Plan {
    policy: Policy,
    slots: Vec<Slot>,
    phase: Phase,
    reason: Option<String>,
    /// The lowest tier with a failure: all tiers after it have to be down before anything is started.
    broken: Option<usize>,
    not_before: Option<Instant>,
    intensity: Intensity,
    probation: Option<Instant>,
    /// `resume` came while the branch was still winding down to be parked.
    is_resumed: bool,
}

impl Plan {
    /// All children down, and to be started; `tiers[i]` is child i's.
    pub(super) fn new(tiers: impl IntoIterator<Item = usize>, policy: Policy) -> Self {
        let slot = |tier| Slot {
            tier,
            state: ChildState::Down,
            life: 0,
        };
        Self {
            policy,
            slots: tiers.into_iter().map(slot).collect(),
            phase: Phase::Running,
            reason: None,
            broken: None,
            not_before: None,
            intensity: Intensity::default(),
            probation: None,
            is_resumed: false,
        }
    }

    /// Whether this child is starting this very life, and its address should be published.
    pub(super) fn awaits(&self, child: usize, life: u64) -> bool {
        let slot = &self.slots[child];
        slot.life == life && slot.state == ChildState::Starting
    }

    /// The child is up.
    pub(super) fn born(&mut self, child: usize, life: u64) {
        if self.awaits(child, life) {
            self.slots[child].state = ChildState::Up;
        }
    }

    /// The child's actor has ended.
    pub(super) fn died(&mut self, child: usize, life: u64, end: &End, now: Instant) -> Meaning {
        let slot = &mut self.slots[child];
        if slot.life != life || matches!(slot.state, ChildState::Down | ChildState::Dying) {
            return Meaning::Stale;
        }
        let was_asked = slot.state == ChildState::Stopping;
        let tier = slot.tier;
        slot.state = ChildState::Dying;
        if self.phase != Phase::Running {
            return Meaning::Expected;
        }
        match end {
            End::Parked(reason) => {
                self.wind_down(Then::Park { on_probation: false }, Some(reason.clone()));
                Meaning::Park
            }
            _ if was_asked => Meaning::Expected,
            _ => self.failed(tier, now),
        }
    }

    /// Nothing is left of the child's life.
    pub(super) fn gone(&mut self, child: usize, life: u64) {
        let slot = &mut self.slots[child];
        if slot.life == life {
            slot.state = ChildState::Down;
        }
    }

    /// Stops the branch for good.
    pub(super) fn stop(&mut self) {
        if self.phase != Phase::Stopped {
            self.wind_down(Then::Stop, None);
        }
    }

    /// Tries a parked branch at once, and cuts a back-off short.
    pub(super) fn resume(&mut self) {
        match self.phase {
            Phase::Running => self.not_before = None,
            Phase::WindingDown(Then::Park { .. }) => self.is_resumed = true,
            Phase::Parked { .. } => self.try_again(None),
            Phase::WindingDown(Then::Exit | Then::Stop) | Phase::Escalated | Phase::Stopped => (),
        }
    }

    /// What to do next. To be called after all news, and at [`wake_at`](Self::wake_at).
    pub(super) fn step(&mut self, now: Instant) -> Vec<Order> {
        self.intensity.prune(now, self.policy.window);
        self.not_before = self.not_before.filter(|time| *time > now);
        self.probation = self.probation.filter(|time| *time > now);

        if let Some(floor) = self.floor() {
            let above = self
                .slots
                .iter()
                .filter(|slot| slot.tier >= floor && slot.state != ChildState::Down);
            if let Some(top) = above.map(|slot| slot.tier).max() {
                return self.stop_tier(top);
            }
            self.broken = None;
        }
        match self.phase {
            Phase::WindingDown(then) => self.wound_down(then, now),
            Phase::Parked { next_try, on_probation } if next_try <= now => {
                self.try_again(on_probation.then_some(now + self.policy.window));
            }
            _ => (),
        }
        if self.phase != Phase::Running || self.not_before.is_some() {
            return Vec::new();
        }
        let missing = self.slots.iter().filter(|slot| slot.state != ChildState::Up);
        missing
            .map(|slot| slot.tier)
            .min()
            .map(|tier| self.start_tier(tier))
            .unwrap_or_default()
    }

    /// When [`step`](Self::step) has something new to say though nothing happened.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        let next_try = match self.phase {
            Phase::Parked { next_try, .. } => Some(next_try),
            _ => None,
        };
        let forgets_at = self.intensity.forgets_at(self.policy.window);
        [next_try, self.not_before, self.probation, forgets_at]
            .into_iter()
            .flatten()
            .min()
    }

    /// What the branch does, for the status.
    pub(super) fn state(&self) -> BranchState {
        match self.phase {
            Phase::WindingDown(Then::Exit) | Phase::Escalated => BranchState::Escalated,
            Phase::WindingDown(_) => BranchState::WindingDown,
            Phase::Parked { .. } => BranchState::Parked,
            Phase::Stopped => BranchState::Stopped,
            Phase::Running if self.slots.iter().all(|slot| slot.state == ChildState::Up) => BranchState::Running,
            Phase::Running if self.slots.iter().all(|slot| slot.life <= 1) && self.intensity.len() == 0 => {
                BranchState::Starting
            }
            Phase::Running => BranchState::Restarting,
        }
    }

    /// Why the branch is parked, winds down or has escalated.
    pub(super) fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// When a parked branch is tried again.
    pub(super) fn next_try(&self) -> Option<Instant> {
        match self.phase {
            Phase::Parked { next_try, .. } => Some(next_try),
            _ => None,
        }
    }

    /// How many failures the branch can take before it escalates.
    pub(super) fn restarts_left(&self) -> u32 {
        if self.probation.is_some() {
            return 0;
        }
        self.policy.max_restarts.saturating_sub(self.intensity.len())
    }

    /// State and life of a child.
    pub(super) fn child(&self, child: usize) -> (ChildState, u64) {
        let slot = &self.slots[child];
        (slot.state, slot.life)
    }

    /// Names the culprit of an escalation.
    pub(super) fn blame(&mut self, reason: String) {
        self.reason = Some(reason);
    }

    fn failed(&mut self, tier: usize, now: Instant) -> Meaning {
        let num_failures = self.intensity.record(now, self.policy.window);
        let is_on_probation = self.probation.is_some_and(|until| now < until);
        if num_failures > self.policy.max_restarts || is_on_probation {
            return match self.policy.on_escalate {
                OnEscalate::Park => {
                    self.wind_down(Then::Park { on_probation: true }, None);
                    Meaning::Park
                }
                OnEscalate::Exit => {
                    self.wind_down(Then::Exit, None);
                    Meaning::Exit
                }
            };
        }
        let not_before = (now + self.policy.delay(num_failures)).max(self.not_before.unwrap_or(now));
        self.not_before = Some(not_before);
        self.broken = Some(self.broken.map_or(tier, |broken| broken.min(tier)));
        Meaning::Restart(not_before)
    }

    /// From which tier on everything has to be down.
    fn floor(&self) -> Option<usize> {
        match self.phase {
            Phase::WindingDown(_) => Some(0),
            _ => self.broken.map(|tier| tier + 1),
        }
    }

    fn stop_tier(&mut self, tier: usize) -> Vec<Order> {
        let mut orders = Vec::new();
        for (child, slot) in self.slots.iter_mut().enumerate() {
            if slot.tier == tier && matches!(slot.state, ChildState::Starting | ChildState::Up) {
                slot.state = ChildState::Stopping;
                orders.push(Order::Stop { child });
            }
        }
        orders
    }

    fn start_tier(&mut self, tier: usize) -> Vec<Order> {
        let mut orders = Vec::new();
        for (child, slot) in self.slots.iter_mut().enumerate() {
            if slot.tier == tier && slot.state == ChildState::Down {
                slot.state = ChildState::Starting;
                slot.life += 1;
                orders.push(Order::Start { child, life: slot.life });
            }
        }
        orders
    }

    fn wind_down(&mut self, then: Then, reason: Option<String>) {
        self.phase = Phase::WindingDown(then);
        self.reason = reason;
        self.not_before = None;
        self.probation = None;
        self.is_resumed = false;
    }

    fn wound_down(&mut self, then: Then, now: Instant) {
        match then {
            Then::Park { .. } if self.is_resumed => self.try_again(None),
            Then::Park { on_probation } => {
                self.phase = Phase::Parked {
                    next_try: now + self.policy.backoff_max,
                    on_probation,
                };
            }
            Then::Exit => self.phase = Phase::Escalated,
            Then::Stop => self.phase = Phase::Stopped,
        }
    }

    fn try_again(&mut self, probation: Option<Instant>) {
        self.phase = Phase::Running;
        self.probation = probation;
        self.intensity.forgive();
        self.reason = None;
        self.is_resumed = false;
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
