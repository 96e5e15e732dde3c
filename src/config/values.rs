//! From a written value to a typed one, or the sentence that says what is wrong with it.

use std::{net::SocketAddr, time::Duration};

use bytesize::ByteSize;
use serde_json_path::JsonPath;
use url::Url;

use super::{
    keys::Kind,
    settings::Rate,
    suggest,
    tree::{Node, Text, Value},
};

pub(super) fn wrong_type(node: &Node, kind: &Kind) -> String {
    format!("expected {}, found {}", kind.expected(), node.value.type_name())
}

pub(super) fn text<'a>(node: &'a Node, kind: &Kind) -> Result<&'a Text, String> {
    match &node.value {
        Value::Text(text) => Ok(text),
        _ => Err(wrong_type(node, kind)),
    }
}

pub(super) fn filled<'a>(node: &'a Node, kind: &Kind) -> Result<&'a Text, String> {
    let text = text(node, kind)?;
    if text.value.trim().is_empty() {
        Err("is empty; write a text".to_owned())
    } else {
        Ok(text)
    }
}

pub(super) fn flag(node: &Node, kind: &Kind) -> Result<bool, String> {
    match node.value {
        Value::Bool(flag) => Ok(flag),
        _ => Err(wrong_type(node, kind)),
    }
}

pub(super) fn count(node: &Node, kind: &Kind) -> Result<u64, String> {
    let (Value::Integer(number), Kind::Count { unit, min, max }) = (&node.value, kind) else {
        return Err(wrong_type(node, kind));
    };
    match u64::try_from(*number) {
        Ok(count) if (*min..=*max).contains(&count) => Ok(count),
        _ if *max >= i64::MAX as u64 => Err(format!("{number} is out of range; write {min} or more ({unit})")),
        _ => Err(format!("{number} is out of range; write {min} to {max} ({unit})")),
    }
}

pub(super) fn choice(node: &Node, kind: &Kind) -> Result<&'static str, String> {
    let (text, Kind::Choice { built, planned }) = (text(node, kind)?, kind) else {
        return Err(wrong_type(node, kind));
    };
    if let Some(word) = built.iter().find(|word| **word == text.value) {
        return Ok(word);
    }
    let has = suggest::joined(built.iter().map(|word| format!("\"{word}\"")), "and");
    if planned.contains(&text.value.as_str()) {
        return Err(format!("{} is not built yet; this version has {has}", text.quoted()));
    }
    let listed = suggest::listed(built.iter().copied());
    Err(match suggest::nearest(&text.value, built.iter().copied()) {
        Some(near) if built.len() > 1 => {
            format!(
                "{} is unknown; did you mean \"{near}\"? (one of {listed})",
                text.quoted()
            )
        }
        _ => format!("{} is unknown; write {listed}", text.quoted()),
    })
}

pub(super) fn span(node: &Node, kind: &Kind) -> Result<Duration, String> {
    let (text, Kind::Span { min, max }) = (text(node, kind)?, kind) else {
        return Err(wrong_type(node, kind));
    };
    let span = duration(&text.value).ok_or_else(|| {
        format!(
            "{} is not a duration; write for example \"30s\", \"200ms\" or \"1h 5m\"",
            text.quoted()
        )
    })?;
    if (*min..=*max).contains(&span) {
        return Ok(span);
    }
    let (min, max) = (humantime::format_duration(*min), humantime::format_duration(*max));
    Err(format!(
        "{} is out of range; write \"{min}\" to \"{max}\"",
        text.quoted()
    ))
}

fn duration(text: &str) -> Option<Duration> {
    humantime::parse_duration(text.trim()).ok()
}

