//! Reading a question: a metric, its parameters, and a moment or a range.

use milepost_model::metrics::{self, Metric};
use milepost_model::{AsOf, Day, Selector, Span, Timestamp};

use super::AskError;

/// More points than this in one range are refused: thirty years of days.
const MAX_POINTS: i64 = 11_000;

/// With no more points than these, even the answers about every capability are few.
const FEW_POINTS: i64 = 10;

/// As of when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// One moment.
    Moment(AsOf),
    /// Every `step`-th day from `from` to `to`, both included.
    Range {
        /// The first day.
        from: Day,
        /// No day after this.
        to: Day,
        /// In days.
        step: u32,
    },
}

/// A question.
#[derive(Clone)]
pub struct Ask {
    /// About what.
    pub metric: &'static dyn Metric,
    /// Which of its numbers.
    pub selector: Selector,
    /// As of when.
    pub when: When,
}

/// Parameters by name, as they are written in a query string and in the fields of a `Selector`; dates among them.
pub type Parameters = Vec<(String, String)>;

/// The dates of a question, unread. Empty texts stand for absent ones.
#[derive(Default)]
struct Dates<'a> {
    as_of: &'a str,
    from: &'a str,
    to: &'a str,
    step: &'a str,
}

impl Ask {
    /// Reads a question from parameters by name. An empty value is as good as none.
    pub fn read(metric: &str, parameters: &[(String, String)], now: Timestamp) -> Result<Self, AskError> {
        let metric = find(metric)?;
        let mut selector = Selector::default();
        let mut dates = Dates::default();
        for (index, (name, value)) in parameters.iter().enumerate() {
            if parameters[..index].iter().any(|(earlier, _)| earlier == name) {
                return Err(AskError::bad(name, "is given twice; give it once"));
            }
            let mut fields = selector.fields_mut();
            match (name.as_str(), fields.iter_mut().find(|(field, _)| field == name)) {
                (_, Some((_, field))) => **field = (!value.is_empty()).then(|| value.clone()),
                ("as_of", _) => dates.as_of = value,
                ("from", _) => dates.from = value,
                ("to", _) => dates.to = value,
                ("step", _) => dates.step = value,
                _ => return Err(unknown_parameter(name, metric)),
            }
        }
        Ok(Self { metric, selector, when: dates.read(now)? })
    }

    /// Whether it may have many answers: those to one such question at a time fill enough memory.
    pub fn is_long(&self) -> bool {
        let is_broken_down = self.selector.by.as_deref().is_some_and(|by| by != "capability");
        is_broken_down
            || matches!(self.when, When::Range { from, to, step } if points(from, to, step) > FEW_POINTS)
    }

    /// A question as of a day, or as of now if it is empty.
    pub fn moment(metric: &str, selector: Selector, as_of: &str, now: Timestamp) -> Result<Self, AskError> {
        let when = Dates { as_of, ..Dates::default() }.read(now)?;
        Ok(Self { metric: find(metric)?, selector, when })
    }

    /// A question over a range of days.
    pub fn range(
        metric: &str,
        selector: Selector,
        (from, to, step): (&str, &str, &str),
        now: Timestamp,
    ) -> Result<Self, AskError> {
        for (name, day) in [("from", from), ("to", to)] {
            if day.is_empty() {
                return Err(AskError::bad(name, "missing: a range needs a day to begin and one to end with"));
            }
        }
        let when = Dates { from, to, step, ..Dates::default() }.read(now)?;
        Ok(Self { metric: find(metric)?, selector, when })
    }
}

impl Dates<'_> {
    fn read(&self, now: Timestamp) -> Result<When, AskError> {
        match (self.from.is_empty(), self.to.is_empty()) {
            (true, true) if !self.step.is_empty() => Err(AskError::bad("step", "needs `from` and `to`")),
            (true, true) if self.as_of.is_empty() => Ok(When::Moment(AsOf::Instant(now))),
            (true, true) => Ok(When::Moment(AsOf::day(day("as_of", self.as_of)?, now)?)),
            (true, false) => Err(AskError::bad("from", "missing: `to` needs it")),
            (false, true) => Err(AskError::bad("to", "missing: `from` needs it")),
            (false, false) => self.range(now),
        }
    }

    fn range(&self, now: Timestamp) -> Result<When, AskError> {
        if !self.as_of.is_empty() {
            return Err(AskError::bad("as_of", "is one moment, `from` and `to` are a range: give either"));
        }
        let (from, to) = (day("from", self.from)?, day("to", self.to)?);
        AsOf::day(to, now).map_err(|error| AskError::bad("to", error.message))?;
        if from > to {
            return Err(AskError::bad("from", format!("{from} is after `to`, {to}")));
        }
        let step = if self.step.is_empty() { "1d" } else { self.step };
        let step =
            step.parse().and_then(Span::whole_days).map_err(|e| AskError::bad("step", e.to_string()))?;
        let points = points(from, to, step);
        if points > MAX_POINTS {
            let message =
                format!("{points} days are asked for, at most {MAX_POINTS} are answered: take a larger step");
            return Err(AskError::bad("step", message));
        }
        Ok(When::Range { from, to, step })
    }
}

/// Days of a range.
fn points(from: Day, to: Day, step: u32) -> i64 {
    i64::from(to.number() - from.number()) / i64::from(step.max(1)) + 1
}

fn find(metric: &str) -> Result<&'static dyn Metric, AskError> {
    metrics::find(metric).map_err(|error| AskError::Unknown(error.message))
}

fn day(field: &str, text: &str) -> Result<Day, AskError> {
    text.parse().map_err(|error: milepost_model::time::SpanError| AskError::bad(field, error.to_string()))
}

fn unknown_parameter(name: &str, metric: &dyn Metric) -> AskError {
    let spec = metric.spec();
    let takes: Vec<_> = spec.parameters.iter().map(|p| p.name).collect();
    let message = format!("unknown; {} takes {}, as_of, or from, to and step", spec.name, takes.join(", "));
    AskError::bad(name, message)
}
