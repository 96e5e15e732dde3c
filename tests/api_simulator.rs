//! The simulated Random User API has the properties of the real one.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the line that did")]

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
    time::Duration,
};

use aqueduct::demo::simulator::{Options, Simulator, expected_uuids, serve};
use md5::Md5;
use reqwest::{Client, Response, StatusCode};
use serde_json::Value;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

fn start() -> Simulator {
    Simulator::start(Options::default()).expect("a simulator")
}

thread_local! {
    /// One for each test: making a client reads all certificates of the system.
    static CLIENT: Client = Client::builder().no_proxy().build().expect("a client");
}

fn client() -> Client {
    CLIENT.with(Client::clone)
}

async fn get(simulator: &Simulator, path_and_query: &str) -> Response {
    let url = format!("http://{}{path_and_query}", simulator.addr);
    client().get(url).send().await.expect("an answer")
}

async fn text(simulator: &Simulator, query: &str) -> String {
    let response = get(simulator, &format!("/api/?{query}")).await;
    assert_eq!(response.status(), StatusCode::OK, "{query}");
    response.text().await.expect("a body")
}

async fn page(simulator: &Simulator, query: &str) -> Value {
    serde_json::from_str(&text(simulator, query).await).expect("JSON")
}

async fn people(simulator: &Simulator, query: &str) -> Vec<Value> {
    page(simulator, query).await["results"]
        .as_array()
        .expect("an array")
        .clone()
}

/// The names of all fields in the order of the text, groups flattened.
fn order_of_fields(text: &str) -> Vec<String> {
    let record = &text[text.find("[{").expect("a record") + 1..text.rfind("],\"info\"").expect("an envelope")];
    let mut names = Vec::new();
    for (at, _) in record.match_indices("\":") {
        let start = record[..at].rfind('"').expect("a quote");
        names.push(record[start + 1..at].to_owned());
    }
    names
}

#[tokio::test]
async fn a_page_has_an_envelope_and_records_with_their_fields_in_order() {
    let simulator = start();
    let page = page(&simulator, "seed=abc&results=3&page=2").await;
    assert_eq!(
        page["info"],
        serde_json::json!({"seed": "abc", "results": 3, "page": 2, "version": "1.4"})
    );
    assert_eq!(page["results"].as_array().map(Vec::len), Some(3));
    let text = text(&simulator, "seed=abc").await;
    assert!(text.starts_with("{\"results\":[{\"gender\":"));
    assert_eq!(
        order_of_fields(&text).join(" "),
        "gender name title first last location street number name city state country postcode coordinates latitude \
         longitude timezone offset description email login uuid username password salt md5 sha1 sha256 dob date age \
         registered date age phone cell id name value picture large medium thumbnail nat"
    );
}

#[tokio::test]
async fn a_record_has_about_the_real_size() {
    let simulator = start();
    let size = text(&simulator, "seed=abc&results=1000&noinfo").await.len() / 1_000;
    assert!((1_000..1_160).contains(&size), "{size} bytes");
}

#[tokio::test]
async fn what_is_text_and_what_is_a_number_is_as_on_the_real_server() {
    let simulator = start();
    let people = people(&simulator, "seed=types&results=2000").await;
    for person in &people {
        let nat = person["nat"].as_str().expect("a text");
        assert_eq!(
            person["location"]["postcode"].is_string(),
            ["GB", "CA", "NO"].contains(&nat),
            "{nat}"
        );
        assert!(person["location"]["postcode"].is_string() || person["location"]["postcode"].is_u64());
        for coordinate in ["latitude", "longitude"] {
            let text = person["location"]["coordinates"][coordinate].as_str().expect("a text");
            assert!(
                text.parse::<f64>().is_ok_and(|degrees| degrees.abs() <= 180.0),
                "{text}"
            );
        }
        assert!(person["location"]["street"]["number"].is_u64());
        let without_id = ["IR", "NZ", "TR", "UA"].contains(&nat);
        assert_eq!(person["id"]["value"].is_null(), without_id, "{nat}");
        assert_eq!(person["id"]["name"] == "", without_id, "{nat}");
        for moment in ["dob", "registered"] {
            let date = person[moment]["date"].as_str().expect("a text");
            assert!(date.len() == 24 && date.ends_with('Z') && chrono::DateTime::parse_from_rfc3339(date).is_ok());
            let years = chrono::Utc::now()
                .date_naive()
                .years_since(chrono::DateTime::parse_from_rfc3339(date).expect("a date").date_naive());
            assert_eq!(person[moment]["age"].as_u64(), years.map(u64::from), "{date}");
        }
    }
    let mut texts = people.iter().map(Value::to_string);
    assert!(texts.all(|text| text.matches("null").count() == text.matches("\"value\":null").count()));
    let no_id = people.iter().filter(|person| person["id"]["value"].is_null()).count();
    assert!((300..460).contains(&no_id), "{no_id} of 2,000 have no id");
    let nats: BTreeSet<&str> = people.iter().filter_map(|person| person["nat"].as_str()).collect();
    assert_eq!(nats.len(), 21);
}

