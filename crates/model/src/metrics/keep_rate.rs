//! How many of those who took a capability up still use it later.

use super::existing::Existing;
use super::market_share::{AdoptingUnit, check_unit, uses};
use super::view::{Case, Class, Group, Point, View};
use super::{DefaultBy, Metric, Spec, parameter};
use crate::answer::{Kind, Part};
use crate::event::EventKey;
use crate::model::adoption::{DaysSeen, Pairs};
use crate::model::names::Capability;
use crate::question::{Dimension, Parameter, Question, QuestionError, Rule, Unit};
use crate::time::{Day, Timestamp};

pub(super) struct KeepRate;

static SPEC: Spec = Spec {
    name: "keep_rate",
    kind: Kind::Ratio,
    help: "Share of the adopters of the capability that still used it H days after their first use.",
    definition: "Adopters: eligible existing units whose first use of the capability is before T, on day A. Cohort \
        (denominator): adopters whose days up to A+H+G−1 are complete. Kept (numerator): those with a use on at least \
        one of A+H … A+H+G−1. Reopening a retired unit does not reset A. Other rules, because the world's tools \
        disagree; for them the cohort is the adopters whose day A+H is complete: `exact_day` use on A+H; \
        `window_before` on max(A+1, A+H−G+1) … A+H; `any_repeat` on A+1 … A+H; `on_or_after` on any day from A+H to \
        the last day before T. Units first seen using a capability on one of the G days that begin with its \
        `observed_since` are left out: their true adoption may lie before we looked.",
    parameters: &[
        parameter::CAPABILITY,
        parameter::TEAM,
        parameter::SERVICE,
        parameter::BY,
        parameter::UNIT,
        Parameter {
            name: "rule",
            default: "window_after",
            help: "what counts as kept: window_after, exact_day, window_before, any_repeat or on_or_after",
        },
        Parameter { name: "horizon", default: "90d", help: "H, from the first use on" },
        GRACE,
        Parameter { name: "max_age", default: "none", help: "leave out who adopted this long ago or longer" },
    ],
    dimensions: &[Dimension::Capability, Dimension::Team, Dimension::Service],
    rules: &[Rule::WindowAfter, Rule::ExactDay, Rule::WindowBefore, Rule::AnyRepeat, Rule::OnOrAfter],
    default_by: Some(DefaultBy::Always(Dimension::Capability)),
    window: |windows| windows.horizon,
    counts: COUNTS,
    needs: &["capability_used", "interaction_finished", "deployed"],
    personal: false,
    exported: true,
};

/// The parameter G.
pub(super) const GRACE: Parameter =
    Parameter { name: "grace", default: "28d", help: "G, how long after the horizon a use still counts" };

/// In the order of precedence; they add up to the units with a use before T.
pub(super) const COUNTS: &[(&str, &str)] = &[
    ("retired", "units that do not exist at T"),
    ("not_eligible", "units that could not use it"),
    ("left_censored", "units first seen using it too soon after `observed_since`"),
    ("too_old", "units that adopted before `max_age`"),
    ("pending", "units not yet in the cohort"),
    ("cohort", "units in the cohort: the denominator"),
];

static KEPT: Class = Class { name: "kept", part: Part::Numerator, counts: &["cohort"] };
static LOST: Class = Class { name: "lost", part: Part::Denominator, counts: &["cohort"] };
static RETIRED: Class = Class { name: "retired", part: Part::Excluded, counts: &["retired"] };
static NOT_ELIGIBLE: Class = Class { name: "not_eligible", part: Part::Excluded, counts: &["not_eligible"] };
static LEFT_CENSORED: Class =
    Class { name: "left_censored", part: Part::Excluded, counts: &["left_censored"] };
static TOO_OLD: Class = Class { name: "too_old", part: Part::Excluded, counts: &["too_old"] };
static PENDING: Class = Class { name: "pending", part: Part::Excluded, counts: &["pending"] };

impl Metric for KeepRate {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn check(&self, question: &Question) -> Result<(), QuestionError> {
        check_unit(question)
    }

    fn visit<'a>(&self, view: &View<'a>, each: &mut dyn FnMut(Case<'a>)) {
        let q = view.question;
        let rule = Keeping {
            rule: q.rule.unwrap_or(Rule::WindowAfter),
            horizon: q.horizon,
            grace: q.grace,
            max_age: q.max_age,
        };
        rule.visit(view, None, each);
    }

