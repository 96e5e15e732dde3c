//! The map: both branches with their real actors, on the embedded log and a real PostgreSQL.

use std::{sync::Arc, time::Duration};

use aqueduct::{
    api::http::HttpSource,
    config::settings::{HttpSource as HttpSettings, OnEscalate, Paginate, Pipeline, Shards, Source, Stop, Supervision},
    demo::simulator::{Options, Simulator},
    log::{
        TopicSpec,
        embedded::{EmbeddedLog, Retention},
    },
    sql::{self, Program},
    supervision::{BranchHandle, BranchState},
    telemetry::Gauges,
    topology::{Wiring, ingest_branch, load_branch},
};

use crate::{
    clock::{on_real_time, until},
    load::{
        ask, connect,
        postgres::{TestDatabase, silent},
    },
    pipeline::pipeline,
};

fn supervision() -> Supervision {
    Supervision {
        max_restarts: 5,
        window: Duration::from_secs(60),
        backoff: Duration::from_millis(5),
        backoff_max: Duration::from_secs(60),
        stall_after: Duration::from_secs(30),
        grace: Duration::from_secs(20),
        on_escalate: OnEscalate::Park,
    }
}

fn http(url: &str) -> HttpSettings {
    HttpSettings {
        query: vec![("seed".into(), "abc".into()), ("results".into(), "50".into())],
        records: serde_json_path::JsonPath::parse("$.results[*]").unwrap(),
        records_text: "$.results[*]".into(),
        paginate: Paginate::Page {
            param: "page".into(),
            first: 1,
            stop: Stop::Last(8),
        },
        timeout: Duration::from_secs(20),
        shards: Shards::Stripes(2),
        ..HttpSettings::new(url.parse().unwrap())
    }
}

fn names(branch: &BranchHandle) -> Vec<String> {
    branch.status().children.into_iter().map(|child| child.name).collect()
}

#[test]
fn the_branches_have_their_shapes_and_stop_in_data_order() {
    on_real_time(async {
        let (api, database) = (Simulator::start(Options::default()).unwrap(), TestDatabase::new());
        database.execute("CREATE TABLE people (id uuid, name text)");
        let folder = tempfile::tempdir().unwrap();
        let log = EmbeddedLog::open(&folder.path().join("log.redb"), Retention::default()).unwrap();
        let http = http(&api.url());
        let source = HttpSource::new(&http, silent()).unwrap();

        let mut pipeline: Pipeline = (*pipeline(100)).clone();
        pipeline.schema = "login STRUCT<uuid: STRING>, gender STRING".into();
        pipeline.tables[0].sql = "SELECT login.uuid AS id, gender AS name FROM records".into();
        pipeline.source = Source::Http(Box::new(http));
        let declaration = sql::Declaration {
            schema: pipeline.schema.clone(),
            tables: vec![sql::TableQuery {
                table: "people".into(),
                sql: pipeline.tables[0].sql.clone(),
            }],
            on_nul: sql::OnNul::Reject,
            memory_limit_bytes: 64 << 20,
        };
        let wiring = Wiring {
            spec: TopicSpec {
                pipeline: pipeline.name.clone(),
                topic: pipeline.topic.name.clone(),
                num_partitions: 2,
                replication: 1,
                shards: source.shards().into(),
            },
            pipeline: Arc::new(pipeline),
            log: Arc::new(log),
            source: Some(source.into()),
            program: Program::compile(&declaration).unwrap(),
            connect: Arc::new(database.info()),
            owner: "test".into(),
            frozen_now_ms: None,
            gauges: Arc::new(Gauges::default()),
        };
        let load = load_branch(&wiring, &supervision(), &silent());
        let ingest = ingest_branch(&wiring, &supervision(), &silent()).expect("there is a source");
        for branch in [&load, &ingest] {
            until("it runs", || branch.status().state == BranchState::Running).await;
        }
        // By tier, downstream first.
        assert_eq!((ingest.name(), load.name()), ("people/ingest", "people/load"));
        assert_eq!(names(&ingest), ["producer-0", "producer-1", "fetcher-0", "fetcher-1"]);
        let loading = [
            "writer-0",
            "writer-1",
            "transformer-0",
            "transformer-1",
            "consumer-0",
            "consumer-1",
        ];
        assert_eq!(names(&load), loading);

        // They are wired to each other: what the API has comes through, once.
        let mut session = connect(&database);
        let mut count = || ask(&mut session, "SELECT count(*) || ' ' || count(DISTINCT id) FROM people").unwrap();
        until("all is loaded", || count() == "400 400").await;
        let claims = "SELECT count(*) FROM aqueduct.offsets";
        assert_eq!(
            ask(&mut connect(&database), claims).unwrap(),
            "2",
            "both partitions were claimed"
        );
        for branch in [&load, &ingest] {
            assert!(branch.status().children.iter().all(|child| child.life == 1));
        }

        // An ordered stop goes through the tiers from the last one to the first.
        for (branch, tiers) in [(&ingest, [2, 2, 0]), (&load, [2, 2, 2])] {
            let names = names(branch);
            let summary = branch.stop().await;
            assert!(summary.is_clean(), "{summary:?}");
            let mut stopped = summary.children.iter().map(|child| child.name.clone());
            let mut expected = names.as_slice();
            for size in tiers {
                let (rest, tier) = expected.split_at(expected.len() - size);
                let mut ended: Vec<String> = stopped.by_ref().take(size).collect();
                ended.sort();
                assert_eq!(ended, tier);
                expected = rest;
            }
        }
    });
}

#[test]
fn a_pipeline_without_a_source_has_no_ingest_branch() {
    on_real_time(async {
        let database = TestDatabase::empty();
        let folder = tempfile::tempdir().unwrap();
        let log = EmbeddedLog::open(&folder.path().join("log.redb"), Retention::default()).unwrap();
        let pipeline = pipeline(100);
        let wiring = Wiring {
            spec: crate::scripted_log::spec(),
            pipeline,
            log: Arc::new(log),
            source: None,
            program: crate::pipeline::program(),
            connect: Arc::new(database.info()),
            owner: "test".into(),
            frozen_now_ms: None,
            gauges: Arc::new(Gauges::default()),
        };
        assert!(ingest_branch(&wiring, &supervision(), &silent()).is_none());
    });
}
