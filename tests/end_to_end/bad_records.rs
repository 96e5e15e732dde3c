//! One bad record in 10,000 costs one row: it alone goes to the dead letters, with payload, position, stage and reason.

use std::sync::Arc;

use aqueduct::demo::simulator::{Corrupt, Options, Simulator};

use crate::{
    job::{Brokers, Job, PipelineText},
    kafka::unique,
    postgres::TestDatabase,
};

const RESULTS: u64 = 1_000;
const PAGES: u64 = 10;

struct Case {
    kind: &'static str,
    /// Replaces this text of the bad record by that.
    spoil: (&'static str, &'static str),
    /// Columns of the table that refuse it.
    columns: &'static str,
    stage: &'static str,
    reason: &'static str,
}

const COLUMNS: &str = "uuid text, age int, born_at timestamptz, email text, nat text";

const CASES: [Case; 7] = [
    Case {
        kind: "undecodable",
        spoil: ("\"age\":", "\"age\":\"x\",\"was\":"),
        columns: COLUMNS,
        stage: "decode",
        reason: "age",
    },
    Case {
        kind: "not-an-object",
        spoil: ("", "[1]"),
        columns: COLUMNS,
        stage: "ingest",
        reason: "not a JSON object",
    },
    Case {
        kind: "failed-cast",
        spoil: ("\"nat\":\"", "\"nat\":\"bad "),
        columns: COLUMNS,
        stage: "transform",
        reason: "",
    },
    Case {
        kind: "not-null",
        spoil: ("\"email\":", "\"email\":null,\"was\":"),
        columns: "uuid text, age int, born_at timestamptz, email text NOT NULL, nat text",
        stage: "write",
        reason: "23502",
    },
    Case {
        kind: "check",
        spoil: ("\"email\":\"", "\"email\":\"nobody "),
        columns: "uuid text, age int, born_at timestamptz, email text CHECK (email NOT LIKE 'nobody%'), nat text",
        stage: "write",
        reason: "23514",
    },
    Case {
        kind: "too-long",
        spoil: ("\"nat\":\"", "\"nat\":\"far too long "),
        columns: "uuid text, age int, born_at timestamptz, email text, nat varchar(2)",
        stage: "write",
        reason: "22001",
    },
    Case {
        kind: "out-of-range",
        spoil: ("\"age\":", "\"age\":40000,\"was\":"),
        columns: "uuid text, age smallint, born_at timestamptz, email text, nat text",
        stage: "write",
        reason: "22003",
    },
];

/// Record 617 of page 4.
fn spoil(case: &Case) -> Corrupt {
    let (from, to) = case.spoil;
    Arc::new(move |page, index, record| {
        (page == 4 && index == 617).then(|| {
            if from.is_empty() {
                to.to_owned()
            } else {
                record.replacen(from, to, 1)
            }
        })
    })
}

#[test]
fn one_bad_record_in_ten_thousand_costs_one_row() {
    let database = TestDatabase::empty();
    let mut simulators = Vec::new();
    let mut pipelines = Vec::new();
    for case in &CASES {
        let simulator = Simulator::start(Options {
            corrupt: Some(spoil(case)),
            ..Options::default()
        })
        .unwrap();
        let name = unique(case.kind).to_lowercase();
        let mut pipeline = PipelineText::users(&name, &simulator.url(), RESULTS, PAGES);
        if case.kind == "failed-cast" {
            // 1 for a nationality of two letters, an error for a longer one.
            pipeline.sql =
                "SELECT login.uuid AS uuid, dob.age / CASE WHEN character_length(nat) = 2 THEN 1 ELSE 0 END AS age, \
                            dob.date AS born_at, email, nat FROM records"
                    .into();
        }
        database.execute(&format!("CREATE TABLE {} ({})", pipeline.table, case.columns));
        simulators.push(simulator);
        pipelines.push(pipeline);
    }
    let tables: Vec<_> = pipelines
        .iter()
        .map(|pipeline| (pipeline.name.clone(), pipeline.table.clone()))
        .collect();
    let job = Job::new(database, &Brokers::Embedded, &pipelines);
    let ledger = job.run_once();
    assert!(!ledger.contains("GAP"), "{ledger}");
    for (case, (name, table)) in CASES.iter().zip(tables) {
        let kind = case.kind;
        assert_eq!(
            job.count(&format!("SELECT count(*) FROM {table}")),
            9_999,
            "{kind}: {ledger}"
        );
        assert_eq!(
            job.count(&format!("SELECT count(DISTINCT uuid) FROM {table}")),
            9_999,
            "{kind}"
        );
        let letter = job.texts(&format!(
            "SELECT concat_ws('|', stage, reason, topic, partition >= 0 AND record_offset >= 0, \
             convert_from(payload, 'UTF8')) FROM aqueduct.dead_letters WHERE pipeline = '{name}'"
        ));
        assert_eq!(letter.len(), 1, "{kind}: {letter:?}");
        let fields: Vec<_> = letter[0].splitn(5, '|').collect();
        assert_eq!(fields[0], case.stage, "{kind}: {letter:?}");
        assert!(fields[1].contains(case.reason), "{kind}: {letter:?}");
        assert!(!fields[1].is_empty(), "{kind}: {letter:?}");
        assert_eq!((fields[2], fields[3]), (name.as_str(), "t"), "{kind}: {letter:?}");
        assert!(
            fields[4].contains(case.spoil.1),
            "{kind}: the payload is there: {letter:?}"
        );
    }
}
