//! What was done, how often, and how long it took until records flowed again.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use crate::faults::{Fault, Kind};

#[derive(Default)]
pub struct Summary(BTreeMap<Kind, (usize, Option<Duration>)>);

impl Summary {
    /// `recovery` is `None` where the next fault came at once.
    pub fn add(&mut self, fault: &Fault, recovery: Option<Duration>) {
        let (count, longest) = self.0.entry(fault.kind).or_default();
        *count += 1;
        *longest = (*longest).max(recovery);
    }

    pub fn render(&self, drained: Duration) -> String {
        let mut table = format!("{:<32} {:>5}  longest recovery\n", "fault", "times");
        for (kind, (count, longest)) in &self.0 {
            let kind = match kind {
                Kind::Network(link, net) => format!("{link:?}: {net:?}"),
                kind => format!("{kind:?}"),
            };
            let longest = longest.map_or("not waited for".to_owned(), |longest| {
                format!("{:.1} s", longest.as_secs_f64())
            });
            let _ = writeln!(table, "{kind:<32} {count:>5}  {longest}");
        }
        let total: usize = self.0.values().map(|(count, _)| count).sum();
        let _ = writeln!(
            table,
            "{:<32} {total:>5}  drained in {:.1} s",
            "all",
            drained.as_secs_f64()
        );
        table
    }
}
