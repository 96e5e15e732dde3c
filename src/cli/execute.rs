//! From the command line to the exit code.

use slog::Logger;

use super::{
    args::{Args, Command, ConfigFile},
    check, dead_letters, migrate, moving, offsets, run, simulate, status,
};
use crate::{
    config::{self, Environment, Loaded, Problem},
    demo,
    service::{Exit, compile},
    telemetry::logging,
};

/// Does what was asked for.
pub fn execute(args: Args) -> Exit {
    match args.command {
        Command::Run(args) => with_config(&args.file, |loaded| {
            let programs = compile(&loaded.settings, &loaded.places)?;
            Ok(logged(&loaded, async |log| {
                run::run(&loaded.settings, programs, args.once, &log).await
            }))
        }),
        Command::Check(args) => with_config(&args.file, |loaded| {
            let programs = compile(&loaded.settings, &loaded.places)?;
            Ok(logged(&loaded, async |log| {
                check::check(&loaded, &programs, args.live, &log).await
            }))
        }),
        Command::Status(args) => with_config(&args.file, |loaded| {
            Ok(block_on(status::status(&loaded.settings, args.json)))
        }),
        Command::Resume(args) => with_config(&args.file, |loaded| {
            Ok(block_on(status::resume(&loaded.settings, args.pipeline.as_deref())))
        }),
        Command::Offsets(args) => with_config(args.file(), |loaded| {
            Ok(logged(&loaded, async |log| {
                offsets::offsets(&loaded.settings, &args, &log).await
            }))
        }),
        Command::Migrate(args) => with_config(&args.file, |loaded| {
            Ok(logged(&loaded, async |log| {
                migrate::migrate(&loaded.settings, &log).await
            }))
        }),
        Command::DeadLetters(args) => with_config(dead_letters::file(&args.action), |loaded| {
            let programs = match dead_letters::runs_sql(&args.action) {
                true => compile(&loaded.settings, &loaded.places)?,
                false => Vec::new(),
            };
            Ok(logged(&loaded, async |log| {
                dead_letters::dead_letters(&loaded.settings, &programs, &args.action, &log).await
            }))
        }),
        Command::Move(args) => with_config(&args.file, |loaded| {
            let from = config::load(&args.from, &Environment::of_process())?;
            Ok(logged(&loaded, async |log| {
                moving::move_cursors(&from.settings, &loaded.settings, &log).await
            }))
        }),
        Command::Simulate(args) => block_on(simulate::simulate(&args)),
        Command::Demo(args) => {
            let (log, _flushed) = logging::init(
                config::settings::LogLevel::Warning,
                config::settings::LogFormat::Terminal,
            );
            let options = demo::DemoOptions {
                records: args.records,
                keep: args.keep,
                kafka: args.kafka,
                postgres: args.postgres,
            };
            block_on(demo::guided(options, &log))
        }
    }
}

fn with_config(file: &ConfigFile, work: impl FnOnce(Loaded) -> Result<Exit, Vec<Problem>>) -> Exit {
    let path = config::find(file.config.as_deref()).map_err(|problem| vec![problem]);
    let loaded = path.and_then(|path| config::load(&path, &Environment::of_process()));
    let done = loaded.and_then(|loaded| {
        loaded.notes.iter().for_each(|note| eprintln!("note: {note}"));
        work(loaded)
    });
    done.unwrap_or_else(|problems| {
        problems.iter().for_each(|problem| eprintln!("{problem}"));
        let s = if problems.len() == 1 { "" } else { "s" };
        eprintln!("{} problem{s}", problems.len());
        Exit::BadConfig
    })
}

fn logged(loaded: &Loaded, work: impl AsyncFnOnce(Logger) -> Exit) -> Exit {
    let (log, _flushed) = logging::init(loaded.settings.daemon.log_level, loaded.settings.daemon.log_format);
    block_on(work(log))
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    actix_rt::System::new().block_on(work)
}
