//! How many of those who could use a capability do.

mod series;

use super::existing::Existing;
use super::view::{Case, Class, Group, UnitRef, View};
use super::{DefaultBy, Metric, Series, Spec, parameter};
use crate::answer::{Kind, Part};
use crate::config::Config;
use crate::event::EventKey;
use crate::model::Model;
use crate::model::adoption::{Adopter, DaysSeen, Pairs};
use crate::model::names::{Capability, Service, Team};
use crate::question::{Dimension, Parameter, Question, QuestionError, Unit};
use crate::time::{Day, Timestamp};

pub(super) struct MarketShare;

static SPEC: Spec = Spec {
    name: "market_share",
    kind: Kind::Ratio,
    help: "Share of the eligible teams (or services) that used the capability in the trailing window.",
    definition: "Denominator: eligible units that exist at T. Numerator: those of them that used the capability on at \
        least one day of the trailing window of W days that ends with the last day before T. A unit uses a capability \
        with a usage event, a finished interaction with outcome success (assisted or not) or a successful deploy that \
        names, or belongs to, both; an event without a service counts for no service.",
    parameters: &[
        parameter::CAPABILITY,
        parameter::TEAM,
        parameter::SERVICE,
        parameter::BY,
        parameter::UNIT,
        Parameter { name: "window", default: "28d", help: "W, the trailing window" },
    ],
    dimensions: &[Dimension::Capability, Dimension::Team, Dimension::Service],
    rules: &[],
    default_by: Some(DefaultBy::Always(Dimension::Capability)),
    window: |windows| windows.market_share,
    counts: &[],
    needs: &["capability_used", "interaction_finished", "deployed"],
    personal: false,
    exported: true,
};

static USING: Class = Class { name: "using", part: Part::Numerator, counts: &[] };
static NOT_USING: Class = Class { name: "not_using", part: Part::Denominator, counts: &[] };

impl Metric for MarketShare {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn check(&self, question: &Question) -> Result<(), QuestionError> {
        check_unit(question)
    }

    fn visit<'a>(&self, view: &View<'a>, each: &mut dyn FnMut(Case<'a>)) {
        match view.question.unit {
            Unit::Team => visit(view, &view.existing_teams(), &view.model.adoption.teams, each),
            Unit::Service => visit(view, &view.existing_services(), &view.model.adoption.services, each),
        }
    }

    fn evidence(&self, view: &View<'_>, case: &Case<'_>) -> Vec<(Timestamp, EventKey)> {
        uses(view, case, view.window_start(), view.last)
    }

    fn series(
        &self,
        model: &Model,
        config: &Config,
        question: &Question,
        from: Day,
        to: Day,
    ) -> Option<Series> {
        series::series(self, model, config, question, from, to)
    }
}

fn visit<'a, U: AdoptingUnit>(
    view: &View<'a>,
    existing: &Existing<U>,
    pairs: &'a Pairs<U>,
    each: &mut dyn FnMut(Case<'a>),
) {
    let (from, to) = (view.window_start(), view.last);
    for capability in view.capabilities() {
        let users = pairs.of(capability);
        for unit in existing.iter().filter(|unit| unit.eligible(view, capability)) {
            let Some(group) = view.group(unit.names(view, capability)) else { continue };
            let using = users.days().find(unit).is_some_and(|index| {
                DaysSeen::new(view.model.facts(), users, capability, (index, unit), view.at).any(from, to)
            });
            let class = if using { &USING } else { &NOT_USING };
            each(Case { group, unit: unit.unit(), class, measure: None });
        }
    }
}

/// A unit that can adopt a capability, and what metrics of adoption need to know of it.
pub(super) trait AdoptingUnit: Adopter {
    /// Whether it could use the capability.
    fn eligible(self, view: &View<'_>, capability: Capability) -> bool;
    /// What it is counted under: a service under its owner at T.
    fn names(self, view: &View<'_>, capability: Capability) -> Group;
    /// It, as a unit.
    fn unit(self) -> UnitRef<'static>;
}

impl AdoptingUnit for Team {
    fn eligible(self, view: &View<'_>, capability: Capability) -> bool {
        let model = view.model;
        view.config.eligible_team(model.capability_names.text(capability), model.team_names.text(self))
    }

    fn names(self, _: &View<'_>, capability: Capability) -> Group {
        Group { capability: Some(capability), team: Some(self), ..Group::default() }
    }

    fn unit(self) -> UnitRef<'static> {
        UnitRef::Team(self)
    }
}

impl AdoptingUnit for Service {
    fn eligible(self, view: &View<'_>, capability: Capability) -> bool {
        let model = view.model;
        view.config.eligible_service(model.capability_names.text(capability), model.service_names.text(self))
    }

    fn names(self, view: &View<'_>, capability: Capability) -> Group {
        let owner = view.model.services.of(self).owner(view.at, view.at);
        Group { capability: Some(capability), team: owner, service: Some(self), ..Group::default() }
    }

    fn unit(self) -> UnitRef<'static> {
        UnitRef::Service(self)
    }
}

/// The uses behind a case, in `from` … `to`.
pub(super) fn uses(view: &View<'_>, case: &Case<'_>, from: Day, to: Day) -> Vec<(Timestamp, EventKey)> {
    let facts = view.model.facts();
    let (start, end) = (from.start(), to.end().min(view.at));
    match (case.unit, case.group.capability) {
        (UnitRef::Team(team), Some(capability)) => team.uses(facts, capability, start, end, view.at),
        (UnitRef::Service(service), Some(capability)) => service.uses(facts, capability, start, end, view.at),
        _ => Vec::new(),
    }
}

/// Services cannot be told apart where teams are counted.
pub(super) fn check_unit(question: &Question) -> Result<(), QuestionError> {
    let by_service = question.by == Some(Dimension::Service) || question.service.is_some();
    if by_service && question.unit == Unit::Team {
        let field = if question.service.is_some() { "service" } else { "by" };
        return Err(QuestionError::new(field, "teams are counted here: ask with unit=service"));
    }
    Ok(())
}
