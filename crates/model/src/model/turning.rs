//! From an event to its facts, and back.
//!
//! Law: what an event adds depends on nothing but itself, and taking it out takes the same away, whatever came between.

use super::Model;
use super::changes::{Brought, Milestone};
use super::incidents::{Notice, Stage};
use super::interactions::Ending;
use super::lifecycle::{Lives, Registration};
use super::names::{self, Environment, Service, Subject};
use super::place::{Ids, Wanted};
use super::samples::{Measure, Sample, Source, Stream};
use super::traces::Mark;
use super::work::{Artifact, Deployment};
use crate::event::{Body, Deploy, Event, EventKey, Incident, Outcome};
use crate::time::Timestamp;

/// Whether facts come or go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Turned {
    In,
    Out,
}

impl Model {
    pub(super) fn turn(&mut self, event: &Event, key: EventKey, turned: Turned) {
        let content = &event.content;
        let subject = Subject {
            team: content.team.as_deref().map(|name| self.team_names.intern(name)),
            service: content.service.as_deref().map(|name| self.service_names.intern(name)),
            capability: content.capability.as_deref().map(|name| self.capability_names.intern(name)),
        };
        if content.body != Body::Retracted && !content.body.is_retirement() {
            self.mention(subject, is_use(&content.body), (event.at(), key), turned);
        }
        match &content.body {
            Body::TeamRegistered
            | Body::TeamRetired
            | Body::ServiceRegistered { .. }
            | Body::ServiceRetired
            | Body::CapabilityRegistered { .. }
            | Body::CapabilityRetired => self.live(event, key, subject, turned),
            Body::InteractionStarted { interaction_id } => {
                self.interact(event, interaction_id.as_deref(), subject, None, turned);
            }
            Body::InteractionFinished { interaction_id, outcome, assisted, .. } => {
                let ending = Ending { outcome: *outcome, assisted: *assisted != Some(false) };
                self.interact(event, interaction_id.as_deref(), subject, Some(ending), turned);
            }
            Body::Deployed(deploy) => {
                if let Some(service) = subject.service {
                    self.deploy((event, key), service, deploy, subject, turned);
                }
            }
            Body::OnboardingStarted => {
                if let (Some(actor), Some(service)) = (content.actor.as_deref(), subject.service) {
                    let pair = (self.person_names.intern(actor), service);
                    let wanted = wanted(&mut self.ids, event);
                    match turned {
                        Turned::In => self.starts.insert(pair, wanted, subject.team, &mut self.ids),
                        Turned::Out => self.starts.remove(pair, wanted, &mut self.ids),
                    }
                }
            }
            Body::SurveyInvited { respondent, .. } => {
                self.survey(event, respondent.as_deref(), subject, None, turned);
            }
            Body::SurveyAnswered { respondent, score, .. } => {
                self.survey(event, respondent.as_deref(), subject, Some(*score), turned);
            }
            Body::ChangeCreated { change_id: Some(change), .. } => {
                self.change(event, key, change, false, turned);
            }
            Body::ChangeMerged { change_id: Some(change), .. } => {
                self.change(event, key, change, true, turned);
            }
            Body::IncidentDetected(incident) => {
                self.incident((event, key), incident, Stage::Detected, subject, turned);
            }
            Body::IncidentReported(incident) => {
                self.incident((event, key), incident, Stage::Reported, subject, turned);
            }
            Body::IncidentResolved(incident) => {
                self.incident((event, key), incident, Stage::Resolved, subject, turned);
            }
            Body::PipelineRunFinished { pipeline, outcome, duration_seconds } => {
                let measure = Measure::Ended(*outcome, *duration_seconds);
                self.sample((event, key), Source::Pipeline, pipeline.as_deref(), subject, measure, turned);
            }
            Body::EnvironmentProvisioned { outcome, duration_seconds, .. } => {
                let measure = Measure::Ended(Some(*outcome), *duration_seconds);
                self.sample((event, key), Source::Environment, None, subject, measure, turned);
            }
            Body::ProbeFinished { probe, outcome } => {
                let measure = Measure::Ended(Some(*outcome), None);
                self.sample((event, key), Source::Probe, probe.as_deref(), subject, measure, turned);
            }
            Body::RequestsObserved { indicator, good, total } => {
                let measure = Measure::Counted { good: *good, total: *total };
                self.sample((event, key), Source::Requests, indicator.as_deref(), subject, measure, turned);
            }
            Body::CapabilityUsed
            | Body::ServiceRemoved { .. }
            | Body::ChangeCreated { change_id: None, .. }
            | Body::ChangeMerged { change_id: None, .. }
            | Body::Retracted => {}
        }
    }

