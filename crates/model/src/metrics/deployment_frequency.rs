//! How often production is deployed to.

use super::view::{Case, Class, Group, Point, UnitRef, View};
use super::{Metric, Spec, Tally, parameter};
use crate::answer::{Kind, Part};
use crate::event::EventKey;
use crate::model::names::{Environment, Service, Subject};
use crate::model::work::Deployment;
use crate::question::{Dimension, Parameter, Rule};
use crate::time::{Day, Timestamp};

pub(super) struct DeploymentFrequency;

/// Days of a week.
const WEEK: i64 = 7;

const PER_DAY: Point = Point { label: "per", name: "day", number: 1 };
const PER_WEEK: Point = Point { label: "per", name: "week", number: 7 };

static SPEC: Spec = Spec {
    name: "deployment_frequency",
    kind: Kind::Number,
    help: "Successful production deploys per day, and the median per week, over the trailing window.",
    definition: "`per=\"day\"`: successful production deploys in the trailing window of W days ÷ W. `per=\"week\"`: the median \
        of their numbers in the weeks of the window, which are blocks of seven days that end with its last day; empty weeks \
        count, days that fill no week do not, and with no whole week there is no value. Upgrades and rollbacks are deploys. A \
        deploy is counted under the service it names and the team that it names or belongs to. No value before the first \
        successful production deploy. Other rules: `devlake` is, per week, the median over the weeks that begin on Monday and \
        share a day with the window of the number of days with a deploy; `four_keys` the same of weeks that begin on Sunday; \
        `middleware` is, per day, the whole number of times that W goes into the number of deploys.",
    parameters: &[
        parameter::TEAM,
        parameter::SERVICE,
        parameter::BY,
        parameter::DELIVERY_WINDOW,
        Parameter {
            name: "rule",
            default: "milepost",
            help: "whose definition: milepost, devlake, four_keys or middleware",
        },
    ],
    rules: &[Rule::Own, Rule::DevLake, Rule::FourKeys, Rule::Middleware],
    dimensions: &[Dimension::Team, Dimension::Service],
    default_by: None,
    window: |windows| windows.delivery,
    counts: &[("deploys", "successful production deploys in the window")],
    needs: &["deployed"],
    personal: false,
    exported: true,
};

static DEPLOYED: Class = Class { name: "deployed", part: Part::Observed, counts: &["deploys"] };
static EARLIER: Class = Class { name: "earlier", part: Part::Excluded, counts: &[] };

impl Metric for DeploymentFrequency {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn points(&self) -> &'static [Point] {
        &[PER_DAY, PER_WEEK]
    }

    fn visit<'a>(&self, view: &View<'a>, each: &mut dyn FnMut(Case<'a>)) {
        let production = view.production();
        for service in view.model.service_names.all() {
            let mut tell = |class: &'static Class, deploy: &'a Deployment| {
                let Some(group) = group_of(view, service, deploy) else { return };
                let measure = (class.part == Part::Observed).then(|| days_ago(view, deploy));
                for point in self.points() {
                    let group = Group { point: Some(*point), ..group };
                    each(Case { group, unit: UnitRef::Deploy(service, deploy), class, measure });
                }
            };
            latest_before(view, &production, service).into_iter().for_each(|deploy| tell(&EARLIER, deploy));
            for deploy in successful(view, &production, service) {
                tell(&DEPLOYED, deploy);
            }
        }
    }

    fn evidence(&self, view: &View<'_>, case: &Case<'_>) -> Vec<(Timestamp, EventKey)> {
        let UnitRef::Deploy(_, deploy) = case.unit else { return Vec::new() };
        vec![view.event_at(&deploy.place)]
    }

    fn number(&self, view: &View<'_>, group: Group, tally: &Tally) -> Option<f64> {
        if tally.is_empty() {
            return None;
        }
        let days: Vec<i64> = tally.measures().map(|ago| ago as i64).collect();
        let window = i64::from(view.question.window);
        match (view.question.rule.unwrap_or(Rule::Own), group.point == Some(PER_WEEK)) {
            (Rule::Own, false) => Some(days.len() as f64 / window as f64),
            (Rule::Own, true) => {
                let mut weeks = vec![0; (window / WEEK) as usize];
                let blocks = days.iter().map(|ago| (ago / WEEK) as usize);
                blocks.for_each(|block| weeks.get_mut(block).into_iter().for_each(|count| *count += 1));
                median(weeks)
            }
            (Rule::DevLake, true) => median(days_by_week(view, days, MONDAY)),
            (Rule::FourKeys, true) => median(days_by_week(view, days, SUNDAY)),
            (Rule::Middleware, false) => Some((days.len() as i64 / window) as f64),
            _ => None,
        }
    }
}