#[tokio::test]
async fn passwords_are_really_hashed_with_their_salt() {
    let simulator = start();
    for person in people(&simulator, "seed=hash&results=20").await {
        let login = |name: &str| person["login"][name].as_str().expect("a text").to_owned();
        let salted = login("password") + &login("salt");
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(login("md5"), hex(&Md5::digest(&salted)));
        assert_eq!(login("sha1"), hex(&Sha1::digest(&salted)));
        assert_eq!(login("sha256"), hex(&Sha256::digest(&salted)));
    }
}

#[tokio::test]
async fn ids_never_repeat_over_pages_seeds_and_filters_while_names_do() {
    let simulator = start();
    let (mut uuids, mut emails, mut usernames) = (HashSet::new(), HashSet::new(), HashSet::new());
    let mut number = 0;
    for query in [
        "seed=a&page=1",
        "seed=a&page=2",
        "seed=b&page=1",
        "seed=a&nat=fr",
        "seed=a&nat=de",
        "",
        "",
    ] {
        for person in people(&simulator, &format!("{query}&results=600")).await {
            let uuid = person["login"]["uuid"].as_str().expect("a text").to_owned();
            let parsed: uuid::Uuid = uuid.parse().expect("an id");
            assert_eq!(
                (parsed.get_version_num(), parsed.get_variant()),
                (4, uuid::Variant::RFC4122)
            );
            assert!(uuids.insert(uuid), "{query}");
            emails.insert(person["email"].to_string());
            usernames.insert(person["login"]["username"].to_string());
            number += 1;
        }
    }
    assert_eq!(uuids.len(), number);
    assert!(emails.len() < number && usernames.len() < number);
}

#[tokio::test]
async fn names_come_in_their_own_scripts_and_hold_what_breaks_programs() {
    let simulator = start();
    let text = text(&simulator, "seed=scripts&results=3000").await;
    for script in ['а'..='я', 'ا'..='ی', 'à'..='ÿ'] {
        assert!(text.chars().any(|c| script.contains(&c)), "{script:?}");
    }
    assert!(text.contains(" \",") && text.contains('\''));
    let page: Value = serde_json::from_str(&text).expect("JSON");
    let emails = page["results"]
        .as_array()
        .expect("an array")
        .iter()
        .filter_map(|person| person["email"].as_str());
    for email in emails {
        let local = email.strip_suffix("@example.com").expect("the domain");
        assert!(
            local.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'.'),
            "{email}"
        );
    }
}

#[tokio::test]
async fn seed_page_and_query_determine_the_records() {
    let (one, other) = (start(), start());
    let query = "seed=abc&page=3&results=50";
    assert_eq!(text(&one, query).await, text(&other, query).await);
    let people_of = async |query: &str| people(&one, query).await;
    assert_eq!(
        people_of("seed=abc&results=50").await[..7],
        people_of("seed=abc&results=7").await
    );
    assert_eq!(
        people_of("seed=abc&page=2&results=5").await,
        people_of("seed=abc2&page=1&results=5").await
    );
    assert_ne!(
        people_of("seed=abc&results=5").await,
        people_of("seed=abd&results=5").await
    );
    assert_ne!(
        people_of("seed=abc&results=5").await,
        people_of("seed=abc&page=2&results=5").await
    );
    assert_ne!(people_of("results=5").await, people_of("results=5").await);
    assert_ne!(
        page(&one, "").await["info"]["seed"],
        page(&one, "").await["info"]["seed"]
    );
}

