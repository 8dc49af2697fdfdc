//! How long it takes to recover from a deploy that broke something.

use super::blame::Fault;
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

/// The end of a failed deploy, if it is over.
fn end<'a>(
    view: &View<'a>,
    production: &[Environment],
    service: Service,
    deploy: &Deployment,
    fault: &Fault<'a>,
) -> Option<&'a Place> {
    if fault.incidents.is_empty() {
        let mut next = successful(view, production, service)
            .skip_while(|other| !std::ptr::eq(*other, deploy))
            .skip(1)
            .filter(|other| other.environment == deploy.environment);
        return next.find(|other| view.blame().fault(other).is_none()).map(|other| &other.place);
    }
    let resolved = fault.incidents.iter().map(|known| known.state.resolved);
    // None of them, if one is open.
    let resolved: Option<Vec<_>> = resolved.collect();
    resolved?.into_iter().max_by_key(|place| place.at)
}

impl Metric for FailedDeploymentRecoveryTime {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn visit<'a>(&self, view: &View<'a>, each: &mut dyn FnMut(Case<'a>)) {
        let production = view.production();
        for service in view.model.service_names.all() {
            for deploy in successful(view, &production, service) {
                let Some(fault) = view.blame().fault(deploy) else { continue };
                let end = end(view, &production, service, deploy, fault);
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
        let Some(fault) = view.blame().fault(deploy) else { return Vec::new() };
        let began = fault.incidents.iter().filter_map(|known| known.state.began);
        let end = end(view, &view.production(), service, deploy, fault);
        let places = began.chain(fault.rolled_back).chain(end).chain([&deploy.place]);
        let mut events: Vec<_> = places.map(|place| view.event_at(place)).collect();
        events.sort_unstable();
        events.dedup();
        events
    }
}