    fn evidence(&self, view: &View<'_>, case: &Case<'_>) -> Vec<(Timestamp, EventKey)> {
        let q = view.question;
        let rule = Keeping {
            rule: q.rule.unwrap_or(Rule::WindowAfter),
            horizon: q.horizon,
            grace: q.grace,
            max_age: q.max_age,
        };
        rule.evidence(view, case)
    }
}

/// A rule of keeping with its parameters, in days.
pub(super) struct Keeping {
    pub(super) rule: Rule,
    pub(super) horizon: u32,
    pub(super) grace: u32,
    pub(super) max_age: Option<u32>,
}

impl Keeping {
    /// Says of every unit with a use before T what became of it; `label` is the point its group carries.
    pub(super) fn visit<'a>(&self, view: &View<'a>, label: Option<Point>, each: &mut dyn FnMut(Case<'a>)) {
        match view.question.unit {
            Unit::Team => self.units(view, label, &view.existing_teams(), &view.model.adoption.teams, each),
            Unit::Service => {
                self.units(view, label, &view.existing_services(), &view.model.adoption.services, each);
            }
        }
    }

    fn units<'a, U: AdoptingUnit>(
        &self,
        view: &View<'a>,
        label: Option<Point>,
        existing: &Existing<U>,
        pairs: &'a Pairs<U>,
        each: &mut dyn FnMut(Case<'a>),
    ) {
        for capability in view.capabilities() {
            let observed = self.observed(view, capability);
            let users = pairs.of(capability);
            for (index, unit) in users.days().units() {
                let days = DaysSeen::new(view.model.facts(), users, capability, (index, unit), view.at);
                let Some(adopted) = days.first().filter(|day| *day <= view.last) else { continue };
                let names = Group { point: label, ..unit.names(view, capability) };
                let Some(group) = view.group(names) else { continue };
                let class = if !existing.has(unit) {
                    &RETIRED
                } else if !unit.eligible(view, capability) {
                    &NOT_ELIGIBLE
                } else if observed.is_some_and(|(from, to)| adopted >= from && adopted < to) {
                    &LEFT_CENSORED
                } else if self.max_age.is_some_and(|age| adopted <= view.last.plus(-i64::from(age))) {
                    &TOO_OLD
                } else if self.cohort_complete(adopted).end() > view.at {
                    &PENDING
                } else {
                    let (from, to) = self.kept_days(adopted, view.last);
                    if days.any(from, to) { &KEPT } else { &LOST }
                };
                each(Case { group, unit: unit.unit(), class, measure: None });
            }
        }
    }

    /// The days on which a first sight tells nothing about adoption: from the first up to, not including, the last.
    fn observed(&self, view: &View<'_>, capability: Capability) -> Option<(Day, Day)> {
        let name = view.model.capability_names.text(capability);
        let configured = view.config.capabilities.get(name).and_then(|c| c.observed_since);
        let latest = || view.model.capabilities.of(capability).latest_registration(view.at);
        let since = configured.or_else(|| Some(latest()?.observed_since?.day()))?;
        Some((since, since.plus(i64::from(self.grace))))
    }

    /// The last day that must be complete for a unit to be in the cohort.
    fn cohort_complete(&self, adopted: Day) -> Day {
        let (h, g) = (i64::from(self.horizon), i64::from(self.grace));
        adopted.plus(if self.rule == Rule::WindowAfter { h + g - 1 } else { h })
    }

    /// The days of which one must have a use.
    fn kept_days(&self, adopted: Day, last: Day) -> (Day, Day) {
        let (h, g) = (i64::from(self.horizon), i64::from(self.grace));
        let on = |from: i64, to: i64| (adopted.plus(from), adopted.plus(to));
        match self.rule {
            Rule::WindowAfter => on(h, h + g - 1),
            Rule::ExactDay => on(h, h),
            Rule::WindowBefore => on((h - g + 1).max(1), h),
            Rule::AnyRepeat => on(1, h),
            _ => (adopted.plus(h), last),
        }
    }

    /// The first day of use, and the uses that keep.
    pub(super) fn evidence(&self, view: &View<'_>, case: &Case<'_>) -> Vec<(Timestamp, EventKey)> {
        let all = uses(view, case, Timestamp::MIN.day(), view.last);
        let Some(adopted) = all.first().map(|(at, _)| at.day()) else { return all };
        let (from, to) = self.kept_days(adopted, view.last);
        all.into_iter().filter(|(at, _)| at.day() == adopted || (from..=to).contains(&at.day())).collect()
    }
}
