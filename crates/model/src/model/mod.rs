//! All facts in memory.
//!
//! The Model is a sum over the winning events: each contributes facts that depend on nothing but itself, kept in sets
//! and maps keyed by time and identity, so that adding and taking away commute and cancel. What is derived from several
//! facts (appearance, owners, days of use) is a function of those sets. Hence, for any order of [`Model::insert`] and
//! [`Model::remove`] that leaves the same winners, the same Model.
//!
//! Who belongs to whom and what exists depend on the moment of asking: questions take the instant T and see what
//! happened before it.

pub mod adoption;
pub mod days;
mod decoding;
mod derivation;
mod encoded;
mod encoding;
mod fingerprint;
mod index;
pub mod interactions;
pub mod lifecycle;
pub mod names;
mod packed;
pub mod place;
mod sorted;
pub mod surveys;
mod texts;
pub mod traces;
pub mod work;

pub use decoding::{Decoder, Part};
pub use encoded::{BlockHeader, DecodeError, HEADER};
pub use encoding::{Encoder, FORM};

use crate::event::{Body, Deploy, Event, EventKey, Outcome};
use crate::time::Timestamp;
use adoption::{Adoption, Facts};
use interactions::{Ending, Interactions};
use lifecycle::{Lives, Registration};
use names::{Capability, Environment, Names, Person, Service, Subject, Team};
use place::{Ids, Wanted};
use surveys::Surveys;
use traces::{Mark, Traces};
use work::{Deployments, Starts};

/// The facts of all winning events, laid out for the metrics.
#[derive(Debug, Default, Clone)]
pub struct Model {
    events: usize,
    position: u64,
    /// Sources and ids of the events whose place in the order is kept.
    pub ids: Ids,
    /// Names of teams.
    pub team_names: Names<Team>,
    /// Names of services.
    pub service_names: Names<Service>,
    /// Names of capabilities.
    pub capability_names: Names<Capability>,
    /// Pseudonyms of persons.
    pub person_names: Names<Person>,
    /// Names of environments.
    pub environment_names: Names<Environment>,
    /// What is mentioned and used when.
    pub traces: Traces,
    /// Registrations and retirements of teams.
    pub teams: Lives<Team>,
    /// Registrations, retirements and owners of services.
    pub services: Lives<Service>,
    /// Registrations and retirements of capabilities.
    pub capabilities: Lives<Capability>,
    /// Days of use.
    pub adoption: Adoption,
    /// Successful deploys.
    pub deployments: Deployments,
    /// Who began to work on what.
    pub starts: Starts,
    /// Interactions.
    pub interactions: Interactions,
    /// Survey answers and invitations.
    pub surveys: Surveys,
}

/// Whether facts come or go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turned {
    In,
    Out,
}

impl Model {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the facts of a winning event. The caller removes the event's previous winner first, if it had one.
    pub fn insert(&mut self, event: &Event) {
        self.insert_with_key(event, event.id.key());
    }

    /// As [`Model::insert`], where the key of the event is at hand.
    pub fn insert_with_key(&mut self, event: &Event, key: EventKey) {
        self.events += 1;
        self.turn(event, key, Turned::In);
    }

    /// Takes away the facts of an event that was inserted and is no longer the winner.
    pub fn remove(&mut self, event: &Event) {
        self.events = self.events.saturating_sub(1);
        self.turn(event, event.id.key(), Turned::Out);
    }

    /// As [`Model::remove`], for an event that is not counted in [`Model::events`] and whose facts may be there or not: see
    /// [`Encoder`].
    pub fn clear(&mut self, event: &Event) {
        self.turn(event, event.id.key(), Turned::Out);
    }

    /// Winning events in it, retractions included.
    pub fn events(&self) -> usize {
        self.events
    }

    /// How far in the log the events in it go, as whoever keeps them counts: 0 unless he said.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Notes how far in the log the events in it go.
    pub fn set_position(&mut self, position: u64) {
        self.position = position;
    }

    /// Gives every person another name, as a change of the key of the pseudonyms does. `false`, and nothing is changed, if two
    /// of them would get the same one.
    #[must_use]
    pub fn rename_persons(&mut self, mut new_name: impl FnMut(&str) -> String) -> bool {
        let mut names = Names::default();
        let named = self.person_names.all().all(|person| {
            let known = names.len();
            names.intern(&new_name(self.person_names.text(person)));
            names.len() > known
        });
        if named {
            self.person_names = names;
        }
        named
    }

    /// The team that what an event names belongs to, as far as is known at `seen`: the one it names, else the owner of
    /// its service.
    pub fn team_of(&self, subject: Subject, at: Timestamp, seen: Timestamp) -> Option<Team> {
        subject.team.or_else(|| self.services.of(subject.service?).owner(at, seen))
    }

    /// What days of use are derived from.
    pub fn facts(&self) -> Facts<'_> {
        Facts { traces: &self.traces, services: &self.services, adoption: &self.adoption }
    }

    fn turn(&mut self, event: &Event, key: EventKey, turned: Turned) {
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
                if let (Some(service), true) = (subject.service, deploy.succeeded()) {
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
            Body::CapabilityUsed
            | Body::ServiceRemoved { .. }
            | Body::PipelineRunFinished { .. }
            | Body::ChangeMerged { .. }
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
        let wanted = wanted(&mut self.ids, event);
        let to = (environment, subject.capability);
        match turned {
            Turned::In => self.deployments.insert(service, wanted, to, &mut self.ids),
            Turned::Out => self.deployments.remove(service, wanted, &mut self.ids),
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
