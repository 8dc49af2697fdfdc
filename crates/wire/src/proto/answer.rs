//! Questions in, answers out.

use milepost_model::answer::{Ratio, Value};
use milepost_model::metrics::Spec;
use milepost_model::{Answer, Selector};

use crate::pb;

/// The metric asked for, and the parameters; empty ones are absent.
pub fn selector(message: pb::Selector) -> (String, Selector) {
    let present = |text: String| (!text.is_empty()).then_some(text);
    let selector = Selector {
        capability: present(message.capability),
        team: present(message.team),
        service: present(message.service),
        slo: present(message.slo),
        by: present(message.by),
        unit: present(message.unit),
        window: present(message.window),
        horizon: present(message.horizon),
        grace: present(message.grace),
        max_age: present(message.max_age),
        timeout: present(message.timeout),
        rule: present(message.rule),
        estimator: present(message.estimator),
    };
    (message.metric, selector)
}

/// What a metric says about itself.
pub fn metric_info(spec: &Spec) -> pb::MetricInfo {
    pb::MetricInfo {
        name: spec.name.to_owned(),
        kind: spec.kind.as_str().to_owned(),
        help: spec.help.to_owned(),
        definition: spec.definition.to_owned(),
        parameters: spec
            .parameters
            .iter()
            .map(|parameter| pb::ParameterInfo {
                name: parameter.name.to_owned(),
                default: parameter.default.to_owned(),
                help: parameter.help.to_owned(),
            })
            .collect(),
        dimensions: spec.dimensions.iter().map(|dimension| dimension.as_str().to_owned()).collect(),
    }
}

/// One number, explained.
pub fn answer(answer: &Answer) -> pb::Answer {
    let owned = |(name, value): (&&str, &String)| ((*name).to_owned(), value.clone());
    pb::Answer {
        metric: answer.metric.to_owned(),
        labels: answer.labels.iter().map(owned).collect(),
        as_of: answer.as_of.to_string(),
        value: Some(value(&answer.value)),
        counts: answer.counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect(),
        notes: answer.notes.iter().map(|note| note.as_str().to_owned()).collect(),
    }
}

fn value(value: &Value) -> pb::answer::Value {
    match value {
        Value::Ratio(ratio) => {
            let interval = ratio.and_then(Ratio::interval);
            pb::answer::Value::Ratio(pb::Ratio {
                value: ratio.and_then(Ratio::value),
                numerator: ratio.map(|ratio| ratio.numerator),
                denominator: ratio.map(|ratio| ratio.denominator),
                low: interval.map(|(low, _)| low),
                high: interval.map(|(_, high)| high),
            })
        }
        Value::Durations(quantiles) => pb::answer::Value::Durations(pb::Durations {
            quantiles: quantiles
                .iter()
                .map(|(q, seconds)| pb::Quantile { q: (*q).to_owned(), seconds: *seconds })
                .collect(),
        }),
        Value::Number(number) => pb::answer::Value::Number(pb::Number { value: *number }),
        Value::Score(score) => {
            let interval = score.and_then(|score| score.interval);
            pb::answer::Value::Score(pb::Score {
                value: score.map(|score| score.value),
                low: interval.map(|(low, _)| low),
                high: interval.map(|(_, high)| high),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_is_unset_and_not_zero() {
        assert_eq!(value(&Value::Ratio(None)), pb::answer::Value::Ratio(pb::Ratio::default()));
        let none = Ratio { numerator: 0, denominator: 0 };
        let pb::answer::Value::Ratio(ratio) = value(&Value::Ratio(Some(none))) else { panic!("no ratio") };
        assert_eq!(
            (ratio.value, ratio.numerator, ratio.denominator, ratio.low),
            (None, Some(0), Some(0), None)
        );
    }

    #[test]
    fn empty_parameters_are_absent() {
        let message = pb::Selector { metric: "nps".into(), team: "a".into(), ..Default::default() };
        let expected = Selector { team: Some("a".into()), ..Default::default() };
        assert_eq!(selector(message), ("nps".into(), expected));
    }
}
