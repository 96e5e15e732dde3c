//! The log lines: slog everywhere, written by a thread of its own, so that a slow terminal never holds up a record.
//!
//! Field names are snake_case and end in their unit (`wait_ms`, `size_bytes`). What libraries say through the `log` facade
//! goes the same way, with its `target`.

use std::{
    io::{self, Write},
    path::Path,
    sync::mpsc,
    time::Duration,
};

use slog::{Drain, FnValue, Level, LevelFilter, Logger, Never, Record, o};
use slog_async::{Async, AsyncGuard, OverflowStrategy};

use crate::config::settings::{LogFormat, LogLevel};

/// Lines that may wait for the writing thread; further ones are dropped and counted.
const QUEUED_LINES: usize = 8_192;

/// Where systemd's journal takes lines.
const JOURNAL: &str = "/run/systemd/journal/socket";

/// How long the end of the program waits for the last lines. Whoever reads stderr may have stopped reading.
const FLUSH_LIMIT: Duration = Duration::from_secs(2);

/// Writes out what is queued when it is dropped; keep it until the end of `main`.
pub struct Guard(Option<AsyncGuard>);

impl Drop for Guard {
    fn drop(&mut self) {
        let Some(guard) = self.0.take() else { return };
        let (done, is_done) = mpsc::channel::<()>();
        let flush = move || {
            drop(guard);
            drop(done);
        };
        // If there is no thread to be had, the closure is dropped here, and the guard in it waits without a limit.
        if std::thread::Builder::new()
            .name("log-flush".to_owned())
            .spawn(flush)
            .is_ok()
        {
            // Ends when `done` is dropped, or at the limit.
            let _ = is_done.recv_timeout(FLUSH_LIMIT);
        }
    }
}

/// Begins to log to stderr, or to the journal, and takes over what libraries log. Called once, by `main`.
pub fn init(level: LogLevel, format: LogFormat) -> (Logger, Guard) {
    // Lines for a journal that is not there would be lost without a word.
    let has_no_journal = format == LogFormat::Journald && !Path::new(JOURNAL).exists();
    let (logger, guard) = match format {
        _ if has_no_journal => build(level, LogFormat::Terminal, io::stderr()),
        LogFormat::Terminal => {
            let decorator = slog_term::TermDecorator::new().stderr().build();
            root(level, slog_term::FullFormat::new(decorator).build().ignore_res())
        }
        LogFormat::Json => build(level, format, io::stderr()),
        LogFormat::Journald => root(level, slog_journald::JournaldDrain::default().ignore_res()),
    };
    if has_no_journal {
        slog::warn!(logger, "there is no journal on this machine, lines go to stderr"; "socket" => JOURNAL,
            "remedy" => "set daemon.log_format to \"terminal\" or \"json\"");
    }
    take_over_libraries(&logger, level);
    (logger, guard)
}

