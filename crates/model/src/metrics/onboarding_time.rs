//! How long a developer takes from the first change to a service until one of theirs runs in production.

use super::view::{Case, Class, Group, UnitRef, View};
use super::{Metric, Spec, parameter};
use crate::answer::{Kind, Part};
use crate::event::EventKey;
use crate::model::names::{Environment, Person, Service, Subject};
use crate::model::place::Place;
use crate::question::{Dimension, Parameter};
use crate::time::Timestamp;

pub(super) struct OnboardingTime;

/// Faster than this is elite, in seconds: two hours.
const ELITE: u64 = 2 * 3_600;
/// Slower than this is struggling, in seconds: a day.
const STRUGGLING: u64 = 24 * 3_600;

static SPEC: Spec = Spec {
    name: "onboarding_time",
    kind: Kind::Durations,
    help: "Time from a developer's first start on a service to the first production deploy with a change of theirs.",
    definition: "Subjects: (developer, service) pairs whose earliest start s lies in the trailing window P. A start at or \
        after a retirement of the service with no registration since is no subject, and a later start does not make the \
        pair one. End: the first successful production deploy of the service at or after s with a change by that \
        developer (the authors of its changes; if none is named, the deploy's actor). A retirement after s and strictly \
        before the end censors at the retirement; without an end by T the pair is censored at T. Quantiles are \
        Kaplan–Meier. Of those that shipped, `elite` took less than 2 h, `struggling` more than 24 h, `middle` the rest. \
        A pair is counted under the team that its start names or belongs to. Below the whole installation, values about \
        fewer than `min_group` (5) developers are withheld.",
    parameters: &[
        parameter::TEAM,
        parameter::SERVICE,
        parameter::BY,
        Parameter { name: "window", default: "180d", help: "P, in which the start lies" },
        parameter::ESTIMATOR,
    ],
    dimensions: &[Dimension::Team, Dimension::Service],
    rules: &[],
    default_by: None,
    window: |windows| windows.onboarding_time,
    counts: &[
        ("shipped", "pairs that got there"),
        ("waiting", "pairs not there yet, censored at T"),
        ("retired", "pairs whose service was retired before they got there, censored there"),
        ("excluded_retired", "pairs that began on a retired service: no subjects"),
        ("elite", "of those that shipped, in less than 2 hours"),
        ("middle", "of those that shipped, in 2 to 24 hours"),
        ("struggling", "of those that shipped, in more than 24 hours"),
    ],
    needs: &["onboarding_started", "deployed"],
    personal: true,
    exported: true,
};

static ELITE_SHIPPED: Class = Class { name: "elite", part: Part::Observed, counts: &["shipped", "elite"] };
static MIDDLE: Class = Class { name: "middle", part: Part::Observed, counts: &["shipped", "middle"] };
static STRUGGLED: Class =
    Class { name: "struggling", part: Part::Observed, counts: &["shipped", "struggling"] };
static WAITING: Class = Class { name: "waiting", part: Part::Censored, counts: &["waiting"] };
static RETIRED: Class = Class { name: "retired", part: Part::Censored, counts: &["retired"] };
static EXCLUDED: Class =
    Class { name: "excluded_retired", part: Part::Excluded, counts: &["excluded_retired"] };

/// What the value of one pair rests on.
struct Story<'a> {
    on_retired: bool,
    end: Option<(Timestamp, EventKey)>,
    retired: Option<&'a Place>,
}

impl<'a> Story<'a> {
    fn of(
        view: &View<'a>,
        production: &[Environment],
        person: Person,
        service: Service,
        start: Timestamp,
    ) -> Self {
        let life = view.model.services.of(service);
        let deploys = view.model.deployments.by(service, person, start).take_while(|(at, ..)| *at < view.at);
        let mut in_production = deploys.filter(|(_, _, e)| e.is_some_and(|e| production.contains(&e)));
        let end = in_production.next().map(|(at, key, _)| (at, key));
        let retired = life.retired_after(start).filter(|place| place.at < view.at);
        let retired = retired.filter(|place| end.is_none_or(|(end, _)| place.at < end));
        Self { on_retired: life.retired_at(start), end, retired }
    }

    fn outcome(&self, view: &View<'_>, start: Timestamp) -> (&'static Class, Option<u64>) {
        if self.on_retired {
            return (&EXCLUDED, None);
        }
        if let Some(retired) = self.retired {
            return (&RETIRED, Some(retired.at.seconds_since(start)));
        }
        let Some((end, _)) = self.end else { return (&WAITING, Some(view.at.seconds_since(start))) };
        let seconds = end.seconds_since(start);
        let class = match seconds {
            ..ELITE => &ELITE_SHIPPED,
            ELITE..=STRUGGLING => &MIDDLE,
            _ => &STRUGGLED,
        };
        (class, Some(seconds))
    }
}

impl Metric for OnboardingTime {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn visit<'a>(&self, view: &View<'a>, each: &mut dyn FnMut(Case<'a>)) {
        let production = view.production();
        let from = view.window_start();
        let begun = view
            .model
            .starts
            .earliest()
            .filter(|(_, _, start)| start.place.at < view.at && start.place.at.day() >= from);
        for (person, service, start) in begun {
            let place = start.place;
            let subject = Subject { team: start.team, service: Some(service), capability: None };
            let team = view.model.team_of(subject, place.at, view.at);
            let Some(group) = view.group(Group { team, service: Some(service), ..Group::default() }) else {
                continue;
            };
            let story = Story::of(view, &production, person, service, place.at);
            let (class, measure) = story.outcome(view, place.at);
            each(Case { group, unit: UnitRef::Developer(person, service), class, measure });
        }
    }

    fn evidence(&self, view: &View<'_>, case: &Case<'_>) -> Vec<(Timestamp, EventKey)> {
        let UnitRef::Developer(person, service) = case.unit else { return Vec::new() };
        let Some(start) = view.model.starts.of(person, service) else { return Vec::new() };
        let story = Story::of(view, &view.production(), person, service, start.place.at);
        let retired = story.retired.map(|place| view.event_at(place));
        let mut events: Vec<_> =
            [Some(view.event_at(&start.place)), retired, story.end].into_iter().flatten().collect();
        events.sort_unstable();
        events
    }
}
