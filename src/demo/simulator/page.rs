//! One page: people, envelope, format.

use chrono::{NaiveDate, Utc};
use uuid::Uuid;

use super::{
    Corrupt,
    csv::Csv,
    emit::{Sink, emit},
    json::Json,
    query::{Format, Query},
    rng::Rng,
    user::User,
    xml::Xml,
    yaml::Yaml,
};

/// A record's size, generously.
const RECORD_BYTES: usize = 1_280;

/// A page, ready to be sent.
pub(super) struct Page {
    pub body: String,
    pub content_type: &'static str,
    /// Who is on it, in order.
    pub uuids: Vec<Uuid>,
}

/// The ids that the pages of a seed hold, in order: what a faithful copy of them must hold too.
pub fn expected_uuids(seed: &str, pages: impl IntoIterator<Item = u64>, results: u64) -> Vec<Uuid> {
    let mut uuids = Vec::new();
    for page in pages {
        let query = Query {
            seed: seed.to_owned(),
            page,
            results,
            ..Query::parse("seed=any")
        };
        uuids.extend(people(&query, NaiveDate::default()).map(|user| user.uuid));
    }
    uuids
}

/// The people of a page.
fn people(query: &Query, today: NaiveDate) -> impl Iterator<Item = User> {
    let mut rng = Rng::new(&query.source());
    (0..query.results).map(move |_| User::draw(&mut rng, &query.nations, query.gender, today))
}

/// Makes a page. `version` is what the envelope says.
pub(super) fn page(query: &Query, version: &str, corrupt: Option<&Corrupt>) -> Page {
    let mut uuids = Vec::with_capacity(query.results as usize);
    let people = people(query, Utc::now().date_naive()).inspect(|user| uuids.push(user.uuid));
    let (body, content_type) = match query.format {
        Format::Json => (
            json(query, version, people, false, corrupt),
            "application/json; charset=utf-8",
        ),
        Format::Pretty => (
            json(query, version, people, true, corrupt),
            "application/json; charset=utf-8",
        ),
        Format::Csv => (csv(query, people), "text/csv; charset=utf-8"),
        Format::Yaml => (yaml(query, version, people), "text/x-yaml; charset=utf-8"),
        Format::Xml => (xml(query, version, people), "text/xml; charset=utf-8"),
    };
    Page {
        body,
        content_type,
        uuids,
    }
}

fn info(query: &Query, version: &str, sink: &mut impl Sink) {
    if query.info {
        sink.open("info");
        sink.text("seed", &query.seed);
        sink.number("results", query.results as i64);
        sink.number("page", query.page as i64);
        sink.text("version", version);
        sink.close();
    }
}

fn json(
    query: &Query,
    version: &str,
    people: impl Iterator<Item = User>,
    pretty: bool,
    corrupt: Option<&Corrupt>,
) -> String {
    let mut json = Json::new(pretty, query.results as usize * RECORD_BYTES + 200);
    json.begin(None, '{');
    json.begin(Some("results"), '[');
    for (index, user) in people.enumerate() {
        json.begin(None, '{');
        let start = json.text.len() - 1;
        emit(&user, &query.fields, &mut json);
        json.end('}');
        if let Some(spoilt) = corrupt.and_then(|corrupt| corrupt(query.page, index, &json.text[start..])) {
            json.text.truncate(start);
            json.text.push_str(&spoilt);
        }
    }
    json.end(']');
    info(query, version, &mut json);
    json.end('}');
    json.text
}

fn csv(query: &Query, people: impl Iterator<Item = User>) -> String {
    let mut csv = Csv::default();
    for user in people {
        emit(&user, &query.fields, &mut csv);
        csv.end_line();
    }
    csv.finish()
}

fn yaml(query: &Query, version: &str, people: impl Iterator<Item = User>) -> String {
    let mut yaml = Yaml::new();
    for user in people {
        yaml.begin_item();
        emit(&user, &query.fields, &mut yaml);
    }
    yaml.end_items(query.results);
    info(query, version, &mut yaml);
    yaml.text
}

fn xml(query: &Query, version: &str, people: impl Iterator<Item = User>) -> String {
    let mut xml = Xml::new();
    xml.open("user");
    for user in people {
        xml.open("results");
        emit(&user, &query.fields, &mut xml);
        xml.close();
    }
    info(query, version, &mut xml);
    xml.close();
    xml.text
}
