//! Records, and the fate that each kind of them should have.

use aqueduct::model::{LogRecord, TopicId};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Good,
    /// Its bytes do not decode.
    Broken,
    /// PostgreSQL refuses its row.
    Refused,
    /// The SQL leaves it out.
    Filtered,
}

/// A committed record, wherever the log has it now.
#[derive(Clone, Debug)]
pub struct Written {
    pub id: i64,
    pub kind: Kind,
    pub topic_id: TopicId,
    pub partition: i32,
    pub offset: i64,
}

pub const SQL: &str = "SELECT id, name FROM records WHERE name <> 'filtered'";
/// No key: a row that comes twice is there twice.
pub const TABLE: &str = "CREATE TABLE people (id bigint NOT NULL, name text CHECK (name <> 'refused'))";

impl Written {
    pub fn record(&self) -> LogRecord {
        let id = self.id;
        let text = match self.kind {
            Kind::Good => format!(r#"{{"id":{id},"name":"n{id}"}}"#),
            Kind::Broken => format!(r#"{{"id":"x{id}","name":"broken"}}"#),
            Kind::Refused => format!(r#"{{"id":{id},"name":"refused"}}"#),
            Kind::Filtered => format!(r#"{{"id":{id},"name":"filtered"}}"#),
        };
        LogRecord {
            offset: self.offset,
            timestamp_ms: Some(1_700_000_000_000),
            key: None,
            value: Some(text.into()),
            headers: Vec::new(),
        }
    }
}
