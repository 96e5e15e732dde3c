//! An API that does to each page what some API has done to somebody: every record arrives once, and no secret leaves home.

use std::{
    collections::HashMap,
    io::Write,
    sync::{Arc, Mutex},
};

use flate2::{Compression, write::GzEncoder};

use crate::{
    api::{Api, Asked, Reaction, answer, json},
    pipeline::{fates, ids, job, pipeline},
};

const PAGE_LEN: i64 = 10;

/// What comes before the good answer, for one page.
enum Trouble {
    Reaction(Reaction),
    /// A 429 or 503 with this Retry-After.
    Busy(&'static str),
    /// The token expires.
    Expire,
    /// It is at another host.
    Away,
}

fn body(page: usize, last: usize) -> Vec<u8> {
    // An empty page in the middle.
    let records = if page == EMPTY {
        0..0
    } else {
        page as i64 * PAGE_LEN..(page as i64 + 1) * PAGE_LEN
    };
    let items: Vec<String> = records.map(|id| format!("{{\"id\":{id}}}")).collect();
    let next = if page < last {
        format!("\"t{}\"", page + 1)
    } else {
        "null".to_owned()
    };
    format!("{{\"items\":[{}],\"next\":{next}}}", items.join(",")).into_bytes()
}

const EMPTY: usize = 7;

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

/// The first `sent` bytes of a page in an answer that announces `announced`.
fn cut(page: usize, last: usize, announced: usize, sent: usize) -> Trouble {
    let body = body(page, last);
    let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {announced}\r\n\r\n");
    Trouble::Reaction(Reaction::Send(
        [head.as_bytes(), &body[..sent.min(body.len())]].concat(),
    ))
}

fn troubles() -> Vec<Vec<Trouble>> {
    use Trouble::{Away, Busy, Expire};
    let last = 11;
    let send = |reaction| Trouble::Reaction(reaction);
    let html = || {
        send(answer(
            "200 OK",
            &["content-type: text/html"],
            b"<html>Sorry, we will be back</html>",
        ))
    };
    let zipped = |keep: usize| {
        let zipped = gzip(&body(4, last));
        send(answer(
            "200 OK",
            &["content-encoding: gzip"],
            &zipped[..zipped.len() - keep],
        ))
    };
    let begun = b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n{\"items\":[".to_vec();
    vec![
        vec![send(Reaction::Silence)],
        vec![send(Reaction::Trickle(begun))],
        vec![cut(2, last, 500, 40), send(Reaction::Send(Vec::new()))],
        vec![cut(3, last, 60, 1_000), cut(3, last, 5_000, 1_000)],
        vec![zipped(30), zipped(8)],
        vec![html(), html()],
        vec![Busy("86400"), Busy("Tue, 31 Dec 2199 23:59:59 GMT"), Busy("-1")],
        vec![],
        vec![Away],
        vec![Expire],
        vec![Busy("999999999999999999999"), Expire, Busy("86400"), Expire],
        vec![],
    ]
}

/// The token that is good now is `token-N`.
#[derive(Default)]
struct State {
    generation: usize,
    attempts: HashMap<usize, usize>,
    served: Vec<usize>,
}

fn respond(asked: &Asked, state: &Mutex<State>, troubles: &[Vec<Trouble>], away: &str) -> Reaction {
    let mut state = state.lock().unwrap();
    let refuse = || answer("401 Unauthorized", &[], b"who are you?");
    if asked.header("authorization") != Some(&format!("bearer token-{}", state.generation)) {
        return refuse();
    }
    let page = asked.param("after").map_or(0, |token| token[1..].parse().unwrap());
    let attempt = state.attempts.entry(page).or_default();
    *attempt += 1;
    match troubles[page].get(*attempt - 1) {
        Some(Trouble::Reaction(reaction)) => reaction.clone(),
        Some(Trouble::Busy(wish)) => answer("429 Too Many Requests", &[&format!("retry-after: {wish}")], b"slow"),
        Some(Trouble::Expire) => {
            state.generation += 1;
            refuse()
        }
        Some(Trouble::Away) => {
            state.served.push(page);
            answer(
                "307 Elsewhere",
                &[&format!("location: {away}?after=t{page}&access=1")],
                b"",
            )
        }
        None => {
            state.served.push(page);
            json(&body(page, troubles.len() - 1))
        }
    }
}

#[test]
fn every_record_of_an_api_that_misbehaves_in_every_way_arrives_once() {
    let troubles = troubles();
    let last = troubles.len() - 1;
    let state: Arc<Mutex<State>> = Arc::default();
    let tokens_state = Arc::clone(&state);
    let tokens = Api::start(move |_| {
        let token = format!(
            "{{\"access_token\":\"token-{}\"}}",
            tokens_state.lock().unwrap().generation
        );
        json(token.as_bytes())
    });
    let away = Api::start(move |_| json(&body(8, last)));
    let (away_url, seen) = (away.url(), Arc::clone(&state));
    let api = Api::start(move |asked| respond(asked, &seen, &troubles, &away_url));
    let source = format!(
        "timeout = \"1s\"\nretry_after_max = \"200ms\"\nheaders = {{ X-Tenant = \"tenant-s3cret\" }}\n\
         auth = {{ kind = \"oauth2\", token_url = \"http://{}/token\", client_id = \"me\", client_secret = \"s3cret\" }}\n\
         paginate = {{ kind = \"cursor\", param = \"after\", path = \"$.next\" }}",
        tokens.addr
    );
    let job = job(&[pipeline(
        "items",
        &api.url(),
        "",
        &source,
        "id BIGINT",
        "SELECT id FROM records",
    )]);
    let ledger = job.run_once();

    let pages = (0..=last as i64).filter(|page| *page != EMPTY as i64);
    let expected: Vec<i64> = pages.flat_map(|page| page * PAGE_LEN..(page + 1) * PAGE_LEN).collect();
    assert_eq!(ids(&job, "items"), expected, "{ledger}");
    let all = expected.len();
    assert_eq!(fates(&job, "items"), format!("{all} {all} 0 0 0"));
    assert!(ledger.contains("the ledger adds up"), "{ledger}");
    assert_eq!(job.count("SELECT count(*) FROM aqueduct.dead_letters"), 0);
    // No page was begun from the first, and none was asked for again once it was there.
    assert_eq!(state.lock().unwrap().served, (0..=last).collect::<Vec<_>>());
    assert_eq!(
        tokens.asked().len(),
        4,
        "one token, and a new one each time that it had expired"
    );
    let strange = away.asked();
    assert_eq!(strange.len(), 1);
    for secret in ["token-", "s3cret", "authorization"] {
        assert!(!strange[0].head.contains(secret), "{}", strange[0].head);
    }
}
