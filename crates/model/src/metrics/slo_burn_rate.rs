//! How fast the error budget is being spent: what alert rules read.

use super::view::{Case, Group, Point, View};
use super::{DefaultBy, Metric, Spec, Tally, levels, parameter};
use crate::answer::Kind;
use crate::event::EventKey;
use crate::question::Dimension;
use crate::time::{Span, Timestamp};

pub(super) struct SloBurnRate;

const WINDOWS: &[Point] = &[
    window("5m", 300),
    window("30m", 1_800),
    window("1h", 3_600),
    window("2h", 7_200),
    window("6h", 21_600),
    window("1d", 86_400),
    window("3d", 259_200),
];

/// In seconds: the last of the windows.
const LONGEST: Span = Span::days(3);

const fn window(name: &'static str, seconds: u32) -> Point {
    Point { label: "window", name, number: seconds }
}

static SPEC: Spec = Spec {
    name: "slo_burn_rate",
    kind: Kind::Number,
    help: "How many times faster than it may the error budget of the objective is being spent, over several windows.",
    definition: "(1 − SLI over [T − w, T)) ÷ (1 − objective) for w = 5m, 30m, 1h, 2h, 6h, 1d and 3d, with the SLI of `slo_sli`: 1 spends \
        the budget in just the window of the objective. The windows are of the time of the events: an import of old events pages \
        nobody. Calculated from whole numbers and the objective as it is written, and rounded once. Valid = 0: no value.",
    parameters: &[parameter::SLO],
    rules: &[],
    dimensions: &[Dimension::Slo],
    default_by: Some(DefaultBy::Always(Dimension::Slo)),
    window: |windows| windows.delivery,
    counts: levels::COUNTS,
    needs: levels::NEEDS,
    personal: false,
    exported: true,
};

impl Metric for SloBurnRate {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn points(&self) -> &'static [Point] {
        WINDOWS
    }

    fn visit<'a>(&self, view: &View<'a>, each: &mut dyn FnMut(Case<'a>)) {
        for (place, slo) in levels::objectives(view) {
            levels::cases(view, slo, LONGEST, |at, unit, class, count| {
                let within = |point: &&Point| at >= view.at - Span::from_seconds(point.number.into());
                for point in WINDOWS.iter().filter(within) {
                    let names = Group { slo: Some(place), point: Some(*point), ..Group::default() };
                    if let Some(group) = view.group(names) {
                        each(Case { group, unit, class, measure: Some(count) });
                    }
                }
            });
        }
    }

    fn evidence(&self, view: &View<'_>, case: &Case<'_>) -> Vec<(Timestamp, EventKey)> {
        levels::evidence(view, case.unit)
    }

    fn number(&self, view: &View<'_>, group: Group, tally: &Tally) -> Option<f64> {
        let (good, valid) = tally.good_and_valid();
        view.objective(group)?.burn_rate(good, valid)
    }
}
