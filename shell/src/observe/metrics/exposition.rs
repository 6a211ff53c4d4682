//! Metrics as text, in the two forms that Prometheus reads: its own, version 0.0.4, and OpenMetrics 1.0.

use super::histogram::Histogram;
use std::fmt::Write as _;

/// The form of a page of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MetricsForm {
    /// Prometheus' text format, version 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl MetricsForm {
    /// Both forms; the first for who has no preference.
    pub(crate) const ALL: [Self; 2] = [Self::Prometheus, Self::OpenMetrics];

    /// The media type, without its parameters.
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain",
            Self::OpenMetrics => "application/openmetrics-text",
        }
    }

    /// The value of `Content-Type`.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// A label of a series, and its value.
pub(super) type Label<'l> = (&'static str, &'l str);

/// A page of metrics that is being written: one family after the other.
#[derive(Debug)]
pub(super) struct Exposition {
    text: String,
    form: MetricsForm,
}

impl Exposition {
    pub(super) fn new(form: MetricsForm) -> Self {
        Self { text: String::with_capacity(16 << 10), form }
    }

    /// A figure that goes up and down, without labels.
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.gauges(name, help, [([], value)]);
    }

    /// A family of such figures.
    pub(super) fn gauges<'l, const LABELS: usize>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = ([Label<'l>; LABELS], f64)>,
    ) {
        self.head(name, "gauge", help);
        series.into_iter().for_each(|(labels, value)| self.sample(name, &labels, value));
    }

    /// A count that only grows, without labels. The name comes without `_total`.
    pub(super) fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.counters(name, help, [([], value)]);
    }

    /// A family of such counts.
    pub(super) fn counters<'l, const LABELS: usize>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = ([Label<'l>; LABELS], u64)>,
    ) {
        let total = self.counter_head(name, help);
        series.into_iter().for_each(|(labels, value)| self.sample(&total, &labels, value as f64));
    }

    /// Seconds that only grow, without labels. The name comes without `_total`.
    pub(super) fn seconds(&mut self, name: &str, help: &str, value: f64) {
        let total = self.counter_head(name, help);
        self.sample(&total, &[], value);
    }

    /// A family of histograms, each with the value of one label.
    pub(super) fn histograms<'h>(
        &mut self,
        name: &str,
        help: &str,
        label: &'static str,
        series: impl IntoIterator<Item = (&'h str, &'h Histogram)>,
    ) {
        self.head(name, "histogram", help);
        series.into_iter().for_each(|(value, histogram)| self.buckets(name, &[(label, value)], histogram));
    }

    /// A histogram without labels.
    pub(super) fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.head(name, "histogram", help);
        self.buckets(name, &[], histogram);
    }

    /// The samples of one histogram.
    fn buckets(&mut self, name: &str, labels: &[Label<'_>], histogram: &Histogram) {
        let mut below = 0;
        for (bound, count) in histogram.buckets() {
            below += count;
            let bound = bound.map_or_else(|| "+Inf".into(), |bound| format!("{bound:?}"));
            self.sample(&format!("{name}_bucket"), &[labels, &[("le", &*bound)]].concat(), below as f64);
        }
        self.sample(&format!("{name}_sum"), labels, histogram.sum());
        self.sample(&format!("{name}_count"), labels, below as f64);
    }

    /// The whole page.
    pub(super) fn finish(mut self) -> String {
        if self.form == MetricsForm::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }

    /// The name of the samples of a counter. In OpenMetrics its family has the name without the suffix.
    fn counter_head(&mut self, name: &str, help: &str) -> String {
        let total = format!("{name}_total");
        self.head(if self.form == MetricsForm::OpenMetrics { name } else { &total }, "counter", help);
        total
    }

    fn head(&mut self, family: &str, kind: &str, help: &str) {
        let _ = writeln!(self.text, "# HELP {family} {help}\n# TYPE {family} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[Label<'_>], value: f64) {
        self.text.push_str(name);
        let mut separator = '{';
        for (label, text) in labels {
            let _ = write!(self.text, "{separator}{label}=\"");
            text.chars().for_each(|character| self.push_escaped(character));
            self.text.push('"');
            separator = ',';
        }
        if separator == ',' {
            self.text.push('}');
        }
        // Whole numbers below 2^53 are exact, and written without a fraction.
        let _ = writeln!(self.text, " {value}");
    }

    fn push_escaped(&mut self, character: char) {
        match character {
            '\\' => self.text.push_str("\\\\"),
            '"' => self.text.push_str("\\\""),
            '\n' => self.text.push_str("\\n"),
            other => self.text.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(form: MetricsForm) -> String {
        let mut page = Exposition::new(form);
        page.gauge("rooms", "Rooms.", 3.0);
        page.counters("ends", "Ends.", [([("cause", "a \"b\\\n")], 7), ([("cause", "c")], 0)]);
        page.finish()
    }

    #[test]
    fn a_page_is_written_as_each_form_has_it() {
        let samples = "ends_total{cause=\"a \\\"b\\\\\\n\"} 7\nends_total{cause=\"c\"} 0\n";
        let rooms = "# HELP rooms Rooms.\n# TYPE rooms gauge\nrooms 3\n";
        let head = |name| format!("# HELP {name} Ends.\n# TYPE {name} counter\n");
        assert_eq!(page(MetricsForm::Prometheus), format!("{rooms}{}{samples}", head("ends_total")));
        assert_eq!(page(MetricsForm::OpenMetrics), format!("{rooms}{}{samples}# EOF\n", head("ends")));
    }

    #[test]
    fn a_histogram_counts_what_is_below_each_bound() {
        let histogram = Histogram::default();
        [0.0004, 0.001, 7.0, 100.0].into_iter().for_each(|seconds| histogram.observe(seconds));
        let mut page = Exposition::new(MetricsForm::Prometheus);
        page.histograms("calls", "Calls.", "class", [("read", &histogram)]);
        let page = page.finish();
        for line in [
            "calls_bucket{class=\"read\",le=\"0.0005\"} 1",
            "calls_bucket{class=\"read\",le=\"0.001\"} 2",
            "calls_bucket{class=\"read\",le=\"5.0\"} 2",
            "calls_bucket{class=\"read\",le=\"10.0\"} 3",
            "calls_bucket{class=\"read\",le=\"+Inf\"} 4",
            "calls_sum{class=\"read\"} 107.0014",
            "calls_count{class=\"read\"} 4",
        ] {
            assert!(page.lines().any(|written| written == line), "{line} in {page}");
        }
    }

    #[test]
    fn the_type_of_a_page_is_one_that_can_be_asked_for() {
        for form in MetricsForm::ALL {
            assert!(form.content_type().starts_with(&format!("{}; ", form.media_type())), "{form:?}");
        }
    }
}
