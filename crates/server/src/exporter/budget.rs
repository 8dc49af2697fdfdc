//! The budget of series: how many one scrape has at most, and what stands for the rest.
//!
//! Metrics that go out by objective have some series for each that is configured; those that go out by capability have some for each. Those of as many capabilities as there is room for go out
//! under their names; all others are added up under `other`, so that sums over capabilities stay what they are.
//!
//! Laws:
//!
//! 1. **Within the budget, whatever happens.** Room is counted by the most series that a capability can have, not by those
//!    it has just now.
//! 2. **A series stays.** First come the capabilities that appeared first, by the time of their events, then by name; and
//!    room for `other` is kept free from the beginning. So one that appears later takes nobody's place; only history that
//!    is changed afterwards can.
//! 3. **Only counts are added up.** `other` has the sums of numerators, denominators and counts, and the ratio that follows
//!    from them, which is one of (unit, capability) pairs. Quantiles and scores cannot be added up, and are left out.
//!
//! A capability that is really called `other` is always in there, so that no two series have the same labels.

use std::collections::BTreeMap;

use milepost_model::answer::{Kind, Ratio, Value};
use milepost_model::metrics::{self, DefaultBy, QUANTILES, Spec};
use milepost_model::question::Dimension;
use milepost_model::{Answer, Config, Model, Timestamp};
use rustc_hash::FxHashSet;

/// Series that are not about the platform but about Milepost itself, at most.
pub(super) const OWN: usize = 250;

/// The label that series are counted by.
const LABEL: &str = "capability";

/// What the rest is called.
const OTHER: &str = "other";

/// Which capabilities go out under their own names.
pub(super) struct Budget<'a> {
    named: FxHashSet<&'a str>,
    /// How many do not, beside one that is really called `other`.
    pub(super) folded: usize,
}

impl<'a> Budget<'a> {
    /// Of so many series, for what has appeared by `now`.
    pub(super) fn new(model: &'a Model, config: &Config, now: Timestamp, series: usize) -> Self {
        let specs = || metrics::registry().iter().map(|metric| metric.spec()).filter(|spec| spec.exported);
        let each = specs().filter(|spec| is_by(spec, Dimension::Capability)).map(width).sum::<usize>();
        let alone = specs().filter(|spec| !is_by(spec, Dimension::Capability)).map(|spec| {
            if is_by(spec, Dimension::Slo) { config.slo.len() * width(spec) } else { width(spec) }
        });
        let alone = alone.sum::<usize>();
        let room = series.saturating_sub(OWN + alone) / each.max(1);
        let mut all: Vec<(Timestamp, &str)> = model
            .capability_names
            .all()
            .filter_map(|symbol| {
                let appeared = model.traces.capability_appeared(symbol).filter(|at| *at < now)?;
                Some((appeared, model.capability_names.text(symbol)))
            })
            .filter(|(_, name)| *name != OTHER)
            .collect();
        all.sort_unstable();
        // One place is that of `other`.
        let named: FxHashSet<_> = all.iter().take(room.saturating_sub(1)).map(|(_, name)| *name).collect();
        Self { folded: all.len() - named.len(), named }
    }

    /// The same answers with those of one metric that have no place added up into one.
    pub(super) fn fold(&self, answers: Vec<Answer>) -> Vec<Answer> {
        let has_place =
            |answer: &Answer| answer.labels.get(LABEL).is_none_or(|name| self.named.contains(name.as_str()));
        let (mut placed, rest): (Vec<_>, Vec<_>) = answers.into_iter().partition(has_place);
        placed.extend(rest.into_iter().reduce(add).map(|mut other| {
            other.labels = BTreeMap::from([(LABEL, OTHER.to_owned())]);
            if !matches!(other.value, Value::Ratio(_)) {
                other.value = Value::Score(None);
            }
            other
        }));
        placed
    }
}

/// Whether a metric goes out broken down by a dimension.
fn is_by(spec: &Spec, dimension: Dimension) -> bool {
    spec.default_by.is_some_and(|(DefaultBy::Always(by) | DefaultBy::Unless(by))| by == dimension)
}

/// The most series a metric has for one set of labels.
fn width(spec: &Spec) -> usize {
    let values = match spec.kind {
        Kind::Ratio => 3,
        Kind::Durations => QUANTILES.len(),
        Kind::Score | Kind::Number => 1,
    };
    let points = metrics::find(spec.name).map_or(1, |metric| metric.points().len().max(1));
    points * (values + spec.counts.len())
}

