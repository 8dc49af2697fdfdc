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
pub mod changes;
pub mod days;
mod decoding;
mod derivation;
mod encoded;
mod encoding;
mod facts;
mod fingerprint;
pub mod incidents;
mod index;
pub mod interactions;
pub mod lifecycle;
pub mod names;
mod packed;
pub mod place;
pub mod samples;
mod sorted;
pub mod surveys;
mod texts;
pub mod traces;
mod turning;
pub mod work;

pub use decoding::{Decoder, Part};
pub use encoded::{BlockHeader, DecodeError, HEADER};
pub use encoding::{Encoder, FORM};

use crate::event::{Event, EventKey};
use crate::time::Timestamp;
use adoption::{Adoption, Facts};
use changes::Changes;
use incidents::Incidents;
use interactions::Interactions;
use lifecycle::Lives;
use names::{Capability, Environment, Names, Person, Service, Subject, Team, Word};
use place::Ids;
use samples::Samples;
use surveys::Surveys;
use traces::Traces;
use turning::Turned;
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
    /// What events call changes, incidents, pipelines, probes and each other.
    pub words: Names<Word>,
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
    /// Deploys.
    pub deployments: Deployments,
    /// Changes, and what became of them.
    pub changes: Changes,
    /// Incidents.
    pub incidents: Incidents,
    /// Pipeline runs, environments, probes and requests.
    pub samples: Samples,
    /// Who began to work on what.
    pub starts: Starts,
    /// Interactions.
    pub interactions: Interactions,
    /// Survey answers and invitations.
    pub surveys: Surveys,
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
}
