//! What a request asks for. Whatever makes no sense falls back to a default, with status 200, as on the real server.

use url::form_urlencoded;

use super::{
    emit::Fields,
    nations::{NATIONS, Nation},
};

const MAX_RESULTS: u64 = 5_000;
const MAX_PAGE: u64 = 10_000;

/// `format`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Pretty,
    Csv,
    Yaml,
    Xml,
}

/// `gender`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gender {
    Female,
    Male,
}

/// A request, understood.
pub(super) struct Query {
    pub seed: String,
    pub page: u64,
    pub results: u64,
    pub gender: Option<Gender>,
    pub nations: Vec<&'static Nation>,
    pub fields: Fields,
    pub info: bool,
    pub format: Format,
}

impl Query {
    /// Reads a query string.
    pub(super) fn parse(text: &str) -> Self {
        let mut query = Self {
            seed: String::new(),
            page: 1,
            results: 1,
            gender: None,
            nations: Vec::new(),
            fields: Fields::all(),
            info: true,
            format: Format::Json,
        };
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            match &*name {
                "seed" => query.seed = value.into_owned(),
                "page" => query.page = within(&value, MAX_PAGE),
                "results" => query.results = within(&value, MAX_RESULTS),
                "gender" => {
                    query.gender = match &*value.to_lowercase() {
                        "female" => Some(Gender::Female),
                        "male" => Some(Gender::Male),
                        _ => None,
                    }
                }
                "nat" => query.nations = nations(&value),
                "inc" => query.fields.include(value.split(',')),
                "exc" => query.fields.exclude(value.split(',')),
                "noinfo" => query.info = false,
                "format" => query.format = format(&value),
                _ => {}
            }
        }
        if query.seed.is_empty() {
            query.seed = format!("{:016x}", rand::random::<u64>());
        } else {
            query.gender = None;
        }
        query
    }

    /// The text that determines the people. The page's number is appended to the seed, so `abc` page 2 = `abc2` page 1.
    pub(super) fn source(&self) -> String {
        let page = if self.page == 1 {
            String::new()
        } else {
            self.page.to_string()
        };
        let mut source = format!("{}{page}", self.seed);
        for nation in &self.nations {
            source.push('\n');
            source.push_str(nation.code);
        }
        if let Some(gender) = self.gender {
            source.push_str(if gender == Gender::Female { "\nfemale" } else { "\nmale" });
        }
        source
    }
}

fn within(text: &str, max: u64) -> u64 {
    text.trim()
        .parse()
        .ok()
        .filter(|number| (1..=max).contains(number))
        .unwrap_or(1)
}

fn nations(text: &str) -> Vec<&'static Nation> {
    let wanted = text.to_uppercase();
    NATIONS
        .iter()
        .filter(|nation| wanted.split(',').any(|code| code.trim() == nation.code))
        .collect()
}

fn format(text: &str) -> Format {
    match &*text.to_lowercase() {
        "pretty" | "prettyjson" => Format::Pretty,
        "csv" => Format::Csv,
        "yaml" => Format::Yaml,
        "xml" => Format::Xml,
        _ => Format::Json,
    }
}