fn add(mut sum: Answer, other: Answer) -> Answer {
    sum.value = match (sum.value, other.value) {
        (Value::Ratio(Some(one)), Value::Ratio(Some(other))) => Value::Ratio(Some(Ratio {
            numerator: one.numerator + other.numerator,
            denominator: one.denominator + other.denominator,
        })),
        // One that is withheld would show in the sum.
        (Value::Ratio(_), Value::Ratio(_)) => Value::Ratio(None),
        _ => Value::Score(None),
    };
    for (name, count) in other.counts {
        *sum.counts.entry(name).or_default() += count;
    }
    sum
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use milepost_model::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::exporter::business::{Business, business};
    use crate::exporter::exposition::{Dialect, write};
    use crate::testing::{NOW, used};

    fn at(minute: usize) -> String {
        format!("2026-02-{:02}T{:02}:{:02}:00Z", 10 + minute / 1_440, minute / 60 % 24, minute % 60)
    }

    /// The value of every series.
    fn scraped(model: &Model, series: usize) -> (HashMap<String, f64>, usize) {
        let now: Timestamp = NOW.parse().unwrap();
        let Business { families, folded } = business(model, &Config::default(), now, series).unwrap();
        let text = write(&families, Dialect::Text);
        let samples = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        });
        let all: Vec<_> = samples.collect();
        let by_name: HashMap<_, _> = all.iter().cloned().collect();
        assert_eq!(all.len(), by_name.len(), "a series is there twice");
        (by_name, folded)
    }

    /// The sum of a family of counts.
    fn sum(samples: &HashMap<String, f64>, family: &str) -> u64 {
        let family = format!("{family}{{");
        samples.iter().filter(|(name, _)| name.starts_with(&family)).map(|(_, value)| *value as u64).sum()
    }

    fn model(capabilities: impl IntoIterator<Item = String>) -> Model {
        let mut model = Model::new();
        for (minute, capability) in capabilities.into_iter().enumerate() {
            model.insert(&used(&at(minute), &format!("team-{}", minute % 7), &capability));
        }
        model
    }

    #[test]
    fn a_thousand_capabilities_are_within_the_budget_and_sums_are_right() {
        let model = model((0..1_000).map(|n| format!("capability-{n}")));
        let (all, none) = scraped(&model, usize::MAX);
        let (some, folded) = scraped(&model, 10_000);
        assert!(all.len() + OWN > 10_000, "{} series need no budget", all.len());
        assert!(some.len() + OWN <= 10_000, "{}", some.len());
        assert!(none == 0 && folded > 0);
        for family in
            ["market_share_numerator", "market_share_denominator", "keep_rate_denominator", "keep_rate_units"]
        {
            let family = format!("milepost_{family}");
            assert_eq!(sum(&all, &family), sum(&some, &family), "{family}");
        }
        let other = |of: &str| some[&format!("milepost_market_share_{of}{{capability=\"other\"}}")];
        assert!((other("numerator") / other("denominator") - other("ratio")).abs() < 1e-12);
        assert_eq!(other("numerator") as usize, folded, "each is used by one team");
    }

    #[test]
    fn a_capability_of_that_name_is_always_in_there() {
        let names = || ["other", "b", "c"].map(str::to_owned);
        for series in [0, 10_000] {
            let (samples, folded) = scraped(&model(names()), series);
            assert_eq!(sum(&samples, "milepost_market_share_numerator"), 3);
            assert_eq!(folded, if series == 0 { 2 } else { 0 });
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

        /// Whatever comes later, under whatever name: who is there under its name stays there.
        #[test]
        fn a_series_stays_while_its_capability_is_there(
            names in prop::collection::vec("[a-z]{1,2}", 1..40),
            more in prop::collection::vec("[a-z]{1,2}", 0..40),
            series in 300..900_usize,
        ) {
            let before = scraped(&model(names.iter().cloned()), series).0;
            let (after, folded) = scraped(&model(names.into_iter().chain(more)), series);
            prop_assert!(after.len() + OWN <= series.max(OWN + 100));
            for name in before.keys() {
                prop_assert!(after.contains_key(name), "{} is gone, with {} folded", name, folded);
            }
        }
    }
}
