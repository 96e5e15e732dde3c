//! Dead letters as people and programs read them.

use comfy_table::{Table, presets};
use serde_json::{Value, json};

use crate::{daemon::Replayed, service::ledger::thousands, store::dead_letters::DeadLetter};

/// A reason is cut to this many characters in a list.
const REASON_CHARS: usize = 100;

/// A table of some of `total` letters.
pub(super) fn table(letters: &[DeadLetter], total: u64) -> String {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED).set_header([
        "id",
        "pipeline",
        "position",
        "stage",
        "table",
        "tries",
        "refused at",
        "reason",
    ]);
    for letter in letters {
        table.add_row([
            letter.id.to_string(),
            letter.key.pipeline.to_string(),
            position(letter),
            letter.stage.clone(),
            letter.table.clone().unwrap_or_else(|| "-".into()),
            letter.attempts.to_string(),
            time(letter),
            cut(&letter.reason),
        ]);
    }
    let shown = letters.len() as u64;
    let rest = if shown < total {
        format!(
            "\n{} of {} dead letters; --limit shows more",
            thousands(shown),
            thousands(total)
        )
    } else {
        String::new()
    };
    format!("{table}{rest}")
}

fn position(letter: &DeadLetter) -> String {
    format!(
        "{}[{}]@{}",
        letter.key.topic, letter.key.partition, letter.record.offset
    )
}

fn time(letter: &DeadLetter) -> String {
    letter.failed_at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

fn cut(reason: &str) -> String {
    match reason.char_indices().nth(REASON_CHARS) {
        Some((end, _)) => format!("{}…", &reason[..end]),
        None => reason.to_owned(),
    }
}

/// A letter without its payload.
pub(super) fn head(letter: &DeadLetter) -> Value {
    json!({
        "id": letter.id,
        "pipeline": &*letter.key.pipeline,
        "topic": &*letter.key.topic,
        "topic_id": letter.topic_id.to_string(),
        "partition": letter.key.partition,
        "offset": letter.record.offset,
        "stage": letter.stage,
        "reason": letter.reason,
        "sqlstate": letter.sqlstate,
        "table": letter.table,
        "attempts": letter.attempts,
        "failed_at": time(letter),
        "payload_bytes": letter.payload_bytes,
    })
}

/// A letter with all that is known of its record.
pub(super) fn whole(letter: &DeadLetter) -> Value {
    let mut value = head(letter);
    let headers = letter.record.headers.iter();
    let headers: Vec<Value> = headers
        .map(|header| json!({ "name": header.name, "value": header.value.as_deref().map(readable) }))
        .collect();
    value["key"] = letter.record.key.as_deref().map(readable).into();
    value["timestamp_ms"] = letter.record.timestamp_ms.into();
    value["headers"] = headers.into();
    value["payload"] = letter.record.value.as_deref().map(readable).into();
    value
}

/// Text as it is; other bytes as `\x…`, the way PostgreSQL shows them.
fn readable(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("\\x{hex}")
        }
    }
}

/// The same for people.
pub(super) fn shown(letter: &DeadLetter) -> String {
    let or_none = |text: Option<&str>| text.unwrap_or("-").to_owned();
    let mut lines = vec![
        ("dead letter", letter.id.to_string()),
        ("pipeline", letter.key.pipeline.to_string()),
        ("position", position(letter)),
        ("topic's identity", letter.topic_id.to_string()),
        ("stage", letter.stage.clone()),
        ("reason", letter.reason.clone()),
        ("table", or_none(letter.table.as_deref())),
        ("tries", letter.attempts.to_string()),
        ("refused at", time(letter)),
        ("key", letter.record.key.as_deref().map_or_else(|| "-".into(), readable)),
    ];
    for header in &letter.record.headers {
        let value = header.value.as_deref().map_or_else(|| "-".into(), readable);
        lines.push(("header", format!("{}: {value}", header.name)));
    }
    let payload = letter.record.value.as_deref();
    lines.push(("payload", payload.map_or_else(|| "none (a tombstone)".into(), readable)));
    let lines: Vec<String> = lines.iter().map(|(name, text)| format!("{name:17} {text}")).collect();
    lines.join("\n")
}

/// What became of replayed letters.
pub(super) fn replayed_text(replayed: &[(String, Replayed)]) -> String {
    let mut lines = Vec::new();
    for (name, done) in replayed {
        lines.push(format!(
            "pipeline {name}: {} applied, {} filtered, {} still dead",
            thousands(done.applied),
            thousands(done.filtered),
            thousands(done.dead)
        ));
        let rows = done.rows;
        if done.applied > 0 {
            lines.push(format!(
                "  rows: {} inserted, {} updated, {} unchanged, {} superseded",
                thousands(rows.inserted),
                thousands(rows.updated),
                thousands(rows.unchanged),
                thousands(rows.superseded)
            ));
        }
        if rows.superseded > 0 {
            lines.push(
                "  superseded: a row of that key is there, and it may be the newer one; order_by or --overwrite decide \
                 otherwise"
                    .to_owned(),
            );
        }
        for refused in &done.refused {
            lines.push(format!("  {}: {}", refused.position, cut(&refused.reason)));
        }
    }
    lines.join("\n")
}

/// The same for programs.
pub(super) fn replayed_json(replayed: &[(String, Replayed)]) -> Value {
    let one = |(name, done): &(String, Replayed)| {
        json!({
            "pipeline": name,
            "applied": done.applied,
            "filtered": done.filtered,
            "dead": done.dead,
            "rows": done.rows,
        })
    };
    replayed.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_of_any_bytes_can_be_read() {
        assert_eq!(readable(b"{\"a\":1}"), "{\"a\":1}");
        assert_eq!(readable(&[0xff, 0x00]), "\\xff00");
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let cut = cut(&"é".repeat(200));
        assert_eq!(cut.chars().count(), REASON_CHARS + 1);
    }
}
