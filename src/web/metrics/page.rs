//! A page of metrics in the making: samples under the names of their families.

use std::collections::BTreeMap;

use prometheus::{
    Encoder, TextEncoder,
    core::Collector,
    proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType},
};

/// See the module.
#[derive(Default)]
pub(super) struct Page(BTreeMap<&'static str, MetricFamily>);

impl Page {
    /// A value that goes up and down.
    pub(super) fn gauge(&mut self, name: &'static str, help: &str, labels: &[(&str, &str)], value: f64) {
        let mut metric = Metric::from_label(pairs(labels));
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        metric.set_gauge(gauge);
        self.add(name, help, MetricType::GAUGE, metric);
    }

    /// A value that only grows.
    pub(super) fn counter(&mut self, name: &'static str, help: &str, labels: &[(&str, &str)], value: f64) {
        let mut metric = Metric::from_label(pairs(labels));
        let mut counter = Counter::default();
        counter.set_value(value);
        metric.set_counter(counter);
        self.add(name, help, MetricType::COUNTER, metric);
    }

    /// A distribution as it was observed.
    pub(super) fn histogram(
        &mut self,
        name: &'static str,
        help: &str,
        labels: &[(&str, &str)],
        observed: &prometheus::Histogram,
    ) {
        for family in observed.collect() {
            for sample in family.get_metric() {
                let mut metric = Metric::from_label(pairs(labels));
                metric.set_histogram(sample.get_histogram().clone());
                self.add(name, help, MetricType::HISTOGRAM, metric);
            }
        }
    }

    /// The page as text.
    pub(super) fn render(self) -> prometheus::Result<Vec<u8>> {
        let families: Vec<MetricFamily> = self.0.into_values().collect();
        let mut text = Vec::new();
        TextEncoder::new().encode(&families, &mut text)?;
        Ok(text)
    }

    fn add(&mut self, name: &'static str, help: &str, kind: MetricType, metric: Metric) {
        let family = self.0.entry(name).or_insert_with(|| {
            let mut family = MetricFamily::default();
            family.set_name(name.to_owned());
            family.set_help(help.to_owned());
            family.set_field_type(kind);
            family
        });
        family.mut_metric().push(metric);
    }
}

fn pairs(labels: &[(&str, &str)]) -> Vec<LabelPair> {
    let pair = |(name, value): &(&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    labels.iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_one_name_stand_under_one_head() {
        let mut page = Page::default();
        for pipeline in ["a", "b"] {
            page.counter("x_total", "Things.", &[("pipeline", pipeline)], 2.0);
        }
        page.gauge("y", "Another.", &[("text", "a \"b\"")], 0.5);
        let text = String::from_utf8(page.render().unwrap()).unwrap();
        assert_eq!(
            text,
            "# HELP x_total Things.\n# TYPE x_total counter\nx_total{pipeline=\"a\"} 2\nx_total{pipeline=\"b\"} 2\n\
             # HELP y Another.\n# TYPE y gauge\ny{text=\"a \\\"b\\\"\"} 0.5\n"
        );
    }
}
