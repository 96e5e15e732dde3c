//! What a printed line means.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    api::split::{Line, LineSplitter},
    config::settings::{self, ExecOutput},
    model::PageRecord,
};

/// A line that was understood.
#[derive(Debug)]
pub(super) enum Printed {
    /// A record.
    Record(PageRecord),
    /// The program's state, as it was printed: everything before it is behind.
    State(String),
    /// Nothing for us: a blank line, or a message of this type.
    Ignored(Option<String>),
}

/// Reads the lines of one source.
pub(super) struct Reader {
    is_singer: bool,
    stream: Option<String>,
    splitter: LineSplitter,
}

/// `{"cursor": …}` and nothing else in it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CursorLine<'a> {
    #[serde(borrow)]
    cursor: &'a RawValue,
}

/// <https://github.com/singer-io/getting-started/blob/master/docs/SPEC.md>
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    stream: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    record: Option<&'a RawValue>,
    #[serde(borrow, default)]
    value: Option<&'a RawValue>,
}

impl Reader {
    pub(super) fn new(settings: &settings::ExecSource) -> Self {
        let key = settings.key.as_ref().zip(settings.key_text.as_deref());
        Self {
            is_singer: settings.output == ExecOutput::Singer,
            stream: settings.stream.clone(),
            splitter: LineSplitter::new(key),
        }
    }

    /// Reads a line without its end. `Err` is the rest of a sentence that begins with the line.
    pub(super) fn read(&self, line: Bytes) -> Result<Printed, String> {
        // RFC 8259 lets a reader overlook the byte order mark that some programs begin with.
        let line = line
            .strip_prefix(b"\xef\xbb\xbf")
            .map_or(line.clone(), |rest| line.slice_ref(rest));
        if line.trim_ascii().is_empty() {
            return Ok(Printed::Ignored(None));
        }
        let line = Line::new(line);
        if self.is_singer {
            self.message(&line)
        } else {
            self.plain(&line)
        }
    }

