//! A COMMIT whose answer is lost is decided by the fence row: the rows are there exactly once.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the line that did")]

use aqueduct::{
    config::settings::Secret,
    sql::Transformed,
    store::{
        ConnectInfo, Session, StoreError,
        load::{LoadBatch, Outcome},
    },
};

#[path = "support/load.rs"]
mod load;
#[path = "support/proxy.rs"]
mod proxy;

use load::{Branch, append, id_and_name, people, records, settled, upsert};
use proxy::{Proxy, Trap};

const ROWS: &str = "SELECT concat_ws(' ', (SELECT count(*) FROM a), (SELECT count(DISTINCT id) FROM a), \
                    (SELECT count(*) FROM u), (SELECT count(*) FROM aqueduct.dead_letters), \
                    next_offset, consumed, applied, filtered, dead, skipped) FROM aqueduct.offsets";

struct Cut {
    branch: Branch,
    proxy: Proxy,
    info: ConnectInfo,
}

impl Cut {
    fn new() -> Self {
        let ddl = "CREATE TABLE a (id bigint, name text); CREATE TABLE u (id bigint PRIMARY KEY, name text)";
        let tables = [(append("a"), id_and_name()), (upsert("u", &["id"]), id_and_name())];
        let branch = Branch::new(ddl, &tables);
        let (proxy, url) = Proxy::before_postgres(branch.database.url().expose());
        let info = ConnectInfo::new(Secret::new(url), true);
        Self { branch, proxy, info }
    }

    fn connect(&self) -> Session {
        Session::connect(&self.info, "people writer-0").unwrap()
    }

    /// Writes ten records and loses the connection at COMMIT; what the row says of it then.
    fn lose_commit(&mut self, delivers: bool) -> Outcome {
        let (records, rows) = (records(0, 10), ten_rows());
        let batch = LoadBatch::whole(self.branch.fence.clone(), 10, &records, &rows, &[]);
        let mut session = self.connect();
        self.proxy.trap(Trap {
            of: "writer-0".into(),
            at: "COMMIT\0",
            delivers,
        });
        let written = self.branch.loader.write_batch(&mut session, &batch, &mut || true);
        assert!(matches!(written, Err(StoreError::Commit { .. })), "{written:?}");
        assert_eq!(self.proxy.num_sprung(), 1);
        assert!(session.is_broken());
        let mut session = self.connect();
        let decided = self.branch.loader.settle_unknown(&mut session, &batch).unwrap();
        if matches!(decided, Outcome::NotWritten) {
            assert_eq!(self.branch.ask(ROWS).as_deref(), Some("0 0 0 0 0 0 0 0 0 0"));
            settled(self.branch.loader.write_batch(&mut session, &batch, &mut || true));
        }
        decided
    }
}

fn ten_rows() -> Transformed {
    let rows = || people((0..10).map(|id| (id, "x")));
    Transformed {
        tables: vec![rows(), rows()],
        failures: Vec::new(),
    }
}

#[test]
fn a_commit_that_went_in_and_whose_answer_is_lost_is_settled_and_not_written_again() {
    let mut cut = Cut::new();
    let decided = cut.lose_commit(true);
    // What became of the records is known, too.
    let (counts, ..) = settled(Ok(decided));
    assert_eq!((counts.consumed, counts.applied, counts.dead), (10, 10, 0));
    assert_eq!(cut.branch.ask(ROWS).as_deref(), Some("10 10 10 0 10 10 10 0 0 0"));
}

#[test]
fn a_commit_that_never_arrived_is_written_again_once() {
    let mut cut = Cut::new();
    let decided = cut.lose_commit(false);
    assert!(matches!(decided, Outcome::NotWritten), "{decided:?}");
    assert_eq!(cut.branch.ask(ROWS).as_deref(), Some("10 10 10 0 10 10 10 0 0 0"));
}
