//! How long a new service takes to its first production deploy on the golden path.

use super::view::{Case, Class, Group, UnitRef, View};
use super::{Metric, Spec, parameter};
use crate::answer::{Kind, Part};
use crate::event::EventKey;
use crate::model::lifecycle::Registration;
use crate::model::names::{Environment, Service, Subject};
use crate::model::place::Place;
use crate::model::work::Deployment;
use crate::question::{Dimension, Parameter};
use crate::time::Timestamp;

pub(super) struct TimeToFirstDeploy;

static SPEC: Spec = Spec {
    name: "time_to_first_deploy",
    kind: Kind::Durations,
    help: "Time from the registration of a new service to its first successful production deploy on the golden path.",
    definition: "Subjects: services whose earliest registration r lies in the trailing window P. End: the first \
        successful production deploy. If it comes before r, or that earliest registration says `preexisting`, the \
        service is no subject. If it is off the golden path, the service is censored at that moment; a retirement after \
        r and strictly before the end censors at the retirement; without an end by T the service is censored at T. \
        Else the duration is end − r. Quantiles are Kaplan–Meier. A service is counted under the team that its earliest \
        registration names or belongs to. Rollbacks and upgrades are deploys.",
    parameters: &[
        parameter::TEAM,
        parameter::SERVICE,
        parameter::BY,
        Parameter { name: "window", default: "180d", help: "P, in which the registration lies" },
        parameter::ESTIMATOR,
    ],
    dimensions: &[Dimension::Team, Dimension::Service],
    rules: &[],
    default_by: None,
    window: |windows| windows.time_to_first_deploy,
    counts: &[
        ("deployed", "services that got there"),
        ("waiting", "services not there yet, censored at T"),
        ("off_path", "services whose first production deploy was off the golden path, censored there"),
        ("retired", "services retired before they got there, censored there"),
        ("pre_existing", "services that were there before they were registered: no subjects"),
    ],
    needs: &["service_registered", "deployed"],
    personal: false,
    exported: true,
};

static DEPLOYED: Class = Class { name: "deployed", part: Part::Observed, counts: &["deployed"] };
static WAITING: Class = Class { name: "waiting", part: Part::Censored, counts: &["waiting"] };
static OFF_PATH: Class = Class { name: "off_path", part: Part::Censored, counts: &["off_path"] };
static RETIRED: Class = Class { name: "retired", part: Part::Censored, counts: &["retired"] };
static PRE_EXISTING: Class = Class { name: "pre_existing", part: Part::Excluded, counts: &["pre_existing"] };

/// What the value of one service rests on.
struct Story<'a> {
    registered: (&'a Place, &'a Registration),
    end: Option<&'a Deployment>,
    retired: Option<&'a Place>,
}

impl<'a> Story<'a> {
    /// `None`: not registered by T.
    fn of(view: &View<'a>, production: &[Environment], service: Service) -> Option<Self> {
        let model = view.model;
        let life = model.services.of(service);
        let registered = life.registrations().next().filter(|(place, _)| place.at < view.at)?;
        let in_production = |d: &Deployment| d.environment.is_some_and(|e| production.contains(&e));
        let mut deploys = model.deployments.succeeded(service).take_while(|deploy| deploy.place.at < view.at);
        let end = deploys.find(|deploy| in_production(deploy));
        let retired = life.retired_after(registered.0.at).filter(|place| place.at < view.at);
        let retired = retired.filter(|place| end.is_none_or(|end| place.at < end.place.at));
        Some(Self { registered, end, retired })
    }

    fn outcome(&self, view: &View<'_>) -> (&'static Class, Timestamp) {
        let began = self.registered.0.at;
        let on_path = |deployment: &Deployment| {
            let name = deployment.capability.map(|c| view.model.capability_names.text(c));
            name.is_some_and(|name| view.config.golden_path(name))
        };
        match (self.end, self.retired) {
            (Some(end), _) if end.place.at < began => (&PRE_EXISTING, began),
            _ if self.registered.1.preexisting => (&PRE_EXISTING, began),
            (_, Some(retired)) => (&RETIRED, retired.at),
            (Some(end), None) if on_path(end) => (&DEPLOYED, end.place.at),
            (Some(end), None) => (&OFF_PATH, end.place.at),
            (None, None) => (&WAITING, view.at),
        }
    }
}

impl Metric for TimeToFirstDeploy {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn visit<'a>(&self, view: &View<'a>, each: &mut dyn FnMut(Case<'a>)) {
        let production = view.production();
        for service in view.model.service_names.all() {
            let Some(story) = Story::of(view, &production, service) else { continue };
            let (place, registration) = story.registered;
            if place.at.day() < view.window_start() {
                continue;
            }
            let subject = Subject { team: registration.team, service: Some(service), capability: None };
            let team = view.model.team_of(subject, place.at, view.at);
            let names = Group { team, service: Some(service), ..Group::default() };
            let Some(group) = view.group(names) else { continue };
            let (class, until) = story.outcome(view);
            let measure = Some(until.seconds_since(place.at)).filter(|_| class.part != Part::Excluded);
            each(Case { group, unit: UnitRef::Service(service), class, measure });
        }
    }

    fn evidence(&self, view: &View<'_>, case: &Case<'_>) -> Vec<(Timestamp, EventKey)> {
        let UnitRef::Service(service) = case.unit else { return Vec::new() };
        let Some(story) = Story::of(view, &view.production(), service) else { return Vec::new() };
        let places = [Some(story.registered.0), story.retired, story.end.map(|deploy| &deploy.place)];
        let mut events: Vec<_> = places.into_iter().flatten().map(|place| view.event_at(place)).collect();
        events.sort_unstable();
        events
    }
}
