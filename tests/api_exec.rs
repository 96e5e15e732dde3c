//! A program as a source: real processes, scripted in shell, and what becomes of them.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the line that did")]

use std::{fs, path::Path, sync::Arc, sync::Mutex, time::Duration};

use aqueduct::{
    api::{
        ApiError, Next, Request, Source,
        exec::{ExecSource, Limits, RunError},
        http::{Attempt, Fetched},
    },
    config::settings::{self, Batch, ExecOutput, Secret, Shards},
    model::Verdict,
};
use nix::{sys::signal::kill, unistd::Pid};
use serde_json::{Value, json};
use slog::{Drain, Logger, o};

/// Nothing waits that long unless it is broken.
const LIMIT: Duration = Duration::from_secs(90);

/// A shell script as a source, in a folder of its own.
struct Script {
    dir: tempfile::TempDir,
    settings: settings::ExecSource,
    page: Batch,
    limits: Limits,
    log: Arc<Mutex<Vec<u8>>>,
}

impl Script {
    fn new(text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let command = ["/bin/sh", "-c", text].map(Secret::new).to_vec();
        let settings = settings::ExecSource {
            command,
            program: "script".into(),
            hidden: vec![],
            env: vec![],
            dir: dir.path().to_owned(),
            output: ExecOutput::Cursors,
            stream: None,
            state_arg: None,
            key: None,
            key_text: None,
            every: None,
            timeout: LIMIT,
            shards: Shards::Stripes(1),
        };
        let page = Batch {
            rows: 4,
            bytes: 1 << 20,
            age: Duration::from_millis(20),
        };
        let limits = Limits {
            runs: 3,
            shortest_pause: Duration::from_millis(1),
            longest_pause: Duration::from_secs(60),
            ..Limits::default()
        };
        Self {
            dir,
            settings,
            page,
            limits,
            log: Arc::default(),
        }
    }

    fn source(&self) -> Source {
        self.exec().into()
    }

    fn exec(&self) -> ExecSource {
        let decorator = slog_term::PlainSyncDecorator::new(Sink(self.log.clone()));
        let log = Logger::root(slog_term::FullFormat::new(decorator).build().fuse(), o!());
        ExecSource::with_limits(&self.settings, self.page, self.limits, log)
    }

    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join(name)).unwrap_or_default()
    }

    fn log(&self) -> String {
        String::from_utf8_lossy(&self.log.lock().unwrap()).into_owned()
    }

    /// What a fetcher does, to the end of the source or the first error.
    async fn drain(&self, cursor: &mut Value) -> (Vec<String>, Result<(), ApiError>) {
        let source = self.source();
        let shard = source.shards().remove(0);
        let mut feed = source.feed(&shard);
        let mut records = Vec::new();
        let drained = tokio::time::timeout(LIMIT, async {
            loop {
                let request = match source.plan(&shard, Some(cursor), 1)? {
                    Next::Fetch(request) => request,
                    Next::WaitUntil(_) | Next::Finished => return Ok(()),
                };
                let fetched = feed.fetch(&request, &mut |_| {}).await?;
                *cursor = fetched.cursor_after.clone();
                records.extend(texts(&fetched));
            }
        });
        let result = drained.await.expect("it hangs");
        (records, result)
    }

    /// The error of a source whose runs all fail.
    async fn error(&self) -> RunError {
        let (records, result) = self.drain(&mut Value::Null).await;
        assert_eq!(records, [""; 0]);
        match result.unwrap_err() {
            ApiError::Run(error) => error,
            other => panic!("{other}"),
        }
    }
}