/// Sends what libraries log through the `log` facade to this logger.
fn take_over_libraries(logger: &Logger, level: LogLevel) {
    let of_library = FnValue(|record: &Record<'_>| record.tag().to_owned());
    // Not reset at the end: a library that still logs then would panic.
    slog_scope::set_global_logger(logger.new(o!("target" => of_library))).cancel_reset();
    // It fails when it was called before; the logger above is the new one all the same.
    let _ = slog_stdlog::init();
    log::set_max_level(library_level(level));
}

/// Makes a logger that writes lines to `sink`, plain or as JSON; nothing global is touched.
pub fn build(level: LogLevel, format: LogFormat, sink: impl Write + Send + 'static) -> (Logger, Guard) {
    match format {
        LogFormat::Json => root(level, slog_json::Json::default(sink).ignore_res()),
        LogFormat::Terminal | LogFormat::Journald => {
            let decorator = slog_term::PlainDecorator::new(sink);
            root(level, slog_term::FullFormat::new(decorator).build().ignore_res())
        }
    }
}

fn root(level: LogLevel, drain: impl Drain<Ok = (), Err = Never> + Send + 'static) -> (Logger, Guard) {
    let (drain, guard) = Async::new(drain)
        .chan_size(QUEUED_LINES)
        .overflow_strategy(OverflowStrategy::DropAndReport)
        .thread_name("log".to_owned())
        .build_with_guard();
    // Errors are ignored, not fused: after the guard is gone a line is lost, and nobody should panic over it.
    let logger = Logger::root(LevelFilter::new(drain, own_level(level)).ignore_res(), o!());
    (logger, Guard(Some(guard)))
}

fn own_level(level: LogLevel) -> Level {
    match level {
        LogLevel::Error => Level::Error,
        LogLevel::Warning => Level::Warning,
        LogLevel::Info => Level::Info,
        LogLevel::Debug => Level::Debug,
        LogLevel::Trace => Level::Trace,
    }
}

/// Libraries write a line for every packet at `debug`; that is for `trace`.
fn library_level(level: LogLevel) -> log::LevelFilter {
    match level {
        LogLevel::Error => log::LevelFilter::Error,
        LogLevel::Warning => log::LevelFilter::Warn,
        LogLevel::Info | LogLevel::Debug => log::LevelFilter::Info,
        LogLevel::Trace => log::LevelFilter::Trace,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Condvar, Mutex};

    use slog::{debug, info, warn};

    use super::*;

    /// A sink whose writes wait until the gate is open.
    #[derive(Clone, Default)]
    struct Sink(Arc<(Mutex<State>, Condvar)>);

    type State = (bool, Vec<u8>);

    impl Sink {
        fn open() -> Self {
            let sink = Self::default();
            sink.open_gate();
            sink
        }

        fn open_gate(&self) {
            self.0.0.lock().unwrap().0 = true;
            self.0.1.notify_all();
        }

        fn lines(&self) -> Vec<String> {
            String::from_utf8(self.0.0.lock().unwrap().1.clone())
                .unwrap()
                .lines()
                .map(str::to_owned)
                .collect()
        }
    }

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut state = self
                .0
                .1
                .wait_while(self.0.0.lock().unwrap(), |(is_open, _)| !*is_open)
                .unwrap();
            state.1.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_guard_writes_out_every_line_when_it_goes() {
        let sink = Sink::open();
        let (logger, guard) = build(LogLevel::Info, LogFormat::Json, sink.clone());
        let child = logger.new(o!("pipeline" => "users"));
        for number in 0..500 {
            info!(child, "written"; "num_rows" => number);
        }
        debug!(child, "below the level");
        drop(guard);
        let lines = sink.lines();
        assert_eq!(lines.len(), 500);
        let last: serde_json::Value = serde_json::from_str(&lines[499]).unwrap();
        assert_eq!((&last["msg"], &last["level"]), (&"written".into(), &"INFO".into()));
        assert_eq!((&last["pipeline"], &last["num_rows"]), (&"users".into(), &499.into()));
    }

    #[test]
    fn a_sink_that_hangs_holds_up_nobody_and_the_lost_lines_are_counted() {
        let sink = Sink::default();
        let (logger, guard) = build(LogLevel::Info, LogFormat::Json, sink.clone());
        // Returns although nothing can be written: otherwise this test does not end.
        for number in 0..2 * QUEUED_LINES {
            info!(logger, "much"; "number" => number);
        }
        sink.open_gate();
        let has_room = || {
            warn!(logger, "one more");
            sink.lines().iter().any(|line| line.contains("logger dropped messages"))
        };
        assert!((0..10_000_000).any(|_| has_room()), "the loss was never reported");
        drop(guard);
        assert!(sink.lines().len() < 3 * QUEUED_LINES);
    }

    #[test]
    fn what_libraries_log_comes_with_its_target() {
        let sink = Sink::open();
        let (logger, guard) = build(LogLevel::Info, LogFormat::Json, sink.clone());
        take_over_libraries(&logger, LogLevel::Info);
        log::warn!(target: "librdkafka", "broker is {}", "down");
        log::debug!(target: "librdkafka", "a packet");
        drop(guard);
        // Other tests of this process may make libraries talk meanwhile.
        let lines: Vec<String> = sink
            .lines()
            .into_iter()
            .filter(|line| line.contains("librdkafka"))
            .collect();
        assert_eq!(lines.len(), 1, "{lines:?}");
        let line: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!(
            (&line["msg"], &line["target"]),
            (&"broker is down".into(), &"librdkafka".into())
        );
    }

    #[test]
    fn a_line_after_the_guard_is_lost_without_a_panic() {
        let sink = Sink::open();
        let (logger, guard) = build(LogLevel::Trace, LogFormat::Terminal, sink.clone());
        info!(logger, "before"; "wait_ms" => 7);
        drop(guard);
        info!(logger, "after");
        let lines = sink.lines();
        assert_eq!(lines.len(), 1);
        assert!(lines[0].contains("INFO before, wait_ms: 7"), "{}", lines[0]);
    }
}
