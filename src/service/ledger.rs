//! The ledger as people read it.

use comfy_table::{Cell, CellAlignment, Table, presets};

use crate::daemon::PipelineReport;

/// Prints a pipeline's ledger: each record's fate, then the rows of each table.
pub fn render(report: &PipelineReport) -> String {
    let ledger = &report.ledger;
    let mut records = table(&[
        "fetched", "produced", "consumed", "applied", "filtered", "dead", "skipped", "pending",
    ]);
    let count = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), thousands);
    records.add_row(right([
        count(ledger.fetched),
        count(ledger.produced),
        thousands(ledger.records.consumed),
        thousands(ledger.records.applied),
        thousands(ledger.records.filtered),
        thousands(ledger.records.dead),
        thousands(ledger.records.skipped),
        thousands(ledger.pending),
    ]));
    let mut rows = table(&["table", "inserted", "updated", "unchanged", "superseded"]);
    for (name, counts) in &ledger.tables {
        let numbers = [counts.inserted, counts.updated, counts.unchanged, counts.superseded].map(thousands);
        rows.add_row(
            std::iter::once(Cell::new(name))
                .chain(right(numbers))
                .collect::<Vec<_>>(),
        );
    }
    let verdict = match &report.gap {
        None if ledger.uncounted_skips > 0 => format!(
            "the ledger adds up with {} records that were skipped uncounted, because they were gone",
            thousands(ledger.lost)
        ),
        None => "the ledger adds up".to_owned(),
        Some(gap) => format!("THE LEDGER HAS A GAP: {gap}"),
    };
    let rows = if ledger.tables.is_empty() {
        String::new()
    } else {
        format!("\n{rows}")
    };
    format!("pipeline {}: records\n{records}{rows}\n{verdict}", report.name)
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED).set_header(header);
    table
}

fn right(cells: impl IntoIterator<Item = String>) -> Vec<Cell> {
    cells
        .into_iter()
        .map(|text| Cell::new(text).set_alignment(CellAlignment::Right))
        .collect()
}

/// 1234567 -> `1,234,567`
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_are_grouped_by_three() {
        let texts = [0, 999, 1000, 12_345, 1_234_567].map(super::thousands);
        assert_eq!(texts, ["0", "999", "1,000", "12,345", "1,234,567"]);
    }
}
