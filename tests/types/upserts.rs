use aqueduct::{config::settings::Table, sql::arrow::array::ArrayRef};

use crate::{
    arrays::list_of,
    load::{Branch, ints, loader, rows, settled, texts, upsert},
    values::EMPTY,
};

#[test]
fn a_value_that_postgresql_shows_differently_is_an_update_and_the_same_one_is_not() {
    let text = |value: &str| -> ArrayRef { texts([value]) };
    let list = |value: &str| list_of(&[Some(value), None]);
    let cases: Vec<(&str, ArrayRef, ArrayRef)> = vec![
        ("interval", text("P1M"), text("P30D")),
        ("interval[]", list("P1M"), list("P30D")),
        ("timetz", text("12:00+01"), text("11:00Z")),
        ("inet", text("10.0.0.1/8"), text("10.0.0.1/16")),
        ("cidr", text("10.0.0.0/8"), text("10.0.0.0/16")),
        ("time", text("12:00"), text("12:01")),
        ("mood", text("sad"), text("happy")),
        ("json", text("[1]"), text("[1.0]")),
        ("json[]", list("1"), list("2")),
        ("citext", text("Ann"), text("ANN")),
        ("citext[]", list("Ann"), list("ANN")),
        ("text[]", list("a"), list("b")),
        ("bytea[]", bytes("a"), bytes("b")),
    ];
    let mut branch = Branch::new("SELECT 1", &[]);
    for (type_name, old, new) in cases {
        branch.run(&format!(
            "{EMPTY}; CREATE EXTENSION IF NOT EXISTS citext; CREATE TYPE mood AS ENUM ('sad', 'happy'); \
             CREATE TABLE t (id bigint PRIMARY KEY, x {type_name})"
        ));
        let batch = |x: &ArrayRef| rows(vec![("id", ints([1])), ("x", x.clone())]);
        branch.loader = loader(&[(upsert("t", &["id"]), batch(&old).schema())]);
        let mut write = |x| settled(branch.write(1, vec![batch(x)])).1[0];
        assert_eq!(write(&old).inserted, 1, "{type_name}");
        assert_eq!(write(&old).unchanged, 1, "{type_name}");
        assert_eq!(write(&new).updated, 1, "{type_name}");
        assert_eq!(write(&new).unchanged, 1, "{type_name}");
    }
}

fn bytes(text: &str) -> ArrayRef {
    use aqueduct::sql::arrow::{
        compute::cast,
        datatypes::{DataType, Field},
    };
    let item = Field::new_list_field(DataType::Binary, true);
    cast(&list_of(&[Some(text)]), &DataType::List(item.into())).unwrap()
}

#[test]
fn the_newer_version_is_the_same_one_to_the_client_and_to_postgresql() {
    // In ascending order, as PostgreSQL orders them; where a text would be ordered otherwise.
    let cases: [(&str, &[&str]); 5] = [
        (
            "interval",
            &[
                "-1 day",
                "2 hours",
                "10 hours",
                "9 days",
                "1 mon",
                "1 mon 00:00:01",
                "P1Y",
            ],
        ),
        (
            "inet",
            &[
                "9.0.0.0/8",
                "10.0.0.0/8",
                "10.0.0.1/8",
                "10.0.0.0/16",
                "10.0.0.5",
                "::1",
            ],
        ),
        ("cidr", &["9.0.0.0/8", "10.0.0.0/8", "10.0.0.0/16", "::/0"]),
        ("time", &["00:00", "00:00:00.000001", "24:00"]),
        ("timetz", &["10:00+02", "09:00+00", "13:00+03", "08:00-02"]),
    ];
    let mut branch = Branch::new("SELECT 1", &[]);
    for (type_name, values) in cases {
        branch.run(&format!(
            "{EMPTY}; CREATE TABLE t (id bigint PRIMARY KEY, x {type_name})"
        ));
        let batch = |xs: &[&str]| rows(vec![("id", ints(vec![1; xs.len()])), ("x", texts(xs))]);
        let table = Table {
            order_by: Some("x".into()),
            ..upsert("t", &["id"])
        };
        branch.loader = loader(&[(table, batch(&[""]).schema())]);
        for pair in values.windows(2) {
            let is_less = format!("SELECT '{}'::{type_name} < '{}'::{type_name}", pair[0], pair[1]);
            assert_eq!(branch.ask(&is_less).as_deref(), Some("true"), "{type_name} {pair:?}");
            let newer = |branch: &mut Branch| {
                let same = format!("SELECT x = '{}'::{type_name} FROM t", pair[1]);
                assert_eq!(branch.ask(&same).as_deref(), Some("true"), "{type_name} {pair:?}");
            };
            // Within a batch the client decides, between two PostgreSQL does.
            branch.run("TRUNCATE t");
            settled(branch.write(2, vec![batch(&[pair[1], pair[0]])]));
            newer(&mut branch);
            branch.run("TRUNCATE t");
            settled(branch.write(1, vec![batch(&[pair[1]])]));
            settled(branch.write(1, vec![batch(&[pair[0]])]));
            newer(&mut branch);
        }
    }
}
