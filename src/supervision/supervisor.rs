//! The task that supervises one branch: hears news and commands, asks the plan, gives orders, tells the status.

use std::{
    mem::replace,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use chrono::{SecondsFormat, TimeDelta, Utc};
use slog::{Logger, crit, debug, error, info, o, warn};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};

use super::{
    BranchState, BranchStatus, ChildStatus, Failure, Life, Policy, StopSummary, Stopped, StoppedChild,
    attend::{self, Event, News},
    chain::panic_text,
    child::Child,
    handle::{Board, Command},
    plan::{Meaning, Order, Plan},
    progress::now_text,
    spawn::{End, Publish},
};

/// A child and its present life.
struct Slot {
    spec: Child,
    life: Option<Life>,
    last_failure: Option<Failure>,
    num_abandoned: u64,
    num_stalls: u64,
    /// How it ended after the branch was told to stop.
    how: Option<Stopped>,
}

impl Slot {
    fn new(spec: Child) -> Self {
        Self {
            spec,
            life: None,
            last_failure: None,
            num_abandoned: 0,
            num_stalls: 0,
            how: None,
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // Should the supervisor itself fail, its actors do not go on without one.
        if let Some(life) = &self.life {
            life.give_up();
        }
    }
}

/// See the module.
pub(super) struct Supervisor {
    name: Arc<str>,
    policy: Policy,
    log: Logger,
    plan: Plan,
    slots: Vec<Slot>,
    board: Board,
    events: mpsc::UnboundedSender<Event>,
    /// The order in which children ended since the branch was told to stop.
    stopped: Option<Vec<StoppedChild>>,
    last_state: BranchState,
}

impl Supervisor {
    /// Supervises these children, which are in the order of their tiers.
    pub(super) fn new(
        name: Arc<str>,
        policy: Policy,
        log: Logger,
        children: Vec<Child>,
        board: Board,
        events: mpsc::UnboundedSender<Event>,
    ) -> Self {
        Self {
            name,
            policy,
            log,
            plan: Plan::new(children.iter().map(|child| child.tier), policy),
            slots: children.into_iter().map(Slot::new).collect(),
            board,
            events,
            stopped: None,
            last_state: BranchState::Starting,
        }
    }

    /// Runs until the branch has stopped.
    pub(super) async fn run(
        &mut self,
        mut inbox: mpsc::UnboundedReceiver<Command>,
        mut news: mpsc::UnboundedReceiver<Event>,
        status: &watch::Sender<BranchStatus>,
    ) {
        loop {
            for order in self.plan.step(Instant::now()) {
                self.execute(order);
            }
            self.note_state();
            status.send_if_modified(|last| {
                let now = self.status();
                replace(last, now) != *last
            });
            if self.plan.state() == BranchState::Stopped {
                return;
            }
            let wake_at = self.plan.wake_at();
            tokio::select! {
                biased;
                // The supervisor holds a sender itself: this channel is never closed.
                Some(event) = news.recv() => self.hear(event),
                command = inbox.recv(), if self.stopped.is_none() => self.obey(command.unwrap_or(Command::Stop)),
                () = sleep_until(wake_at.unwrap_or_else(Instant::now)), if wake_at.is_some() => (),
            }
        }
    }

    fn execute(&mut self, order: Order) {
        match order {
            Order::Start { child, life } => {
                let slot = &mut self.slots[child];
                let life = Life::new(slot.spec.id.clone(), life, &self.log, self.board.next_life(child));
                debug!(life.log(), "starting");
                slot.life = Some(life.clone());
                attend::start(&slot.spec, child, life, self.policy, &self.events);
            }
            Order::Stop { child } => {
                if let Some(life) = &self.slots[child].life {
                    debug!(life.log(), "stopping");
                    life.request_stop();
                }
            }
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Stop => {
                info!(self.log, "stopping");
                self.stopped = Some(Vec::new());
                self.plan.stop();
            }
            Command::Resume => {
                info!(self.log, "resuming");
                self.plan.resume();
            }
        }
    }

    fn hear(&mut self, event: Event) {
        let Event { child, life, news } = event;
        match news {
            News::Born(publish) => self.born(child, life, publish),
            News::Died(end) => self.died(child, life, end),
            News::Gone { num_abandoned } => self.gone(child, life, num_abandoned),
        }
    }

    fn born(&mut self, child: usize, number: u64, publish: Publish) {
        if !self.plan.awaits(child, number) {
            return;
        }
        match catch_unwind(AssertUnwindSafe(publish)) {
            Ok(()) => {
                self.plan.born(child, number);
                if let Some(life) = &self.slots[child].life {
                    debug!(life.log(), "up");
                }
            }
            Err(payload) => {
                if let Some(life) = &self.slots[child].life {
                    life.fail(format!("its address could not be published: {}", panic_text(&*payload)));
                }
            }
        }
    }