    fn mention(&mut self, subject: Subject, is_use: bool, (at, key): (Timestamp, EventKey), turned: Turned) {
        let mark = Mark::new(at, is_use, key);
        match turned {
            Turned::In => {
                if let Some(units) = self.traces.insert(subject, mark)
                    && is_use
                {
                    self.adoption.used(subject, units, at, &self.services);
                }
            }
            Turned::Out => {
                self.traces.remove(subject, mark);
                if is_use {
                    self.adoption.unused(subject, at, &self.services, &self.traces);
                }
            }
        }
    }

    fn live(&mut self, event: &Event, key: EventKey, subject: Subject, turned: Turned) {
        let wanted = wanted(&mut self.ids, event);
        let plain = Registration {
            owner: None,
            team: subject.team,
            preexisting: false,
            mandated: None,
            observed_since: None,
        };
        let (teams, capabilities, ids) = (&mut self.teams, &mut self.capabilities, &mut self.ids);
        match (&event.content.body, subject) {
            (Body::TeamRegistered, Subject { team: Some(team), .. }) => {
                live(teams, team, wanted, Some(plain), turned, ids);
            }
            (Body::TeamRetired, Subject { team: Some(team), .. }) => {
                live(teams, team, wanted, None, turned, ids);
            }
            (Body::ServiceRegistered { owner, preexisting }, Subject { service: Some(service), .. }) => {
                let named = owner.as_deref().map(|owner| self.team_names.intern(owner));
                let owner = named.or(subject.team);
                let registration = Registration { owner, preexisting: *preexisting, ..plain };
                self.register(service, wanted, registration, turned);
                if named.is_some() {
                    let as_owner = Subject { team: named, service: None, capability: None };
                    self.mention(as_owner, false, (event.at(), key), turned);
                }
            }
            (Body::ServiceRetired, Subject { service: Some(service), .. }) => {
                live(&mut self.services, service, wanted, None, turned, ids);
            }
            (
                Body::CapabilityRegistered { mandated, observed_since },
                Subject { capability: Some(capability), .. },
            ) => {
                let registration =
                    Registration { mandated: *mandated, observed_since: *observed_since, ..plain };
                live(capabilities, capability, wanted, Some(registration), turned, ids);
            }
            (Body::CapabilityRetired, Subject { capability: Some(capability), .. }) => {
                live(capabilities, capability, wanted, None, turned, ids);
            }
            _ => {}
        }
    }

    fn register(&mut self, service: Service, wanted: Wanted<'_>, registration: Registration, turned: Turned) {
        let before = self.services.of(service).owner_named_before(&wanted, &self.ids);
        live(&mut self.services, service, wanted, Some(registration), turned, &mut self.ids);
        // An owner named once more, as catalogs do daily, owns nothing more.
        if let Some(owner) = registration.owner.filter(|owner| before != Some(*owner)) {
            self.adoption.reown(service, owner, &self.services, &self.traces);
        }
    }

    fn interact(
        &mut self,
        event: &Event,
        id: Option<&str>,
        subject: Subject,
        ending: Option<Ending>,
        turned: Turned,
    ) {
        let wanted = wanted(&mut self.ids, event);
        let id = id.unwrap_or(&event.id.id);
        match turned {
            Turned::In => self.interactions.insert(id, wanted, (subject, ending), &mut self.ids),
            Turned::Out => self.interactions.remove(id, wanted, ending.is_some(), &mut self.ids),
        }
    }

    fn deploy(
        &mut self,
        (event, key): (&Event, EventKey),
        service: Service,
        deploy: &Deploy,
        subject: Subject,
        turned: Turned,
    ) {
        let environment = deploy.environment.as_deref().map(|name| self.environment_names.intern(name));
        if deploy.succeeded() {
            self.ship((event, key), service, deploy, environment, turned);
        }
        let wanted = wanted(&mut self.ids, event);
        let fact = |place| Deployment {
            place,
            environment,
            capability: subject.capability,
            team: subject.team,
            artifact: deploy.artifact_id.as_deref().map(Artifact::of),
            outcome: deploy.outcome.unwrap_or(Outcome::Success),
            kind: deploy.kind,
            unplanned: deploy.unplanned,
        };
        match turned {
            Turned::In => self.deployments.insert(service, wanted, fact, &mut self.ids),
            Turned::Out => self.deployments.remove(service, wanted, &mut self.ids),
        }
    }

