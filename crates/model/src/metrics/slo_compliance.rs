//! How many objectives are met.

use super::view::{Case, Class, Group, UnitRef, View};
use super::{Metric, Spec, levels, parameter};
use crate::answer::{Kind, Part};
use crate::config::slo::Slo;
use crate::event::EventKey;
use crate::time::Timestamp;

pub(super) struct SloCompliance;

static SPEC: Spec = Spec {
    name: "slo_compliance",
    kind: Kind::Ratio,
    help: "Share of the objectives with data that are met.",
    definition: "Objectives of the configuration whose SLI is at least the objective ÷ those that have data: both over the window of each, \
        as `slo_sli` counts. The comparison is exact: an objective is met as long as its error budget is not overspent.",
    parameters: &[parameter::SLO],
    rules: &[],
    dimensions: &[],
    default_by: None,
    window: |windows| windows.delivery,
    counts: &[
        ("met", "objectives that are met: the numerator"),
        ("missed", "objectives that are not"),
        ("no_data", "objectives without anything valid in their window: not in the denominator"),
    ],
    needs: levels::NEEDS,
    personal: false,
    exported: true,
};

static MET: Class = Class { name: "met", part: Part::Numerator, counts: &["met"] };
static MISSED: Class = Class { name: "missed", part: Part::Denominator, counts: &["missed"] };
static NO_DATA: Class = Class { name: "no_data", part: Part::Excluded, counts: &["no_data"] };

fn class(view: &View<'_>, slo: &Slo) -> &'static Class {
    let (good, valid) = levels::sum(view, slo);
    match slo.objective {
        Some(objective) if valid > 0 && objective.is_met(good, valid) => &MET,
        Some(_) if valid > 0 => &MISSED,
        _ => &NO_DATA,
    }
}

impl Metric for SloCompliance {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn visit<'a>(&self, view: &View<'a>, each: &mut dyn FnMut(Case<'a>)) {
        for (place, slo) in levels::objectives(view) {
            let Some(group) = view.group(Group { slo: Some(place), ..Group::default() }) else { continue };
            each(Case { group, unit: UnitRef::Slo(place), class: class(view, slo), measure: None });
        }
    }

    /// All that the objective looked at.
    fn evidence(&self, view: &View<'_>, case: &Case<'_>) -> Vec<(Timestamp, EventKey)> {
        let UnitRef::Slo(wanted) = case.unit else { return Vec::new() };
        let mut events = Vec::new();
        for (_, slo) in levels::objectives(view).filter(|(place, _)| *place == wanted) {
            levels::cases(view, slo, slo.window(), |_, unit, _, _| {
                events.extend(levels::evidence(view, unit));
            });
        }
        events.sort_unstable();
        events.dedup();
        events
    }
}
