//! What comes back: values with all that explains them.

use std::collections::BTreeMap;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::event::EventKey;
use crate::question::AsOf;
use crate::time::Timestamp;

/// What kind of number a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A share of counts, with numerator, denominator and interval.
    Ratio,
    /// Quantiles of durations, in whole seconds.
    Durations,
    /// A score with its margin.
    Score,
    /// A number without an interval.
    Number,
}

impl Kind {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ratio => "ratio",
            Self::Durations => "duration",
            Self::Score => "score",
            Self::Number => "number",
        }
    }
}

/// A value. `None` inside means: no value, which is not 0.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Counts; the share and its interval follow from them.
    Ratio(Option<Ratio>),
    /// Quantile by name (`0.5`, `0.9`), in whole seconds.
    Durations(BTreeMap<&'static str, Option<u64>>),
    /// Value, and its interval where there is one.
    Score(Option<Score>),
    /// A number, in the unit that the metric's definition gives it.
    Number(Option<f64>),
}

/// A share of counts. [`Value::Ratio`] holds none if it is withheld.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Ratio {
    pub numerator: u64,
    pub denominator: u64,
}

/// A score, −100 to 100.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(missing_docs)]
pub struct Score {
    pub value: f64,
    /// The interval, where there are answers enough for one.
    pub interval: Option<(f64, f64)>,
}

/// What must be said with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Note {
    /// Use of this capability is mandated: it is not adoption.
    Mandated,
    /// About fewer persons than may be shown.
    Withheld,
}

impl Note {
    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mandated => "mandated",
            Self::Withheld => "withheld",
        }
    }
}

/// Labels of an answer: dimension to name.
pub type Labels = BTreeMap<&'static str, String>;

/// One number, explained. Its JSON form is the command line's contract.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The metric.
    pub metric: &'static str,
    /// Which of its numbers.
    pub labels: Labels,
    /// As of when.
    pub as_of: AsOf,
    /// The value.
    pub value: Value,
    /// What is pending, what was left out and why.
    pub counts: BTreeMap<&'static str, u64>,
    /// What must be said with it.
    pub notes: Vec<Note>,
}

impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("metric", self.metric)?;
        map.serialize_entry("labels", &self.labels)?;
        map.serialize_entry("as_of", &self.as_of.to_string())?;
        match &self.value {
            Value::Ratio(ratio) => {
                let interval = ratio.and_then(Ratio::interval);
                map.serialize_entry("value", &ratio.and_then(Ratio::value))?;
                map.serialize_entry("numerator", &ratio.map(|r| r.numerator))?;
                map.serialize_entry("denominator", &ratio.map(|r| r.denominator))?;
                map.serialize_entry("low", &interval.map(|i| i.0))?;
                map.serialize_entry("high", &interval.map(|i| i.1))?;
            }
            Value::Durations(quantiles) => map.serialize_entry("quantiles", quantiles)?,
            Value::Number(number) => map.serialize_entry("value", number)?,
            Value::Score(score) => {
                let interval = score.and_then(|s| s.interval);
                map.serialize_entry("value", &score.map(|s| s.value))?;
                map.serialize_entry("low", &interval.map(|i| i.0))?;
                map.serialize_entry("high", &interval.map(|i| i.1))?;
            }
        }
        map.serialize_entry("counts", &self.counts)?;
        if !self.notes.is_empty() {
            map.serialize_entry("notes", &self.notes)?;
        }
        map.end()
    }
}

/// Why an answer is what it is: one page of the units it is about.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The definition of the metric.
    pub definition: &'static str,
    /// The answers that the units of this page are about; all, if there is no unit on any page.
    pub answers: Vec<Answer>,
    /// Units on all pages.
    pub total: usize,
    /// The units of this page, by labels, class and unit.
    pub units: Vec<ExplainedUnit>,
}

/// What a unit is to a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// In numerator and denominator of a ratio.
    Numerator,
    /// In the denominator only.
    Denominator,
    /// A duration or score that is known.
    Observed,
    /// A duration known only to be longer.
    Censored,
    /// Not in the value: pending or left out.
    Excluded,
}

impl Part {
    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Numerator => "numerator",
            Self::Denominator => "denominator",
            Self::Observed => "observed",
            Self::Censored => "censored",
            Self::Excluded => "excluded",
        }
    }
}

/// A unit of an answer and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExplainedUnit {
    /// Labels of the answer it belongs to.
    pub labels: Labels,
    /// A team, a service, `developer service`, an interaction, a respondent, a deploy, a change or an incident.
    pub unit: String,
    /// What became of it: a name such as `kept`, `waiting` or one of the counts.
    pub class: &'static str,
    /// What it is to the value.
    pub part: Part,
    /// How many it stands for: of requests that were counted, all of them; else 1.
    pub count: u64,
    /// The events it rests on, by time.
    pub events: Vec<(Timestamp, EventKey)>,
}

impl Ratio {
    /// Numerator ÷ denominator; none where there is nothing to divide by.
    pub fn value(self) -> Option<f64> {
        (self.denominator > 0).then(|| self.numerator as f64 / self.denominator as f64)
    }

    /// The 95 % Wilson interval, none where there is no value.
    pub fn interval(self) -> Option<(f64, f64)> {
        const Z: f64 = 1.959_964;
        let p = self.value()?;
        let n = self.denominator as f64;
        let z2 = Z * Z;
        let centre = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
        let half = Z * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt() / (1.0 + z2 / n);
        Some(((centre - half).max(0.0), (centre + half).min(1.0)))
    }
}
