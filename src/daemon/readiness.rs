//! Whether a pipeline gets on: from answers and moved records, never from a variable that somebody has set.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{
    evidence::{DependencyStatus, text},
    pulse::Still,
};
use crate::{
    supervision::{BranchState, BranchStatus},
    telemetry::GaugesSnapshot,
};

/// What `/readyz` says of one pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// The pipeline.
    pub pipeline: String,
    /// Whether nothing is in its way.
    pub ready: bool,
    /// What is in its way.
    pub problems: Vec<Problem>,
}

/// Something in a pipeline's way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// `kafka`, `embedded log`, `postgres`, `api`, `branch`, `partition` or `progress`.
    pub what: &'static str,
    /// Which one: an address, a branch's name, a partition.
    pub place: String,
    /// Since when, RFC 3339 in UTC.
    pub since: String,
    /// What was seen.
    pub reason: String,
    /// What to do.
    pub remedy: String,
}

/// Remembers since when a problem has been there.
#[derive(Debug, Default)]
pub(super) struct Noticed(Mutex<BTreeMap<String, DateTime<Utc>>>);

impl Noticed {
    /// Judges a pipeline by what was seen of it.
    pub(super) fn judge(
        &self,
        pipeline: &str,
        dependencies: &[DependencyStatus],
        branches: &[BranchStatus],
        gauges: &GaugesSnapshot,
        still: Vec<Still>,
    ) -> Readiness {
        let mut problems: Vec<Problem> = dependencies.iter().filter_map(of_dependency).collect();
        problems.extend(branches.iter().filter_map(|branch| of_branch(pipeline, branch)));
        for (partition, gauge) in &gauges.partitions {
            if let Some(reason) = gauge.state.strip_prefix("stopped") {
                problems.push(Problem {
                    what: "partition",
                    place: partition.to_string(),
                    since: String::new(),
                    reason: format!("the partition has stopped{reason}"),
                    remedy: format!(
                        "look at what is lost with `aqueduct offsets show`; `aqueduct offsets skip` is the explicit way \
                         on, then `aqueduct resume {pipeline}` or a restart"
                    ),
                });
            }
        }
        for still in still {
            let place = |partition| format!("{pipeline}[{partition}]");
            problems.push(Problem {
                what: "progress",
                place: still.partition.map_or_else(|| pipeline.to_owned(), place),
                since: text(still.since),
                reason: format!("{} offsets wait and nothing was settled", still.lag),
                remedy: "see in `aqueduct status` what its actors wait for, and how they failed".into(),
            });
        }
        self.date(&mut problems);
        Readiness {
            pipeline: pipeline.to_owned(),
            ready: problems.is_empty(),
            problems,
        }
    }

    /// Those without a date begin when they are first seen.
    fn date(&self, problems: &mut [Problem]) {
        let mut noticed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut now = BTreeMap::new();
        for problem in problems.iter_mut().filter(|problem| problem.since.is_empty()) {
            let key = format!("{} {}", problem.what, problem.place);
            let since = noticed.get(&key).copied().unwrap_or_else(Utc::now);
            problem.since = text(since);
            now.insert(key, since);
        }
        *noticed = now;
    }
}

pub(super) fn of_dependency(status: &DependencyStatus) -> Option<Problem> {
    if status.up == Some(true) {
        return None;
    }
    let asked = status.reason.clone();
    let next = status.next.as_deref().unwrap_or("it is being asked");
    let mend = match status.name {
        "postgres" => "start PostgreSQL, or look at the network and postgres.url",
        "kafka" => "start the brokers, or look at the network and kafka.brokers",
        "api" => "see whether the API answers from this machine, and source.url",
        _ => "look at the disk of daemon.state_dir",
    };
    Some(Problem {
        what: status.name,
        place: status.place.clone(),
        since: status.since.clone(),
        reason: asked.unwrap_or_else(|| "it has not answered yet".into()),
        remedy: format!("{mend}; {next}"),
    })
}

