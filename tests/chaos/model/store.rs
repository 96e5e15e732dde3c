//! The real PostgreSQL of a scenario, what can be done to it, and what it may be spoilt with.

use aqueduct::{
    config::settings::Secret,
    model::PartitionKey,
    store::{ConnectInfo, Session, StoreError, skips, stops},
};

use super::{log::ModelLog, records::TABLE};
use crate::{
    load::{key, postgres::TestDatabase},
    proxy::{Proxy, Trap, Upstream},
};

/// How a store may be broken, so that the check is seen to find it.
#[derive(Clone, Copy, Debug)]
pub enum Sabotage {
    RowsWithoutPosition,
    PositionWithoutRows,
    NoFence,
}

impl Sabotage {
    fn sql(self) -> &'static str {
        match self {
            // Once the rows of a batch stay and the position is forgotten.
            Self::RowsWithoutPosition => {
                "CREATE TABLE spoilt (); CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                     IF NEW.consumed > OLD.consumed AND NOT EXISTS (SELECT FROM spoilt) THEN
                         NEW.next_offset := OLD.next_offset; INSERT INTO spoilt DEFAULT VALUES;
                     END IF; RETURN NEW; END $$;
                 CREATE TRIGGER a_spoil BEFORE UPDATE ON aqueduct.offsets FOR EACH ROW EXECUTE FUNCTION spoil()"
            }
            Self::PositionWithoutRows => {
                "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                     IF NEW.id = 2 THEN RETURN NULL; END IF; RETURN NEW; END $$;
                 CREATE TRIGGER a_spoil BEFORE INSERT ON people FOR EACH ROW EXECUTE FUNCTION spoil()"
            }
            Self::NoFence => {
                "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                     NEW.epoch := OLD.epoch; RETURN NEW; END $$;
                 CREATE TRIGGER a_spoil BEFORE UPDATE ON aqueduct.offsets FOR EACH ROW EXECUTE FUNCTION spoil()"
            }
        }
    }
}

/// Each move of a position, in order: what a fence is for can be read off it.
const AUDIT: &str = "CREATE TABLE moves (number bigserial, partition int, old_epoch bigint, new_epoch bigint,
         is_claim boolean, old_next bigint, new_next bigint);
     CREATE FUNCTION note_move() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         INSERT INTO moves (partition, old_epoch, new_epoch, is_claim, old_next, new_next) VALUES (NEW.partition,
             OLD.epoch, NEW.epoch, NEW.claimed_at <> OLD.claimed_at, OLD.next_offset, NEW.next_offset);
         RETURN NULL; END $$;
     CREATE TRIGGER note_move AFTER UPDATE ON aqueduct.offsets FOR EACH ROW EXECUTE FUNCTION note_move()";

/// What a standby has of it.
const TABLES: [&str; 5] = [
    "people",
    "aqueduct.offsets",
    "aqueduct.dead_letters",
    "aqueduct.row_counts",
    "aqueduct.stops",
];

pub struct Store {
    pub database: TestDatabase,
    upstream: Upstream,
    proxy: Proxy,
    url: String,
}

impl Store {
    pub fn new(sabotage: Option<Sabotage>) -> Self {
        let database = TestDatabase::new();
        database.execute(&format!("{TABLE}; {AUDIT}"));
        if let Some(sabotage) = sabotage {
            database.execute(sabotage.sql());
        }
        let (proxy, url) = Proxy::before_postgres(database.url().expose());
        Self {
            upstream: proxy.upstream(),
            database,
            proxy,
            url,
        }
    }

    /// The way through the proxy.
    pub fn info(&self) -> ConnectInfo {
        ConnectInfo::new(Secret::new(self.url.clone()), true)
    }

    pub fn cut(&self) {
        self.proxy.cut();
    }

    pub fn lose_commit(&self, delivers: bool) {
        self.proxy.trap(Trap {
            of: "writer".into(),
            at: "COMMIT\0",
            delivers,
        });
    }

    pub fn go_away(&self) {
        // Port 1 refuses.
        self.proxy.lead_to(Upstream::Tcp("127.0.0.1:1".into()));
        self.proxy.cut();
    }

    pub fn come_back(&self) {
        self.proxy.lead_to(self.upstream.clone());
    }

    /// What a standby would have if the primary died now.
    pub fn snapshot(&self) {
        let copies = TABLES.map(|table| {
            let copy = copy_of(table);
            format!("DROP TABLE IF EXISTS {copy}; CREATE TABLE {copy} AS TABLE {table};")
        });
        self.database.execute(&format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ; {} COMMIT",
            copies.concat()
        ));
    }

    /// The primary dies and the standby takes over: all sessions end, and what it did not have is gone.
    pub fn fail_over(&self) {
        let restored = TABLES.map(|table| {
            let copy = copy_of(table);
            format!("DELETE FROM {table}; INSERT INTO {table} OVERRIDING SYSTEM VALUE TABLE {copy};")
        });
        self.proxy.cut();
        self.database.execute(&format!(
            "BEGIN; SET LOCAL session_replication_role = replica; \
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE datname = current_database() AND pid <> pg_backend_pid(); \
             LOCK TABLE {} IN ACCESS EXCLUSIVE MODE; {} TRUNCATE moves; COMMIT",
            TABLES.join(", "),
            restored.concat()
        ));
    }

    /// The operator leads stopped partitions on: to the first offset that the log has. Returns how many there were.
    pub fn skip_stopped(&self, log: &ModelLog) -> usize {
        let mut session = self.session();
        let stopped = stops::read_all(&mut session, &"people".into()).unwrap();
        for lost in &stopped {
            let (topic_id, to) = {
                let state = log.state();
                (state.topic_id, state.partitions[lost.partition as usize].low)
            };
            let key: PartitionKey = key(lost.partition);
            skips::skip(&mut session, &key, "operator", |_, _| {
                Ok::<_, StoreError>(skips::Skip {
                    topic_id,
                    to,
                    num_records: 0,
                    num_uncounted_offsets: None,
                    reason: lost.found.clone(),
                })
            })
            .unwrap();
        }
        stopped.len()
    }

    pub fn session(&self) -> Session {
        self.database.session("operator")
    }
}

fn copy_of(table: &str) -> String {
    format!("copy_of_{}", table.replace('.', "_"))
}
