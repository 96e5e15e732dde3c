//! One shard's run: starts the program, reads it page by page, and repeats it when it fails.

use std::{ffi::OsStr, io::Write, sync::Arc};

use slog::Logger;
use tempfile::NamedTempFile;
use tokio::{process::ChildStdout, time::Instant};

use super::{
    RunError, RunRequest,
    assembly::{Assembly, Diverged},
    child::{Pipes, Program},
    cursor::{Prefix, RunCursor},
    lines::{Lines, Read},
    output::Printed,
    source::Inner,
    stderr::Listener,
};
use crate::{
    api::{
        ApiError,
        http::{Attempt, Fetched, Pauses},
    },
    model::{ShardId, Verdict},
};

const EXCERPT_CHARS: usize = 200;

/// Reads one shard for as long as it is lent. Dropping it ends the program.
pub struct ExecFeed {
    source: Arc<Inner>,
    shard: ShardId,
    running: Option<Running>,
    failures: Failures,
    /// The program does not print the same again: what a run before has committed beyond its state is not looked for.
    has_diverged: bool,
}

/// Runs that have failed in a row.
struct Failures {
    num_runs: u32,
    since: Option<Instant>,
    pauses: Pauses,
}

/// A run in the middle.
struct Running {
    program: Program,
    lines: Lines<ChildStdout>,
    stderr: Listener,
    assembly: Assembly,
    /// After the last page.
    cursor: RunCursor,
    started: Instant,
    num_lines: u64,
    /// The run has failed, and a page that has its state went first.
    failed: Option<RunError>,
    log: Logger,
    /// Lives as long as the run.
    _state_file: Option<NamedTempFile>,
}

/// Why there is no page.
enum NoPage {
    Failed(RunError),
    Diverged(Diverged),
    /// Not the run's fault.
    Refused(ApiError),
}

impl From<RunError> for NoPage {
    fn from(error: RunError) -> Self {
        Self::Failed(error)
    }
}

impl From<Diverged> for NoPage {
    fn from(diverged: Diverged) -> Self {
        Self::Diverged(diverged)
    }
}

impl ExecFeed {
    pub(super) fn new(source: Arc<Inner>, shard: ShardId) -> Self {
        let failures = Failures::new(&source);
        Self {
            source,
            shard,
            running: None,
            failures,
            has_diverged: false,
        }
    }

