//! The main job: records of the Random User API, as DESIGN section 14 has them.

use crate::support::*;

pub const SCHEMA: &str = "
    gender STRING,
    name STRUCT<title: STRING, first: STRING, last: STRING>,
    location STRUCT<street: STRUCT<number: INT, name: STRING>, city: STRING, state: STRING, country: STRING, postcode: STRING,
        coordinates: STRUCT<latitude: STRING, longitude: STRING>, timezone: STRUCT<offset: STRING, description: STRING>>,
    email STRING,
    login STRUCT<uuid: STRING NOT NULL, username: STRING, password: STRING, salt: STRING, md5: STRING, sha1: STRING, sha256: STRING>
        NOT NULL COMMENT 'the uuid is the key',
    dob STRUCT<date: TIMESTAMP, age: INT>,
    registered STRUCT<date: STRING, age: INT>,
    phone STRING, cell STRING,
    id STRUCT<name: STRING, value: STRING>,
    picture STRUCT<large: STRING, medium: STRING, thumbnail: STRING>,
    nat STRING";

pub const QUERY: &str = "SELECT login.uuid AS uuid, gender, name.title AS title, name.first AS first_name, name.last AS last_name,
    location.street.number AS street_number, location.street.name AS street, location.city AS city, location.country AS country,
    location.postcode AS postcode, CAST(location.coordinates.latitude AS DOUBLE) AS latitude,
    CAST(location.coordinates.longitude AS DOUBLE) AS longitude, email, login.username AS username, dob.date AS born, dob.age AS age,
    CAST(registered.date AS TIMESTAMP) AS registered, phone, NULLIF(id.value, '') AS identity, nat
    FROM records";

/// About 1,080 bytes, like the real ones.
pub fn user(n: u64) -> String {
    let postcode = if n.is_multiple_of(3) {
        "\"SW1A 1AA\"".to_owned()
    } else {
        format!("{}", 10_000 + n % 90_000)
    };
    let (name, id) = if n.is_multiple_of(5) {
        ("", "null".to_owned())
    } else {
        ("INSEE", format!("\"2NNaN{n:012} 14\""))
    };
    let sha = format!("{n:064x}");
    format!(
        r#"{{"gender":"{gender}","name":{{"title":"Mademoiselle","first":"Élodie {n}","last":"O'Connor "}},"location":{{"street":{{"number":{street},"name":"Rue de L'Abbé-de-L'Épée"}},"city":"Würenlingen","state":"Basel-Landschaft","country":"Switzerland","postcode":{postcode},"coordinates":{{"latitude":"{lat}.5711","longitude":"-{lon}.1234"}},"timezone":{{"offset":"+9:30","description":"Adelaide, Darwin"}}}},"email":"elodie.{n}@example.com","login":{{"uuid":"{n:08x}-23f7-48ba-8e6d-a9b2b47e0b5e","username":"silverswan{n}","password":"jackass1","salt":"TzL8cBBn","md5":"{md5}","sha1":"{sha1}","sha256":"{sha}"}},"dob":{{"date":"19{y:02}-12-31T20:12:33.{ms:03}Z","age":{age}}},"registered":{{"date":"2015-05-26T10:04:{s:02}.345Z","age":9}},"phone":"076 123 45 67","cell":"078 765 43 21","id":{{"name":"{name}","value":{id}}},"picture":{{"large":"https://randomuser.me/api/portraits/women/{p}.jpg","medium":"https://randomuser.me/api/portraits/med/women/{p}.jpg","thumbnail":"https://randomuser.me/api/portraits/thumb/women/{p}.jpg"}},"nat":"CH"}}"#,
        gender = if n.is_multiple_of(2) { "female" } else { "male" },
        street = n % 10_000,
        lat = n % 90,
        lon = n % 180,
        md5 = &sha[32..],
        sha1 = &sha[24..],
        y = 40 + n % 60,
        ms = n % 1000,
        age = 20 + n % 60,
        s = n % 60,
        p = n % 99,
    )
}

