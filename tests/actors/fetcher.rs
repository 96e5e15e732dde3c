//! The fetcher, between the simulated API and a recording producer.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix::{Actor, Addr, Message, Recipient};
use aqueduct::{
    actors::fetcher::{Fetcher, FetcherSettings, Lender},
    api::http::{HttpSource, Limits},
    config::settings::{self, Paginate, Shards, Stop},
    demo::simulator::{Options, Simulator, expected_uuids},
    messages::{Delivered, Lease, Lend, Lent, Produce, Refused},
    model::Page,
    supervision::Placement,
    telemetry::Gauges,
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    clock::{on_real_time, until},
    http::{Scripted, page},
    load::postgres::silent,
    neighbours::{Inbox, Neighbour},
    room::Room,
};

const PAGE_RECORDS: u64 = 10;

fn source(url: &str, stop: Stop) -> HttpSource {
    let settings = settings::HttpSource {
        query: vec![
            ("seed".into(), "abc".into()),
            ("results".into(), PAGE_RECORDS.to_string()),
        ],
        records: serde_json_path::JsonPath::parse("$.results[*]").unwrap(),
        records_text: "$.results[*]".into(),
        paginate: Paginate::Page {
            param: "page".into(),
            first: 1,
            stop,
        },
        timeout: Duration::from_secs(20),
        shards: Shards::Stripes(1),
        ..settings::HttpSource::new(url.parse().unwrap())
    };
    let limits = Limits {
        shortest_pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(20),
        ..Limits::default()
    };
    HttpSource::with_limits(&settings, limits, silent()).unwrap()
}

struct Scene {
    room: Room<Fetcher>,
    source: HttpSource,
    gauges: Arc<Gauges>,
    lends: Inbox<Lend>,
    pages: Inbox<Produce>,
    given_back: Arc<AtomicUsize>,
}

impl Scene {
    async fn new(url: &str, stop: Stop, max_unanswered_records: usize) -> Self {
        let (lends, pages) = (Inbox::default(), Inbox::default());
        let lender = Lender {
            lend: start(&lends).recipient(),
            produce: start(&pages).recipient(),
        };
        let (source, gauges) = (source(url, stop), Arc::new(Gauges::default()));
        let settings = FetcherSettings {
            source: source.clone().into(),
            max_unanswered_records,
            max_unanswered_bytes: usize::MAX,
            frozen_now_ms: None,
            gauges: gauges.clone(),
        };
        let make = move |life| Ok(Fetcher::new(life, settings.clone(), vec![lender.clone()]));
        let room = Room::open("fetcher", Placement::Shared, false, make).await;
        Self {
            room,
            source,
            gauges,
            lends,
            pages,
            given_back: Arc::default(),
        }
    }

    /// Lends the shard to the one who has asked.
    async fn lend(&self, cursor: Option<Value>) -> CancellationToken {
        until("it asks", || self.lends.len() == 1).await;
        let (revoked, given_back) = (CancellationToken::new(), self.given_back.clone());
        let give_back = move || {
            given_back.fetch_add(1, Ordering::SeqCst);
        };
        let lent = Lent {
            shard: self.source.shards().remove(0),
            cursor,
            lease: Lease {
                revoked: revoked.clone(),
                give_back: Some(Box::new(give_back)),
            },
        };
        self.lends.take().answer(Ok(lent));
        revoked
    }

    fn num_given_back(&self) -> usize {
        self.given_back.load(Ordering::SeqCst)
    }

    /// The next page, settled.
    async fn deliver(&self) -> Page {
        until("a page comes", || self.pages.len() > 0).await;
        let pending = self.pages.take();
        let num_records = pending.message.0.records.len();
        pending.answer(Ok(Delivered { num_records })).0
    }

    fn state(&self) -> String {
        let shards: BTreeMap<_, _> = self.gauges.snapshot().shards;
        shards.get(&0).map(|shard| shard.state.clone()).unwrap_or_default()
    }
}

fn start<M>(inbox: &Inbox<M>) -> Addr<Neighbour<M>>
where
    M: Message + Unpin + Send + 'static,
    M::Result: Send,
{
    Neighbour(inbox.clone()).start()
}

