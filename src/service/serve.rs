//! Runs a daemon from its settings to its end; `run` and `demo` share it.

use std::sync::Arc;

use slog::Logger;

use super::{Exit, Signals};
use crate::{
    config::{Places, Problem, settings::Settings},
    daemon::{Daemon, Mode, PipelineReport, Program, StartError, Startup, feed_watchdog, feed_watchdog_at_start},
    supervision::{RootOutcome, chain},
    web,
};

/// Why a daemon has ended, before it stops.
pub enum Ended {
    /// A signal.
    Asked,
    /// The source is at its end and everything is settled.
    Drained(Vec<PipelineReport>),
    /// The supervisor has given up.
    Escalated(String),
}

/// Runs until a signal, the end of the source (`Mode::Once`) or an escalation; then `after` looks at the result while
/// everything is still up, and everything is stopped in data order.
pub async fn serve(
    settings: &Settings,
    programs: Vec<Program>,
    mode: Mode,
    log: &Logger,
    during: impl AsyncFn(&Daemon),
    after: impl AsyncFnOnce(&Daemon, &Ended, &Signals) -> Exit,
) -> Exit {
    let signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => {
            slog::crit!(log, "cannot listen for signals"; "reason" => %error);
            return Exit::Escalated;
        }
    };
    let startup = Arc::new(Startup::of(
        settings.pipelines.iter().map(|pipeline| pipeline.name.clone()),
    ));
    // Before anything that may have to be waited for.
    let door = open_door(settings, &startup, log);
    let started = tokio::select! {
        started = Daemon::start(settings, programs, mode, log, &startup, &signals.stop) => started,
        never = feed_watchdog_at_start(log) => match never {},
    };
    let exit = match started {
        Ok(daemon) => attend(daemon, mode, log, &signals, during, after).await,
        Err(StartError::Cancelled) => Exit::Done,
        Err(error) => {
            slog::crit!(log, "cannot start"; "reason" => chain(&error));
            Exit::Unavailable
        }
    };
    if let Some(door) = door {
        door.stop(false).await;
    }
    exit
}

/// From the moment at which the branches run to the one at which they have stopped.
async fn attend(
    daemon: Daemon,
    mode: Mode,
    log: &Logger,
    signals: &Signals,
    during: impl AsyncFn(&Daemon),
    after: impl AsyncFnOnce(&Daemon, &Ended, &Signals) -> Exit,
) -> Exit {
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    let ended = tokio::select! {
        () = signals.stop.cancelled() => Ended::Asked,
        RootOutcome::Escalated(reason) = daemon.outcome() => Ended::Escalated(reason),
        reports = daemon.drained(), if mode == Mode::Once => Ended::Drained(reports),
        reason = daemon.stuck(), if mode == Mode::Once => Ended::Escalated(reason),
        never = beside(&daemon, log, &during) => match never {},
    };
    let exit = after(&daemon, &ended, signals).await;
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    tokio::select! {
        clean = daemon.stop() => {
            if !clean {
                slog::warn!(log, "some actors had to be ended: they did not stop within their grace");
            }
        }
        () = signals.at_once.cancelled() => slog::warn!(log, "ended at once, as asked by a second signal"),
    }
    exit
}

async fn beside(daemon: &Daemon, log: &Logger, during: &impl AsyncFn(&Daemon)) -> std::convert::Infallible {
    futures::join!(during(daemon), feed_watchdog(|| daemon.status(), log));
    std::future::pending().await
}

fn open_door(settings: &Settings, startup: &Arc<Startup>, log: &Logger) -> Option<actix_web::dev::ServerHandle> {
    let address = settings.daemon.http?;
    match web::open(address, startup.clone()) {
        Ok(door) => {
            slog::info!(log, "the door is open"; "http" => %address);
            Some(door)
        }
        // Records matter more than the page about them.
        Err(error) => {
            slog::error!(log, "the door stays closed: `status` and the dashboard cannot reach this daemon";
                "http" => %address, "reason" => %error, "remedy" => "set daemon.http to a free address");
            None
        }
    }
}

/// Compiles every pipeline's SQL, or says everything that is wrong with it. `places` knows where the texts stand.
pub fn compile(settings: &Settings, places: &Places) -> Result<Vec<Program>, Vec<Problem>> {
    let mut programs = Vec::new();
    let mut problems = Vec::new();
    for pipeline in &settings.pipelines {
        match crate::daemon::compile(pipeline) {
            Ok(program) => programs.push(program),
            Err(found) => problems.extend(
                found
                    .iter()
                    .map(|found| places.problem(&pipeline.name, found.table.as_deref(), found.place, &found.message)),
            ),
        }
    }
    if problems.is_empty() {
        Ok(programs)
    } else {
        Err(problems)
    }
}