    fn died(&mut self, child: usize, number: u64, end: End) {
        let now = Instant::now();
        let meaning = self.plan.died(child, number, &end, now);
        let name = self.slots[child].spec.id.to_string();
        let log = self.log.new(o!("actor" => name.clone(), "life" => number));
        let reason = end.reason();
        let slot = &mut self.slots[child];
        if matches!(end, End::Stalled(_)) && meaning != Meaning::Stale {
            slot.num_stalls += 1;
        }
        if self.stopped.is_some() && meaning != Meaning::Stale {
            slot.how = Some(stopped_how(&end));
        }
        match meaning {
            Meaning::Stale => return,
            Meaning::Expected if matches!(end, End::Stopped | End::Aborted) => return,
            Meaning::Expected => warn!(log, "did not end well"; "reason" => &reason),
            Meaning::Restart(at) => {
                let delay_ms = u64::try_from((at - now).as_millis()).unwrap_or(u64::MAX);
                warn!(log, "failed, will be restarted"; "reason" => &reason, "delay_ms" => delay_ms,
                    "restarts_left" => self.plan.restarts_left());
            }
            Meaning::Park | Meaning::Exit => {
                if !matches!(end, End::Parked(_)) {
                    self.plan.blame(format!("{name} {reason}"));
                }
                error!(log, "failed, the branch winds down"; "reason" => &reason);
            }
        }
        slot.last_failure = Some(Failure {
            reason,
            life: number,
            at: now_text(),
        });
    }

    fn gone(&mut self, child: usize, number: u64, num_abandoned: u64) {
        self.plan.gone(child, number);
        let slot = &mut self.slots[child];
        slot.num_abandoned += num_abandoned;
        if num_abandoned > 0 {
            error!(self.log, "threads left behind"; "actor" => slot.spec.id.name(), "life" => number,
                "num_threads" => num_abandoned);
        }
        if let (Some(order), Some(how)) = (&mut self.stopped, slot.how.take()) {
            let how = if num_abandoned > 0 { Stopped::Abandoned } else { how };
            order.push(StoppedChild {
                name: slot.spec.id.to_string(),
                how,
            });
        }
    }

    /// Logs the changes of the whole branch, each once.
    fn note_state(&mut self) {
        let state = self.plan.state();
        if state == self.last_state {
            return;
        }
        self.last_state = state;
        let reason = self.plan.reason().unwrap_or_default();
        match state {
            BranchState::Running => info!(self.log, "running"),
            BranchState::Parked => {
                let next_try = self.next_try();
                crit!(self.log, "parked"; "reason" => reason, "next_try" => next_try);
            }
            BranchState::Escalated => crit!(self.log, "escalated"; "reason" => reason),
            BranchState::Stopped => info!(self.log, "stopped"),
            BranchState::Starting | BranchState::Restarting | BranchState::WindingDown => (),
        }
    }

    fn next_try(&self) -> Option<String> {
        let wait = self.plan.next_try()?.saturating_duration_since(Instant::now());
        let at = Utc::now().checked_add_signed(TimeDelta::from_std(wait).ok()?)?;
        Some(at.to_rfc3339_opts(SecondsFormat::Secs, true))
    }

    /// The branch at this moment.
    pub(super) fn status(&self) -> BranchStatus {
        let mut children: Vec<_> = self
            .slots
            .iter()
            .enumerate()
            .map(|(child, slot)| self.child_status(child, slot))
            .collect();
        self.board.fill_in(&mut children);
        BranchStatus {
            name: self.name.to_string(),
            state: self.plan.state(),
            reason: self.plan.reason().map(ToOwned::to_owned),
            next_try: self.next_try(),
            restarts_left: self.plan.restarts_left(),
            abandoned_threads: self.num_abandoned(),
            children,
        }
    }

    fn child_status(&self, child: usize, slot: &Slot) -> ChildStatus {
        let (state, life) = self.plan.child(child);
        ChildStatus {
            name: slot.spec.id.to_string(),
            kind: slot.spec.id.kind().to_owned(),
            state,
            life,
            last_failure: slot.last_failure.clone(),
            num_work: 0,
            waiting: Vec::new(),
            marks: 0,
            beats: 0,
            abandoned_threads: slot.num_abandoned,
            stalls: slot.num_stalls,
        }
    }

    fn num_abandoned(&self) -> u64 {
        self.slots.iter().map(|slot| slot.num_abandoned).sum()
    }

    /// How the stop went.
    pub(super) fn sum_up(&mut self) -> StopSummary {
        StopSummary {
            branch: self.name.to_string(),
            children: self.stopped.take().unwrap_or_default(),
            abandoned_threads: self.num_abandoned(),
            is_supervisor_lost: false,
        }
    }
}

/// What an end means for a child that was to end.
fn stopped_how(end: &End) -> Stopped {
    match end {
        End::Stopped => Stopped::InTime,
        End::Overdue(_) | End::Aborted => Stopped::Aborted,
        End::Failed(_) | End::Parked(_) | End::Panicked(_) | End::Stalled(_) | End::Vanished => {
            Stopped::Failed(end.reason())
        }
    }
}
