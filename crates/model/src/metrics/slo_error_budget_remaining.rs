//! How much may still go wrong.

use super::view::{Case, Group, View};
use super::{DefaultBy, Metric, Spec, Tally, levels, parameter};
use crate::answer::Kind;
use crate::event::EventKey;
use crate::question::Dimension;
use crate::time::Timestamp;

pub(super) struct SloErrorBudgetRemaining;

static SPEC: Spec = Spec {
    name: "slo_error_budget_remaining",
    kind: Kind::Number,
    help: "Share of the error budget of the objective that is left, over its window; below 0 where it is overspent.",
    definition: "1 − (1 − SLI) ÷ (1 − objective), with the SLI of `slo_sli`: 1 where nothing went wrong, 0 where as much did as may, \
        negative where more did. Calculated from whole numbers and the objective as it is written, and rounded once. Valid = 0: no value.",
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

impl Metric for SloErrorBudgetRemaining {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn visit<'a>(&self, view: &View<'a>, each: &mut dyn FnMut(Case<'a>)) {
        levels::visit(view, each);
    }

    fn evidence(&self, view: &View<'_>, case: &Case<'_>) -> Vec<(Timestamp, EventKey)> {
        levels::evidence(view, case.unit)
    }

    fn number(&self, view: &View<'_>, group: Group, tally: &Tally) -> Option<f64> {
        let (good, valid) = tally.good_and_valid();
        view.objective(group)?.budget_remaining(good, valid)
    }
}
