//! What a watcher of the demo sees: three bars, one for each place a record reaches.

use std::{io::IsTerminal, time::Duration};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::{daemon::Daemon, telemetry::GaugesSnapshot};

/// How often the bars move.
const FRAME: Duration = Duration::from_millis(100);
/// How often a line is printed where there is no terminal.
const FRAMES_A_LINE: u32 = 10;

/// Shows the progress of the first pipeline until it is dropped.
pub(super) async fn show(daemon: &Daemon, num_records: u64) {
    let Some(pipeline) = daemon.pipelines().first() else {
        return;
    };
    if std::io::stderr().is_terminal() {
        let bars = Bars::new(num_records);
        loop {
            bars.update(&pipeline.gauges());
            tokio::time::sleep(FRAME).await;
        }
    }
    let mut before = GaugesSnapshot::default();
    loop {
        tokio::time::sleep(FRAME * FRAMES_A_LINE).await;
        let now = pipeline.gauges();
        if now.settled_records != before.settled_records || now.fetched_records != before.fetched_records {
            eprintln!(
                "fetched {} | in the log {} | in PostgreSQL {} ({}/s)",
                now.fetched_records,
                now.produced_records,
                now.settled_records,
                now.settled_records - before.settled_records
            );
        }
        before = now;
    }
}

struct Bars {
    fetched: ProgressBar,
    produced: ProgressBar,
    settled: ProgressBar,
}

impl Bars {
    fn new(num_records: u64) -> Self {
        let bars = MultiProgress::new();
        let add = |name: &'static str| {
            let template = "{prefix:>14} [{bar:40}] {human_pos:>9}/{human_len} {per_sec:>14}";
            let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            bars.add(
                ProgressBar::new(num_records)
                    .with_style(style.progress_chars("=> "))
                    .with_prefix(name),
            )
        };
        Self {
            fetched: add("fetched"),
            produced: add("in the log"),
            settled: add("in PostgreSQL"),
        }
    }

    fn update(&self, gauges: &GaugesSnapshot) {
        self.fetched.set_position(gauges.fetched_records);
        self.produced.set_position(gauges.produced_records);
        self.settled.set_position(gauges.settled_records);
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        // What is on the screen stays there.
        [&self.fetched, &self.produced, &self.settled]
            .into_iter()
            .for_each(ProgressBar::abandon);
    }
}
