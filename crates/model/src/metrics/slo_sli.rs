//! How good a service is, as its objective counts.

use super::view::{Case, View};
use super::{DefaultBy, Metric, Spec, levels, parameter};
use crate::answer::Kind;
use crate::event::EventKey;
use crate::question::Dimension;
use crate::time::Timestamp;

pub(super) struct SloSli;

static SPEC: Spec = Spec {
    name: "slo_sli",
    kind: Kind::Ratio,
    help: "Share of what the objective looks at that was good, over the window of the objective.",
    definition: "For each objective of the configuration, `[slo.NAME]`: what was good ÷ what was valid in [T − w, T), w its window \
        (28d). Its `sli` says what that is: `deploys` (good: successful, as without an outcome), `pipeline_runs` whose outcome is \
        known, `environments` (`environment_provisioned`) and `probes` (good: outcome success), `interactions` that ended, or were \
        abandoned, in the window (good: outcome success, with help or without), and `requests` (good and total as they were \
        counted). With a `threshold`, a pipeline run or an environment is good if it was successful and took no longer; a successful one that does not say how long it took \
        is left out. What was cancelled or abandoned is valid and not good. `capability`, `team`, `service`, `environment` (of \
        deploys) and `name` (of pipelines, probes and indicators) narrow it down to what names, or belongs to, names that fit: \
        `*` stands for any text. Valid = 0: no value.",
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

impl Metric for SloSli {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn visit<'a>(&self, view: &View<'a>, each: &mut dyn FnMut(Case<'a>)) {
        levels::visit(view, each);
    }

    fn evidence(&self, view: &View<'_>, case: &Case<'_>) -> Vec<(Timestamp, EventKey)> {
        levels::evidence(view, case.unit)
    }
}
