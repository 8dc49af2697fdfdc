//! The metrics as Prometheus families: those of the registry that are exported, with their default parameters.
//!
//! Law: a pure function of (Model, Config, now). Neither the order in which events arrived nor anything of the process
//! shows in it. No value, or one that is withheld: no sample, for "no data" must not look like 0.

use milepost_model::answer::{Kind, Value};
use milepost_model::metrics::{self, Spec};
use milepost_model::{Answer, AsOf, Config, Model, QuestionError, Selector, Timestamp};

use super::budget::Budget;
use super::exposition::{Family, Labels, Number};

/// What goes out about the platform.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Business {
    /// All families, in the order of the registry.
    pub families: Vec<Family>,
    /// Capabilities that are in `other`, as there is no room for them.
    pub folded: usize,
}

/// All of it, as of now, within a budget of so many series for all that is exported.
pub fn business(
    model: &Model,
    config: &Config,
    now: Timestamp,
    series: usize,
) -> Result<Business, QuestionError> {
    let mut families = Vec::new();
    let budget = Budget::new(model, config, now, series);
    for metric in metrics::registry().iter().copied().filter(|metric| metric.spec().exported) {
        let answers = metrics::query(model, config, metric, &Selector::default(), AsOf::Instant(now))?;
        families.extend(metric_families(metric.spec(), &budget.fold(answers)));
    }
    Ok(Business { families, folded: budget.folded })
}

/// Names of the families a metric has, if it is exported.
pub fn names(spec: &Spec) -> Vec<String> {
    metric_families(spec, &[]).iter().map(|family| family.name().to_owned()).collect()
}

fn metric_families(spec: &Spec, answers: &[Answer]) -> Vec<Family> {
    let name = format!("milepost_{}", spec.name);
    let mut families = match spec.kind {
        Kind::Ratio => ratio(spec, &name, answers),
        Kind::Durations => durations(spec, &name, answers),
        Kind::Score => score(spec, &name, answers),
        Kind::Number => number(spec, &name, answers),
    };
    if !spec.counts.is_empty() {
        families.push(counts(spec, &name, answers));
    }
    families
}

/// Numerator and denominator are there also where they are 0, so that rules can tell "none yet" from "gone".
fn ratio(spec: &Spec, name: &str, answers: &[Answer]) -> Vec<Family> {
    let mut ratio = Family::gauge(format!("{name}_ratio"), spec.help);
    let mut numerator = Family::gauge(format!("{name}_numerator"), format!("Numerator of {name}_ratio."));
    let mut denominator =
        Family::gauge(format!("{name}_denominator"), format!("Denominator of {name}_ratio."));
    for answer in answers {
        let Value::Ratio(Some(value)) = answer.value else { continue };
        if let Some(share) = value.value() {
            ratio.push(labels(answer), Number::Real(share));
        }
        numerator.push(labels(answer), Number::Count(value.numerator));
        denominator.push(labels(answer), Number::Count(value.denominator));
    }
    vec![ratio, numerator, denominator]
}

/// The label is `q`: `quantile` is reserved for summaries.
fn durations(spec: &Spec, name: &str, answers: &[Answer]) -> Vec<Family> {
    let mut family = Family::gauge(format!("{name}_seconds"), spec.help);
    for answer in answers {
        let Value::Durations(quantiles) = &answer.value else { continue };
        for (q, seconds) in quantiles {
            if let Some(seconds) = seconds {
                family.push(with_label(answer, "q", q), Number::Count(*seconds));
            }
        }
    }
    vec![family]
}

fn score(spec: &Spec, name: &str, answers: &[Answer]) -> Vec<Family> {
    let mut family = Family::gauge(name, spec.help);
    for answer in answers {
        if let Value::Score(Some(score)) = answer.value {
            family.push(labels(answer), Number::Real(score.value));
        }
    }
    vec![family]
}

fn number(spec: &Spec, name: &str, answers: &[Answer]) -> Vec<Family> {
    let mut family = Family::gauge(name, spec.help);
    for answer in answers {
        if let Value::Number(Some(number)) = answer.value {
            family.push(labels(answer), Number::Real(number));
        }
    }
    vec![family]
}

fn counts(spec: &Spec, name: &str, answers: &[Answer]) -> Family {
    let (things, label) = match spec.kind {
        Kind::Ratio | Kind::Number => ("units", "state"),
        Kind::Durations => ("subjects", "state"),
        Kind::Score => ("answers", "class"),
    };
    let said: Vec<_> = spec.counts.iter().map(|(count, help)| format!("{count}: {help}")).collect();
    let help = format!("What milepost_{} rests on, by {label}: {}.", spec.name, said.join("; "));
    let mut family = Family::gauge(format!("{name}_{things}"), help);
    for answer in answers {
        for (count, value) in &answer.counts {
            family.push(with_label(answer, label, count), Number::Count(*value));
        }
    }
    family
}

fn labels(answer: &Answer) -> Labels {
    answer.labels.iter().map(|(name, value)| (*name, value.clone())).collect()
}

fn with_label(answer: &Answer, name: &'static str, value: &str) -> Labels {
    let mut labels = labels(answer);
    labels.push((name, value.to_owned()));
    labels
}