#[tokio::test]
async fn a_page_equals_what_expected_uuids_says() {
    let simulator = Simulator::start(Options {
        remember: true,
        ..Options::default()
    })
    .expect("a simulator");
    let mut seen: Vec<uuid::Uuid> = Vec::new();
    for page in 1..=3 {
        for person in people(&simulator, &format!("seed=abc&page={page}&results=40")).await {
            seen.push(
                person["login"]["uuid"]
                    .as_str()
                    .expect("a text")
                    .parse()
                    .expect("an id"),
            );
        }
    }
    assert_eq!(seen, expected_uuids("abc", 1..=3, 40));
    assert_eq!(simulator.served_uuids(), seen);
    assert_eq!(simulator.num_requests(), 3);
    let served: Vec<_> = simulator.served().into_iter().collect();
    assert_eq!(
        served,
        (1..=3).map(|page| (("abc".to_owned(), page), 40)).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn senseless_results_and_pages_fall_back_without_an_error() {
    let simulator = start();
    for results in ["0", "-1", "5001", "1.5", "many", "", "99999999999999999999"] {
        let page = page(&simulator, &format!("seed=abc&results={results}")).await;
        assert_eq!(
            (page["results"].as_array().map(Vec::len), &page["info"]["results"]),
            (Some(1), &Value::from(1))
        );
    }
    for number in ["0", "-1", "10001", "2.5", "last"] {
        assert_eq!(
            page(&simulator, &format!("seed=abc&page={number}")).await["info"]["page"],
            1,
            "{number}"
        );
    }
    assert_eq!(
        text(&simulator, "seed=abc&results=5000")
            .await
            .matches("{\"gender\":")
            .count(),
        5_000
    );
    assert_eq!(page(&simulator, "seed=abc&page=10000").await["info"]["page"], 10_000);
}

#[tokio::test]
async fn people_can_be_filtered() {
    let simulator = start();
    let nats = |people: &[Value]| {
        people
            .iter()
            .map(|person| person["nat"].to_string())
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(
        nats(&people(&simulator, "nat=fr,DE&results=100").await)
            .into_iter()
            .collect::<Vec<_>>(),
        ["\"DE\"", "\"FR\""]
    );
    assert_eq!(nats(&people(&simulator, "nat=xx&results=1000").await).len(), 21);
    for gender in ["female", "male"] {
        let people = people(&simulator, &format!("gender={gender}&results=100")).await;
        assert!(people.iter().all(|person| person["gender"] == gender));
    }
    let seeded = people(&simulator, "seed=abc&gender=female&results=100").await;
    assert_eq!(seeded, people(&simulator, "seed=abc&results=100").await);
}

#[tokio::test]
async fn fields_can_be_chosen_and_the_envelope_left_out() {
    let simulator = start();
    let names = async |query: &str| {
        let person = people(&simulator, query).await.remove(0);
        let mut names: Vec<String> = person.as_object().expect("an object").keys().cloned().collect();
        names.sort();
        names.join(" ")
    };
    assert_eq!(names("inc=nat,login,gender,nothing").await, "gender login nat");
    assert_eq!(
        names("exc=login,Location,picture").await,
        "cell dob email gender id name nat phone registered"
    );
    assert_eq!(names("inc=name,nat&exc=nat").await, "name");
    let chosen = people(&simulator, "seed=abc&inc=login").await;
    assert_eq!(chosen[0]["login"], people(&simulator, "seed=abc").await[0]["login"]);
    assert_eq!(page(&simulator, "noinfo").await.get("info"), None);
}

#[tokio::test]
async fn every_format_has_the_same_people() {
    let simulator = start();
    let query = "seed=abc&results=30";
    let people = people(&simulator, query).await;
    let content_type = async |format: &str| {
        let response = get(&simulator, &format!("/api/?{query}&format={format}")).await;
        response.headers()["content-type"].to_str().expect("text").to_owned()
    };
    assert_eq!(content_type("json").await, "application/json; charset=utf-8");
    assert_eq!(content_type("csv").await, "text/csv; charset=utf-8");
    assert_eq!(content_type("nonsense").await, "application/json; charset=utf-8");

    let pretty = text(&simulator, &format!("{query}&format=pretty")).await;
    assert!(pretty.starts_with("{\n  \"results\": [\n    {\n      \"gender\": "));
    assert_eq!(
        serde_json::from_str::<Value>(&pretty).expect("JSON")["results"],
        Value::from(people.clone())
    );

    let csv = text(&simulator, &format!("{query}&format=csv")).await;
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 31);
    assert!(lines[0].starts_with("gender,name.title,name.first,name.last,location.street.number,location.street.name"));
    let yaml = text(&simulator, &format!("{query}&format=yaml")).await;
    assert!(yaml.starts_with("results:\n  - gender: \"") && yaml.contains("\ninfo:\n  seed: \"abc\"\n"));
    let xml = text(&simulator, &format!("{query}&format=xml")).await;
    assert!(xml.starts_with("<?xml") && xml.ends_with("<version>1.4</version></info></user>"));
    assert_eq!(
        (yaml.matches("\n  - ").count(), xml.matches("<results><gender>").count()),
        (30, 30)
    );
    for person in &people {
        let uuid = person["login"]["uuid"].as_str().expect("a text");
        assert!(csv.contains(uuid) && yaml.contains(uuid) && xml.contains(uuid));
    }
}

#[actix::test]
async fn only_known_places_and_get_are_answered() {
    let simulator = start();
    for path in ["/api/", "/api", "/api/1.0/", "/api/1.3/", "/api/1.4/", "/api/1.4"] {
        assert_eq!(get(&simulator, path).await.status(), StatusCode::OK, "{path}");
    }
    for path in ["/", "/api/1.5/", "/api/2/", "/api/1.4/x", "/users"] {
        let response = get(&simulator, path).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
        assert_eq!(response.text().await.expect("a body"), "Not Found");
    }
    let posted = client().post(simulator.url()).send().await.expect("an answer");
    assert_eq!(posted.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn answers_are_chunked_and_have_a_weak_etag() {
    let simulator = start();
    let response = get(&simulator, "/api/?seed=abc&results=5").await;
    let headers = response.headers();
    assert_eq!(headers["cache-control"], "no-cache");
    assert_eq!(headers["transfer-encoding"], "chunked");
    let etag = headers["etag"].clone();
    assert!(etag.to_str().expect("text").starts_with("W/\""));
    let ask = async |etag: &str| {
        let url = format!("{}?seed=abc&results=5", simulator.url());
        client()
            .get(url)
            .header("if-none-match", etag)
            .send()
            .await
            .expect("an answer")
    };
    let unchanged = ask(etag.to_str().expect("text")).await;
    assert_eq!(unchanged.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(unchanged.text().await.expect("a body"), "");
    assert_eq!(ask("W/\"other\"").await.status(), StatusCode::OK);
    assert_ne!(
        get(&simulator, "/api/?seed=abd&results=5").await.headers()["etag"],
        etag
    );
}

#[tokio::test]
async fn answers_are_compressed_for_those_who_ask() {
    let simulator = start();
    let plain = Client::builder().no_proxy().no_gzip().build().expect("a client");
    let url = format!("{}?seed=abc&results=200", simulator.url());
    let packed = plain
        .get(&url)
        .header("accept-encoding", "gzip")
        .send()
        .await
        .expect("an answer");
    assert_eq!(packed.headers()["content-encoding"], "gzip");
    let packed = packed.bytes().await.expect("a body");
    let unpacked = plain
        .get(&url)
        .send()
        .await
        .expect("an answer")
        .bytes()
        .await
        .expect("a body");
    assert!(packed.len() * 2 < unpacked.len() && packed.starts_with(&[0x1f, 0x8b]));
    assert_eq!(
        client()
            .get(&url)
            .send()
            .await
            .expect("an answer")
            .bytes()
            .await
            .expect("a body"),
        unpacked
    );
}

#[tokio::test]
async fn a_greedy_client_is_refused_without_retry_after_if_so_wished() {
    let simulator = Simulator::start(Options {
        rate_limit: true,
        ..Options::default()
    })
    .expect("a simulator");
    for page in 1..=4 {
        assert_eq!(
            get(&simulator, &format!("/api/?results=5000&inc=nat&page={page}"))
                .await
                .status(),
            StatusCode::OK
        );
    }
    let refused = get(&simulator, "/api/").await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.headers().get("retry-after"), None);
    let body: Value = serde_json::from_str(&refused.text().await.expect("a body")).expect("JSON");
    let says = body["error"].as_str().expect("a text");
    assert!(says.starts_with("Whoa, ease up there cowboy. You've requested 20000 users in the last minute."));
}

#[tokio::test]
async fn outages_come_and_go_and_every_nth_request_fails() {
    let options = Options {
        fail_every: Some(3),
        fail_status: 502,
        ..Options::default()
    };
    let simulator = Simulator::start(options).expect("a simulator");
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(get(&simulator, "/api/").await.status().as_u16());
    }
    assert_eq!(statuses, [200, 200, 502, 200, 200, 502]);
    simulator.set_outage(true);
    let failed = get(&simulator, "/api/").await;
    assert_eq!(failed.status(), StatusCode::BAD_GATEWAY);
    assert!(
        failed
            .text()
            .await
            .expect("a body")
            .starts_with("{\"error\":\"Uh oh, something has gone wrong.")
    );
    simulator.set_outage(false);
    assert_eq!(get(&simulator, "/api/").await.status(), StatusCode::OK);
    assert_eq!(simulator.num_requests(), 8);
}

#[tokio::test]
async fn records_can_be_spoilt_and_pages_can_run_out() {
    let options = Options {
        corrupt: Some(Arc::new(|page, index, record| {
            assert!(record.starts_with("{\"gender\":") && record.ends_with('}'));
            (page == 2 && index == 1).then(|| "42".to_owned())
        })),
        last_page: Some(2),
        ..Options::default()
    };
    let simulator = Simulator::start(options).expect("a simulator");
    assert!(
        people(&simulator, "seed=a&results=3")
            .await
            .iter()
            .all(Value::is_object)
    );
    let spoilt = people(&simulator, "seed=a&results=3&page=2").await;
    assert_eq!(
        (spoilt[0].is_object(), &spoilt[1], spoilt[2].is_object()),
        (true, &Value::from(42), true)
    );
    assert_eq!(people(&simulator, "seed=a&results=3&page=3").await, Vec::<Value>::new());
}

#[test]
fn it_runs_without_a_runtime_and_its_port_is_free_again_after_the_drop() {
    let simulator = start();
    let addr = simulator.addr;
    assert!(std::net::TcpStream::connect(addr).is_ok());
    assert!(
        Simulator::start(Options {
            listen: addr,
            ..Options::default()
        })
        .is_err()
    );
    drop(simulator);
    drop(
        Simulator::start(Options {
            listen: addr,
            ..Options::default()
        })
        .expect("the port is free"),
    );
}

#[tokio::test]
async fn it_can_be_served_as_a_future_until_it_is_told_to_stop() {
    let (stop, (tell, told)) = (CancellationToken::new(), tokio::sync::oneshot::channel());
    let serving = serve(Options::default(), stop.clone(), move |addr| {
        tell.send(addr).expect("a listener")
    });
    let asking = async {
        let addr = told.await.expect("an address");
        let answer = client()
            .get(format!("http://{addr}/api/"))
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK);
        stop.cancel();
    };
    let (served, ()) = tokio::time::timeout(Duration::from_secs(20), async { tokio::join!(serving, asking) })
        .await
        .expect("it stops");
    served.expect("no error");
}