    /// The changes of a deploy, by who wrote them and by when they were committed.
    fn ship(
        &mut self,
        (event, key): (&Event, EventKey),
        service: Service,
        deploy: &Deploy,
        environment: Option<Environment>,
        turned: Turned,
    ) {
        let authors = deploy.changes.iter().filter_map(|change| change.author.as_deref());
        let actor = event.content.actor.as_deref().filter(|_| deploy.changes.is_empty());
        for author in authors.chain(actor) {
            let author = self.person_names.intern(author);
            let shipment = (event.at(), key, environment);
            match turned {
                Turned::In => self.deployments.insert_change(service, author, shipment),
                Turned::Out => self.deployments.remove_change(service, author, shipment),
            }
        }
        for (number, change) in (0..).zip(&deploy.changes) {
            let Some(committed) = change.committed_at else { continue };
            let change = change.id.as_deref().map(|id| self.words.intern(id));
            let brought = Brought { at: event.at(), key, number, change, committed, environment };
            match turned {
                Turned::In => self.changes.insert_brought(service, brought),
                Turned::Out => self.changes.remove_brought(service, brought),
            }
        }
    }

    fn change(&mut self, event: &Event, key: EventKey, change: &str, merged: bool, turned: Turned) {
        let change = self.words.intern(change);
        let milestone = Milestone { merged, at: event.at(), key };
        match turned {
            Turned::In => self.changes.insert_milestone(change, milestone),
            Turned::Out => self.changes.remove_milestone(change, milestone),
        }
    }

    fn incident(
        &mut self,
        (event, key): (&Event, EventKey),
        incident: &Incident,
        stage: Stage,
        subject: Subject,
        turned: Turned,
    ) {
        let id = self.words.intern(incident.incident_id.as_deref().unwrap_or(&event.id.id));
        let environment = incident.environment.as_deref().map(|name| self.environment_names.intern(name));
        let artifact = incident.artifact_id.as_deref().map(Artifact::of);
        let wanted = wanted(&mut self.ids, event);
        let identity = (wanted.source, id);
        // What a resolution is linked to is the way out, not the way in.
        let links = incident.links.iter().filter(|_| stage != Stage::Resolved);
        for link in links {
            let link = (event.at(), key, self.words.intern(link));
            match turned {
                Turned::In => self.incidents.insert_link(identity, link),
                Turned::Out => self.incidents.remove_link(identity, link),
            }
        }
        let fact = |place| Notice { place, stage, subject, environment, artifact };
        match turned {
            Turned::In => self.incidents.insert(identity, wanted, fact, &mut self.ids),
            Turned::Out => self.incidents.remove(identity, wanted, &mut self.ids),
        }
    }

    fn sample(
        &mut self,
        (event, key): (&Event, EventKey),
        source: Source,
        name: Option<&str>,
        subject: Subject,
        measure: Measure,
        turned: Turned,
    ) {
        let name = name.map(|name| self.words.intern(name));
        let (stream, sample) = (Stream { source, name, subject }, Sample { at: event.at(), key, measure });
        match turned {
            Turned::In => self.samples.insert(stream, sample),
            Turned::Out => self.samples.remove(stream, sample),
        }
    }

    fn survey(
        &mut self,
        event: &Event,
        respondent: Option<&str>,
        subject: Subject,
        score: Option<u8>,
        turned: Turned,
    ) {
        let Some(respondent) = respondent.or(event.content.actor.as_deref()) else { return };
        let person = self.person_names.intern(respondent);
        let wanted = wanted(&mut self.ids, event);
        match turned {
            Turned::In => self.surveys.insert(person, wanted, (subject, score), &mut self.ids),
            Turned::Out => self.surveys.remove(person, wanted, &mut self.ids),
        }
    }
}

/// The place of an event.
fn wanted<'a>(ids: &mut Ids, event: &'a Event) -> Wanted<'a> {
    Wanted { at: event.at(), source: ids.sources.intern(&event.id.source), id: &event.id.id }
}

fn live<S: names::Symbol>(
    lives: &mut Lives<S>,
    name: S,
    wanted: Wanted<'_>,
    registration: Option<Registration>,
    turned: Turned,
    ids: &mut Ids,
) {
    match turned {
        Turned::In => lives.insert(name, wanted, registration, ids),
        Turned::Out => lives.remove(name, wanted, registration.is_some(), ids),
    }
}

/// A usage event, a finished interaction with outcome success (assisted or not), or a successful deploy to any
/// environment.
fn is_use(body: &Body) -> bool {
    match body {
        Body::CapabilityUsed => true,
        Body::InteractionFinished { outcome, .. } => *outcome == Outcome::Success,
        Body::Deployed(deploy) => deploy.succeeded(),
        _ => false,
    }
}
