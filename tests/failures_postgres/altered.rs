//! The table is altered while the daemon runs: what fits goes on, what does not pauses the pipeline with the reason, and it
//! goes on by itself when the table fits again.

use crate::{
    load::{Branch, id_and_name, people, settled, upsert},
    postgres::TestDatabase,
    stage::Stage,
};

#[test]
fn a_table_that_is_altered_while_running_is_taken_up_or_pauses_with_the_reason_until_it_fits_again() {
    let ddl = "CREATE TABLE THE_TABLE (uuid uuid, age smallint, nat text)";
    let sql = "SELECT login.uuid AS uuid, dob.age AS age, nat, email FROM records";
    let change = |pipeline: &mut crate::job::PipelineText| pipeline.sql = sql.into();
    let mut stage = Stage::start("altered", TestDatabase::empty(), ddl, change, |text| text);
    let table = stage.table.clone();
    let alter = |what: &str| format!("ALTER TABLE {table} {what}");

    // A column that the query has and the table has not, until it is added.
    stage.let_a_page_out();
    stage.until_parked("email");
    stage.job.database.execute(&alter("ADD email text"));
    stage.until_settled();
    assert_eq!(stage.job.count(&format!("SELECT count(email) FROM {table}")), 100);

    // What fits is taken up without a pause.
    let log = stage.daemon.log().len();
    for change in [
        "ALTER age TYPE bigint",
        "ALTER email TYPE varchar(200), ADD note text DEFAULT 'new'",
        "ALTER nat SET NOT NULL, ADD must_have text NOT NULL DEFAULT 'x'",
        "ALTER age TYPE numeric, ADD CHECK (age >= 0)",
    ] {
        stage.job.database.execute(&alter(change));
        stage.let_a_page_out();
        stage.until_settled();
    }
    assert!(!stage.daemon.log()[log..].contains("parked"), "{}", stage.daemon.tail());
    assert_eq!(
        stage.job.count(&format!(
            "SELECT count(*) FROM {table} WHERE must_have = 'x' AND note = 'new'"
        )),
        500
    );

    // What does not fit any more pauses, with the reason, until it fits again.
    for (spoil, reason, mend) in [
        (
            "ALTER must_have DROP DEFAULT",
            "must_have",
            "ALTER must_have SET DEFAULT 'y'",
        ),
        ("DROP email", "email", "ADD email text"),
        ("RENAME TO away", "the table does not exist", ""),
    ] {
        stage.job.database.execute(&alter(spoil));
        stage.let_a_page_out();
        stage.until_parked(reason);
        stage.no_letters();
        let mend = if mend.is_empty() {
            format!("ALTER TABLE away RENAME TO {table}")
        } else {
            alter(mend)
        };
        stage.job.database.execute(&mend);
        stage.until_settled();
    }
    assert_eq!(
        stage
            .job
            .count(&format!("SELECT count(*) FROM {table} WHERE must_have = 'y'")),
        300
    );
    stage.nothing_is_lost();
    assert_eq!(stage.load_branch()["state"], "running");
    stage.stop();
}

#[test]
fn an_upsert_whose_unique_index_is_dropped_writes_no_second_version_and_goes_on_when_it_is_back() {
    for way in ["new keys", "known keys"] {
        let table = [(upsert("t", &["id"]), id_and_name())];
        let mut branch = Branch::new("CREATE TABLE t (id bigint PRIMARY KEY, name text)", &table);
        let (first, second) = (people([(1, "a")]), people([(1, "b"), (2, "b")]));
        settled(branch.write(1, vec![first.clone()]));
        if way == "known keys" {
            settled(branch.write(1, vec![people([(1, "a2")])]));
        }
        branch.run("ALTER TABLE t DROP CONSTRAINT t_pkey");
        let error = branch.write(2, vec![second.clone()]).unwrap_err();
        assert!(error.to_string().contains("no unique index"), "{way}: {error}");
        assert_eq!(branch.ask("SELECT count(*) FROM t").as_deref(), Some("1"), "{way}");
        branch.run("ALTER TABLE t ADD PRIMARY KEY (id)");
        let (counts, _, dead) = settled(branch.write(2, vec![second]));
        assert_eq!((counts.applied, dead.len()), (2, 0), "{way}");
        assert_eq!(
            branch.ask("SELECT string_agg(name, ',' ORDER BY id) FROM t").as_deref(),
            Some("b,b"),
            "{way}"
        );
    }
}
