//! How long incidents last.

use super::blame::{Known, incidents};
use super::change_failure_rate::incident_group;
use super::view::{Case, Class, UnitRef, View};
use super::{Metric, Spec, parameter};
use crate::answer::{Kind, Part};
use crate::event::EventKey;
use crate::model::names::Environment;
use crate::question::Dimension;
use crate::time::Timestamp;

pub(super) struct TimeToRestore;

static SPEC: Spec = Spec {
    name: "time_to_restore",
    kind: Kind::Durations,
    help: "Time from the detection of an incident in production to its resolution.",
    definition: "Subjects: incidents in production that were resolved in the trailing window of W days, and those that are open \
        at T, whenever they began. An incident (`incident_id` within its source, default the event's own id) begins with its \
        first detection or report. It is resolved with its first resolution at or after its latest detection (without one, at or \
        after its beginning): a new detection opens it again, a new report does not. The duration is from the beginning to the \
        resolution; what is open is censored at T. Quantiles are Kaplan–Meier. What an incident is about is said by its latest \
        detection or report to name a service, a team, an environment; one of an environment that is not production is no \
        subject, and one that names none is. It is counted under its service, and the team it names or that owned the service \
        when it began.",
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
        ("resolved", "incidents resolved in the window"),
        ("open", "incidents not resolved yet, censored at T"),
        ("elsewhere", "incidents open, or resolved in the window, that are not in production: no subjects"),
        ("undetected", "incidents resolved in the window that nobody had detected or reported: no subjects"),
    ],
    needs: &["incident_detected", "incident_reported", "incident_resolved"],
    personal: false,
    exported: true,
};

static RESOLVED: Class = Class { name: "resolved", part: Part::Observed, counts: &["resolved"] };
static OPEN: Class = Class { name: "open", part: Part::Censored, counts: &["open"] };
static ELSEWHERE: Class = Class { name: "elsewhere", part: Part::Excluded, counts: &["elsewhere"] };
static UNDETECTED: Class = Class { name: "undetected", part: Part::Excluded, counts: &["undetected"] };

/// The class of an incident, the moment it is counted under, and how long it lasted.
fn outcome(
    view: &View<'_>,
    production: &[Environment],
    known: &Known<'_>,
) -> Option<(&'static Class, Timestamp, Option<u64>)> {
    let state = &known.state;
    let resolved = state.resolved.map(|place| place.at);
    if resolved.is_some_and(|at| at.day() < view.window_start()) {
        return None;
    }
    let Some(began) = state.began.map(|place| place.at) else {
        return resolved.map(|at| (&UNDETECTED, at, None));
    };
    if state.environment.is_some_and(|environment| !production.contains(&environment)) {
        return Some((&ELSEWHERE, began, None));
    }
    let class = if resolved.is_some() { &RESOLVED } else { &OPEN };
    Some((class, began, Some(resolved.unwrap_or(view.at).seconds_since(began))))
}

impl Metric for TimeToRestore {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn visit<'a>(&self, view: &View<'a>, each: &mut dyn FnMut(Case<'a>)) {
        let production = view.production();
        for known in incidents(view) {
            let Some((class, at, measure)) = outcome(view, &production, &known) else { continue };
            let Some(group) = incident_group(view, &known, at) else { continue };
            let unit = UnitRef::Incident(known.identity, known.incident);
            each(Case { group, unit, class, measure });
        }
    }

    fn evidence(&self, view: &View<'_>, case: &Case<'_>) -> Vec<(Timestamp, EventKey)> {
        let UnitRef::Incident(_, incident) = case.unit else { return Vec::new() };
        let Some(state) = incident.state(view.at) else { return Vec::new() };
        let places = [state.began, state.resolved].into_iter().flatten();
        let mut events: Vec<_> = places.map(|place| view.event_at(place)).collect();
        events.sort_unstable();
        events
    }
}
