//! What can be asked: the parameters of a metric, from their text forms to values.

use crate::config::{Config, Windows};
use crate::time::{Day, Span, SpanError, Timestamp};

/// What an answer can be broken down by or narrowed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Dimension {
    Capability,
    Team,
    Service,
    Slo,
}

impl Dimension {
    /// Its name, as a parameter and as a label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Capability => "capability",
            Self::Team => "team",
            Self::Service => "service",
            Self::Slo => "slo",
        }
    }
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub enum Unit {
    #[default]
    Team,
    Service,
}

/// By which of several definitions a metric counts.
///
/// Of keeping a capability, where days are counted from the day of first use, A; and of delivery, as others count it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// A use on at least one of A+H … A+H+G−1.
    WindowAfter,
    /// A use on A+H.
    ExactDay,
    /// A use on max(A+1, A+H−G+1) … A+H.
    WindowBefore,
    /// A use on A+1 … A+H.
    AnyRepeat,
    /// A use on any day from A+H on.
    OnOrAfter,
    /// Milepost's own.
    Own,
    /// That of Apache `DevLake`.
    DevLake,
    /// That of Four Keys.
    FourKeys,
    /// That of Middleware.
    Middleware,
}

impl Rule {
    /// Its name, as a parameter.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WindowAfter => "window_after",
            Self::ExactDay => "exact_day",
            Self::WindowBefore => "window_before",
            Self::AnyRepeat => "any_repeat",
            Self::OnOrAfter => "on_or_after",
            Self::Own => "milepost",
            Self::DevLake => "devlake",
            Self::FourKeys => "four_keys",
            Self::Middleware => "middleware",
        }
    }
}

/// How quantiles treat what has not finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Estimator {
    /// Kaplan–Meier: the unfinished count for as long as they were seen.
    #[default]
    KaplanMeier,
    /// Only the finished ones.
    Observed,
}

/// A question as it is asked: every field as text, absent ones taking the defaults of the metric.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "described by `PARAMETERS`")]
pub struct Selector {
    pub capability: Option<String>,
    pub team: Option<String>,
    pub service: Option<String>,
    pub slo: Option<String>,
    pub by: Option<String>,
    pub unit: Option<String>,
    pub window: Option<String>,
    pub horizon: Option<String>,
    pub grace: Option<String>,
    pub max_age: Option<String>,
    pub timeout: Option<String>,
    pub rule: Option<String>,
    pub estimator: Option<String>,
}

/// A parameter a metric takes, for `--help`, the reference page and the List call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameter {
    /// Its name in HTTP and gRPC; on the command line with `-` for `_`.
    pub name: &'static str,
    /// Its default, in words where the configuration decides.
    pub default: &'static str,
    /// What it does.
    pub help: &'static str,
}

/// A question whose parameters have been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Only this capability.
    pub capability: Option<String>,
    /// Only this team.
    pub team: Option<String>,
    /// Only this service.
    pub service: Option<String>,
    /// Only this objective.
    pub slo: Option<String>,
    /// One answer for each of these.
    pub by: Option<Dimension>,
    /// What is counted.
    pub unit: Unit,
    /// Trailing window, in days.
    pub window: u32,
    /// H of `keep_rate`, in days.
    pub horizon: u32,
    /// G of `keep_rate`, in days.
    pub grace: u32,
    /// Adopters older than so many days are left out.
    pub max_age: Option<u32>,
    /// Wins over the configured time-outs of interactions.
    pub timeout: Option<Span>,
    /// By which rule, for metrics that have several.
    pub rule: Option<Rule>,
    /// Estimator of quantiles.
    pub estimator: Estimator,
}

/// A question that cannot be answered: which parameter, and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct QuestionError {
    /// The parameter.
    pub field: &'static str,
    /// What is wrong and what would be right.
    pub message: String,
}

impl QuestionError {
    /// An error about `field`.
    pub fn new(field: &'static str, message: impl Into<String>) -> Self {
        Self { field, message: message.into() }
    }
}

/// As of when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsOf {
    /// The end of a day.
    Day(Day),
    /// An instant: now.
    Instant(Timestamp),
}

impl AsOf {
    /// As of the end of `day`, which may not lie after today.
    pub fn day(day: Day, now: Timestamp) -> Result<Self, QuestionError> {
        if day > now.day() {
            let message = format!("{day} is after today ({}): nothing is known of it yet", now.day());
            return Err(QuestionError::new("as_of", message));
        }
        Ok(Self::Day(day))
    }

    /// T: events before it are seen.
    pub fn instant(self) -> Timestamp {
        match self {
            Self::Day(day) => day.end(),
            Self::Instant(at) => at,
        }
    }
}