pub(super) fn size(node: &Node, kind: &Kind) -> Result<u64, String> {
    let (text, Kind::Size { min, max }) = (text(node, kind)?, kind) else {
        return Err(wrong_type(node, kind));
    };
    let trimmed = text.value.trim();
    // bytesize takes a bare number for bytes; here a size bears its unit.
    let size = trimmed
        .ends_with(|last: char| last.is_ascii_alphabetic())
        .then(|| trimmed.parse::<ByteSize>().ok());
    let Some(Some(ByteSize(bytes))) = size else {
        return Err(format!(
            "{} is not a size; write for example \"16MiB\" or \"512KiB\"",
            text.quoted()
        ));
    };
    if (*min..=*max).contains(&bytes) {
        return Ok(bytes);
    }
    Err(format!(
        "{} is out of range; write \"{}\" to \"{}\"",
        text.quoted(),
        shown(*min),
        shown(*max)
    ))
}

fn shown(bytes: u64) -> String {
    match bytes {
        _ if bytes.is_multiple_of(1 << 30) => format!("{}GiB", bytes >> 30),
        _ if bytes.is_multiple_of(1 << 20) => format!("{}MiB", bytes >> 20),
        _ if bytes.is_multiple_of(1 << 10) => format!("{}KiB", bytes >> 10),
        _ => format!("{bytes}B"),
    }
}

pub(super) fn rate(node: &Node, kind: &Kind) -> Result<Rate, String> {
    let text = text(node, kind)?;
    text.value
        .split_once(" in ")
        .and_then(|(count, per)| {
            Some(Rate {
                count: count.trim().parse().ok()?,
                per: duration(per)?,
            })
        })
        .filter(|rate| rate.count > 0 && !rate.per.is_zero())
        .ok_or_else(|| format!("{} is not a rate; write for example \"100 in 1m\"", text.quoted()))
}

pub(super) fn address(node: &Node, kind: &Kind) -> Result<Option<SocketAddr>, String> {
    let text = text(node, kind)?;
    if text.value.is_empty() {
        return Ok(None);
    }
    text.value.parse().map(Some).map_err(|_| {
        format!(
            "{} is not an IP address with a port; write for example \"127.0.0.1:8900\", or \"\" for none",
            text.quoted()
        )
    })
}

pub(super) fn json_path(node: &Node, kind: &Kind) -> Result<(JsonPath, String), String> {
    let text = filled(node, kind)?;
    match JsonPath::parse(&text.value) {
        Ok(path) => Ok((path, text.value.clone())),
        Err(error) => {
            let place = match error.position() {
                0 => String::new(),
                position => format!(" (at character {position})"),
            };
            Err(format!(
                "{} is not a JSONPath{place}; write for example \"$.results[*]\"",
                text.quoted()
            ))
        }
    }
}

pub(super) fn http_url(node: &Node, kind: &Kind) -> Result<Url, String> {
    let text = filled(node, kind)?;
    Url::parse(&text.value)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| "is not an address that can be fetched; write for example \"https://host/path\"".to_owned())
}

pub(super) fn texts(node: &Node, kind: &Kind) -> Result<Vec<String>, String> {
    let Value::Array(items) = &node.value else {
        return Err(wrong_type(node, kind));
    };
    let mut texts: Vec<String> = Vec::with_capacity(items.len());
    for item in items {
        let Value::Text(text) = &item.value else {
            return Err(format!(
                "expected {}, found {} in it",
                kind.expected(),
                item.value.type_name()
            ));
        };
        if text.value.trim().is_empty() {
            return Err("has an empty text in it; remove it".to_owned());
        }
        if texts.contains(&text.value) {
            return Err(format!("has {} twice; keep one of them", text.quoted()));
        }
        texts.push(text.value.clone());
    }
    if texts.is_empty() {
        Err("is empty; write for example [\"uuid\"]".to_owned())
    } else {
        Ok(texts)
    }
}

/// A scalar as the text that goes on the wire; `None` for what is no scalar.
pub(super) fn scalar(node: &Node) -> Option<String> {
    match &node.value {
        Value::Text(text) => Some(text.value.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.clone()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}
