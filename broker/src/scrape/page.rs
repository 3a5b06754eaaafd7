//! The text that Prometheus reads, format 0.0.4: for each family its help, its type, its samples.
use std::fmt::{Display, Write};

use crate::metrics::Histogram;

/// What the page is, for the HTTP header.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Names and values of labels.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

/// A page as it grows. Writing to a `String` cannot fail.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
}

/// One family of the page; its samples follow.
pub struct Family<'a> {
    text: &'a mut String,
    name: &'a str,
}

impl Page {
    /// Begins a family that only grows; by custom its name ends in `_total`.
    pub fn counter<'a>(&'a mut self, name: &'a str, help: &str) -> Family<'a> {
        self.family(name, "counter", help)
    }

    /// Begins a family that goes up and down.
    pub fn gauge<'a>(&'a mut self, name: &'a str, help: &str) -> Family<'a> {
        self.family(name, "gauge", help)
    }

    /// Begins a family of histograms.
    pub fn histogram<'a>(&'a mut self, name: &'a str, help: &str) -> Family<'a> {
        self.family(name, "histogram", help)
    }

    /// The text.
    pub fn finish(self) -> String {
        self.text
    }

    fn family<'a>(&'a mut self, name: &'a str, kind: &str, help: &str) -> Family<'a> {
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        Family {
            text: &mut self.text,
            name,
        }
    }
}

impl Family<'_> {
    /// Adds a sample.
    pub fn sample(&mut self, labels: Labels, value: impl Display) -> &mut Self {
        self.line("", labels, None, value);
        self
    }

    /// Adds a histogram's samples.
    pub fn buckets(&mut self, labels: Labels, histogram: &Histogram) -> &mut Self {
        let read = histogram.read();
        for (bound, count) in &read.at_most {
            self.line("_bucket", labels, Some(&bound.to_string()), count);
        }
        self.line("_bucket", labels, Some("+Inf"), read.count);
        self.line("_sum", labels, None, read.sum_seconds);
        self.line("_count", labels, None, read.count);
        self
    }

    fn line(&mut self, suffix: &str, labels: Labels, bound: Option<&str>, value: impl Display) {
        let text = &mut *self.text;
        let _ = write!(text, "{}{suffix}", self.name);
        let mut separator = '{';
        for (name, value) in labels
            .iter()
            .copied()
            .chain(bound.map(|bound| ("le", bound)))
        {
            text.push(separator);
            separator = ',';
            let _ = write!(text, "{name}=\"");
            escape(text, value);
            text.push('"');
        }
        if separator == ',' {
            text.push('}');
        }
        let _ = writeln!(text, " {value}");
    }
}

fn escape(text: &mut String, value: &str) {
    for letter in value.chars() {
        match letter {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn samples_carry_escaped_labels() {
        let mut page = Page::default();
        page.gauge("lag", "How far behind.")
            .sample(&[], 1.5)
            .sample(&[("group", "a\"b\\c\nd"), ("partition", "0")], -1);
        let wanted = "# HELP lag How far behind.\n# TYPE lag gauge\nlag 1.5\n\
                      lag{group=\"a\\\"b\\\\c\\nd\",partition=\"0\"} -1\n";
        assert_eq!(page.finish(), wanted);
    }

    #[test]
    fn buckets_are_cumulative_and_end_in_infinity() {
        let histogram = Histogram::default();
        histogram.observe(Duration::from_micros(20));
        histogram.observe(Duration::from_secs(60));
        let mut page = Page::default();
        page.histogram("d", "x")
            .buckets(&[("api", "Fetch")], &histogram);
        let text = page.finish();
        let lines: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(lines[0], "d_bucket{api=\"Fetch\",le=\"0.000016\"} 0");
        assert_eq!(lines[1], "d_bucket{api=\"Fetch\",le=\"0.000032\"} 1");
        assert_eq!(lines[21], "d_bucket{api=\"Fetch\",le=\"+Inf\"} 2");
        assert_eq!(lines[22], "d_sum{api=\"Fetch\"} 60.00002");
        assert_eq!(lines[23], "d_count{api=\"Fetch\"} 2");
    }
}
