//! How often people get done what they came for without a human of the platform team.

use super::view::{Case, Class, UnitRef, View};
use super::{DefaultBy, Metric, Spec, parameter};
use crate::answer::{Kind, Part};
use crate::event::{EventKey, Outcome};
use crate::model::interactions::{Ending, State};
use crate::model::names::Subject;
use crate::question::{Dimension, Parameter};
use crate::time::{Day, Span, Timestamp};

pub(super) struct SelfServiceRate;

static SPEC: Spec = Spec {
    name: "self_service_rate",
    kind: Kind::Ratio,
    help: "Share of the interactions ended in the trailing window that succeeded without help from the platform team.",
    definition: "Each interaction (`interaction_id` within its source, default the event's own id) by its state at T: \
        finished by its first finish before T, on that day; else abandoned at start + time-out if that is before T, on \
        that day; else pending. Denominator: finished or abandoned in the trailing window of W days. Numerator: outcome \
        success, and not assisted; not known whether assisted counts as assisted. An interaction is counted under the \
        capability, and the owner, of the event that set its state.",
    parameters: &[
        parameter::CAPABILITY,
        parameter::TEAM,
        parameter::SERVICE,
        parameter::BY,
        Parameter { name: "window", default: "28d", help: "W, the trailing window" },
        Parameter {
            name: "timeout",
            default: "24h",
            help: "after how long an unfinished interaction is abandoned",
        },
    ],
    dimensions: &[Dimension::Capability, Dimension::Team, Dimension::Service],
    rules: &[],
    default_by: Some(DefaultBy::Unless(Dimension::Capability)),
    window: |windows| windows.self_service_rate,
    counts: &[
        ("self_served", "succeeded without help: the numerator"),
        ("assisted", "succeeded with help"),
        ("failed", "failed or cancelled"),
        ("abandoned", "not finished within the time-out"),
        ("pending", "begun, not finished, in time at T: not in the denominator"),
    ],
    needs: &["interaction_started", "interaction_finished"],
    personal: false,
    exported: true,
};

static SELF_SERVED: Class = Class { name: "self_served", part: Part::Numerator, counts: &["self_served"] };
static ASSISTED: Class = Class { name: "assisted", part: Part::Denominator, counts: &["assisted"] };
static FAILED: Class = Class { name: "failed", part: Part::Denominator, counts: &["failed"] };
static ABANDONED: Class = Class { name: "abandoned", part: Part::Denominator, counts: &["abandoned"] };
static PENDING: Class = Class { name: "pending", part: Part::Excluded, counts: &["pending"] };

impl Metric for SelfServiceRate {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn visit<'a>(&self, view: &View<'a>, each: &mut dyn FnMut(Case<'a>)) {
        let timeout = |subject| timeout(view, subject);
        let from = view.window_start();
        for interaction in view.model.interactions.all() {
            let Some(state) = interaction.state(view.at, timeout) else { continue };
            let Some((class, place, subject)) = classify(state, from) else { continue };
            let Some(group) = view.group_of(subject, place) else { continue };
            each(Case { group, unit: UnitRef::Interaction(interaction), class, measure: None });
        }
    }

    fn evidence(&self, view: &View<'_>, case: &Case<'_>) -> Vec<(Timestamp, EventKey)> {
        let UnitRef::Interaction(interaction) = case.unit else { return Vec::new() };
        let finish = match interaction.state(view.at, |subject| timeout(view, subject)) {
            Some(State::Finished(place, ..)) => Some(place),
            _ => None,
        };
        let start = interaction.start().filter(|place| place.at < view.at);
        let mut events: Vec<_> = start.into_iter().chain(finish).map(|place| view.event_at(place)).collect();
        events.sort_unstable();
        events
    }
}

/// The class of a state, when its event happened and what that names; `None` if it was set before the window.
fn classify(state: State<'_>, from: Day) -> Option<(&'static Class, Timestamp, Subject)> {
    let (class, set, happened, subject) = match state {
        State::Finished(place, subject, Ending { outcome: Outcome::Success, assisted }) => {
            (if assisted { &ASSISTED } else { &SELF_SERVED }, place.at, place.at, subject)
        }
        State::Finished(place, subject, _) => (&FAILED, place.at, place.at, subject),
        State::Abandoned(place, subject, deadline) => (&ABANDONED, deadline, place.at, subject),
        State::Pending(place, subject) => return Some((&PENDING, place.at, subject)),
    };
    (set.day() >= from).then_some((class, happened, subject))
}

fn timeout(view: &View<'_>, subject: Subject) -> Span {
    let name = subject.capability.map(|c| view.model.capability_names.text(c));
    view.question.timeout.unwrap_or_else(|| view.config.timeout(name))
}
