//! The keep rate at several horizons: how adoption wears off.

use super::keep_rate::{COUNTS, GRACE, Keeping};
use super::market_share::check_unit;
use super::view::{Case, Point, View};
use super::{DefaultBy, Metric, Spec, parameter};
use crate::answer::Kind;
use crate::event::EventKey;
use crate::question::{Dimension, Question, QuestionError, Rule};
use crate::time::Timestamp;

pub(super) struct RetentionCurve;

const HORIZONS: &[Point] = &[
    horizon("7d", 7),
    horizon("14d", 14),
    horizon("30d", 30),
    horizon("60d", 60),
    horizon("90d", 90),
    horizon("180d", 180),
    horizon("365d", 365),
];

const fn horizon(name: &'static str, days: u32) -> Point {
    Point { label: "horizon", name, number: days }
}

static SPEC: Spec = Spec {
    name: "retention_curve",
    kind: Kind::Ratio,
    help: "Keep rate of the capability at 7, 14, 30, 60, 90, 180 and 365 days after first use.",
    definition: "`keep_rate` (rule `window_after`) for H = 7, 14, 30, 60, 90, 180 and 365 days, each with its own cohort.",
    parameters: &[
        parameter::CAPABILITY,
        parameter::TEAM,
        parameter::SERVICE,
        parameter::BY,
        parameter::UNIT,
        GRACE,
    ],
    dimensions: &[Dimension::Capability, Dimension::Team, Dimension::Service],
    rules: &[],
    default_by: Some(DefaultBy::Always(Dimension::Capability)),
    window: |windows| windows.horizon,
    counts: COUNTS,
    needs: &["capability_used", "interaction_finished", "deployed"],
    personal: false,
    exported: false,
};

impl RetentionCurve {
    fn at(view: &View<'_>, horizon: u32) -> Keeping {
        Keeping { rule: Rule::WindowAfter, horizon, grace: view.question.grace, max_age: None }
    }
}

impl Metric for RetentionCurve {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn check(&self, question: &Question) -> Result<(), QuestionError> {
        check_unit(question)
    }

    fn points(&self) -> &'static [Point] {
        HORIZONS
    }

    fn visit<'a>(&self, view: &View<'a>, each: &mut dyn FnMut(Case<'a>)) {
        HORIZONS.iter().for_each(|horizon| Self::at(view, horizon.number).visit(view, Some(*horizon), each));
    }

    fn evidence(&self, view: &View<'_>, case: &Case<'_>) -> Vec<(Timestamp, EventKey)> {
        Self::at(view, case.group.point.map_or(0, |horizon| horizon.number)).evidence(view, case)
    }
}