/// The first days of weeks: 1970-01-05 was a Monday, 1970-01-04 a Sunday.
const MONDAY: i64 = 4;
const SUNDAY: i64 = 3;

/// The number of days with a deploy in each of the weeks that share a day with the window.
fn days_by_week(view: &View<'_>, mut days_ago: Vec<i64>, first: i64) -> Vec<u64> {
    let week = |day: Day| (i64::from(day.number()) - first).div_euclid(WEEK);
    let begin = week(view.window_start());
    let mut weeks = vec![0; (week(view.last) - begin + 1) as usize];
    days_ago.sort_unstable();
    days_ago.dedup();
    for ago in days_ago {
        weeks[(week(view.last.plus(-ago)) - begin) as usize] += 1;
    }
    weeks
}

/// The middle one, or the mean of the two in the middle.
fn median(mut numbers: Vec<u64>) -> Option<f64> {
    numbers.sort_unstable();
    let upper = *numbers.get(numbers.len() / 2)?;
    let lower = *numbers.get(numbers.len().checked_sub(1)? / 2)?;
    Some((lower + upper) as f64 / 2.0)
}

/// The successful production deploys of a service in the trailing window, in order.
pub(super) fn successful<'a>(
    view: &View<'a>,
    production: &[Environment],
    service: Service,
) -> impl Iterator<Item = &'a Deployment> {
    in_production(view, production, service).filter(|deploy| deploy.succeeded())
}

/// All its production deploys in the trailing window, in order.
pub(super) fn in_production<'a>(
    view: &View<'a>,
    production: &[Environment],
    service: Service,
) -> impl Iterator<Item = &'a Deployment> {
    let deploys = view.model.deployments.between(service, view.window_start().start(), view.at);
    deploys.filter(|deploy| is_one_of(production, deploy))
}

/// The latest successful production deploy before the trailing window of each group that a service was deployed in.
fn latest_before<'a>(view: &View<'a>, production: &[Environment], service: Service) -> Vec<&'a Deployment> {
    let mut latest: Vec<(Group, &Deployment)> = Vec::new();
    let earlier = view.model.deployments.before(service, view.window_start().start().min(view.at)).rev();
    for deploy in earlier.filter(|deploy| deploy.succeeded() && is_one_of(production, deploy)) {
        let Some(group) = group_of(view, service, deploy) else { continue };
        if latest.iter().all(|(known, _)| *known != group) {
            latest.push((group, deploy));
        }
        // Only teams change.
        if !view.is_by(Dimension::Team) {
            break;
        }
    }
    latest.into_iter().map(|(_, deploy)| deploy).collect()
}

fn is_one_of(production: &[Environment], deploy: &Deployment) -> bool {
    deploy.environment.is_some_and(|environment| production.contains(&environment))
}

/// What a deploy is counted under.
pub(super) fn group_of(view: &View<'_>, service: Service, deploy: &Deployment) -> Option<Group> {
    let subject = Subject { team: deploy.team, service: Some(service), capability: deploy.capability };
    view.group_of(subject, deploy.place.at)
}

fn days_ago(view: &View<'_>, deploy: &Deployment) -> u64 {
    (i64::from(view.last.number()) - i64::from(deploy.place.at.day().number())).max(0) as u64
}
