//! The metrics, one file each. To add one: write its file, add it to [`registry`].
//!
//! Exporter, query API, command line, `# HELP` texts and the reference page follow from its [`Spec`].

use crate::answer::{Answer, Explanation, Kind};
use crate::config::Config;
use crate::model::Model;
use crate::question::{AsOf, Dimension, Parameter, QuestionError, Selector};
use crate::time::Day;

/// What a metric says about itself.
#[derive(Debug)]
pub struct Spec {
    /// Its name: `[a-z_]+`.
    pub name: &'static str,
    /// What kind of number.
    pub kind: Kind,
    /// One line.
    pub help: &'static str,
    /// The whole definition, in Markdown.
    pub definition: &'static str,
    /// The parameters it takes, beside the day.
    pub parameters: &'static [Parameter],
    /// What it can be broken down by and narrowed to.
    pub dimensions: &'static [Dimension],
    /// Names of its counts, each with what it counts.
    pub counts: &'static [(&'static str, &'static str)],
    /// What it needs to be told, as event types: for those who wonder why there is no value.
    pub needs: &'static [&'static str],
    /// Whether it goes out as Prometheus gauges, with its default parameters.
    pub exported: bool,
}

/// A metric: a pure function of (Model, Config, as of), with its description.
pub trait Metric: Sync {
    /// What it says about itself.
    fn spec(&self) -> &'static Spec;
}

/// Every metric, in the order of METRICS.
pub fn registry() -> &'static [&'static dyn Metric] {
    &[]
}

/// The metric of this name.
pub fn find(name: &str) -> Result<&'static dyn Metric, QuestionError> {
    registry().iter().copied().find(|m| m.spec().name == name).ok_or_else(|| {
        let names: Vec<_> = registry().iter().map(|m| m.spec().name).collect();
        QuestionError::new("metric", format!("`{name}` is none of {}", names.join(", ")))
    })
}

/// The answers as of one moment, by labels.
pub fn query(
    _model: &Model,
    _config: &Config,
    _metric: &'static dyn Metric,
    _selector: &Selector,
    _as_of: AsOf,
) -> Result<Vec<Answer>, QuestionError> {
    Ok(Vec::new())
}

/// The answers as of every `step`-th day from `from` to `to`, both included, by labels and then by day.
pub fn query_range(
    _model: &Model,
    _config: &Config,
    _metric: &'static dyn Metric,
    _selector: &Selector,
    _from: Day,
    _to: Day,
    _step: u32,
) -> Result<Vec<Answer>, QuestionError> {
    Ok(Vec::new())
}

/// Units `offset` … `offset + limit` behind the answers as of one moment.
pub fn explain(
    _model: &Model,
    _config: &Config,
    metric: &'static dyn Metric,
    _selector: &Selector,
    _as_of: AsOf,
    _offset: usize,
    _limit: usize,
) -> Result<Explanation, QuestionError> {
    Ok(Explanation { definition: metric.spec().definition, answers: Vec::new(), total: 0, units: Vec::new() })
}
