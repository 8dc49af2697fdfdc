//! How long a change takes from its commit to production.

use rustc_hash::FxHashMap;

use super::view::{Case, Class, Group, Point, UnitRef, View};
use super::{Metric, Spec, parameter};
use crate::answer::{Kind, Part};
use crate::event::EventKey;
use crate::model::changes::{Brought, Milestone};
use crate::model::names::{Environment, Service, Subject, Word};
use crate::question::Dimension;
use crate::time::Timestamp;

pub(super) struct LeadTimeForChanges;

const WHOLE: Point = Point { label: "part", name: "whole", number: 0 };
const CODING: Point = Point { label: "part", name: "coding", number: 1 };
const REVIEW: Point = Point { label: "part", name: "review", number: 2 };
const WAITING: Point = Point { label: "part", name: "waiting", number: 3 };

static SPEC: Spec = Spec {
    name: "lead_time_for_changes",
    kind: Kind::Durations,
    help: "Time from the commit of a change to the first successful production deploy that brought it.",
    definition: "Subjects: changes of a service, by their ids, whose first successful production deploy lies in the trailing \
        window of W days; a change without an id is one of its own with each deploy. Only changes whose deploy says when they \
        were committed are known; where several deploys at that first instant do, the earliest commit counts. `part=\"whole\"`: \
        committed → deployed. Its parts, where the events for them exist before T: `coding` is committed → first proposed \
        (`change_created`), `review` is first proposed → first merged (`change_merged`), `waiting` is first merged → deployed. \
        What would end before it began is left out. Quantiles are those of the changes that are known: all of them have \
        arrived. A change is counted under its service, and the team that owned it when it was deployed.",
    parameters: &[parameter::TEAM, parameter::SERVICE, parameter::BY, parameter::DELIVERY_WINDOW],
    rules: &[],
    dimensions: &[Dimension::Team, Dimension::Service],
    default_by: None,
    window: |windows| windows.delivery,
    counts: &[
        ("delivered", "changes whose time is known: the quantiles are theirs"),
        ("unknown", "changes of which an event that begins or ends the part is not known"),
        ("out_of_order", "changes that would have ended the part before they began it"),
    ],
    needs: &["deployed", "change_created", "change_merged"],
    personal: false,
    exported: true,
};

static DELIVERED: Class = Class { name: "delivered", part: Part::Observed, counts: &["delivered"] };
static UNKNOWN: Class = Class { name: "unknown", part: Part::Excluded, counts: &["unknown"] };
static OUT_OF_ORDER: Class = Class { name: "out_of_order", part: Part::Excluded, counts: &["out_of_order"] };

/// When something began and ended, as far as is known.
type Stretch = (Option<Timestamp>, Option<Timestamp>);

/// What is known of one change.
struct Story<'a> {
    brought: &'a Brought,
    proposed: Option<&'a Milestone>,
    merged: Option<&'a Milestone>,
}

impl<'a> Story<'a> {
    fn of(view: &'a View<'_>, brought: &'a Brought) -> Self {
        let milestone = |merged| {
            let known = view.model.changes.milestone(brought.change?, merged);
            known.filter(|milestone| milestone.at < view.at)
        };
        Self { brought, proposed: milestone(false), merged: milestone(true) }
    }

    fn stretch(&self, part: Point) -> Stretch {
        let (committed, deployed) = (Some(self.brought.committed), Some(self.brought.at));
        let proposed = self.proposed.map(|milestone| milestone.at);
        let merged = self.merged.map(|milestone| milestone.at);
        match part {
            CODING => (committed, proposed),
            REVIEW => (proposed, merged),
            WAITING => (merged, deployed),
            _ => (committed, deployed),
        }
    }

    fn outcome(&self, part: Point) -> (&'static Class, Option<u64>) {
        match self.stretch(part) {
            (Some(from), Some(to)) if from > to => (&OUT_OF_ORDER, None),
            (Some(from), Some(to)) => (&DELIVERED, Some(to.seconds_since(from))),
            _ => (&UNKNOWN, None),
        }
    }
}

impl Metric for LeadTimeForChanges {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn points(&self) -> &'static [Point] {
        &[WHOLE, CODING, REVIEW, WAITING]
    }

    fn visit<'a>(&self, view: &View<'a>, each: &mut dyn FnMut(Case<'a>)) {
        let production = view.production();
        for service in view.model.service_names.all() {
            for brought in first_deployed(view, &production, service) {
                let subject = Subject { team: None, service: Some(service), capability: None };
                let Some(group) = view.group_of(subject, brought.at) else { continue };
                let story = Story::of(view, brought);
                for part in self.points() {
                    let (class, measure) = story.outcome(*part);
                    let group = Group { point: Some(*part), ..group };
                    each(Case { group, unit: UnitRef::Change(service, brought), class, measure });
                }
            }
        }
    }

    fn evidence(&self, view: &View<'_>, case: &Case<'_>) -> Vec<(Timestamp, EventKey)> {
        let UnitRef::Change(_, brought) = case.unit else { return Vec::new() };
        let story = Story::of(view, brought);
        let milestones = [story.proposed, story.merged].into_iter().flatten();
        let mut events: Vec<_> = milestones.map(|milestone| (milestone.at, milestone.key)).collect();
        events.push((brought.at, brought.key));
        events.sort_unstable();
        events
    }
}

/// The changes of a service whose first production deploy lies in the trailing window, each with that deploy.
fn first_deployed<'a>(
    view: &View<'a>,
    production: &[Environment],
    service: Service,
) -> impl Iterator<Item = &'a Brought> {
    let mut first: FxHashMap<Word, &Brought> = FxHashMap::default();
    let mut all = Vec::new();
    let known = view.model.changes.brought(service, view.at);
    for brought in known.filter(|brought| brought.environment.is_some_and(|e| production.contains(&e))) {
        let Some(change) = brought.change else {
            all.push(brought);
            continue;
        };
        let earliest = first.entry(change).or_insert(brought);
        if earliest.at == brought.at && brought.committed < earliest.committed {
            *earliest = brought;
        }
    }
    all.extend(first.into_values());
    let from = view.window_start().start();
    all.into_iter().filter(move |brought| brought.at >= from)
}
