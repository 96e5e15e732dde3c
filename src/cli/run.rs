//! `aqueduct run`: the daemon, or with `--once` one pass to the end of the source.

use slog::Logger;

use crate::{
    config::settings::Settings,
    daemon::{Daemon, Mode, Program},
    service::{Ended, Exit, ledger, serve},
};

/// Runs until it is asked to stop, or to the end of the source.
pub async fn run(settings: &Settings, programs: Vec<Program>, once: bool, log: &Logger) -> Exit {
    let mode = if once { Mode::Once } else { Mode::Daemon };
    let idle = async |_: &Daemon| {};
    serve(settings, programs, mode, log, idle, async |_, ended, _| {
        conclude(ended, log)
    })
    .await
}

/// Says how it ended; prints the ledger of a drained run.
fn conclude(ended: &Ended, log: &Logger) -> Exit {
    match ended {
        Ended::Asked => {
            slog::info!(log, "stopping, as asked");
            Exit::Done
        }
        Ended::Escalated(reason) => {
            slog::crit!(log, "giving up"; "reason" => reason);
            Exit::Escalated
        }
        Ended::Drained(reports) => {
            for report in reports {
                println!("{}", ledger::render(report));
            }
            if reports.iter().all(|report| report.gap.is_none()) {
                Exit::Done
            } else {
                Exit::Escalated
            }
        }
    }
}
