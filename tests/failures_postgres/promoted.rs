//! A standby is promoted, and the old primary stays up: writes go on at the new one, from the offset that it has.

use std::time::Duration;

use diesel::{PgConnection, connection::SimpleConnection};

use crate::{
    job::LIMIT,
    load::ask,
    outages::alter_system,
    postgres::{TestDatabase, TestPostgres, wait_for},
    stage::Stage,
};

/// From the promotion to the next row.
const RESUMES_WITHIN: Duration = Duration::from_secs(10);

/// Two addresses of this machine that are nobody else's.
fn addresses() -> [String; 2] {
    let pid = std::process::id();
    [1, 2].map(|host| format!("127.{}.{}.{host}", 10 + pid / 250 % 200, pid % 250))
}

fn says(database: &TestDatabase, query: &str, answer: &str) -> bool {
    ask(&mut database.session("outside"), query).as_deref() == Some(answer)
}

/// As [`says`], of a server that may be a standby, which takes no session of ours.
fn replies(connection: &mut PgConnection, query: &str) -> i64 {
    use diesel::{QueryableByName, RunQueryDsl, sql_types::BigInt};

    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        number: i64,
    }
    let row: Result<Row, _> = diesel::sql_query(format!("SELECT ({query})::bigint AS number")).get_result(connection);
    row.map_or(-1, |row| row.number)
}

#[test]
fn a_promoted_standby_is_written_to_within_ten_seconds_though_the_old_primary_stays_up_and_had_more() {
    let [first, second] = addresses();
    let settings = |address| {
        [
            ("wal_level", "replica"),
            ("max_wal_senders", "5"),
            ("listen_addresses", address),
        ]
    };
    let primary = TestPostgres::private_with(&settings(&*first));
    let standby = TestPostgres::standby_of(&primary, &settings(&*second));
    let database = primary.database();
    let local = serde_json::to_string(database.url().expose()).unwrap();
    let both = format!("\"postgres://postgres@{first}:5432,{second}:5432/{}\"", database.name);
    let ddl = "CREATE TABLE THE_TABLE (uuid uuid, age int, born_at timestamptz, email text, nat text)";
    let mut stage = Stage::start(
        "promoted",
        database,
        ddl,
        |_| (),
        |text| {
            assert!(text.contains(&local), "{text}");
            text.replace(&local, &both)
        },
    );
    for _ in 0..3 {
        stage.let_a_page_out();
        stage.until_settled();
    }

    // The standby falls behind: the fourth page is on the old primary alone.
    let rows = format!("SELECT count(*) FROM {}", stage.table);
    let copy = standby.copy_of(&stage.job.database);
    let mut beside = copy.connection();
    wait_for("the standby has it all", LIMIT, || replies(&mut beside, &rows) == 300);
    alter_system(&mut beside, "SET primary_conninfo = ''");
    wait_for("nobody follows the primary", LIMIT, || {
        says(&stage.job.database, "SELECT count(*) FROM pg_stat_replication", "0")
    });
    stage.let_a_page_out();
    stage.until_settled();
    assert_eq!(replies(&mut beside, &rows), 300);

    // It is made read-only and stays up, with all sessions.
    let mut old = stage.job.database.connection();
    alter_system(&mut old, "SET default_transaction_read_only = on");
    stage.let_a_page_out();
    stage.until_said(&["waiting for PostgreSQL", "25006"]);
    beside.batch_execute("SELECT pg_promote()").unwrap();
    wait_for("the new primary is written to", RESUMES_WITHIN, || {
        assert!(stage.daemon.is_running(), "{}", stage.daemon.tail());
        replies(&mut beside, &rows) > 300
    });

    // From here on all is asked of the new one.
    let _former = std::mem::replace(&mut stage.job.database, copy);
    stage.let_a_page_out();
    stage.until_settled();
    stage.nothing_is_lost();
    assert_eq!(
        replies(&mut old, &rows),
        400,
        "nothing was written to the old primary any more"
    );
    stage.no_restart_was_spent();
    stage.stop();
}