fn uuid(payload: &[u8]) -> Uuid {
    let record: Value = serde_json::from_slice(payload).unwrap();
    record["login"]["uuid"].as_str().unwrap().parse().unwrap()
}

#[test]
fn pages_come_in_order_each_from_where_the_one_before_ended_and_a_finished_shard_idles() {
    on_real_time(async {
        let api = Simulator::start(Options::default()).unwrap();
        let scene = Scene::new(&api.url(), Stop::Last(5), 20).await;
        scene.lend(None).await;
        let (mut cursor, mut uuids) = (Value::Null, Vec::new());
        for _ in 0..5 {
            let page = scene.deliver().await;
            assert_eq!(page.cursor_before, cursor);
            cursor = page.cursor_after.clone();
            uuids.extend(page.records.iter().map(|record| uuid(&record.payload)));
        }
        assert_eq!(uuids, expected_uuids("abc", 1..=5, PAGE_RECORDS));
        until("it says so", || scene.state() == "finished").await;
        assert_eq!(
            (api.num_requests(), scene.num_given_back()),
            (5, 0),
            "the lease is kept"
        );
        assert_eq!(scene.lends.len(), 1, "it would take another shard");
        assert!(scene.room.is_in_its_first_life());
        assert!(scene.room.stop().await.is_clean());
        until("the shard is given back", || scene.num_given_back() == 1).await;
    });
}

#[test]
fn a_shard_goes_on_at_the_cursor_with_which_it_is_lent() {
    on_real_time(async {
        let api = Simulator::start(Options::default()).unwrap();
        let scene = Scene::new(&api.url(), Stop::Last(3), 20).await;
        let revoked = scene.lend(None).await;
        let first = scene.deliver().await;
        revoked.cancel();
        until("the shard is given back", || scene.num_given_back() == 1).await;
        scene.pages.all().clear();
        scene.lend(Some(first.cursor_after)).await;
        let second = scene.deliver().await;
        assert_eq!(uuid(&second.records[0].payload), expected_uuids("abc", [2], 1)[0]);
        scene.room.stop().await;
    });
}

#[test]
fn no_more_than_two_transactions_are_unanswered() {
    on_real_time(async {
        let api = Simulator::start(Options::default()).unwrap();
        // Two transactions of ten records.
        let scene = Scene::new(&api.url(), Stop::Last(8), 2 * PAGE_RECORDS as usize).await;
        scene.lend(None).await;
        for last in 2..=8 {
            until("two pages are unanswered", || scene.pages.len() == 2).await;
            // A third one would be asked for by now.
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert_eq!((api.num_requests(), scene.pages.len()), (last, 2));
            scene.deliver().await;
        }
        scene.deliver().await;
        until("it has finished", || scene.state() == "finished").await;
        scene.room.stop().await;
    });
}

/// A slow source takes days to fill two transactions; all that time every page would be refused.
#[test]
fn a_refused_page_is_noticed_at_once_the_shard_dropped_quietly_and_asked_for_again() {
    on_real_time(async {
        let api = Simulator::start(Options::default()).unwrap();
        let scene = Scene::new(&api.url(), Stop::Empty, 40_000).await;
        scene.lend(None).await;
        let first = scene.deliver().await;
        until("a page comes", || scene.pages.len() > 0).await;
        scene.pages.take().answer(Err(Refused::Lost));
        until("the shard is given back", || scene.num_given_back() == 1).await;
        scene.pages.all().clear();
        scene.lend(Some(first.cursor_after.clone())).await;
        let again = scene.deliver().await;
        assert_eq!(again.cursor_before, first.cursor_after);
        assert!(
            api.num_requests() < 100,
            "{} pages were fetched in vain",
            api.num_requests()
        );
        assert!(scene.room.is_in_its_first_life(), "it spends no restart");
        scene.room.stop().await;
    });
}