    fn plain(&self, line: &Line) -> Result<Printed, String> {
        let text = line.text();
        // Nearly no record begins like a cursor, so nearly none is parsed twice.
        let begins_like_a_cursor = text
            .trim_start()
            .strip_prefix('{')
            .is_some_and(|rest| rest.trim_start().starts_with("\"cursor\""));
        if begins_like_a_cursor && let Ok(found) = serde_json::from_str::<CursorLine<'_>>(text) {
            return Ok(Printed::State(found.cursor.get().to_owned()));
        }
        let error = match serde_json::from_str::<&RawValue>(text) {
            Ok(value) => return Ok(Printed::Record(self.splitter.record(line, value.get()))),
            Err(error) => error,
        };
        // What keeps to its token costs the record alone, as it does in a page. Half a cursor is no cursor, and no record.
        if !begins_like_a_cursor
            && let Some(masked) = line.without_bad_tokens()
            && let Ok(value) = serde_json::from_str::<&RawValue>(masked.text())
            && value.get().starts_with('{')
        {
            return Ok(Printed::Record(self.splitter.record(&masked, value.get())));
        }
        Err(format!("is not JSON ({error})"))
    }

    fn message(&self, line: &Line) -> Result<Printed, String> {
        self.strict_message(line)
            .or_else(|problem| match line.without_bad_tokens() {
                Some(masked) => match self.strict_message(&masked) {
                    Ok(printed @ Printed::Record(_)) => Ok(printed),
                    _ => Err(problem),
                },
                None => Err(problem),
            })
    }

    fn strict_message(&self, line: &Line) -> Result<Printed, String> {
        let message: Message<'_> =
            serde_json::from_str(line.text()).map_err(|error| format!("is not a Singer message ({error})"))?;
        let lacks = |what: &str| format!("is a Singer message of type {} without `{what}`", message.kind);
        match &*message.kind {
            "RECORD" => {
                let record = message.record.ok_or_else(|| lacks("record"))?;
                let stream = message.stream.as_deref().ok_or_else(|| lacks("stream"))?;
                match &self.stream {
                    Some(wanted) if wanted != stream => Ok(Printed::Ignored(Some(format!("RECORD of {stream}")))),
                    _ => Ok(Printed::Record(self.splitter.record(line, record.get()))),
                }
            }
            "STATE" => {
                let value = message.value.ok_or_else(|| lacks("value"))?;
                Ok(Printed::State(value.get().to_owned()))
            }
            other => Ok(Printed::Ignored(Some(other.to_owned()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::exec::source::test_settings;

    fn reader(output: ExecOutput, stream: Option<&str>) -> Reader {
        Reader::new(&settings::ExecSource {
            output,
            stream: stream.map(str::to_owned),
            key: Some(serde_json_path::JsonPath::parse("$.id").expect("a path")),
            key_text: Some("$.id".to_owned()),
            ..test_settings(&["program"])
        })
    }

    fn read(reader: &Reader, line: &'static [u8]) -> Result<Printed, String> {
        reader.read(Bytes::from_static(line))
    }

    fn record(printed: Result<Printed, String>) -> PageRecord {
        match printed {
            Ok(Printed::Record(record)) => record,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_line_is_a_record_as_it_was_printed_with_its_key() {
        let reader = reader(ExecOutput::Lines, None);
        let found = record(read(&reader, b"  {\"id\": 7, \"n\": 1.10}\r"));
        assert_eq!(&found.payload[..], b"{\"id\": 7, \"n\": 1.10}");
        assert_eq!(found.key.as_deref(), Some(&b"7"[..]));
        let found = record(read(&reader, b"\xef\xbb\xbf{\"id\":\"a\"}"));
        assert_eq!(found.key.as_deref(), Some(&b"a"[..]));
        assert!(matches!(read(&reader, b" \t"), Ok(Printed::Ignored(None))));
    }

    #[test]
    fn a_line_with_a_cursor_alone_is_the_state_byte_for_byte() {
        let reader = reader(ExecOutput::Lines, None);
        for (line, state) in [
            (
                &b"{\"cursor\": {\"id\": 1.10, \"a\": 12345678901234567890}}"[..],
                "{\"id\": 1.10, \"a\": 12345678901234567890}",
            ),
            (b" { \"cursor\":\"abc\" } ", "\"abc\""),
            (b"{\"cursor\":7}", "7"),
        ] {
            match read(&reader, line) {
                Ok(Printed::State(found)) => assert_eq!(found, state),
                other => panic!("{other:?}"),
            }
        }
        let found = record(read(&reader, b"{\"cursor\": 1, \"id\": 2}"));
        assert_eq!(found.key.as_deref(), Some(&b"2"[..]), "with more in it, it is a record");
    }

    #[test]
    fn a_bad_record_is_refused_alone_and_a_line_that_is_no_json_ends_the_run() {
        let reader = reader(ExecOutput::Lines, None);
        for (line, reason) in [
            (&b"[1]"[..], "not a JSON object but an array"),
            (b"42", "not a JSON object but a number"),
            (b"{\"name\": \"\xff\"}", "not UTF-8"),
            // As Python prints it.
            (
                b"{\"id\": 1, \"mean\": NaN}",
                "not JSON: expected value at line 1 column 19",
            ),
            (b"{\"name\": \"a\tb\"}", "not JSON: control character"),
        ] {
            let reject = record(read(&reader, line)).reject.expect("a refusal");
            assert!(reject.reason.contains(reason), "{}", reject.reason);
        }
        for line in [
            &b"Loading..."[..],
            b"{\"id\": 1",
            b"{\"id\": 1} {\"id\": 2}",
            b"NaN",
            b"{\"cursor\": NaN}",
        ] {
            let reason = read(&reader, line).expect_err("a refusal");
            assert!(reason.starts_with("is not JSON ("), "{reason}");
        }
    }

    #[test]
    fn singer_messages_are_records_states_or_nothing_for_us() {
        let reader = reader(ExecOutput::Singer, Some("users"));
        let found = record(read(
            &reader,
            br#"{"type":"RECORD","stream":"users","record":{"id": 7, "big": 12345678901234567890},"time_extracted":"x"}"#,
        ));
        assert_eq!(&found.payload[..], br#"{"id": 7, "big": 12345678901234567890}"#);
        assert_eq!(found.key.as_deref(), Some(&b"7"[..]));
        let refused = record(read(
            &reader,
            br#"{"type":"RECORD","stream":"users","record":{"x":Infinity}}"#,
        ));
        assert_eq!(&refused.payload[..], br#"{"x":Infinity}"#);
        assert!(refused.reject.expect("a refusal").reason.contains("not JSON"));
        assert!(read(&reader, br#"{"type":"STATE","value":{"mean":NaN}}"#).is_err());
        assert!(matches!(
            read(&reader, br#"{"value":{"bookmarks":{}},"type":"STATE"}"#),
            Ok(Printed::State(state)) if state == r#"{"bookmarks":{}}"#
        ));
        for (line, kind) in [
            (
                &br#"{"type":"SCHEMA","stream":"users","schema":{},"key_properties":["id"]}"#[..],
                "SCHEMA",
            ),
            (
                br#"{"type":"ACTIVATE_VERSION","stream":"users","version":1}"#,
                "ACTIVATE_VERSION",
            ),
            (
                br#"{"type":"RECORD","stream":"orders","record":{}}"#,
                "RECORD of orders",
            ),
        ] {
            assert!(matches!(read(&reader, line), Ok(Printed::Ignored(Some(found))) if found == kind));
        }
        for (line, what) in [
            (&br#"{"id": 1}"#[..], "missing field `type`"),
            (br#"{"type":"RECORD","stream":"users"}"#, "without `record`"),
            (br#"{"type":"STATE"}"#, "without `value`"),
            (b"INFO starting", "is not a Singer message"),
        ] {
            let reason = read(&reader, line).expect_err("a refusal");
            assert!(reason.contains(what), "{reason}");
        }
    }
}