fn expected(n: u64) -> String {
    let postcode = if n.is_multiple_of(3) {
        "SW1A 1AA".to_owned()
    } else {
        (10_000 + n % 90_000).to_string()
    };
    let identity = if n.is_multiple_of(5) {
        "~".to_owned()
    } else {
        format!("2NNaN{n:012} 14")
    };
    let millis = match n % 1000 {
        0 => String::new(),
        ms => format!(".{ms:03}"),
    };
    format!(
        "{n:08x}-23f7-48ba-8e6d-a9b2b47e0b5e|{gender}|Mademoiselle|Élodie {n}|O'Connor |{street}|Rue de L'Abbé-de-L'Épée|Würenlingen|\
         Switzerland|{postcode}|{lat}.5711|-{lon}.1234|elodie.{n}@example.com|silverswan{n}|19{y:02}-12-31T20:12:33{millis}Z|{age}|\
         2015-05-26T10:04:{s:02}.345|076 123 45 67|{identity}|CH",
        gender = if n.is_multiple_of(2) { "female" } else { "male" },
        street = n % 10_000,
        lat = n % 90,
        lon = n % 180,
        y = 40 + n % 60,
        age = 20 + n % 60,
        s = n % 60,
    )
}

#[tokio::test]
async fn every_field_of_a_user_arrives() {
    let mut engine = engine(SCHEMA, QUERY);
    let values: Vec<_> = (0..2000).map(user).collect();
    let transformed = run(&mut engine, &values).await;
    assert!(transformed.failures.is_empty(), "{:?}", transformed.failures.first());
    let rows = rows(&transformed.tables[0]);
    for n in 0..2000 {
        assert_eq!(rows[n as usize], expected(n));
    }
}

#[tokio::test]
async fn one_engine_gives_the_right_rows_over_fifty_batches() {
    let queries = [
        QUERY,
        "SELECT login.uuid AS uuid, CASE WHEN dob.age >= 65 THEN 'old' WHEN dob.age < 30 THEN 'young' ELSE 'grown' END AS ages
            FROM records WHERE gender = 'female' AND location.street.number % 3 = 0",
        "SELECT login.uuid AS uuid, unnest(make_array(phone, cell)) AS number, now() AS loaded FROM records WHERE dob.age > 40",
    ];
    let program = compile(SCHEMA, &queries);
    let mut engine = program.engine().unwrap();
    for batch in 0..50_u64 {
        let numbers: Vec<_> = (batch * 100..batch * 100 + 1 + batch * 7 % 90).collect();
        let values: Vec<_> = numbers.iter().map(|n| user(*n)).collect();
        let transformed = run(&mut engine, &values).await;
        assert!(transformed.failures.is_empty());
        let all: Vec<_> = numbers.iter().map(|n| expected(*n)).collect();
        assert_eq!(rows(&transformed.tables[0]), all);
        let ages = |n: u64| match 20 + n % 60 {
            65.. => "old",
            ..30 => "young",
            _ => "grown",
        };
        let chosen = numbers
            .iter()
            .filter(|n| n.is_multiple_of(2) && (*n % 10_000).is_multiple_of(3));
        let chosen: Vec<_> = chosen
            .map(|n| format!("{n:08x}-23f7-48ba-8e6d-a9b2b47e0b5e|{}", ages(*n)))
            .collect();
        assert_eq!(rows(&transformed.tables[1]), chosen);
        let grown: Vec<_> = (0_u32..)
            .zip(&numbers)
            .filter(|(_, n)| 20 + *n % 60 > 40)
            .map(|(index, _)| index)
            .collect();
        assert_eq!(
            lineage(&transformed.tables[2]),
            grown.iter().flat_map(|i| [(*i, 0), (*i, 1)]).collect::<Vec<_>>()
        );
    }
}

#[tokio::test]
async fn how_records_are_cut_into_batches_does_not_show_in_the_rows() {
    let program = compile(
        SCHEMA,
        &[
            QUERY,
            "SELECT login.uuid AS u, unnest(string_to_array(name.first, ' ')) AS part FROM records WHERE dob.age > 50",
        ],
    );
    let mut values: Vec<_> = (0..1000).map(user).collect();
    values[13] = "{".to_owned();
    values[700] = values[700].replace("\"latitude\":\"", "\"latitude\":\"north ");
    let mut seen: Vec<(Vec<String>, Vec<String>, usize)> = Vec::new();
    for size in [1, 7, 1000] {
        let mut engine = program.engine().unwrap();
        let (mut first, mut second, mut failed) = (Vec::new(), Vec::new(), 0);
        for batch in values.chunks(size) {
            let transformed = run(&mut engine, batch).await;
            first.extend(rows(&transformed.tables[0]));
            second.extend(rows(&transformed.tables[1]));
            failed += transformed.failures.len();
        }
        seen.push((first, second, failed));
    }
    assert_eq!((seen[0].0.len(), seen[0].2), (998, 2));
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0], seen[2]);
}
