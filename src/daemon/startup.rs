//! What can be said of a daemon at any time, also before its branches run: an outage at the very start may last all night.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use chrono::{DateTime, Utc};

use super::{
    RunningPipeline,
    evidence::{DependencyStatus, text},
    readiness::{Problem, Readiness, of_dependency},
};

/// Shared by the start and the door.
pub struct Startup {
    names: Vec<Arc<str>>,
    begun: DateTime<Utc>,
    waits_for: Mutex<Option<DependencyStatus>>,
    running: OnceLock<Arc<[Arc<RunningPipeline>]>>,
}

impl Startup {
    /// A daemon that is to run pipelines of these names.
    pub fn of(names: impl IntoIterator<Item = Arc<str>>) -> Self {
        Self {
            names: names.into_iter().collect(),
            begun: Utc::now(),
            waits_for: Mutex::default(),
            running: OnceLock::new(),
        }
    }

    /// The pipelines; `None` before they run.
    pub fn running(&self) -> Option<Arc<[Arc<RunningPipeline>]>> {
        self.running.get().cloned()
    }

    /// What the start waits for, as a sentence.
    pub fn sentence(&self) -> String {
        let since = text(self.begun);
        match self.problem() {
            Some(Problem {
                what, place, reason, ..
            }) => format!("the daemon has been starting since {since} and waits for {what} at {place}: {reason}"),
            None => format!("the daemon has been starting since {since}"),
        }
    }

    /// Whether the pipelines get on, before or after they have begun.
    pub fn readiness(&self) -> Vec<Readiness> {
        if let Some(pipelines) = self.running.get() {
            return pipelines.iter().map(|pipeline| pipeline.readiness()).collect();
        }
        let problem = self.problem().unwrap_or_else(|| Problem {
            what: "start",
            place: "the daemon".into(),
            since: text(self.begun),
            reason: "it is starting".into(),
            remedy: "wait; its log says what it does".into(),
        });
        let not_yet = |name: &Arc<str>| Readiness {
            pipeline: name.to_string(),
            ready: false,
            problems: vec![problem.clone()],
        };
        self.names.iter().map(not_yet).collect()
    }

    fn problem(&self) -> Option<Problem> {
        let waits_for = self.waits_for.lock().unwrap_or_else(PoisonError::into_inner);
        waits_for.as_ref().and_then(of_dependency)
    }

    /// PostgreSQL does not answer; it is asked again. systemd has its READY now: an outage must not look like a start that
    /// hangs, which it would end and begin anew.
    pub(super) fn waits_for_postgres(&self, place: &str, reason: String) {
        let mut waits_for = self.waits_for.lock().unwrap_or_else(PoisonError::into_inner);
        let since = waits_for.take().map_or_else(|| text(Utc::now()), |before| before.since);
        let status = format!("waiting for PostgreSQL at {place} since {since}: {reason}");
        *waits_for = Some(DependencyStatus {
            name: "postgres",
            place: place.to_owned(),
            up: Some(false),
            since,
            reason: Some(reason),
            next: Some("nothing has begun yet, and the start goes on as soon as it answers".into()),
        });
        let _ = sd_notify::notify(&[
            sd_notify::NotifyState::Ready,
            sd_notify::NotifyState::Status(status.as_str()),
        ]);
    }

    /// PostgreSQL has answered.
    pub(super) fn waits_no_more(&self) {
        let mut waits_for = self.waits_for.lock().unwrap_or_else(PoisonError::into_inner);
        if waits_for.take().is_some() {
            let _ = sd_notify::notify(&[sd_notify::NotifyState::Status("")]);
        }
    }

    /// The branches run.
    pub(super) fn is_over(&self, pipelines: &[Arc<RunningPipeline>]) {
        let _ = self.running.set(pipelines.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_that_waits_says_for_what_since_when_and_why() {
        let startup = Startup::of(["users".into(), "orders".into()]);
        assert!(startup.readiness().iter().all(|readiness| !readiness.ready));
        startup.waits_for_postgres("db:5432/sales", "connection refused".into());
        let [users, orders] = &startup.readiness()[..] else {
            panic!("one answer a pipeline")
        };
        assert_eq!((&*users.pipeline, &*orders.pipeline), ("users", "orders"));
        let [problem] = &users.problems[..] else {
            panic!("{users:?}")
        };
        assert_eq!((problem.what, &*problem.reason), ("postgres", "connection refused"));
        let since = problem.since.clone();
        startup.waits_for_postgres("db:5432/sales", "no route".into());
        let again = &startup.readiness()[0].problems[0];
        assert_eq!((&again.since, &*again.reason), (&since, "no route"));
        assert!(startup.sentence().contains("db:5432/sales: no route"));
        startup.waits_no_more();
        assert_eq!(startup.readiness()[0].problems[0].what, "start");
    }
}
