//! One of the daemons, over all its lives.

use crate::job::{Daemon, Job};

pub struct Slot {
    config: &'static str,
    log: &'static str,
    daemon: Option<Daemon>,
}

impl Slot {
    pub fn new(config: &'static str, log: &'static str) -> Self {
        Self {
            config,
            log,
            daemon: None,
        }
    }

    pub fn start(&mut self, job: &Job, variables: &[(&str, &str)]) {
        self.daemon = Some(job.start_with(self.config, &["run"], self.log, variables));
    }

    pub fn daemon(&mut self) -> &mut Daemon {
        self.daemon.as_mut().expect("it was started")
    }

    /// The end of its log, if it has ended by itself.
    pub fn obituary(&mut self) -> Option<String> {
        let daemon = self.daemon.as_mut()?;
        (!daemon.is_running()).then(|| format!("{} has ended by itself: {}", self.log, daemon.tail()))
    }

    pub fn tail(&self) -> String {
        self.daemon
            .as_ref()
            .map_or_else(String::new, |daemon| format!("{}:\n{}", self.log, daemon.tail()))
    }
}
