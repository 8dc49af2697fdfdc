//! What a service level objective is: an indicator, what of it is looked at, and how much of that must be good.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::matches;
use crate::time::Span;

/// A service level objective.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Slo {
    /// What is counted. Needed.
    pub sli: Option<Sli>,
    /// How much of it must be good. Needed.
    pub objective: Option<Objective>,
    /// The span before T that it is about; default: 28 days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<Span>,
    /// Good is only what took no longer. Of pipeline runs and environments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<Span>,
    /// Only what names capabilities that fit this pattern, in which `*` stands for any text; so for the following.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capability: Option<String>,
    /// Teams.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// Services.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Environments, of deploys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// Pipelines, probes or indicators.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sli {
    /// Deploys; good if successful.
    Deploys,
    /// Pipeline runs whose outcome is known; good if successful, and in time.
    PipelineRuns,
    /// Interactions that ended or were abandoned; good if successful.
    Interactions,
    /// Environments that were made or could not be; good if made, and in time.
    Environments,
    /// Results of probes; good if successful.
    Probes,
    /// Requests, as they were counted.
    Requests,
}

/// A share below 1, exactly as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Objective {
    /// So many
    good: u64,
    /// of so many: a power of ten.
    of: u64,
}

/// Digits behind the point, at most.
const DIGITS: usize = 9;

/// A text is no objective.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no objective: write a decimal above 0 and below 1 with at most {DIGITS} digits, such as 0.999"
)]
pub struct ObjectiveError(String);

impl Objective {
    /// Whether `good` of `valid` are enough.
    pub fn is_met(self, good: u64, valid: u64) -> bool {
        u128::from(good) * u128::from(self.of) >= u128::from(self.good) * u128::from(valid)
    }

    /// How fast the error budget is spent: the share that is not good ÷ the share that need not be. None without any.
    pub fn burn_rate(self, good: u64, valid: u64) -> Option<f64> {
        let bad = u128::from(valid.saturating_sub(good)) * u128::from(self.of);
        let allowed = u128::from(valid) * u128::from(self.of - self.good);
        (allowed > 0).then(|| divided(bad, allowed))
    }

    /// What is left of the error budget, as a share of it: below 0 where more was spent than there was. None without any.
    pub fn budget_remaining(self, good: u64, valid: u64) -> Option<f64> {
        let spent = u128::from(valid.saturating_sub(good)) * u128::from(self.of);
        let allowed = u128::from(valid) * u128::from(self.of - self.good);
        let left = allowed.abs_diff(spent);
        let sign = if spent > allowed { -1.0 } else { 1.0 };
        (allowed > 0).then(|| sign * divided(left, allowed))
    }
}

/// The quotient of whole numbers, rounded once: what both have in common is taken out first.
fn divided(numerator: u128, denominator: u128) -> f64 {
    let mut divisor = (denominator, numerator);
    while divisor.1 > 0 {
        divisor = (divisor.1, divisor.0 % divisor.1);
    }
    let common = divisor.0.max(1);
    (numerator / common) as f64 / (denominator / common) as f64
}

impl FromStr for Objective {
    type Err = ObjectiveError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || ObjectiveError(text.to_owned());
        let digits = text.strip_prefix("0.").ok_or_else(bad)?.trim_end_matches('0');
        if digits.is_empty() || digits.len() > DIGITS || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad());
        }
        let good = digits.parse().map_err(|_| bad())?;
        Ok(Self { good, of: 10_u64.pow(digits.len() as u32) })
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.of.ilog10() as usize;
        write!(f, "0.{:0digits$}", self.good)
    }
}

impl Serialize for Objective {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Objective {
    /// From a text, or from a number: the shortest decimal that is that number is what was written.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Decimal;
        impl serde::de::Visitor<'_> for Decimal {
            type Value = Objective;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a decimal above 0 and below 1, such as 0.999")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Objective, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Objective, E> {
                number.to_string().parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Decimal)
    }
}

impl Slo {
    /// The default of `window`.
    pub const WINDOW: Span = Span::days(28);

    /// The span before T that it is about.
    pub fn window(&self) -> Span {
        self.window.unwrap_or(Self::WINDOW)
    }

