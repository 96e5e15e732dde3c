//! The HTTP source against servers that behave, misbehave and go away.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the line that did")]

mod support_api;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use aqueduct::{
    api::{
        ApiError,
        http::{Attempt, Fetched, HttpSource, Limits},
        pagination::Next,
    },
    config::settings::{self, Paginate, Rate, Secret, Shards, Stop},
    demo::simulator::{Options, Simulator, expected_uuids},
    model::{PageRecord, ShardId, Verdict},
};
use serde_json::{Value, json};
use support_api::{Reaction, Scripted, answer, page};
use tokio::time::Instant;

const NOW: i64 = 1_700_000_000_000;
const ONE: &str = r#"[{"id":1}]"#;

fn settings(url: &str) -> settings::HttpSource {
    settings::HttpSource {
        retry_after_max: Duration::from_millis(50),
        ..settings::HttpSource::new(url.parse().expect("an address"))
    }
}

/// Settings for the simulated Random User API.
fn users(simulator: &Simulator, results: u64, stop: Stop) -> settings::HttpSource {
    let path = |text| serde_json_path::JsonPath::parse(text).expect("a path");
    settings::HttpSource {
        query: vec![pair("seed", "abc"), pair("results", &results.to_string())],
        records: path("$.results[*]"),
        records_text: "$.results[*]".to_owned(),
        key: Some(path("$.login.uuid")),
        key_text: Some("$.login.uuid".to_owned()),
        paginate: Paginate::Page {
            param: "page".to_owned(),
            first: 1,
            stop,
        },
        ..settings(&simulator.url())
    }
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// Pauses that a test can wait for.
fn limits() -> Limits {
    Limits {
        shortest_pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(5),
        ..Limits::default()
    }
}

fn source(settings: &settings::HttpSource) -> HttpSource {
    let log = slog::Logger::root(slog::Discard, slog::o!());
    HttpSource::with_limits(settings, limits(), log).expect("a source")
}

/// What a fetch reported, in words.
async fn fetch_page(
    source: &HttpSource,
    shard: &ShardId,
    cursor: Option<&Value>,
) -> (Result<Fetched, ApiError>, Vec<String>) {
    let Next::Request(request) = source.plan(shard, cursor, NOW).expect("a plan") else {
        panic!("nothing to fetch")
    };
    let mut heard = Vec::new();
    let mut progress = |attempt: Attempt<'_>| {
        heard.push(match attempt {
            Attempt::Started { number, .. } => format!("attempt {number}"),
            Attempt::RateLimited { .. } => "rate".to_owned(),
            Attempt::Waiting { pause, error, .. } => format!("waiting {}: {error}", pause.as_millis()),
            Attempt::Done { attempts } => format!("done after {attempts}"),
        });
    };
    let limit = Duration::from_secs(60);
    let fetched = tokio::time::timeout(limit, source.fetch(shard, &request, &mut progress))
        .await
        .expect("an end");
    (fetched, heard)
}

async fn fetch(settings: &settings::HttpSource) -> (Result<Fetched, ApiError>, Vec<String>) {
    let source = source(settings);
    let shard = source.shards().remove(0);
    fetch_page(&source, &shard, None).await
}

/// Fetches one shard's sweep to its end.
async fn sweep(source: &HttpSource, shard: &ShardId) -> Vec<PageRecord> {
    let (mut records, mut cursor) = (Vec::new(), None);
    while let Next::Request(_) = source.plan(shard, cursor.as_ref(), NOW).expect("a plan") {
        let fetched = fetch_page(source, shard, cursor.as_ref()).await.0.expect("a page");
        records.extend(fetched.records);
        cursor = Some(fetched.cursor_after);
    }
    records
}

fn payloads(fetched: &Fetched) -> Vec<&str> {
    fetched
        .records
        .iter()
        .map(|record| std::str::from_utf8(&record.payload).expect("text"))
        .collect()
}