    /// Reads the next page, with all its repeats. Never returns an error whose verdict is `Retry`. The call may be dropped
    /// at any time: the run goes on with the next one.
    pub async fn fetch<P>(&mut self, request: &RunRequest, progress: &mut P) -> Result<Fetched, ApiError>
    where
        P: FnMut(Attempt<'_>) + ?Sized,
    {
        loop {
            let (number, deadline) = (self.failures.num_runs + 1, self.source.settings.timeout);
            progress(Attempt::Started { number, deadline });
            let error = match self.next_page(request).await {
                Ok(fetched) => {
                    // Only what a repeat leaves out is progress: a page without a state comes again with each run.
                    if self.running.as_ref().is_none_or(|run| run.assembly.is_kept()) {
                        self.failures = Failures::new(&self.source);
                    }
                    progress(Attempt::Done { attempts: number });
                    return Ok(fetched);
                }
                Err(NoPage::Refused(error)) => return Err(error),
                Err(NoPage::Diverged(Diverged { num_left_out })) => {
                    slog::warn!(self.source.log, "the program does not print the same again after its cursor: records since then \
                        that are in the log already come twice";
                        "shard" => self.shard.number, "program" => &self.source.settings.program,
                        "read_again" => num_left_out);
                    self.has_diverged = true;
                    self.end_run().await;
                    continue;
                }
                Err(NoPage::Failed(error)) => error,
            };
            self.end_run().await;
            let error = self.failures.after(error, &self.source)?;
            let (since, pause) = self.failures.pause();
            slog::warn!(self.source.log, "a run has failed, it is repeated";
                "shard" => self.shard.number, "attempt" => number, "wait_ms" => u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
                "error" => crate::api::chain(&error));
            let error = ApiError::Run(error);
            progress(Attempt::Waiting {
                number,
                since,
                pause,
                error: &error,
            });
            tokio::time::sleep(pause).await;
        }
    }

    /// Ends the program, in order if it will.
    pub(super) async fn end_run(&mut self) {
        if let Some(run) = self.running.take() {
            if run.started.elapsed() > self.source.limits.longest_pause {
                self.failures = Failures::new(&self.source);
            }
            run.program.end().await;
        }
    }

    async fn next_page(&mut self, request: &RunRequest) -> Result<Fetched, NoPage> {
        let run = match self.running.take().filter(|run| run.cursor == request.cursor) {
            Some(run) => run,
            None => self.start(request)?,
        };
        // Kept here while it is read: the call may be dropped at any await.
        let run = self.running.insert(run);
        let fetched = run.read_page(&self.source).await?;
        run.cursor = run.assembly.cursor().clone();
        if fetched.at_end {
            slog::debug!(run.log, "the run is over"; "records" => run.cursor.records);
            self.has_diverged = false;
            self.end_run().await;
        }
        Ok(fetched)
    }

    fn start(&self, request: &RunRequest) -> Result<Running, NoPage> {
        let source = &self.source;
        let mut cursor = request.cursor.clone();
        let variables = source
            .variables(&self.shard, cursor.state.as_deref())
            .map_err(NoPage::Refused)?;
        let state_file = self.state_file(cursor.state.as_deref())?;
        let args: Vec<&OsStr> = match (&source.settings.state_arg, &state_file) {
            (Some(arg), Some(file)) => vec![OsStr::new(arg), file.path().as_os_str()],
            _ => vec![],
        };
        let (program, Pipes { stdout, stderr }) = Program::start(&source.settings, &args, &variables)?;
        let log = source
            .log
            .new(slog::o!("shard" => self.shard.number, "pid" => program.pid));
        slog::debug!(log, "the program runs"; "program" => &source.settings.program, "run" => cursor.run);
        if self.has_diverged {
            cursor.since = Prefix::default();
        }
        Ok(Running {
            program,
            lines: Lines::new(stdout, source.limits.line_bytes),
            stderr: Listener::start(stderr, source.redactor.clone(), log.clone()),
            assembly: Assembly::new(source.page, source.waits(), cursor),
            cursor: request.cursor.clone(),
            started: Instant::now(),
            num_lines: 0,
            failed: None,
            log,
            _state_file: state_file,
        })
    }

    /// The state as a file, for programs that want it so. A program without a state gets no file.
    fn state_file(&self, state: Option<&str>) -> Result<Option<NamedTempFile>, RunError> {
        let settings = &self.source.settings;
        let Some((state, _)) = state.zip(settings.state_arg.as_ref()) else {
            return Ok(None);
        };
        let write = || {
            let mut file = tempfile::Builder::new()
                .prefix("aqueduct-state-")
                .suffix(".json")
                .tempfile()?;
            file.write_all(state.as_bytes())?;
            file.flush()?;
            Ok(file)
        };
        write().map(Some).map_err(|source| RunError::Prepare {
            program: settings.program.clone(),
            what: "write its state to a temporary file",
            source,
        })
    }
}

impl Running {
    async fn read_page(&mut self, source: &Inner) -> Result<Fetched, NoPage> {
        if let Some(error) = self.failed.take() {
            return Err(error.into());
        }
        let (program, limit) = (&source.settings.program, source.settings.timeout);
        let mut silent_at = Instant::now() + limit;
        let error = loop {
            if let Some(page) = self.assembly.page(Instant::now()) {
                return Ok(page);
            }
            let wake_at = self.assembly.due().map_or(silent_at, |due| due.min(silent_at));
            let read = tokio::select! {
                biased;
                read = self.lines.next() => read,
                () = tokio::time::sleep_until(wake_at) => {
                    if Instant::now() >= silent_at {
                        break RunError::Silent { program: program.clone(), limit };
                    }
                    continue;
                }
            };
            silent_at = Instant::now() + limit;
            self.num_lines += 1;
            match read {
                Ok(Read::Line(line)) => match self.take_line(line, source)? {
                    Ok(()) => {}
                    Err(error) => break error,
                },
                Ok(Read::End) => {
                    self.num_lines -= 1;
                    match self.ended(source).await {
                        Ok(()) => return Ok(self.assembly.last_page()?),
                        Err(error) => break error,
                    }
                }
                Ok(Read::TooLong) => {
                    break RunError::LineTooLong {
                        program: program.clone(),
                        line: self.num_lines,
                        limit_bytes: source.limits.line_bytes,
                    };
                }
                Err(source) => {
                    break RunError::Read {
                        program: program.clone(),
                        source,
                    };
                }
            }
        };
        // What has its state is not concerned by what came after it.
        if self.assembly.has_ready() {
            self.failed = Some(error);
            return Ok(self.assembly.ready_page());
        }
        Err(error.into())
    }

