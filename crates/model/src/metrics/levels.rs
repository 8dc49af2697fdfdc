//! What service levels are measured by: everything that an objective looks at, each good or not.
//!
//! Law: a function of the events before T. A window has what happened in [T − w, T), to the microsecond; an interaction is in it
//! with its end, or with the moment it counted as abandoned.

use super::view::{Case, Class, Group, UnitRef, View};
use crate::answer::Part;
use crate::config::slo::{Sli, Slo, fits};
use crate::event::{EventKey, Outcome};
use crate::model::interactions::State;
use crate::model::names::Subject;
use crate::model::samples::{Measure, Source};
use crate::time::{Span, Timestamp};

/// Something that an objective looks at.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) at: Timestamp,
    pub(super) unit: UnitRef<'a>,
    pub(super) good: u64,
    pub(super) bad: u64,
}

pub(super) static GOOD: Class = Class { name: "good", part: Part::Numerator, counts: &["good"] };
pub(super) static BAD: Class = Class { name: "bad", part: Part::Denominator, counts: &["bad"] };

pub(super) const COUNTS: &[(&str, &str)] = &[
    ("good", "what was good"),
    ("bad", "what was valid and not good; of requests, as many as were counted"),
];

/// Event types.
pub(super) const NEEDS: &[&str] = &[
    "deployed",
    "pipeline_run_finished",
    "interaction_finished",
    "interaction_started",
    "environment_provisioned",
    "probe_finished",
    "requests_observed",
];

/// The objectives asked for, each with its place in the configuration and the group it is answered in.
pub(super) fn objectives<'a>(view: &View<'a>) -> impl Iterator<Item = (usize, &'a Slo)> {
    let config = view.config;
    let only = view.question.slo.as_deref();
    let all = config.slo.iter().enumerate();
    all.filter(move |(_, (name, _))| only.is_none_or(|only| only == *name))
        .map(|(place, (_, slo))| (place, slo))
}

/// Tells of everything that an objective looks at in the span before T as one case for what was good and one for what was not.
pub(super) fn cases<'a>(
    view: &View<'a>,
    slo: &'a Slo,
    span: Span,
    mut each: impl FnMut(Timestamp, UnitRef<'a>, &'static Class, u64),
) {
    look(view, slo, span, &mut |seen| {
        for (class, count) in [(&GOOD, seen.good), (&BAD, seen.bad)] {
            if count > 0 {
                each(seen.at, seen.unit, class, count);
            }
        }
    });
}

/// Cases of one group for each objective.
pub(super) fn visit<'a>(view: &View<'a>, each: &mut dyn FnMut(Case<'a>)) {
    for (place, slo) in objectives(view) {
        let Some(group) = view.group(Group { slo: Some(place), ..Group::default() }) else { continue };
        cases(view, slo, slo.window(), |_, unit, class, count| {
            each(Case { group, unit, class, measure: Some(count) });
        });
    }
}

/// Good and valid of an objective in its window.
pub(super) fn sum(view: &View<'_>, slo: &Slo) -> (u64, u64) {
    let (mut good, mut bad) = (0, 0);
    look(view, slo, slo.window(), &mut |seen| {
        good += seen.good;
        bad += seen.bad;
    });
    (good, good + bad)
}

/// The event behind what was seen.
pub(super) fn evidence(view: &View<'_>, unit: UnitRef<'_>) -> Vec<(Timestamp, EventKey)> {
    let mut events = match unit {
        UnitRef::Deploy(_, deploy) => vec![view.event_at(&deploy.place)],
        UnitRef::Sample(_, sample) => vec![(sample.at, sample.key)],
        UnitRef::Interaction(interaction) => {
            let finish = match interaction.state(view.at, |subject| timeout(view, subject)) {
                Some(State::Finished(place, ..)) => Some(place),
                _ => None,
            };
            let start = interaction.start().filter(|place| place.at < view.at);
            start.into_iter().chain(finish).map(|place| view.event_at(place)).collect()
        }
        _ => Vec::new(),
    };
    events.sort_unstable();
    events
}

