//! A record that cannot be loaded, with the reason: a dead letter in the making.

use bytes::Bytes;

use super::{Header, Position};

/// Where a record was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Before the log: too large for the broker, or not an object. It travelled as a reject envelope.
    Ingest,
    /// Its bytes do not decode under the declared schema.
    Decode,
    /// The SQL failed on it.
    Transform,
    /// PostgreSQL refused its row.
    Write,
}

impl Stage {
    /// The name in `aqueduct.dead_letters.stage`.
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Ingest => "ingest",
            Stage::Decode => "decode",
            Stage::Transform => "transform",
            Stage::Write => "write",
        }
    }
}

/// One rejected record, ready for `aqueduct.dead_letters`.
#[derive(Clone, Debug)]
pub struct Rejected {
    /// Where it lies in the log.
    pub position: Position,
    /// Who refused it.
    pub stage: Stage,
    /// Why, in a sentence without secrets; an SQLSTATE stands in front where PostgreSQL refused it.
    pub reason: String,
    /// The table whose query or constraint refused it, where it was one.
    pub table: Option<String>,
    /// The message key.
    pub key: Option<Bytes>,
    /// The payload as it lies in the log.
    pub payload: Option<Bytes>,
    /// The headers as they lie in the log.
    pub headers: Vec<Header>,
    /// The record's timestamp in milliseconds since 1970.
    pub timestamp_ms: Option<i64>,
}

/// A reason as the log and the status may have it: names stay, values of the record go. The dead letter has it whole.
pub fn without_values(reason: &str) -> String {
    // Ours: `column age: INT expected, found the text "x"`.
    let ours = reason.split_once(", found ").map(|(before, _)| before);
    // PostgreSQL's: `22P02 invalid input syntax for type integer: "x" (table t, column age)`.
    let theirs = || {
        let (before, value) = reason.split_once(": \"")?;
        let names = value.rsplit_once("\" (").map(|(_, names)| format!(" ({names}"));
        Some(format!("{before}{}", names.unwrap_or_default()))
    };
    let text = match ours {
        Some(ours) => ours.to_owned(),
        None => theirs().unwrap_or_else(|| reason.to_owned()),
    };
    // DataFusion's: `Cannot cast string 'x' to value of Int32 type`.
    let mut parts = text.split('\'');
    let mut shown = parts.next().unwrap_or_default().to_owned();
    while let (Some(_value), after) = (parts.next(), parts.next()) {
        shown.push_str("'…'");
        shown.push_str(after.unwrap_or_default());
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_in_the_log_has_names_and_no_values() {
        for (reason, shown) in [
            (
                "column dob.age: INT expected, found the text \"geheim\"",
                "column dob.age: INT expected",
            ),
            (
                "22P02 invalid input syntax for type integer: \"geheim\" (table t, column age)",
                "22P02 invalid input syntax for type integer (table t, column age)",
            ),
            (
                "Cannot cast string 'geheim' to value of Int32 type",
                "Cannot cast string '…' to value of Int32 type",
            ),
            (
                "23514 new row for relation \"t\" violates check constraint \"known\" (table t, constraint known)",
                "23514 new row for relation \"t\" violates check constraint \"known\" (table t, constraint known)",
            ),
            ("an unpaired 'geheim", "an unpaired '…'"),
        ] {
            assert_eq!(without_values(reason), shown);
        }
    }
}