struct Sink(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn texts(fetched: &Fetched) -> Vec<String> {
    let text = |payload: &[u8]| String::from_utf8_lossy(payload).into_owned();
    fetched.records.iter().map(|record| text(&record.payload)).collect()
}

fn ids(numbers: std::ops::RangeInclusive<u32>) -> Vec<String> {
    numbers.map(|number| format!(r#"{{"id":{number}}}"#)).collect()
}

/// Has it ended? What nobody waits for any more, but is not collected yet, has ended too.
fn is_gone(pid: &str) -> bool {
    let pid: i32 = pid.trim().parse().expect("a process id");
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(')').map(|(_, rest)| rest.trim_start().chars().next());
    kill(Pid::from_raw(pid), None).is_err() || matches!(state, Some(Some('Z' | 'X')))
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..LIMIT.as_millis() / 20 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("waited in vain until {what}");
}

/// Prints `{"id":N}` from the cursor's id + 1 to 10, a cursor after every third, and fails before `$1` where `$2` is not there.
const COUNTING: &str = r#"
    next=${AQUEDUCT_CURSOR:-0}; echo "$AQUEDUCT_CURSOR" >>runs
    while [ $next -lt 10 ]; do
        next=$((next + 1))
        if [ $next = 6 ] && ! [ -e failed ]; then touch failed; echo "no more today" >&2; exit 3; fi
        echo "{\"id\":$next}"
        if [ $((next % 3)) = 0 ]; then echo "{\"cursor\": $next}"; fi
    done
"#;

#[tokio::test]
async fn a_run_that_fails_half_way_repeats_nothing_that_was_committed_with_a_state() {
    let script = Script::new(COUNTING);
    let mut cursor = Value::Null;
    let (records, result) = script.drain(&mut cursor).await;
    result.unwrap();
    assert_eq!(records, ids(1..=10), "each once");
    assert_eq!(
        script.file("runs"),
        "\n3\n",
        "the second run began at the committed state"
    );
    assert_eq!((&cursor["state"], &cursor["done"]), (&json!("9"), &json!(true)));
    let log = script.log();
    assert!(
        log.contains("ended with exit code 3 after 6 lines: no more today"),
        "{log}"
    );
    let (again, result) = script.drain(&mut cursor).await;
    result.unwrap();
    assert_eq!((again.len(), script.file("runs").lines().count()), (0, 2), "one sweep");
}

#[tokio::test]
async fn what_came_after_the_last_state_is_known_by_the_next_run() {
    let mut script = Script::new(COUNTING);
    script.settings.every = Some(Duration::from_millis(1));
    fs::write(script.dir.path().join("failed"), "").unwrap();
    let mut cursor = Value::Null;
    let source = script.source();
    let shard = source.shards().remove(0);
    let mut feed = source.feed(&shard);
    let mut records = Vec::new();
    for now_ms in [1, 1_000] {
        while let Next::Fetch(request) = source.plan(&shard, Some(&cursor), now_ms).unwrap() {
            let fetched = feed.fetch(&request, &mut |_| {}).await.unwrap();
            cursor = fetched.cursor_after.clone();
            records.extend(texts(&fetched));
        }
    }
    assert_eq!(records, ids(1..=10), "the record after the last state came once");
    assert_eq!(script.file("runs"), "\n9\n");
}

#[tokio::test]
async fn a_daemon_that_dies_in_a_run_goes_on_exactly_where_its_last_page_ended() {
    // More records than two pages hold, and no state: only what they are says where to go on.
    let script = Script::new(r#"echo run >>runs; for id in 1 2 3 4 5 6 7 8 9; do echo "{\"id\":$id}"; done"#);
    let source = script.source();
    let shard = source.shards().remove(0);
    let mut cursor = Value::Null;
    let mut records = Vec::new();
    for _ in 0..2 {
        // Each time by a daemon that dies after the page.
        let mut feed = source.feed(&shard);
        let Next::Fetch(request) = source.plan(&shard, Some(&cursor), 1).unwrap() else {
            panic!("there is more");
        };
        let fetched = feed.fetch(&request, &mut |_| {}).await.unwrap();
        cursor = fetched.cursor_after.clone();
        records.extend(texts(&fetched));
    }
    let (rest, result) = script.drain(&mut cursor).await;
    result.unwrap();
    records.extend(rest);
    assert_eq!(records, ids(1..=9));
    assert_eq!(script.file("runs").lines().count(), 3);
}

#[tokio::test]
async fn a_program_that_prints_something_else_the_second_time_loses_nothing_and_it_is_said() {
    let script = Script::new(
        r#"n=$(cat n 2>/dev/null || echo 0); n=$((n + 1)); echo $n >n
           for id in 1 2 3 4 5; do echo "{\"id\":$id,\"n\":$n}"; done
           [ $n -gt 1 ] || exit 1"#,
    );
    let (records, result) = script.drain(&mut Value::Null).await;
    result.unwrap();
    let of_run = |n: u32, last: u32| (1..=last).map(move |id| format!(r#"{{"id":{id},"n":{n}}}"#));
    let expected: Vec<String> = of_run(1, 4).chain(of_run(3, 5)).collect();
    assert_eq!(
        records, expected,
        "the page of run 1, then all of run 3; run 2 found out"
    );
    assert!(
        script.log().contains("does not print the same again"),
        "{}",
        script.log()
    );
}

#[tokio::test]
async fn records_of_a_program_without_cursors_go_as_they_come() {
    let mut script = Script::new(r#"echo '{"id":1}'; while ! [ -e go ]; do sleep 0.02; done; echo '{"id":2}'"#);
    script.settings.output = ExecOutput::Lines;
    let source = script.source();
    let shard = source.shards().remove(0);
    let mut feed = source.feed(&shard);
    let Next::Fetch(request) = source.plan(&shard, None, 1).unwrap() else {
        panic!("there is a first page");
    };
    let first = feed.fetch(&request, &mut |_| {}).await.unwrap();
    assert_eq!(
        (texts(&first), first.at_end),
        (ids(1..=1), false),
        "while the program runs"
    );
    fs::write(script.dir.path().join("go"), "").unwrap();
    let Next::Fetch(request) = source.plan(&shard, Some(&first.cursor_after), 1).unwrap() else {
        panic!("there is a second page");
    };
    let second = feed.fetch(&request, &mut |_| {}).await.unwrap();
    assert_eq!(texts(&second), ids(2..=2));
}

/// A script, what is changed about it, what is said of it, and the verdict of one run.
type FailingCase = (&'static str, fn(&mut Script), &'static str, Verdict);

#[tokio::test]
async fn each_way_to_fail_is_a_clear_error_with_its_verdict() {
    let cases: Vec<FailingCase> = vec![
        (
            "echo 'key is bad' >&2; exit 4",
            |_| {},
            "ended with exit code 4 after 0 lines: key is bad",
            Verdict::Retry,
        ),
        ("kill -9 $$", |_| {}, "ended with signal: 9 (SIGKILL)", Verdict::Retry),
        (
            "echo 'Loading people...'",
            |_| {},
            "line 1 of its output is not JSON (",
            Verdict::Retry,
        ),
        (
            "while :; do echo -n 0123456789; done",
            |script| script.limits.line_bytes = 10_000,
            "line 1 of its output is longer than 10000 bytes",
            Verdict::Retry,
        ),
        (
            "exec sleep 1000",
            |script| script.settings.timeout = Duration::from_millis(200),
            "printed nothing for 200ms",
            Verdict::Retry,
        ),
        (
            "exec sleep 1000 >&-",
            |script| script.limits.exit = Duration::from_millis(200),
            "closed its output but did not end within 200ms",
            Verdict::Retry,
        ),
        (
            r#"echo '{"cursor": "0123456789"}'"#,
            |script| script.limits.state_bytes = 10,
            "its cursor in line 1 has 12 bytes; 10 are the most",
            Verdict::Fail,
        ),
        (
            "",
            |script| script.settings.command = vec![Secret::new("no-such-program")],
            "cannot be started",
            Verdict::Fail,
        ),
    ];
    for (text, change, said, verdict) in cases {
        let mut script = Script::new(text);
        change(&mut script);
        let error = script.error().await;
        assert_eq!(error.verdict(), Verdict::Fail, "{text}: it is not repeated without end");
        let cause = match &error {
            RunError::GaveUp { num_runs, source } => {
                assert_eq!(*num_runs, 3, "{text}");
                source
            }
            other => other,
        };
        let message = cause.to_string();
        assert!(
            message.starts_with("program script: ") && message.contains(said),
            "{text}: {message}"
        );
        assert_eq!(cause.verdict(), verdict, "{text}");
    }
}

#[tokio::test]
async fn a_failed_run_is_repeated_after_a_pause_and_the_fetcher_hears_of_it() {
    let script = Script::new(r#"if [ -e once ]; then echo '{"id":1}'; else touch once; exit 1; fi"#);
    let source = script.source();
    let shard = source.shards().remove(0);
    let Next::Fetch(request) = source.plan(&shard, None, 1).unwrap() else {
        panic!("there is a page");
    };
    let mut heard = Vec::new();
    let mut hear = |attempt: Attempt<'_>| {
        heard.push(match attempt {
            Attempt::Started { number, .. } => format!("started {number}"),
            Attempt::Waiting { number, error, .. } => format!("failed {number}: {error}"),
            Attempt::Done { attempts } => format!("done {attempts}"),
            Attempt::RateLimited { .. } => "limited".to_owned(),
        });
    };
    let fetched = source.feed(&shard).fetch(&request, &mut hear).await.unwrap();
    assert_eq!((texts(&fetched), fetched.at_end), (ids(1..=1), true));
    assert_eq!(
        heard,
        [
            "started 1",
            "failed 1: program script: ended with exit code 1 after 0 lines",
            "started 2",
            "done 2"
        ]
    );
}

#[tokio::test]
async fn a_dropped_feed_ends_the_program_with_its_whole_group() {
    let script = Script::new(
        r#"trap '' TERM; sh -c 'trap "" TERM; echo $$ >grandchild; while :; do sleep 1; done' &
           echo $$ >child; while :; do sleep 1; done"#,
    );
    let source = script.source();
    let shard = source.shards().remove(0);
    let mut feed = source.feed(&shard);
    let Next::Fetch(request) = source.plan(&shard, None, 1).unwrap() else {
        panic!("there is a page");
    };
    {
        let mut nothing = |_: Attempt<'_>| {};
        let fetching = feed.fetch(&request, &mut nothing);
        tokio::pin!(fetching);
        let both_run = until("both run", || {
            !script.file("child").trim().is_empty() && !script.file("grandchild").trim().is_empty()
        });
        tokio::select! {
            _ = &mut fetching => panic!("it prints nothing"),
            () = both_run => {}
        }
    }
    let (child, grandchild) = (script.file("child"), script.file("grandchild"));
    assert!(
        !is_gone(&child) && !is_gone(&grandchild),
        "a call that is dropped ends nothing"
    );
    drop(feed);
    until("both are gone, though they ignore SIGTERM", || {
        is_gone(&child) && is_gone(&grandchild)
    })
    .await;
}

#[tokio::test]
async fn a_program_that_is_asked_to_end_may_clean_up() {
    let script = Script::new(
        r#"trap 'echo clean >cleaned; exit 0' TERM; echo '{"id":1}'; echo '{"cursor": 1}'; while :; do sleep 0.05; done"#,
    );
    let source = script.source();
    let shard = source.shards().remove(0);
    let mut feed = source.feed(&shard);
    let Next::Fetch(request) = source.plan(&shard, None, 1).unwrap() else {
        panic!("there is a page");
    };
    assert_eq!(texts(&feed.fetch(&request, &mut |_| {}).await.unwrap()), ids(1..=1));
    drop(feed);
    until("it has cleaned up", || script.file("cleaned") == "clean\n").await;
}

#[tokio::test]
async fn what_a_run_leaves_behind_in_its_group_ends_with_it() {
    let script = Script::new(
        r#"sh -c 'echo $$ >left; exec sleep 1000' >/dev/null 2>&1 & while ! [ -s left ]; do sleep 0.02; done"#,
    );
    let (records, result) = script.drain(&mut Value::Null).await;
    result.unwrap();
    assert_eq!(records, [""; 0]);
    let left = script.file("left");
    until("it is gone", || is_gone(&left)).await;
}

#[tokio::test]
async fn the_program_gets_its_variables_and_nothing_of_the_daemons_own() {
    let mut script = Script::new(
        r#"echo "{\"region\":\"$AQUEDUCT_REGION_CODE\",\"token\":\"$TOKEN\",\"cursor\":\"$AQUEDUCT_CURSOR\",\"pwd\":\"$PWD\"}"
           env >variables; echo "token is $TOKEN" >&2"#,
    );
    script.settings.env = vec![("TOKEN".into(), Secret::new("hunter2-secret"))];
    script.settings.hidden = vec![Secret::new("hunter2-secret")];
    let set = json!({"region-code": "fr", "n": 7});
    script.settings.shards = Shards::Declared(vec![set.as_object().unwrap().clone()]);
    let (records, result) = script.drain(&mut Value::Null).await;
    result.unwrap();
    let record: Value = serde_json::from_str(&records[0]).unwrap();
    assert_eq!(
        (&record["region"], &record["token"], &record["cursor"]),
        (&json!("fr"), &json!("hunter2-secret"), &json!(""))
    );
    let dir = script.dir.path().canonicalize().unwrap();
    assert_eq!(Path::new(record["pwd"].as_str().unwrap()).canonicalize().unwrap(), dir);
    let variables = script.file("variables");
    assert!(
        variables.contains("AQUEDUCT_N=7\n") && variables.contains("PATH="),
        "{variables}"
    );
    let log = script.log();
    assert!(log.contains("token is ***") && !log.contains("hunter2"), "{log}");
}

#[tokio::test]
async fn a_bad_line_shows_no_secret() {
    let mut script = Script::new("echo \"cannot log in with $TOKEN\"");
    script.settings.env = vec![("TOKEN".into(), Secret::new("hunter2-secret"))];
    script.settings.hidden = vec![Secret::new("hunter2-secret")];
    let error = script.error().await;
    let RunError::GaveUp { source, .. } = &error else {
        panic!("{error}")
    };
    assert!(source.to_string().contains(": cannot log in with ***;"), "{source}");
    assert!(!format!("{error:?} {}", script.log()).contains("hunter2"));
}

/// As `tap --config FILE [--state FILE]`.
const TAP: &str = r#"
    echo "$@" >>calls; done=0; file=
    if [ "$1" = --state ]; then done=$(sed 's/[^0-9]//g' "$2"); file=$2; fi
    echo '{"type":"SCHEMA","stream":"users","schema":{},"key_properties":["id"]}'
    for id in 1 2 3 4 5 6; do
        [ $id -le $done ] && continue
        if [ $id = 5 ] && ! [ -e failed ]; then touch failed; exit 1; fi
        echo "{\"type\":\"RECORD\",\"stream\":\"users\",\"record\":{\"id\":$id}}"
        echo "{\"type\":\"RECORD\",\"stream\":\"orders\",\"record\":{\"no\":$id}}"
        [ $((id % 2)) = 0 ] && echo "{\"type\":\"STATE\",\"value\":{\"done\": $id}}"
    done
    if [ -n "$file" ]; then echo "$file" >state_file; fi
"#;

#[tokio::test]
async fn a_singer_tap_gets_its_state_as_a_file_and_repeats_nothing() {
    let mut script = Script::new(TAP);
    script.settings.command.push(Secret::new("tap"));
    script.settings.output = ExecOutput::Singer;
    script.settings.stream = Some("users".into());
    script.settings.state_arg = Some("--state".into());
    let mut cursor = Value::Null;
    let (records, result) = script.drain(&mut cursor).await;
    result.unwrap();
    assert_eq!(records, ids(1..=6));
    assert_eq!(cursor["state"], json!(r#"{"done": 6}"#), "byte for byte");
    let calls = script.file("calls");
    let calls: Vec<&str> = calls.lines().collect();
    assert_eq!((calls.len(), calls[0]), (2, ""), "without a state there is no --state");
    assert!(calls[1].starts_with("--state /"), "{calls:?}");
    let file = script.file("state_file");
    assert!(
        !file.is_empty() && !Path::new(file.trim()).exists(),
        "the file goes with the run"
    );
}

#[tokio::test]
async fn a_bad_record_goes_alone_and_its_neighbours_stay() {
    let script = Script::new(r#"echo '{"id":1}'; echo '[2]'; printf '{"id":"\377"}\n'; printf '{"id":4}'"#);
    let source = script.source();
    let shard = source.shards().remove(0);
    let Next::Fetch(request) = source.plan(&shard, None, 1).unwrap() else {
        panic!("there is a page");
    };
    let fetched = source.feed(&shard).fetch(&request, &mut |_| {}).await.unwrap();
    let rejects: Vec<Option<&str>> = fetched
        .records
        .iter()
        .map(|record| record.reject.as_ref().map(|reject| reject.reason.as_str()))
        .collect();
    assert_eq!(
        rejects,
        [
            None,
            Some("record is not a JSON object but an array"),
            Some("record is not UTF-8"),
            None
        ]
    );
}

#[tokio::test]
async fn memory_is_bounded_by_the_page_however_much_a_program_prints() {
    let mut script = Script::new(r#"yes '{"id":1,"text":"0123456789012345678901234567890123456789"}' | head -n 30000"#);
    script.page = Batch {
        rows: 1_000_000,
        bytes: 64 * 1024,
        age: LIMIT,
    };
    let source = script.source();
    let shard = source.shards().remove(0);
    let mut feed = source.feed(&shard);
    let (mut cursor, mut num_records, mut largest) = (Value::Null, 0, 0);
    while let Next::Fetch(request) = source.plan(&shard, Some(&cursor), 1).unwrap() {
        assert!(matches!(request, Request::Exec(_)));
        let fetched = feed.fetch(&request, &mut |_| {}).await.unwrap();
        cursor = fetched.cursor_after.clone();
        num_records += fetched.records.len();
        largest = largest.max(fetched.size_bytes);
    }
    assert_eq!(num_records, 30_000);
    assert!(largest < 70 * 1024, "a page of {largest} bytes");
}

#[tokio::test]
async fn check_live_starts_the_program_once_and_says_what_it_prints() {
    let first_page = r#"echo $$ >pid; echo '{"id":1}'; echo '{"cursor":1}'; exec sleep 1000"#;
    let script = Script::new(first_page);
    let said = script.exec().try_once().await.unwrap();
    assert_eq!(said, "its first page has 1 records; it prints cursors");
    assert!(is_gone(&script.file("pid")), "it was ended");
    let mut plain = Script::new(r#"echo '{"id":1}'"#);
    plain.settings.output = ExecOutput::Lines;
    let said = plain.exec().try_once().await.unwrap();
    assert!(said.contains("it has printed no cursor so far"), "{said}");
    let mut missing = Script::new("");
    missing.settings.command = vec![Secret::new("no-such-program")];
    let error = missing.exec().try_once().await.unwrap_err();
    assert!(error.to_string().contains("cannot be started"), "{error}");
}