#[tokio::test]
async fn a_page_is_fetched_with_query_headers_and_shard_parameters() {
    let server = Scripted::start([page(ONE)]).await;
    let mut settings = settings(&format!("{}?base=1", server.url()));
    settings.query = vec![pair("q", "a b&c"), pair("empty", "")];
    settings.headers = vec![
        ("X-Api-Key".to_owned(), Secret::new("s3cret")),
        ("accept".to_owned(), Secret::new("a/b")),
    ];
    settings.shards = Shards::Declared(vec![json!({"nat": "fr"}).as_object().expect("a set").clone()]);
    settings.paginate = Paginate::Page {
        param: "page".to_owned(),
        first: 7,
        stop: Stop::Last(7),
    };
    let (fetched, heard) = fetch(&settings).await;
    let fetched = fetched.expect("a page");
    assert_eq!(
        (payloads(&fetched), fetched.at_end, fetched.size_bytes),
        (vec![r#"{"id":1}"#], true, ONE.len())
    );
    assert_eq!(heard, ["attempt 1", "done after 1"]);
    let request = server.requests().remove(0).to_lowercase();
    assert!(
        request.starts_with("get /api/?base=1&q=a+b%26c&empty=&nat=fr&page=7 http/1.1\r\n"),
        "{request}"
    );
    for header in [
        "x-api-key: s3cret",
        "accept: a/b",
        "accept-encoding: gzip",
        "user-agent: aqueduct/",
    ] {
        assert!(request.contains(&format!("\r\n{header}")), "{request}");
    }
}

#[tokio::test]
async fn an_outage_is_waited_out_and_reported() {
    let busy = |status: &str| answer(status, &[], "come\nback later");
    let script = [
        "503 Busy", "500 Oops", "429 Slow", "408 Late", "409 No", "423 No", "425 No", "599 Odd",
    ];
    let server = Scripted::start(script.map(busy).into_iter().chain([page(ONE)])).await;
    let (fetched, heard) = fetch(&settings(&server.url())).await;
    assert_eq!(fetched.expect("a page").records.len(), 1);
    assert_eq!((heard.len(), heard[17].as_str()), (18, "done after 9"));
    let says = format!(": GET {}: status 503: come back later", server.url());
    assert!(
        heard[1].starts_with("waiting ") && heard[1].ends_with(&says),
        "{}",
        heard[1]
    );
}

#[tokio::test]
async fn retry_after_is_kept_but_capped() {
    let wishes = ["retry-after: 7200", "retry-after: Tue, 31 Dec 2199 23:59:59 GMT"];
    let script = wishes.map(|wish| answer("429 Slow", &[wish], ""));
    let server = Scripted::start(script.into_iter().chain([page(ONE)])).await;
    let (fetched, heard) = fetch(&settings(&server.url())).await;
    assert!(fetched.is_ok());
    assert!(
        heard[1].starts_with("waiting 50: ") && heard[3].starts_with("waiting 50: "),
        "{heard:?}"
    );
}

#[tokio::test]
async fn what_repeating_cannot_mend_is_an_error_at_once() {
    for status in [400, 401, 403, 404, 410, 422, 501, 505, 304] {
        let server = Scripted::start([answer(&format!("{status} No"), &[], "{\"error\": \"no such place\"}")]).await;
        let error = fetch(&settings(&server.url())).await.0.expect_err("an error");
        assert_eq!(error.verdict(), Verdict::Fail);
        assert!(
            error
                .to_string()
                .starts_with(&format!("GET {}: status {status}", server.url())),
            "{error}"
        );
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_server_that_never_answers_meets_the_deadline() {
    let server = Scripted::start([Reaction::Silence, page(ONE)]).await;
    let settings = settings::HttpSource {
        timeout: Duration::from_millis(300),
        ..settings(&server.url())
    };
    let (fetched, heard) = fetch(&settings).await;
    assert!(fetched.is_ok());
    assert!(heard[1].ends_with("no complete answer within 300ms"), "{heard:?}");
}

#[tokio::test]
async fn a_body_that_trickles_meets_the_deadline() {
    let server = Scripted::start([Reaction::Trickle, page(ONE)]).await;
    let settings = settings::HttpSource {
        timeout: Duration::from_millis(300),
        ..settings(&server.url())
    };
    let (fetched, heard) = fetch(&settings).await;
    assert!(fetched.is_ok());
    assert!(heard[1].ends_with("no complete answer within 300ms"), "{heard:?}");
}

#[tokio::test]
async fn a_broken_connection_is_an_outage() {
    let cut = [
        "",
        "HTTP/1.1 200 OK\r\ncontent-le",
        "HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n[{\"id\":1},",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n[{\"id\r\n",
        "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 9\r\n\r\nnot-gzip!",
    ];
    let script = cut.map(|text| Reaction::Send(text.to_owned()));
    let server = Scripted::start(script.into_iter().chain([page(ONE)])).await;
    let (fetched, heard) = fetch(&settings(&server.url())).await;
    assert_eq!(payloads(&fetched.expect("a page")), [r#"{"id":1}"#]);
    assert_eq!(heard.last().map(String::as_str), Some("done after 6"), "{heard:?}");
}

#[tokio::test]
async fn a_server_that_is_away_is_waited_for() {
    let addr = Scripted::start([page(ONE)]).await.addr;
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr()
        .expect("an address");
    assert_ne!(addr, free);
    let source = source(&settings(&format!("http://{free}/api/")));
    let shard = source.shards().remove(0);
    let Next::Request(request) = source.plan(&shard, None, NOW).expect("a plan") else {
        panic!("nothing to fetch")
    };
    let (refused, mut was_refused) = tokio::sync::mpsc::unbounded_channel();
    let mut progress = |attempt: Attempt<'_>| {
        if let Attempt::Waiting { error, .. } = attempt {
            assert_eq!(error.verdict(), Verdict::Retry);
            // Nobody counts them to the end.
            let _ = refused.send(());
        }
    };
    let fetching = source.fetch(&shard, &request, &mut progress);
    let starting = async {
        for _ in 0..3 {
            was_refused.recv().await.expect("an attempt");
        }
        Scripted::start_at(free, [page(ONE)]).await
    };
    let both = async { tokio::join!(fetching, starting) };
    let (fetched, server) = tokio::time::timeout(Duration::from_secs(60), both)
        .await
        .expect("an end");
    assert_eq!(fetched.expect("a page").records.len(), 1);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_page_that_is_none_is_asked_for_three_times_and_then_an_error() {
    let html = answer(
        "200 OK",
        &["content-type: text/html"],
        "<html>\n<title>Login</title></html>",
    );
    for (reaction, says) in [
        (
            html,
            "undecodable page: it is HTML or XML, not JSON: <html> <title>Login</title></html>",
        ),
        (
            page(r#"{"error":"busy"#),
            "undecodable page: it is not JSON: EOF while parsing",
        ),
        (page(""), "undecodable page: it is empty"),
        (
            page("5"),
            "undecodable page: `records = $[*]` leads to a number in it: 5",
        ),
    ] {
        let server = Scripted::start([reaction]).await;
        let (fetched, heard) = fetch(&settings(&server.url())).await;
        let error = fetched.expect_err("an error");
        assert!(matches!(error, ApiError::UndecodablePage { .. }) && error.verdict() == Verdict::Fail);
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!((server.requests().len(), heard.len()), (3, 5));
    }
    let server = Scripted::start([page("<"), page("<"), page(ONE)]).await;
    assert!(fetch(&settings(&server.url())).await.0.is_ok());
}

#[tokio::test]
async fn no_content_is_an_empty_page() {
    let server = Scripted::start([Reaction::Send(
        "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n".to_owned(),
    )])
    .await;
    let paginate = Paginate::Page {
        param: "page".to_owned(),
        first: 1,
        stop: Stop::Empty,
    };
    let fetched = fetch(&settings::HttpSource {
        paginate,
        ..settings(&server.url())
    })
    .await
    .0
    .expect("a page");
    assert_eq!((fetched.records.len(), fetched.at_end), (0, true));
}

#[tokio::test]
async fn a_page_over_the_limit_is_refused_before_it_fills_the_memory() {
    let blanks = " ".repeat(256);
    let endless = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n100\r\n{blanks}\r\n0\r\n\r\n");
    let announced = "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n[".to_owned();
    for text in [endless, announced] {
        let server = Scripted::start([Reaction::Send(text)]).await;
        let source = source(&settings::HttpSource {
            max_page_bytes: 100,
            ..settings(&server.url())
        });
        let shard = source.shards().remove(0);
        let error = fetch_page(&source, &shard, None).await.0.expect_err("an error");
        assert!(
            matches!(error, ApiError::PageTooLarge { limit_bytes: 100, .. }),
            "{error}"
        );
    }
}

#[tokio::test]
async fn redirects_are_followed_but_credentials_stay_at_home() {
    let away = Scripted::start([page(ONE)]).await;
    let home = Scripted::start([
        answer("302 Found", &["location: /elsewhere?x=1"], ""),
        answer("308 Moved", &[&format!("location: {}", away.url())], ""),
    ])
    .await;
    let mut settings = settings(&format!("http://me:pass-word@{}/api/", home.addr));
    settings.headers = vec![
        ("x-api-key".to_owned(), Secret::new("s3cret-key")),
        ("accept-language".to_owned(), Secret::new("fr")),
    ];
    assert!(fetch(&settings).await.0.is_ok());
    let at_home = home.requests();
    assert!(at_home[1].starts_with("GET /elsewhere?x=1 "), "{}", at_home[1]);
    for request in &at_home {
        assert!(
            request.contains("s3cret-key") && request.contains("authorization: Basic "),
            "{request}"
        );
    }
    let strange = away.requests().remove(0);
    assert!(
        !strange.contains("s3cret-key") && !strange.to_lowercase().contains("authorization"),
        "{strange}"
    );
    assert!(strange.contains("accept-language: fr"), "{strange}");
}

#[tokio::test]
async fn redirects_that_lead_nowhere_are_an_error() {
    for (location, says, num_requests) in [
        (Some("location: /api/"), "more than 10 redirects", 11),
        (
            Some("location: ftp://host/"),
            "status 301 leads to a place that is no http address",
            1,
        ),
        (None, "status 301 without a place to go to", 1),
    ] {
        let headers: Vec<&str> = location.into_iter().collect();
        let server = Scripted::start([answer("301 Moved", &headers, "")]).await;
        let error = fetch(&settings(&server.url())).await.0.expect_err("an error");
        assert!(matches!(error, ApiError::Redirect { .. }) && error.verdict() == Verdict::Fail);
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(server.requests().len(), num_requests);
    }
}

#[tokio::test]
async fn no_secret_appears_in_an_error() {
    let echo = "bad key s3cret-key for me:pass-word with Bearer t0ken-t0ken, sha=q-s3cret";
    let server = Scripted::start([answer("403 No", &[], echo)]).await;
    let mut settings = settings(&format!("http://me:pass-word@{}/api/?signature=q-s3cret", server.addr));
    settings.query = vec![pair("api_key", "s3cret-key"), pair("results", "5")];
    settings.headers = vec![("authorization".to_owned(), Secret::new("Bearer t0ken-t0ken"))];
    let error = fetch(&settings).await.0.expect_err("an error");
    let shown = format!("{error} {error:?}");
    for secret in ["s3cret-key", "pass-word", "t0ken-t0ken", "q-s3cret"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(
        shown.contains("/api/?signature=***&api_key=***&results=5: status 403: bad key ***"),
        "{shown}"
    );
    let closed = Scripted::start([Reaction::Send(String::new()), answer("403 No", &[], "")]).await;
    settings.url = format!("http://me:pass-word@{}/", closed.addr)
        .parse()
        .expect("an address");
    let (_, heard) = fetch(&settings).await;
    assert!(
        heard
            .iter()
            .all(|line| !line.contains("pass-word") && !line.contains("s3cret")),
        "{heard:?}"
    );
}

#[tokio::test]
async fn settings_that_make_no_request_are_refused() {
    let log = || slog::Logger::root(slog::Discard, slog::o!());
    let good = settings("http://127.0.0.1:1/");
    let headers = |name: &str, value: &str| vec![(name.to_owned(), Secret::new(value))];
    for (settings, says) in [
        (settings("file:///etc/passwd"), "source url: "),
        (
            settings::HttpSource {
                headers: headers("a b", "x"),
                ..good.clone()
            },
            "source headers: `a b` is not",
        ),
        (
            settings::HttpSource {
                headers: headers("x", "top\nsecret"),
                ..good.clone()
            },
            "source headers: the value of `x`",
        ),
        (
            settings::HttpSource {
                paginate: Paginate::Page {
                    param: "p".to_owned(),
                    first: 1,
                    stop: Stop::Total("$..[".to_owned()),
                },
                ..good.clone()
            },
            "source paginate.total: ",
        ),
    ] {
        let error = HttpSource::new(&settings, log()).map(|_| ()).expect_err("a refusal");
        assert!(
            error.to_string().starts_with(says) && !error.to_string().contains("secret"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn an_api_that_ignores_the_page_is_found_out() {
    let server = Scripted::start([page(ONE)]).await;
    let paginate = Paginate::Page {
        param: "seite".to_owned(),
        first: 1,
        stop: Stop::Short,
    };
    let source = source(&settings::HttpSource {
        paginate,
        ..settings(&server.url())
    });
    let shard = source.shards().remove(0);
    let cursor = fetch_page(&source, &shard, None).await.0.expect("a page").cursor_after;
    let error = fetch_page(&source, &shard, Some(&cursor)).await.0.expect_err("a loop");
    assert!(
        matches!(&error, ApiError::PageLoop { .. }) && error.to_string().contains("`seite`"),
        "{error}"
    );
}

#[tokio::test]
async fn requests_keep_to_the_rate_over_all_shards() {
    let simulator = Simulator::start(Options::default()).expect("a simulator");
    let mut settings = users(&simulator, 1, Stop::Last(6));
    settings.shards = Shards::Stripes(2);
    settings.rate = Some(Rate {
        count: 3,
        per: Duration::from_millis(400),
    });
    let source = source(&settings);
    let shards = source.shards();
    let (started, mut heard) = (Instant::now(), Vec::new());
    for (cursors, shard) in [(None, &shards[0]), (None, &shards[1])] {
        let mut cursor: Option<Value> = cursors;
        for _ in 0..3 {
            let (fetched, words) = fetch_page(&source, shard, cursor.as_ref()).await;
            cursor = Some(fetched.expect("a page").cursor_after);
            heard.extend(words);
        }
    }
    assert!(heard.iter().any(|word| word == "rate"), "{heard:?}");
    assert!(
        started.elapsed() >= Duration::from_millis(400),
        "six requests at three in 400 ms"
    );
}

#[tokio::test]
async fn a_sweep_over_stripes_and_failures_has_every_user_once_with_their_key() {
    let options = Options {
        fail_every: Some(3),
        remember: true,
        ..Options::default()
    };
    let simulator = Simulator::start(options).expect("a simulator");
    let mut settings = users(&simulator, 50, Stop::Last(12));
    settings.shards = Shards::Stripes(3);
    let source = source(&settings);
    let mut records = Vec::new();
    for shard in source.shards() {
        records.extend(sweep(&source, &shard).await);
    }
    let expected: BTreeSet<String> = expected_uuids("abc", 1..=12, 50)
        .iter()
        .map(ToString::to_string)
        .collect();
    let key = |record: &PageRecord| String::from_utf8(record.key.clone().expect("a key").to_vec()).expect("text");
    assert_eq!(records.len(), 600);
    assert_eq!(records.iter().map(key).collect::<BTreeSet<_>>(), expected);
    for record in &records {
        let user: Value = serde_json::from_slice(&record.payload).expect("JSON");
        assert_eq!(user["login"]["uuid"], key(record));
        assert_eq!(record.reject, None);
    }
    assert_eq!(simulator.served_uuids().len(), 600);
    assert_eq!(simulator.num_requests(), 17, "every third of them failed");
}

#[tokio::test]
async fn an_outage_in_the_middle_of_a_sweep_loses_nothing() {
    let simulator = Simulator::start(Options::default()).expect("a simulator");
    let source = source(&users(&simulator, 20, Stop::MaxRecords(90)));
    let shard = source.shards().remove(0);
    let first = fetch_page(&source, &shard, None).await.0.expect("a page");
    simulator.set_outage(true);
    let Next::Request(request) = source.plan(&shard, Some(&first.cursor_after), NOW).expect("a plan") else {
        panic!("nothing to fetch")
    };
    let mut progress = |attempt: Attempt<'_>| {
        if matches!(attempt, Attempt::Waiting { number: 5, .. }) {
            simulator.set_outage(false);
        }
    };
    let fetched = source.fetch(&shard, &request, &mut progress).await.expect("a page");
    assert_eq!(fetched.cursor_after["next"], 3);
    assert_eq!(sweep(&source, &shard).await.len(), 90);
}

#[tokio::test]
async fn a_spoilt_record_is_refused_alone() {
    let options = Options {
        corrupt: Some(Arc::new(|_, index, _| (index == 3).then(|| "[]".to_owned()))),
        ..Options::default()
    };
    let simulator = Simulator::start(options).expect("a simulator");
    let fetched = fetch(&users(&simulator, 500, Stop::Last(1))).await.0.expect("a page");
    assert!(fetched.size_bytes > 64 * 1024, "this one is split on another thread");
    let refused: Vec<usize> = (0..500).filter(|at| fetched.records[*at].reject.is_some()).collect();
    assert_eq!((fetched.records.len(), refused), (500, vec![3]));
}

#[tokio::test]
async fn a_fetch_may_run_on_any_thread() {
    let server = Scripted::start([page(ONE)]).await;
    let source = source(&settings(&server.url()));
    let fetching = tokio::spawn(async move {
        let shard = source.shards().remove(0);
        let Ok(Next::Request(request)) = source.plan(&shard, None, NOW) else {
            panic!("nothing to fetch")
        };
        source
            .clone()
            .fetch(&shard, &request, &mut |_: Attempt<'_>| ())
            .await
            .map(|fetched| fetched.records.len())
    });
    assert_eq!(fetching.await.expect("no panic").expect("a page"), 1);
}
