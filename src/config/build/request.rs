//! What a request is: its method, its headers, its body.

use serde_json::{Map, Number, Value as Json};

use crate::config::{
    keys::Kind,
    section::Section,
    settings::{Body, Method, Place, Secret},
    tree::{Node, Table, Value},
    values::wrong_type,
};

/// Deeper tables are a slip, and would cost stack.
const MAX_DEPTH: usize = 64;

pub(super) fn method(section: &Section<'_>) -> Method {
    match section.choice("method") {
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "PATCH" => Method::Patch,
        _ => Method::Get,
    }
}

/// The body, where it goes with the method and with what paginate adds to it.
pub(super) fn body(section: &Section<'_>, paginate: &Section<'_>, method: Method, place: Place) -> Option<Body> {
    let body = section.parsed("body", read_body);
    if method == Method::Get && section.is_set("body") {
        section.problem(
            "body",
            "has no meaning with method = \"GET\"; remove it, or write method = \"POST\"",
        );
    }
    if place == Place::Body {
        if method == Method::Get {
            paginate.problem(
                "place",
                "\"body\" has no meaning with method = \"GET\"; write method = \"POST\" in [pipeline.source], or place = \"query\"",
            );
        } else if matches!(body, Some(Body::Text(_))) {
            section.problem(
                "body",
                "is a text, but with paginate.place = \"body\" parameters are put into it; write it as a table",
            );
        }
    }
    body
}

fn read_body(node: &Node, kind: &Kind) -> Result<Body, String> {
    match &node.value {
        Value::Text(text) => Ok(Body::Text(Secret::new(text.value.as_str()))),
        Value::Table(table) => object(table, 0).map(Body::Json),
        _ => Err(wrong_type(node, kind)),
    }
}

fn object(table: &Table, depth: usize) -> Result<Map<String, Json>, String> {
    table
        .entries
        .iter()
        .map(|entry| match json(&entry.node, depth + 1) {
            Ok(value) => Ok((entry.name.clone(), value)),
            Err(found) => Err(format!(
                "has {} = {found}, which JSON does not have; write a text or a number",
                entry.name
            )),
        })
        .collect()
}

/// `Err` names what JSON does not have.
fn json(node: &Node, depth: usize) -> Result<Json, String> {
    if depth > MAX_DEPTH {
        return Err(format!("a table more than {MAX_DEPTH} deep"));
    }
    Ok(match &node.value {
        Value::Text(text) => Json::String(text.value.clone()),
        Value::Integer(number) => Json::from(*number),
        Value::Bool(flag) => Json::from(*flag),
        Value::Float(number) => number
            .parse()
            .ok()
            .and_then(Number::from_f64)
            .map(Json::Number)
            .ok_or_else(|| number.clone())?,
        Value::Array(items) => items
            .iter()
            .map(|item| json(item, depth + 1))
            .collect::<Result<_, _>>()?,
        Value::Table(table) => Json::Object(
            table
                .entries
                .iter()
                .map(|entry| Ok((entry.name.clone(), json(&entry.node, depth + 1)?)))
                .collect::<Result<_, String>>()?,
        ),
        Value::Other(name) => return Err((*name).to_owned()),
        // Said already.
        Value::Broken => Json::Null,
    })
}

/// RFC 9110: a name is a token; a value has no control characters, or one header could smuggle in another.
pub(super) fn refuse_header(name: &str, value: &str) -> Option<String> {
    let is_token = |letter: char| letter.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(letter);
    if name.is_empty() || !name.chars().all(is_token) {
        return Some("is not the name of a header; write letters, digits and -".to_owned());
    }
    let is_clean = value.chars().all(|letter| letter == '\t' || !letter.is_control());
    (!is_clean).then(|| "has a control character in its value; remove it (a line break, perhaps)".to_owned())
}