impl std::fmt::Display for AsOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Day(day) => day.fmt(f),
            Self::Instant(at) => at.fmt(f),
        }
    }
}

impl Selector {
    /// Reads the parameters. Those the metric has no use for must be absent: `parameters` names the ones it takes, and `rules`
    /// those of its rules, the default first.
    pub fn read(
        &self,
        config: &Config,
        parameters: &[Parameter],
        rules: &[Rule],
        window: fn(&Windows) -> Span,
    ) -> Result<Question, QuestionError> {
        for (name, value) in self.fields() {
            if value.is_some() && !parameters.iter().any(|p| p.name == name) {
                let takes: Vec<_> = parameters.iter().map(|p| p.name).collect();
                let message = format!("this metric does not take it; it takes {}", takes.join(", "));
                return Err(QuestionError::new(name, message));
            }
        }
        Ok(Question {
            capability: self.capability.clone(),
            team: self.team.clone(),
            service: self.service.clone(),
            slo: self.slo.clone(),
            by: choice(
                "by",
                self.by.as_deref(),
                &[
                    ("capability", Some(Dimension::Capability)),
                    ("team", Some(Dimension::Team)),
                    ("service", Some(Dimension::Service)),
                ],
            )?,
            unit: choice("unit", self.unit.as_deref(), &[("team", Unit::Team), ("service", Unit::Service)])?,
            window: days("window", self.window.as_deref(), window(&config.windows))?,
            horizon: days("horizon", self.horizon.as_deref(), config.windows.horizon)?,
            grace: days("grace", self.grace.as_deref(), config.windows.grace)?,
            max_age: self
                .max_age
                .as_deref()
                .map(|text| days("max_age", Some(text), Span::days(1)))
                .transpose()?,
            timeout: self
                .timeout
                .as_deref()
                .map(|text| text.parse().map_err(|e: SpanError| QuestionError::new("timeout", e.to_string())))
                .transpose()?,
            rule: rule(self.rule.as_deref(), rules)?,
            estimator: choice(
                "estimator",
                self.estimator.as_deref(),
                &[("kaplan_meier", Estimator::KaplanMeier), ("observed", Estimator::Observed)],
            )?,
        })
    }

    /// Every field with its name.
    pub fn fields(&self) -> [(&'static str, Option<&String>); 13] {
        [
            ("capability", self.capability.as_ref()),
            ("team", self.team.as_ref()),
            ("service", self.service.as_ref()),
            ("slo", self.slo.as_ref()),
            ("by", self.by.as_ref()),
            ("unit", self.unit.as_ref()),
            ("window", self.window.as_ref()),
            ("horizon", self.horizon.as_ref()),
            ("grace", self.grace.as_ref()),
            ("max_age", self.max_age.as_ref()),
            ("timeout", self.timeout.as_ref()),
            ("rule", self.rule.as_ref()),
            ("estimator", self.estimator.as_ref()),
        ]
    }

    /// Every field with its name, to be filled: the one list that query strings and requests are read by.
    pub fn fields_mut(&mut self) -> [(&'static str, &mut Option<String>); 13] {
        [
            ("capability", &mut self.capability),
            ("team", &mut self.team),
            ("service", &mut self.service),
            ("slo", &mut self.slo),
            ("by", &mut self.by),
            ("unit", &mut self.unit),
            ("window", &mut self.window),
            ("horizon", &mut self.horizon),
            ("grace", &mut self.grace),
            ("max_age", &mut self.max_age),
            ("timeout", &mut self.timeout),
            ("rule", &mut self.rule),
            ("estimator", &mut self.estimator),
        ]
    }
}

fn days(field: &'static str, text: Option<&str>, default: Span) -> Result<u32, QuestionError> {
    text.map_or(Ok(default), str::parse)
        .and_then(Span::whole_days)
        .map_err(|error| QuestionError::new(field, error.to_string()))
}

fn rule(text: Option<&str>, rules: &[Rule]) -> Result<Option<Rule>, QuestionError> {
    let Some(text) = text else { return Ok(rules.first().copied()) };
    rules.iter().copied().find(|rule| rule.as_str() == text).map(Some).ok_or_else(|| {
        let names: Vec<_> = rules.iter().map(|rule| rule.as_str()).collect();
        QuestionError::new("rule", format!("`{text}` is none of {}", names.join(", ")))
    })
}

/// One of several words; absent: the default of its type.
fn choice<T: Copy + Default>(
    field: &'static str,
    text: Option<&str>,
    options: &[(&str, T)],
) -> Result<T, QuestionError> {
    let Some(text) = text else { return Ok(T::default()) };
    options.iter().find(|(name, _)| *name == text).map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = options.iter().map(|(name, _)| *name).collect();
        QuestionError::new(field, format!("`{text}` is none of {}", names.join(", ")))
    })
}
