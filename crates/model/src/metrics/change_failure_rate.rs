//! How many deploys break something.

use super::blame::{Fault, Known, Reason};
use super::deployment_frequency::{group_of, successful};
use super::view::{Case, Class, Group, UnitRef, View};
use super::{Metric, Spec, parameter};
use crate::answer::{Kind, Part};
use crate::event::EventKey;
use crate::model::names::Subject;
use crate::question::{Dimension, Parameter, Rule};
use crate::time::Timestamp;

pub(super) struct ChangeFailureRate;

static SPEC: Spec = Spec {
    name: "change_failure_rate",
    kind: Kind::Ratio,
    help: "Share of the successful production deploys that were rolled back or caused an incident.",
    definition: "Denominator: successful production deploys in the trailing window of W days. Numerator: those of them that \
        failed, as far as is known by T. A deploy failed if it is no rollback and was rolled back, which is said by the first successful rollback \
        of its service to its environment after it, with no other deploy but rollbacks between; or if an incident that began \
        before T is put down to it. An incident begins with its first detection or report; its service, team, environment and \
        artifact are those that its latest detection or report to name one names, and its links are those of all of them. One \
        of an environment that is not production is left out; one that names no environment is of production. It is put down \
        to one successful production deploy before T at most, by the first of these that finds one: `linked`, the latest one \
        whose event it is linked to by id; `artifact`, the latest one at or before the beginning, of its service and to its \
        environment as far as it names them, that brought the artifact it names; `nearby`, the latest one at or before the \
        beginning of the service it names, to its environment if it names one, if that was no longer than `incident_gap` (24h) \
        before. A deploy that failed for several reasons is counted under the first of `linked`, `artifact`, `rolled_back` and \
        `nearby`. Rollbacks are deploys, too. Rule `devlake`: an incident is put down to the latest successful production \
        deploy of any service before its beginning, however long before, and rollbacks say nothing. Rule `middleware`: the same, of the latest before or at its beginning.",
    parameters: &[
        parameter::TEAM,
        parameter::SERVICE,
        parameter::BY,
        parameter::DELIVERY_WINDOW,
        Parameter {
            name: "rule",
            default: "milepost",
            help: "whose definition: milepost, devlake or middleware",
        },
    ],
    rules: &[Rule::Own, Rule::DevLake, Rule::Middleware],
    dimensions: &[Dimension::Team, Dimension::Service],
    default_by: None,
    window: |windows| windows.delivery,
    counts: &[
        ("linked", "failed: an incident is linked to the deploy"),
        ("artifact", "failed: an incident names the artifact of the deploy"),
        ("rolled_back", "failed: the deploy was rolled back"),
        ("nearby", "failed: an incident of the service began soon after the deploy"),
        ("good", "deploys that are not known to have failed"),
        ("unattributed", "incidents begun in the window that are put down to no deploy"),
    ],
    needs: &["deployed", "incident_detected", "incident_reported"],
    personal: false,
    exported: true,
};

static LINKED: Class = Class { name: "linked", part: Part::Numerator, counts: &["linked"] };
static ARTIFACT: Class = Class { name: "artifact", part: Part::Numerator, counts: &["artifact"] };
static ROLLED_BACK: Class = Class { name: "rolled_back", part: Part::Numerator, counts: &["rolled_back"] };
static NEARBY: Class = Class { name: "nearby", part: Part::Numerator, counts: &["nearby"] };
static GOOD: Class = Class { name: "good", part: Part::Denominator, counts: &["good"] };
static UNATTRIBUTED: Class = Class { name: "unattributed", part: Part::Excluded, counts: &["unattributed"] };

fn class(fault: Option<&Fault<'_>>) -> &'static Class {
    match fault.map(|fault| fault.reason) {
        Some(Reason::Linked) => &LINKED,
        Some(Reason::Artifact) => &ARTIFACT,
        Some(Reason::RolledBack) => &ROLLED_BACK,
        Some(Reason::Nearby) => &NEARBY,
        None => &GOOD,
    }
}

impl Metric for ChangeFailureRate {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn visit<'a>(&self, view: &View<'a>, each: &mut dyn FnMut(Case<'a>)) {
        let (production, blame) = (view.production(), view.blame());
        for service in view.model.service_names.all() {
            for deploy in successful(view, &production, service) {
                let Some(group) = group_of(view, service, deploy) else { continue };
                let class = class(blame.fault(deploy));
                each(Case { group, unit: UnitRef::Deploy(service, deploy), class, measure: None });
            }
        }
        for known in &blame.unattributed {
            let Some(group) = began_in_window(view, known) else { continue };
            let unit = UnitRef::Incident(known.identity, known.incident);
            each(Case { group, unit, class: &UNATTRIBUTED, measure: None });
        }
    }

    fn evidence(&self, view: &View<'_>, case: &Case<'_>) -> Vec<(Timestamp, EventKey)> {
        let mut events = Vec::new();
        match case.unit {
            UnitRef::Deploy(_, deploy) => {
                events.push(view.event_at(&deploy.place));
                let fault = view.blame().fault(deploy);
                events.extend(fault.into_iter().flat_map(|fault| {
                    let began = fault.incidents.iter().filter_map(|known| known.state.began);
                    began.chain(fault.rolled_back).map(|place| view.event_at(place))
                }));
            }
            UnitRef::Incident(_, incident) => {
                let began = incident.state(view.at).and_then(|state| state.began);
                events.extend(began.map(|place| view.event_at(place)));
            }
            _ => {}
        }
        events.sort_unstable();
        events
    }
}

fn began_in_window(view: &View<'_>, known: &Known<'_>) -> Option<Group> {
    let began = known.state.began.filter(|began| began.at.day() >= view.window_start())?;
    incident_group(view, known, began.at)
}

/// What an incident is counted under: its service, and the team it names or belonged to then.
pub(super) fn incident_group(view: &View<'_>, known: &Known<'_>, at: Timestamp) -> Option<Group> {
    let subject = Subject { team: known.state.team, service: known.state.service, capability: None };
    view.group_of(subject, at)
}
