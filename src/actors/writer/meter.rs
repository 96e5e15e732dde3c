//! What of a batch is counted.

use std::{sync::Arc, time::Duration};

use crate::{
    config::settings::Pipeline,
    model::{RecordCounts, RowCounts},
    telemetry::Gauges,
};

/// Counts what a writer has settled, under the names of its pipeline's tables.
pub(super) struct Meter {
    gauges: Arc<Gauges>,
    tables: Vec<String>,
}

impl Meter {
    pub(super) fn new(gauges: Arc<Gauges>, pipeline: &Pipeline) -> Self {
        let tables = pipeline.tables.iter().map(|table| table.name.clone()).collect();
        Self { gauges, tables }
    }

    pub(super) fn settled(&self, took: Duration, counts: &RecordCounts, rows: &[RowCounts]) {
        let rows = self.tables.iter().map(String::as_str).zip(rows);
        self.gauges.meters().wrote(took, counts, rows);
    }
}