fn look<'a>(view: &View<'a>, slo: &Slo, span: Span, each: &mut dyn FnMut(Seen<'a>)) {
    let from = view.at - span;
    match slo.sli {
        Some(Sli::Deploys) => deploys(view, slo, from, each),
        Some(Sli::Interactions) => interactions(view, slo, from, each),
        Some(Sli::PipelineRuns) => samples(view, slo, Source::Pipeline, from, each),
        Some(Sli::Environments) => samples(view, slo, Source::Environment, from, each),
        Some(Sli::Probes) => samples(view, slo, Source::Probe, from, each),
        Some(Sli::Requests) => samples(view, slo, Source::Requests, from, each),
        None => {}
    }
}

fn deploys<'a>(view: &View<'a>, slo: &Slo, from: Timestamp, each: &mut dyn FnMut(Seen<'a>)) {
    let model = view.model;
    for service in model.service_names.all() {
        for deploy in model.deployments.between(service, from, view.at) {
            let subject =
                Subject { team: deploy.team, service: Some(service), capability: deploy.capability };
            let environment = deploy.environment.map(|name| model.environment_names.text(name));
            if fits(slo.environment.as_deref(), environment) && selects(view, slo, subject, deploy.place.at) {
                let (good, bad) = one(deploy.succeeded());
                each(Seen { at: deploy.place.at, unit: UnitRef::Deploy(service, deploy), good, bad });
            }
        }
    }
}

fn interactions<'a>(view: &View<'a>, slo: &Slo, from: Timestamp, each: &mut dyn FnMut(Seen<'a>)) {
    for interaction in view.model.interactions.all() {
        let (at, happened, subject, success) = match interaction.state(view.at, |s| timeout(view, s)) {
            Some(State::Finished(place, subject, ending)) => {
                (place.at, place.at, subject, ending.outcome == Outcome::Success)
            }
            Some(State::Abandoned(place, subject, deadline)) => (deadline, place.at, subject, false),
            _ => continue,
        };
        if at >= from && selects(view, slo, subject, happened) {
            let (good, bad) = one(success);
            each(Seen { at, unit: UnitRef::Interaction(interaction), good, bad });
        }
    }
}

fn samples<'a>(view: &View<'a>, slo: &Slo, source: Source, from: Timestamp, each: &mut dyn FnMut(Seen<'a>)) {
    for (stream, samples) in view.model.samples.of(source, from, view.at) {
        let name = stream.name.map(|name| view.model.words.text(name));
        if !fits(slo.name.as_deref(), name) {
            continue;
        }
        for sample in samples {
            let Some((good, bad)) = judged(sample.measure, slo.threshold) else { continue };
            if selects(view, slo, stream.subject, sample.at) {
                each(Seen { at: sample.at, unit: UnitRef::Sample(stream, sample), good, bad });
            }
        }
    }
}

/// Good and not good; none of what is not known well enough.
fn judged(measure: Measure, threshold: Option<Span>) -> Option<(u64, u64)> {
    match (measure, threshold) {
        (Measure::Counted { good, total }, _) => Some((good, total.saturating_sub(good))),
        (Measure::Ended(Some(Outcome::Success), Some(seconds)), Some(threshold)) => {
            Some(one(seconds <= threshold.seconds()))
        }
        (Measure::Ended(Some(Outcome::Success), None), Some(_)) | (Measure::Ended(None, _), _) => None,
        (Measure::Ended(Some(outcome), _), _) => Some(one(outcome == Outcome::Success)),
    }
}

fn one(good: bool) -> (u64, u64) {
    if good { (1, 0) } else { (0, 1) }
}

fn selects(view: &View<'_>, slo: &Slo, subject: Subject, at: Timestamp) -> bool {
    let model = view.model;
    fits(slo.capability.as_deref(), subject.capability.map(|name| model.capability_names.text(name)))
        && fits(slo.service.as_deref(), subject.service.map(|name| model.service_names.text(name)))
        && (slo.team.is_none() || {
            let team = model.team_of(subject, at, view.at);
            fits(slo.team.as_deref(), team.map(|name| model.team_names.text(name)))
        })
}

fn timeout(view: &View<'_>, subject: Subject) -> Span {
    let name = subject.capability.map(|c| view.model.capability_names.text(c));
    view.config.timeout(name)
}