#[test]
fn a_revoked_shard_is_given_back_even_while_the_api_is_away() {
    on_real_time(async {
        let api = Simulator::start(Options::default()).unwrap();
        api.set_outage(true);
        let scene = Scene::new(&api.url(), Stop::Empty, 20).await;
        let revoked = scene.lend(None).await;
        until("it waits for the API", || {
            let waiting = scene.room.child().waiting;
            waiting.iter().any(|waiting| waiting.what.starts_with("the API: "))
        })
        .await;
        revoked.cancel();
        until("the shard is given back", || scene.num_given_back() == 1).await;
        assert_eq!(scene.pages.len(), 0);
        assert!(scene.room.is_in_its_first_life());
        scene.room.stop().await;
    });
}

#[test]
fn an_outage_of_the_api_is_waited_out_without_a_restart() {
    on_real_time(async {
        let api = Simulator::start(Options::default()).unwrap();
        api.set_outage(true);
        let scene = Scene::new(&api.url(), Stop::Last(1), 20).await;
        scene.lend(None).await;
        until("it has tried for a while", || api.num_requests() > 10).await;
        api.set_outage(false);
        assert_eq!(scene.deliver().await.records.len() as u64, PAGE_RECORDS);
        assert!(scene.room.is_in_its_first_life());
        scene.room.stop().await;
    });
}

#[test]
fn a_page_that_does_not_decode_parks_with_its_reason_and_is_no_record() {
    on_real_time(async {
        let api = Scripted::start([page(r#"{"results":[{"id":1}"#)]).await;
        let scene = Scene::new(&api.url(), Stop::Last(1), 20).await;
        scene.lend(None).await;
        let reason = scene.room.parked().await;
        assert!(reason.contains("page=1"), "{reason}");
        assert_eq!(api.requests().len(), 3, "it was asked for a few times");
        assert_eq!(scene.pages.len(), 0);
        assert_eq!(scene.room.branch.status().restarts_left, 5, "no restart is spent");
        scene.room.stop().await;
    });
}

#[test]
fn an_alarm_waits_until_the_pages_before_it_have_gone_in() {
    on_real_time(async {
        let api = Scripted::start([page(r#"{"results":[{"id":1}]}"#), page(r#"{"results":[{"id":1}"#)]).await;
        let scene = Scene::new(&api.url(), Stop::Last(2), 20).await;
        scene.lend(None).await;
        until("both pages were asked for, the second a few times", || {
            api.requests().len() == 4 && scene.pages.len() == 1
        })
        .await;
        // It would be parked by now, and the branch would take the first page out of the producer's hands.
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(scene.room.is_in_its_first_life());
        scene.deliver().await;
        let reason = scene.room.parked().await;
        assert!(reason.contains("page=2"), "{reason}");
        scene.room.stop().await;
    });
}

#[test]
fn a_request_that_the_api_forbids_fails_the_fetcher() {
    on_real_time(async {
        let api = Scripted::start([crate::http::answer("404 Not Found", &[], "no such thing")]).await;
        let scene = Scene::new(&api.url(), Stop::Last(1), 20).await;
        scene.lend(None).await;
        until("it was restarted", || scene.room.child().life == 2).await;
        let failure = scene.room.child().last_failure.unwrap();
        assert!(failure.reason.contains("404"), "{}", failure.reason);
        until("the shard is given back", || scene.num_given_back() == 1).await;
        scene.room.stop().await;
    });
}

#[test]
fn every_producer_is_asked_for_shards() {
    on_real_time(async {
        let inboxes: Vec<Inbox<Lend>> = vec![Inbox::default(), Inbox::default()];
        let pages = Inbox::<Produce>::default();
        let produce: Recipient<Produce> = start(&pages).recipient();
        let lenders: Vec<_> = inboxes
            .iter()
            .map(|inbox| Lender {
                lend: start(inbox).recipient(),
                produce: produce.clone(),
            })
            .collect();
        let settings = FetcherSettings {
            source: source("http://127.0.0.1:9/", Stop::Empty).into(),
            max_unanswered_records: 1,
            max_unanswered_bytes: usize::MAX,
            frozen_now_ms: None,
            gauges: Arc::default(),
        };
        let make = move |life| Ok(Fetcher::new(life, settings.clone(), lenders.clone()));
        let room = Room::open("fetcher", Placement::Shared, false, make).await;
        until("both are asked", || inboxes.iter().all(|inbox| inbox.len() == 1)).await;
        room.stop().await;
    });
}