    /// The inner error is the run's.
    fn take_line(&mut self, line: bytes::Bytes, source: &Inner) -> Result<Result<(), RunError>, Diverged> {
        let now = Instant::now();
        let program = || source.settings.program.clone();
        match source.reader.read(line.clone()) {
            Ok(Printed::Record(record)) => self.assembly.record(record, now)?,
            Ok(Printed::State(state)) if state.len() > source.limits.state_bytes => {
                return Ok(Err(RunError::StateTooLarge {
                    program: program(),
                    line: self.num_lines,
                    size_bytes: state.len(),
                    limit_bytes: source.limits.state_bytes,
                }));
            }
            Ok(Printed::State(state)) => self.assembly.state(state, now),
            Ok(Printed::Ignored(None)) => {}
            Ok(Printed::Ignored(Some(kind))) => {
                slog::debug!(self.log, "a message that is not for us"; "type" => source.redactor.show(kind.as_bytes(), 80));
            }
            Err(reason) => {
                return Ok(Err(RunError::Line {
                    program: program(),
                    line: self.num_lines,
                    reason,
                    excerpt: source.redactor.excerpt(&line, EXCERPT_CHARS),
                }));
            }
        }
        Ok(Ok(()))
    }

    /// The output is closed: did the program end, and well?
    async fn ended(&mut self, source: &Inner) -> Result<(), RunError> {
        let program = || source.settings.program.clone();
        match tokio::time::timeout(source.limits.exit, self.program.wait()).await {
            Ok(Ok(None)) => Ok(()),
            Ok(Ok(Some(status))) => Err(RunError::Exited {
                program: program(),
                status,
                num_lines: self.num_lines,
                last_words: self.stderr.last_words().await,
            }),
            Ok(Err(source)) => Err(RunError::Read {
                program: program(),
                source,
            }),
            Err(_) => Err(RunError::LivesOn {
                program: program(),
                limit: source.limits.exit,
            }),
        }
    }
}

impl Failures {
    fn new(source: &Inner) -> Self {
        Self {
            num_runs: 0,
            since: None,
            pauses: Pauses::new(source.limits.shortest_pause, source.limits.longest_pause),
        }
    }

    /// Counts a failed run; `Err` = it is not repeated any more.
    fn after(&mut self, error: RunError, source: &Inner) -> Result<RunError, ApiError> {
        self.num_runs += 1;
        self.since.get_or_insert_with(Instant::now);
        if error.verdict() != Verdict::Retry {
            return Err(ApiError::Run(error));
        }
        if self.num_runs < source.limits.runs {
            return Ok(error);
        }
        Err(ApiError::Run(RunError::GaveUp {
            num_runs: self.num_runs,
            source: Box::new(error),
        }))
    }

    fn pause(&mut self) -> (Instant, std::time::Duration) {
        (self.since.unwrap_or_else(Instant::now), self.pauses.next(None))
    }
}
