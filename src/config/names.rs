//! What a pipeline, a topic, a table and a broker may be called.

use super::{keys::Kind, settings::Brokers, suggest, tree::Node, values::filled};

pub(super) fn pipeline(node: &Node, kind: &Kind) -> Result<String, String> {
    let text = filled(node, kind)?;
    let is_name = text.value.starts_with(|letter: char| letter.is_ascii_lowercase())
        && text
            .value
            .chars()
            .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "_-".contains(letter));
    if !is_name {
        return Err(format!(
            "{} is not a name; write a-z, 0-9, _ and -, a letter first",
            text.quoted()
        ));
    }
    if text.value.len() > 63 {
        return Err(format!("has {} characters; write at most 63", text.value.len()));
    }
    Ok(text.value.clone())
}

pub(super) fn topic(node: &Node, kind: &Kind) -> Result<String, String> {
    let text = filled(node, kind)?;
    let is_name = text
        .value
        .chars()
        .all(|letter| letter.is_ascii_alphanumeric() || "._-".contains(letter))
        && text.value != "."
        && text.value != "..";
    if !is_name {
        return Err(format!(
            "{} is not a topic's name; write letters, digits, '.', '_' and '-'",
            text.quoted()
        ));
    }
    if text.value.len() > 249 {
        return Err(format!("has {} characters; Kafka takes at most 249", text.value.len()));
    }
    Ok(text.value.clone())
}

pub(super) fn table(node: &Node, kind: &Kind) -> Result<String, String> {
    let text = filled(node, kind)?;
    let is_part = |part: &str| {
        part.starts_with(|letter: char| letter.is_alphabetic() || letter == '_')
            && part
                .chars()
                .all(|letter| letter.is_alphanumeric() || "_$".contains(letter))
            && part.len() <= 63
    };
    let parts: Vec<&str> = text.value.split('.').collect();
    if parts.len() > 2 || !parts.iter().all(|part| is_part(part)) {
        let remedy = "write \"table\" or \"schema.table\", in letters, digits and _, without quotes inside";
        return Err(format!("{} is not a table's name; {remedy}", text.quoted()));
    }
    if parts.len() == 2 && (parts[0] == "aqueduct" || parts[0] == "information_schema" || parts[0].starts_with("pg_")) {
        return Err(format!(
            "{} lies in a schema that is not for your tables; write another one",
            text.quoted()
        ));
    }
    Ok(text.value.clone())
}

pub(super) fn brokers(node: &Node, kind: &Kind) -> Result<Brokers, String> {
    let text = filled(node, kind)?;
    if text.value == "embedded" {
        return Ok(Brokers::Embedded);
    }
    let hosts: Vec<&str> = text.value.split(',').map(str::trim).collect();
    let is_host = |host: &&str| {
        host.rsplit_once(':').is_some_and(|(name, port)| {
            !name.is_empty()
                && !name.contains(['/', ' ', '@'])
                && (!name.contains(':') || (name.starts_with('[') && name.ends_with(']')))
                && port.parse::<u16>().is_ok_and(|port| port > 0)
        })
    };
    match hosts.iter().find(|host| !is_host(host)) {
        None => Ok(Brokers::Hosts(hosts.join(","))),
        Some(_) => Err(match suggest::nearest(&text.value, ["embedded"]) {
            Some(near) => format!("{} is unknown; did you mean \"{near}\"?", text.quoted()),
            None => format!(
                "{} is not a list of brokers; write \"embedded\" or \"host:9092,host:9092\"",
                text.quoted()
            ),
        }),
    }
}
