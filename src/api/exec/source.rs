//! One pipeline's program, shared by its fetchers.

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use slog::Logger;

use super::{ExecFeed, cursor, output::Reader, redact::Redactor};
use crate::{
    api::{
        ApiError,
        pagination::{self, ShardScope},
        source::Next,
    },
    config::settings::{self, Batch, ExecOutput},
    model::ShardId,
};

/// What no configuration key says. The defaults are what runs; tests want other ones.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest line, in bytes.
    pub line_bytes: usize,
    /// The longest cursor, in bytes: it has to fit into a record of the log.
    pub state_bytes: usize,
    /// How long a program whose output is closed may take to end.
    pub exit: Duration,
    /// How many runs in a row may fail before that is an error.
    pub runs: u32,
    /// The span of the first pause between runs.
    pub shortest_pause: Duration,
    /// The longest span of a pause. A run that has lasted longer than this is not counted among those that fail in a row.
    pub longest_pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            line_bytes: 16 * 1024 * 1024,
            state_bytes: 256 * 1024,
            exit: Duration::from_secs(10),
            runs: 5,
            shortest_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(60),
        }
    }
}

/// Reads records from runs of one program.
#[derive(Clone)]
pub struct ExecSource {
    inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) settings: settings::ExecSource,
    /// When a page is full.
    pub(super) page: Batch,
    pub(super) limits: Limits,
    pub(super) reader: Reader,
    pub(super) redactor: Redactor,
    pub(super) log: Logger,
}

impl ExecSource {
    /// Prepares a source whose pages are as large as `page` says. Starts nothing yet.
    pub fn new(settings: &settings::ExecSource, page: Batch, log: Logger) -> Self {
        Self::with_limits(settings, page, Limits::default(), log)
    }

    /// Prepares a source with other limits than the default ones.
    pub fn with_limits(settings: &settings::ExecSource, page: Batch, limits: Limits, log: Logger) -> Self {
        let inner = Inner {
            settings: settings.clone(),
            page,
            limits,
            reader: Reader::new(settings),
            redactor: Redactor::new(&settings.hidden),
            log,
        };
        Self { inner: Arc::new(inner) }
    }

    /// The shards of the source, by number.
    pub fn shards(&self) -> Vec<ShardId> {
        pagination::shards(&self.inner.settings.shards)
    }

    /// Says what a shard does next. `cursor` is what it has committed, `now_ms` the time in milliseconds since 1970.
    pub fn plan(&self, shard: &ShardId, cursor: Option<&Value>, now_ms: i64) -> Result<Next, ApiError> {
        self.inner.scope(shard)?;
        cursor::plan(self.inner.settings.every, shard, cursor, now_ms)
    }

    /// Opens what reads one shard. Starts nothing yet.
    pub fn feed(&self, shard: &ShardId) -> ExecFeed {
        ExecFeed::new(self.inner.clone(), shard.clone())
    }
}

impl Inner {
    fn scope(&self, shard: &ShardId) -> Result<ShardScope, ApiError> {
        ShardScope::of(&self.settings.shards, shard).ok_or_else(|| ApiError::Cursor {
            shard: shard.number,
            problem: format!("the settings have no shard {}", shard.content),
        })
    }

    /// What the program is told: the cursor, and the shard's parameters.
    pub(super) fn variables(&self, shard: &ShardId, state: Option<&str>) -> Result<Vec<(String, String)>, ApiError> {
        let parameters = self.scope(shard)?.params.into_iter();
        let named = parameters.map(|(name, value)| (settings::exec_variable(&name), value));
        let cursor = ("AQUEDUCT_CURSOR".to_owned(), state.unwrap_or_default().to_owned());
        Ok(named.chain([cursor]).collect())
    }

    /// Whether records wait for a state from the first one on.
    pub(super) fn waits(&self) -> bool {
        self.settings.output != ExecOutput::Lines
    }
}

#[cfg(test)]
pub(super) fn test_settings(command: &[&str]) -> settings::ExecSource {
    settings::ExecSource {
        command: command.iter().map(|word| settings::Secret::new(*word)).collect(),
        program: (*command.first().unwrap_or(&"")).to_owned(),
        hidden: vec![],
        env: vec![],
        dir: ".".into(),
        output: ExecOutput::Lines,
        stream: None,
        state_arg: None,
        key: None,
        key_text: None,
        every: None,
        timeout: Duration::from_secs(60),
        shards: settings::Shards::Stripes(1),
    }
}
