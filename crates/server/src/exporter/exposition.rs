//! The text formats of Prometheus, as a pure function of families: 0.0.4, and OpenMetrics 1.0.
//!
//! Laws: what is written reads back as the same samples; a family without samples is not written; the order given is
//! the order written.

use std::fmt::{self, Write as _};

use crate::health::HistogramCounts;

/// Which format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Dialect {
    Text,
    OpenMetrics,
}

impl Dialect {
    /// Its media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// What a family is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Type {
    Counter,
    Gauge,
    Histogram,
}

/// A number: counts are exact, whatever their size.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(missing_docs)]
pub enum Number {
    Count(u64),
    Real(f64),
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => count.fmt(f),
            Self::Real(real) if real.is_infinite() => f.write_str(if *real > 0.0 { "+Inf" } else { "-Inf" }),
            Self::Real(real) => real.fmt(f),
        }
    }
}

/// Labels of a sample, in the order they are written.
pub type Labels = Vec<(&'static str, String)>;

/// One value of a family.
#[derive(Debug, Clone, PartialEq)]
struct Sample {
    /// Behind the name of the family: `_total`, `_bucket`, `_sum`, `_count` or nothing.
    suffix: &'static str,
    labels: Labels,
    value: Number,
}

/// A metric family.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    name: String,
    help: String,
    kind: Type,
    samples: Vec<Sample>,
}

impl Family {
    /// A gauge.
    pub fn gauge(name: impl Into<String>, help: impl Into<String>) -> Self {
        Self::new(Type::Gauge, name.into(), help.into())
    }

    /// A counter. Its name is given without `_total`.
    pub fn counter(name: impl Into<String>, help: impl Into<String>) -> Self {
        Self::new(Type::Counter, name.into(), help.into())
    }

    /// A histogram.
    pub fn histogram(name: impl Into<String>, help: impl Into<String>) -> Self {
        Self::new(Type::Histogram, name.into(), help.into())
    }

    fn new(kind: Type, name: String, help: String) -> Self {
        Self { name, help, kind, samples: Vec::new() }
    }

    /// Its name; that of its samples may be longer.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many series it has.
    pub fn series(&self) -> usize {
        self.samples.len()
    }

    /// Adds the value of a gauge or counter.
    pub fn push(&mut self, labels: Labels, value: Number) {
        let suffix = if self.kind == Type::Counter { "_total" } else { "" };
        self.samples.push(Sample { suffix, labels, value });
    }

    /// With one more value.
    #[must_use]
    pub fn with(mut self, labels: Labels, value: Number) -> Self {
        self.push(labels, value);
        self
    }

    /// With what a histogram holds.
    #[must_use]
    pub fn with_histogram(mut self, histogram: &HistogramCounts) -> Self {
        // `1.0`, not `1`: the canonical form, so that both formats name the same series.
        for (bound, count) in &histogram.cumulative {
            self.add("_bucket", vec![("le", format!("{bound:?}"))], Number::Count(*count));
        }
        self.add("_bucket", vec![("le", "+Inf".to_owned())], Number::Count(histogram.count));
        self.add("_sum", Vec::new(), Number::Real(histogram.sum));
        self.add("_count", Vec::new(), Number::Count(histogram.count));
        self
    }

    fn add(&mut self, suffix: &'static str, labels: Labels, value: Number) {
        self.samples.push(Sample { suffix, labels, value });
    }
}

/// Families as text.
pub fn write(families: &[Family], dialect: Dialect) -> String {
    let mut text = String::new();
    for family in families.iter().filter(|family| !family.samples.is_empty()) {
        // Writing to a string does not fail.
        let _ = write_family(&mut text, family, dialect);
    }
    if dialect == Dialect::OpenMetrics {
        text.push_str("# EOF\n");
    }
    text
}

fn write_family(text: &mut String, family: &Family, dialect: Dialect) -> fmt::Result {
    let Family { name, help, kind, samples } = family;
    let kind_name = match kind {
        Type::Counter => "counter",
        Type::Gauge => "gauge",
        Type::Histogram => "histogram",
    };
    // 0.0.4 names a counter's family by its samples, OpenMetrics by what is before `_total`.
    let ending = if *kind == Type::Counter && dialect == Dialect::Text { "_total" } else { "" };
    writeln!(text, "# HELP {name}{ending} {}", escaped(help, dialect == Dialect::OpenMetrics))?;
    writeln!(text, "# TYPE {name}{ending} {kind_name}")?;
    for Sample { suffix, labels, value } in samples {
        write!(text, "{name}{suffix}")?;
        for (index, (label, value)) in labels.iter().enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            write!(text, "{before}{label}=\"{}\"", escaped(value, true))?;
        }
        let after = if labels.is_empty() { "" } else { "}" };
        writeln!(text, "{after} {value}")?;
    }
    Ok(())
}

fn escaped(text: &str, quotes: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '"' if quotes => escaped.push_str("\\\""),
            _ => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests;
