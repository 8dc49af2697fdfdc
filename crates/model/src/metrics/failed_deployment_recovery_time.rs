//! How long it takes to recover from a deploy that broke something.

use super::deployment_frequency::{group_of, successful};
use super::view::{Case, Class, UnitRef, View};
use super::{Metric, Spec, parameter};
use crate::answer::{Kind, Part};
use crate::event::EventKey;
use crate::model::names::{Environment, Service};
use crate::model::place::Place;
use crate::model::work::Deployment;
use crate::question::Dimension;
use crate::time::Timestamp;

pub(super) struct FailedDeploymentRecoveryTime;

static SPEC: Spec = Spec {
    name: "failed_deployment_recovery_time",
    kind: Kind::Durations,
    help: "Time from a production deploy that failed until what it broke was mended.",
    definition: "Subjects: the failed deploys of `change_failure_rate`. Where incidents are put down to a deploy, it is over when \
        the last of them is resolved, and censored at T while one is open: a resolution is the first at or after the latest \
        detection (without one, at or after the beginning). Where the deploy was only rolled back, it is over with the next good \
        deploy: the first successful one of its service to its environment after it that is not known to have failed, as the \
        rollback itself mostly is; without one by T it is censored at T. Quantiles are Kaplan–Meier. A resolution before the \
        deploy that a link blames counts as 0 seconds.",
    parameters: &[
        parameter::TEAM,
        parameter::SERVICE,
        parameter::BY,
        parameter::DELIVERY_WINDOW,
        parameter::ESTIMATOR,
    ],
    rules: &[],
    dimensions: &[Dimension::Team, Dimension::Service],
    default_by: None,
    window: |windows| windows.delivery,
    counts: &[
        ("recovered", "failed deploys that are over"),
        ("unrecovered", "failed deploys that are not over yet, censored at T"),
    ],
    needs: &["deployed", "incident_detected", "incident_resolved"],
    personal: false,
    exported: true,
};

static RECOVERED: Class = Class { name: "recovered", part: Part::Observed, counts: &["recovered"] };
static UNRECOVERED: Class = Class { name: "unrecovered", part: Part::Censored, counts: &["unrecovered"] };

/// The end of a failed deploy, if it is over; `None`: it did not fail.
fn end<'a>(
    view: &View<'a>,
    production: &[Environment],
    service: Service,
    deploy: &Deployment,
) -> Option<Option<&'a Place>> {
    let fault = view.blame().fault(deploy)?;
    if fault.incidents.is_empty() {
        let same = |other: &&Deployment| other.environment == deploy.environment;
        let mut next = successful(view, production, service)
            .skip_while(|other| !std::ptr::eq(*other, deploy))
            .skip(1)
            .filter(same);
        return Some(next.find(|other| view.blame().fault(other).is_none()).map(|other| &other.place));
    }
    let mut last: Option<&Place> = None;
    for known in &fault.incidents {
        let Some(resolved) = known.state.resolved else { return Some(None) };
        last = last.filter(|last| last.at >= resolved.at).or(Some(resolved));
    }
    Some(last)
}

impl Metric for FailedDeploymentRecoveryTime {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn visit<'a>(&self, view: &View<'a>, each: &mut dyn FnMut(Case<'a>)) {
        let production = view.production();
        for service in view.model.service_names.all() {
            for deploy in successful(view, &production, service) {
                let Some(end) = end(view, &production, service, deploy) else { continue };
                let Some(group) = group_of(view, service, deploy) else { continue };
                let class = if end.is_some() { &RECOVERED } else { &UNRECOVERED };
                let until = end.map_or(view.at, |place| place.at);
                let measure = Some(until.seconds_since(deploy.place.at));
                each(Case { group, unit: UnitRef::Deploy(service, deploy), class, measure });
            }
        }
    }

    fn evidence(&self, view: &View<'_>, case: &Case<'_>) -> Vec<(Timestamp, EventKey)> {
        let UnitRef::Deploy(service, deploy) = case.unit else { return Vec::new() };
        let mut events = vec![view.event_at(&deploy.place)];
        if let Some(fault) = view.blame().fault(deploy) {
            let began = fault.incidents.iter().filter_map(|known| known.state.began);
            events.extend(began.chain(fault.rolled_back).map(|place| view.event_at(place)));
        }
        let end = end(view, &view.production(), service, deploy).flatten();
        events.extend(end.map(|place| view.event_at(place)));
        events.sort_unstable();
        events.dedup();
        events
    }
}