    /// What makes no sense of it: keys, each with the reason and the way out.
    pub fn errors(&self) -> Vec<(&'static str, String)> {
        let mut errors = Vec::new();
        if self.sli.is_none() {
            let message =
                "missing: write deploys, pipeline_runs, interactions, environments, probes or requests";
            errors.push(("sli", message.to_owned()));
        }
        if self.objective.is_none() {
            errors.push((
                "objective",
                "missing: write a decimal above 0 and below 1, such as 0.999".to_owned(),
            ));
        }
        if self.window().seconds() == 0 {
            errors.push(("window", "0s has nothing in it: write a span such as 28d".to_owned()));
        }
        let timed = matches!(self.sli, Some(Sli::PipelineRuns | Sli::Environments) | None);
        if self.threshold.is_some() && !timed {
            let message = "has no meaning here: only pipeline_runs and environments say how long they took";
            errors.push(("threshold", message.to_owned()));
        }
        if self.environment.is_some() && !matches!(self.sli, Some(Sli::Deploys) | None) {
            errors.push(("environment", "has no meaning here: only deploys name environments".to_owned()));
        }
        let named = matches!(self.sli, Some(Sli::PipelineRuns | Sli::Probes | Sli::Requests) | None);
        if self.name.is_some() && !named {
            let message = "has no meaning here: only pipeline_runs, probes and requests have names";
            errors.push(("name", message.to_owned()));
        }
        errors
    }
}

/// Whether a name, if there is one, fits a pattern, if there is one.
pub fn fits(pattern: Option<&str>, name: Option<&str>) -> bool {
    pattern.is_none_or(|pattern| name.is_some_and(|name| matches(pattern, name)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn objectives_are_what_was_written() {
        for text in ["0.9", "0.99", "0.999", "0.95", "0.000000001", "0.123456789", "0.01"] {
            let objective: Objective = text.parse().unwrap();
            assert_eq!(objective.to_string(), text);
            let number: f64 = text.parse().unwrap();
            assert_eq!(serde_json::from_value::<Objective>(number.into()).unwrap(), objective, "{text}");
            assert_eq!(serde_json::from_value::<Objective>(text.into()).unwrap(), objective);
        }
        assert_eq!("0.990".parse::<Objective>().unwrap().to_string(), "0.99");
        for text in ["1", "0", "0.0", "1.0", ".9", "-0.9", "0.9999999999", "99%", "0.9a", "", "0."] {
            let error = text.parse::<Objective>().unwrap_err().to_string();
            assert!(error.contains("such as 0.999"), "{text}: {error}");
        }
    }

    #[test]
    fn budgets_are_exact() {
        let objective: Objective = "0.999".parse().unwrap();
        assert_eq!(objective.burn_rate(999, 1_000), Some(1.0));
        assert_eq!(objective.budget_remaining(999, 1_000), Some(0.0));
        assert_eq!(objective.budget_remaining(998, 1_000), Some(-1.0));
        assert_eq!(objective.budget_remaining(1_000, 1_000), Some(1.0));
        assert_eq!((objective.burn_rate(0, 0), objective.budget_remaining(0, 0)), (None, None));
        assert!(objective.is_met(999, 1_000) && !objective.is_met(998, 1_000));
        assert_eq!("0.9".parse::<Objective>().unwrap().burn_rate(7, 10), Some(3.0));
    }

    proptest! {
        /// An objective is met if and only if something is left of its budget, or it is used up to the last.
        #[test]
        fn met_is_not_overspent(digits in 1..1_000_u64, good in 0..1_u64 << 53, bad in 0..1_u64 << 53) {
            prop_assume!(digits % 10 != 0 && good + bad > 0);
            let objective: Objective = format!("0.{digits:03}").parse().unwrap();
            let left = objective.budget_remaining(good, good + bad).unwrap();
            prop_assert_eq!(objective.is_met(good, good + bad), left >= 0.0);
            let burnt = objective.burn_rate(good, good + bad).unwrap();
            prop_assert!((1.0 - burnt - left).abs() <= 1e-9 * burnt.max(1.0));
        }
    }
}