fn of_branch(pipeline: &str, branch: &BranchStatus) -> Option<Problem> {
    let failures = || {
        let last = branch
            .children
            .iter()
            .filter_map(|child| Some((child, child.last_failure.as_ref()?)))
            .max_by(|left, right| left.1.at.cmp(&right.1.at));
        last.map(|(child, failure)| format!("{} {}", child.name, failure.reason))
    };
    let (seen, remedy) = match branch.state {
        BranchState::Running => return None,
        BranchState::Parked => (
            "is parked",
            format!(
                "mend what the reason says, then `aqueduct resume {pipeline}`; by itself it is tried again at {}",
                branch.next_try.as_deref().unwrap_or("the end of backoff_max")
            ),
        ),
        BranchState::Starting => ("is starting", "wait".into()),
        BranchState::Restarting => ("is restarting what failed", "wait; see `aqueduct status`".into()),
        BranchState::WindingDown => ("winds down", "wait; see `aqueduct status`".into()),
        BranchState::Escalated | BranchState::Stopped => ("has ended", "start the daemon again".into()),
    };
    let reason = branch.reason.clone().or_else(failures);
    Some(Problem {
        what: "branch",
        place: branch.name.clone(),
        since: String::new(),
        reason: match reason {
            Some(reason) => format!("it {seen}: {reason}"),
            None => format!("it {seen}"),
        },
        remedy,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::PartitionGauge;

    fn dependency(up: Option<bool>) -> DependencyStatus {
        DependencyStatus {
            name: "postgres",
            place: "db:5432/sales".into(),
            up,
            since: "2026-01-01T00:00:00Z".into(),
            reason: (up == Some(false)).then(|| "connection refused".into()),
            next: None,
        }
    }

    fn branch(state: BranchState) -> BranchStatus {
        BranchStatus {
            name: "users/load".into(),
            state,
            reason: Some("too many dead letters".into()),
            next_try: Some("2026-01-01T00:01:00Z".into()),
            restarts_left: 5,
            abandoned_threads: 0,
            children: Vec::new(),
        }
    }

    fn judge(dependencies: &[DependencyStatus], branches: &[BranchStatus], state: &str) -> Readiness {
        let mut gauges = GaugesSnapshot::default();
        let gauge = PartitionGauge {
            state: state.into(),
            ..PartitionGauge::default()
        };
        gauges.partitions.insert(2, gauge);
        Noticed::default().judge("users", dependencies, branches, &gauges, Vec::new())
    }

    #[test]
    fn a_pipeline_is_ready_when_everything_answers_and_runs() {
        let readiness = judge(&[dependency(Some(true))], &[branch(BranchState::Running)], "reading");
        assert!(readiness.ready && readiness.problems.is_empty());
    }

    #[test]
    fn each_problem_says_what_where_since_when_why_and_what_to_do() {
        let cases = [
            judge(&[dependency(Some(false))], &[], "reading"),
            judge(&[dependency(None)], &[], "reading"),
            judge(&[], &[branch(BranchState::Parked)], "reading"),
            judge(&[], &[branch(BranchState::Restarting)], "reading"),
            judge(&[], &[], "stopped: offsets 3 to 9 are gone"),
        ];
        for readiness in &cases {
            assert!(!readiness.ready);
            let [problem] = &readiness.problems[..] else {
                panic!("{readiness:?}")
            };
            for text in [&problem.place, &problem.since, &problem.reason, &problem.remedy] {
                assert!(!text.is_empty(), "{problem:?}");
            }
        }
        let [postgres, _, parked, _, stopped] = cases;
        assert_eq!(postgres.problems[0].reason, "connection refused");
        assert!(parked.problems[0].remedy.contains("aqueduct resume users"));
        assert_eq!(
            stopped.problems[0].reason,
            "the partition has stopped: offsets 3 to 9 are gone"
        );
    }

    #[test]
    fn a_problem_keeps_its_date_while_it_lasts() {
        let noticed = Noticed::default();
        let judge =
            |branches: &[BranchStatus]| noticed.judge("users", &[], branches, &GaugesSnapshot::default(), Vec::new());
        let key = "branch users/load";
        judge(&[branch(BranchState::Parked)]);
        let first = noticed.0.lock().unwrap()[key];
        judge(&[branch(BranchState::Parked)]);
        assert_eq!(noticed.0.lock().unwrap()[key], first);
        judge(&[]);
        assert!(noticed.0.lock().unwrap().is_empty());
    }
}
