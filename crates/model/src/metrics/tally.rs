//! From what became of each unit to the value of each group.

use std::collections::BTreeMap;

use rustc_hash::{FxHashMap, FxHashSet};

use super::survival::{self, quantile};
use super::view::{Case, Class, Group, View};
use super::{Metric, Spec, nps};
use crate::answer::{Kind, Part, Ratio, Value};
use crate::model::names::Person;
use crate::question::Estimator;

/// The quantiles given for durations, by name.
pub const QUANTILES: [(&str, f64); 2] = [("0.5", 0.5), ("0.9", 0.9)];

/// What is added up of the units of one group.
#[derive(Default)]
pub struct Tally {
    classes: Vec<(&'static Class, u64)>,
    spans: Vec<survival::Span>,
    persons: FxHashSet<Person>,
}

impl Tally {
    fn add(&mut self, case: &Case<'_>, personal: bool) {
        let count = case.count();
        match self.classes.iter_mut().find(|(class, _)| std::ptr::eq(*class, case.class)) {
            Some((_, known)) => *known += count,
            None => self.classes.push((case.class, count)),
        }
        match (case.class.part, case.measure) {
            (Part::Observed, Some(measure)) => self.spans.push((measure, true)),
            (Part::Censored, Some(measure)) => self.spans.push((measure, false)),
            _ => {}
        }
        if personal && case.class.part != Part::Excluded {
            self.persons.extend(case.person());
        }
    }

    /// Distinct persons the value is about, censored ones included.
    pub(super) fn persons(&self) -> usize {
        self.persons.len()
    }

    fn of_part(&self, part: Part) -> u64 {
        self.classes.iter().filter(|(class, _)| class.part == part).map(|(_, count)| count).sum()
    }

    /// The value.
    pub(super) fn value(&mut self, kind: Kind, estimator: Estimator) -> Value {
        match kind {
            Kind::Ratio => {
                let numerator = self.of_part(Part::Numerator);
                Value::Ratio(Some(Ratio {
                    numerator,
                    denominator: numerator + self.of_part(Part::Denominator),
                }))
            }
            Kind::Durations => {
                let spans = &mut self.spans;
                Value::Durations(
                    QUANTILES.iter().map(|(name, q)| (*name, quantile(spans, *q, estimator))).collect(),
                )
            }
            Kind::Score => {
                let counts = self.counts(&nps::SPEC);
                Value::Score(nps::score(counts["promoters"], counts["passives"], counts["detractors"]))
            }
            Kind::Number => Value::Number(None),
        }
    }

    /// The counts: those of the metric, at 0 where there is none, save those it knows of only once there is one.
    pub(super) fn counts(&self, spec: &Spec) -> BTreeMap<&'static str, u64> {
        let mut counts: BTreeMap<_, _> = spec.counts.iter().map(|(name, _)| (*name, 0)).collect();
        for (class, count) in &self.classes {
            for name in class.counts {
                *counts.entry(name).or_default() += count;
            }
        }
        counts
    }

    /// What of it was good, and all of it.
    pub(super) fn good_and_valid(&self) -> (u64, u64) {
        let good = self.of_part(Part::Numerator);
        (good, good + self.of_part(Part::Denominator))
    }

    /// Whether no unit of the group was seen.
    pub(super) fn is_empty(&self) -> bool {
        self.classes.is_empty()
    }

    /// What was measured of units whose measure is known.
    pub(super) fn measures(&self) -> impl Iterator<Item = u64> {
        self.spans.iter().filter(|(_, ended)| *ended).map(|(measure, _)| *measure)
    }

    /// Whether a unit of this class was seen.
    pub(super) fn has(&self, class: &'static Class) -> bool {
        self.classes.iter().any(|(seen, _)| std::ptr::eq(*seen, class))
    }

    /// A value with nothing in it: withheld.
    pub(super) fn nothing(kind: Kind) -> Value {
        match kind {
            Kind::Ratio => Value::Ratio(None),
            Kind::Durations => Value::Durations(QUANTILES.iter().map(|(name, _)| (*name, None)).collect()),
            Kind::Score => Value::Score(None),
            Kind::Number => Value::Number(None),
        }
    }
}

/// The tallies of every group in view.
pub(super) fn tally(metric: &dyn Metric, view: &View<'_>) -> Vec<(Group, Tally)> {
    let mut tallies: Vec<_> = view.groups().into_iter().map(|group| (group, Tally::default())).collect();
    let places: FxHashMap<Group, usize> =
        tallies.iter().enumerate().map(|(place, (group, _))| (*group, place)).collect();
    let personal = metric.spec().personal;
    // Units come group by group, mostly.
    let mut latest = (Group::default(), places.get(&Group::default()).copied());
    metric.visit(view, &mut |case| {
        if latest.0 != case.group {
            latest = (case.group, places.get(&case.group).copied());
        }
        if let Some(place) = latest.1 {
            tallies[place].1.add(&case, personal);
        }
    });
    tallies
}
