//! Records that no parser likes, among good ones on one page: each has its own fate, and its neighbours notice nothing.

use crate::{
    api::{Api, json},
    job::Job,
    pipeline::{fates, ids, job, pipeline},
};

/// What becomes of a record.
enum Fate {
    /// It has a row.
    Row,
    /// It is a dead letter of this stage, with this in its reason.
    Dead(&'static str, &'static str),
    /// As `on_nul` says.
    Nul,
}

struct Hostile {
    id: i64,
    record: Vec<u8>,
    fate: Fate,
}

/// Each kind of hostile record; `id` stands in each of them.
fn hostile() -> Vec<Hostile> {
    use Fate::{Dead, Nul, Row};
    let twice = "appears twice in one object";
    let lone = "has half of a surrogate pair";
    let deep = format!("\"x\":{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let kinds: Vec<(&[u8], Fate)> = vec![
        (br#""name":"a\u0000b""#, Nul),
        (br#""name":"\ud800""#, Dead("decode", lone)),
        (br#""name":"\udc00\ud800""#, Dead("decode", lone)),
        (br#""name":"\ud83d\ude00""#, Row),
        (br#""n":NaN"#, Dead("ingest", "record is not JSON")),
        (br#""n":[-Infinity]"#, Dead("ingest", "record is not JSON")),
        (br#""n":"NaN""#, Dead("decode", "column n: DOUBLE expected")),
        (br#""n":1e400"#, Dead("decode", "found 1e400, which is out of range")),
        (br#""unused":1e400"#, Row),
        (br#""big":1e400"#, Dead("decode", "out of range")),
        (b"\"name\":\"\xff\xfe\"", Dead("ingest", "record is not UTF-8")),
        (b"\"name\":\"\xed\xa0\x80\"", Dead("ingest", "record is not UTF-8")),
        (
            b"\"name\":\"a\nb\"",
            Dead("ingest", "record is not JSON: control character"),
        ),
        (
            br#""name":"\x41""#,
            Dead("ingest", "record is not JSON: invalid escape"),
        ),
        (br#""name":"a","name":"b""#, Dead("decode", twice)),
        (br#""name":"a","n\u0061me":"b""#, Dead("decode", twice)),
        (br#""unused":1,"unused":2"#, Row),
        (br#""\ud800":1"#, Row),
        ("\"name\":\"\u{feff}b\"".as_bytes(), Row),
        (deep.as_bytes(), Dead("ingest", "nested deeper than 128 levels")),
    ];
    let (ids, kinds) = (1_001.., kinds.into_iter());
    let named = ids.zip(kinds).map(|(id, (members, fate))| Hostile {
        id,
        record: [format!("{{\"id\":{id},").as_bytes(), members, b"}"].concat(),
        fate,
    });
    named.collect()
}

/// A good record before and after each hostile one; a byte order mark before the page, and one within.
fn page(hostile: &[Hostile]) -> (Vec<u8>, Vec<i64>) {
    let (mut body, mut good) = ("\u{feff}{\"items\":[".as_bytes().to_vec(), Vec::new());
    for (id, hostile) in (0..).zip(hostile) {
        body.extend_from_slice(format!("{{\"id\":{id},\"name\":\"good\",\"n\":0.5}},").as_bytes());
        body.extend_from_slice(&hostile.record);
        body.extend_from_slice(b",\n");
        good.push(id);
    }
    body.extend_from_slice("\u{feff}{\"id\":999,\"name\":\"good\",\"n\":0.5}]}".as_bytes());
    good.push(999);
    (body, good)
}

const SCHEMA: &str = "id BIGINT NOT NULL, name STRING, n DOUBLE, big DECIMAL(20,2)";

#[test]
fn each_hostile_record_of_a_page_has_its_own_fate_and_costs_no_neighbour() {
    let hostile = hostile();
    let (body, good) = page(&hostile);
    let api = Api::start(move |_| json(&body));
    let policies = ["reject", "strip", "replace"];
    let pipelines = policies.map(|policy| {
        let on_nul = format!("on_nul = \"{policy}\"");
        pipeline(
            policy,
            &api.url(),
            &on_nul,
            "",
            SCHEMA,
            "SELECT id, name, n, big FROM records",
        )
    });
    let job = job(&pipelines);
    let ledger = job.run_once();
    assert_eq!(ledger.matches("the ledger adds up").count(), 3, "{ledger}");
    assert_eq!(api.asked().len(), 3, "a page with a bad record is not asked for again");
    for policy in policies {
        let has_row = |hostile: &&Hostile| match hostile.fate {
            Fate::Row => true,
            Fate::Dead(..) => false,
            Fate::Nul => policy != "reject",
        };
        let rows = hostile.iter().filter(has_row).map(|hostile| hostile.id);
        let mut expected: Vec<i64> = good.iter().copied().chain(rows).collect();
        expected.sort_unstable();
        assert_eq!(ids(&job, policy), expected, "{policy}");
        let (all, num_rows) = (good.len() + hostile.len(), expected.len());
        assert_eq!(fates(&job, policy), format!("{all} {num_rows} 0 {} 0", all - num_rows));
        let num_good = format!("SELECT count(*) FROM {policy} WHERE name = 'good' AND n = 0.5");
        assert_eq!(job.count(&num_good), good.len() as i64, "{policy}");
        for hostile in &hostile {
            let letter = match hostile.fate {
                Fate::Dead(stage, reason) => Some((stage, reason)),
                Fate::Nul if policy == "reject" => Some(("transform", "U+0000")),
                _ => None,
            };
            assert_letter(&job, policy, hostile, letter);
        }
    }
    let text = |policy: &str| {
        job.texts(&format!("SELECT name FROM {policy} WHERE id = 1001"))
            .remove(0)
    };
    assert_eq!(
        (text("strip"), text("replace")),
        ("ab".to_owned(), "a\u{fffd}b".to_owned())
    );
    let kept = |id: i64| job.texts(&format!("SELECT name FROM strip WHERE id = {id}")).remove(0);
    assert_eq!(kept(1_004), "\u{1f600}");
    assert_eq!(kept(1_019), "\u{feff}b");
}

/// The letter has the stage, the reason, and the payload as it came; a long one has the beginning of it.
fn assert_letter(job: &Job, pipeline: &str, hostile: &Hostile, letter: Option<(&str, &str)>) {
    let id = hostile.id;
    // By the bytes: a payload that is not UTF-8 is no text.
    let of_id = format!("pipeline = '{pipeline}' AND position('\"id\":{id},'::bytea IN payload) > 0");
    let found = job.texts(&format!(
        "SELECT stage || '|' || reason FROM aqueduct.dead_letters WHERE {of_id}"
    ));
    let Some((stage, reason)) = letter else {
        assert_eq!(found, Vec::<String>::new(), "{pipeline} {id}");
        return;
    };
    assert_eq!(found.len(), 1, "{pipeline} {id}: {found:?}");
    assert!(found[0].starts_with(&format!("{stage}|")), "{pipeline} {id}: {found:?}");
    assert!(found[0].contains(reason), "{pipeline} {id}: {found:?}");
    let kept = &hostile.record[..hostile.record.len().min(32 << 10)];
    let hex: String = kept.iter().map(|byte| format!("{byte:02x}")).collect();
    let same = format!("SELECT count(*) FROM aqueduct.dead_letters WHERE {of_id} AND payload = '\\x{hex}'");
    assert_eq!(job.count(&same), 1, "{pipeline} {id}: the payload is what came");
}
