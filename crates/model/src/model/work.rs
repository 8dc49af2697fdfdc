//! Deploys to environments and the people behind them, and who began to work on what.

use std::num::NonZeroU64;

use sha2::{Digest as _, Sha256};

use super::index::Table;
use super::names::{Capability, Environment, Person, Service, Symbol, Team};
use super::place::{Ids, Place, Placed, Wanted};
use super::sorted::Sorted;
use crate::event::{DeployKind, EventKey, Outcome};
use crate::time::Timestamp;

/// A deploy, however it ended.
#[derive(Debug, Clone, Copy)]
pub struct Deployment {
    /// Where in the order of events.
    pub place: Place,
    /// Where to.
    pub environment: Option<Environment>,
    /// Through what.
    pub capability: Option<Capability>,
    /// The team that its event names.
    pub team: Option<Team>,
    /// What was deployed.
    pub artifact: Option<Artifact>,
    /// How it ended: successfully, where its event does not say.
    pub outcome: Outcome,
    /// What kind of deploy.
    pub kind: DeployKind,
    /// It was not planned, as its event says.
    pub unplanned: bool,
}

impl Deployment {
    /// Whether it counts as successful.
    pub fn succeeded(&self) -> bool {
        self.outcome == Outcome::Success
    }
}

/// An artifact, known by 64 bits of the SHA-256 of its name: what was deployed has a name of its own nearly every time, and
/// is only ever compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Artifact(pub(super) NonZeroU64);

impl Artifact {
    pub(super) fn of(name: &str) -> Self {
        let mut first = [0; 8];
        first.copy_from_slice(&Sha256::digest(name)[..8]);
        Self(NonZeroU64::new(u64::from_be_bytes(first)).unwrap_or(NonZeroU64::MIN))
    }
}

/// A successful deploy of a change: when, its event, and where to.
pub type Shipment = (Timestamp, EventKey, Option<Environment>);

impl Placed for Deployment {
    fn place(&self) -> Place {
        self.place
    }
}

/// Deploys.
#[derive(Debug, Clone, Default)]
pub struct Deployments {
    /// By service.
    pub(super) deploys: Vec<Sorted<Deployment>>,
    pub(super) by_author: Table<(Service, Person), Sorted<Shipment>>,
}

impl Deployments {
    /// Adds a deploy.
    pub(super) fn insert(
        &mut self,
        service: Service,
        wanted: Wanted<'_>,
        fact: impl FnOnce(Place) -> Deployment,
        ids: &mut Ids,
    ) {
        grown(&mut self.deploys, service).put(wanted, ids, fact);
    }

    /// Takes it away again.
    pub(super) fn remove(&mut self, service: Service, wanted: Wanted<'_>, ids: &mut Ids) {
        if let Some(deploys) = self.deploys.get_mut(service.index()) {
            deploys.take(wanted, ids);
        }
    }

    /// Notes that a deploy brings a change by `author`.
    pub(super) fn insert_change(&mut self, service: Service, author: Person, shipment: Shipment) {
        let deploys = self.by_author.entry((service, author));
        if let Err(at) = deploys.find(|other| other.cmp(&shipment)) {
            deploys.insert(at, shipment);
        }
    }

    /// Takes that away again.
    pub(super) fn remove_change(&mut self, service: Service, author: Person, shipment: Shipment) {
        let Some(deploys) = self.by_author.get_mut((service, author)) else { return };
        if let Ok(at) = deploys.find(|other| other.cmp(&shipment)) {
            deploys.remove(at);
        }
    }

    /// The deploys of a service, in order.
    pub fn of(&self, service: Service) -> impl DoubleEndedIterator<Item = &Deployment> {
        self.deploys.get(service.index()).into_iter().flat_map(Sorted::iter)
    }

    /// The successful ones, in order.
    pub fn succeeded(&self, service: Service) -> impl DoubleEndedIterator<Item = &Deployment> {
        self.of(service).filter(|deploy| deploy.succeeded())
    }

    /// The deploys of a service from an instant up to, not including, another, in order.
    pub fn between(
        &self,
        service: Service,
        from: Timestamp,
        to: Timestamp,
    ) -> impl Iterator<Item = &Deployment> + use<'_> {
        let deploys = self.deploys.get(service.index());
        let later =
            deploys.into_iter().flat_map(move |deploys| deploys.from(move |deploy| deploy.place.at < from));
        later.take_while(move |deploy| deploy.place.at < to)
    }

    /// The deploys of a service at or before an instant, in order.
    pub fn until(
        &self,
        service: Service,
        at: Timestamp,
    ) -> impl DoubleEndedIterator<Item = &Deployment> + use<'_> {
        let deploys = self.deploys.get(service.index());
        deploys.into_iter().flat_map(move |deploys| deploys.before(move |deploy| deploy.place.at <= at))
    }

    /// The deploys of a service before an instant, in order.
    pub fn before(
        &self,
        service: Service,
        at: Timestamp,
    ) -> impl DoubleEndedIterator<Item = &Deployment> + use<'_> {
        let deploys = self.deploys.get(service.index());
        deploys.into_iter().flat_map(move |deploys| deploys.before(move |deploy| deploy.place.at < at))
    }

    /// The deploys of a service with a change by `author`, at or after `from`.
    pub fn by(&self, service: Service, author: Person, from: Timestamp) -> impl Iterator<Item = Shipment> {
        let deploys = self.by_author.get((service, author));
        deploys.into_iter().flat_map(move |deploys| deploys.from(move |(at, ..)| *at < from)).copied()
    }
}

/// What belongs to a name, made if it is new.
pub(super) fn grown<S: Symbol, T: Default>(list: &mut Vec<T>, name: S) -> &mut T {
    if list.len() <= name.index() {
        list.resize_with(name.index() + 1, T::default);
    }
    &mut list[name.index()]
}

/// That somebody began to work on a service, with the team that the event names.
#[derive(Debug, Clone, Copy)]
pub struct Start {
    /// Where in the order of events.
    pub place: Place,
    /// The team.
    pub team: Option<Team>,
}

impl Placed for Start {
    fn place(&self) -> Place {
        self.place
    }
}

/// Who began to work on which service: the starts of each pair.
#[derive(Debug, Clone, Default)]
pub struct Starts(pub(super) Table<(Person, Service), Sorted<Start>>);

impl Starts {
    /// Adds a start.
    pub(super) fn insert(
        &mut self,
        pair: (Person, Service),
        wanted: Wanted<'_>,
        team: Option<Team>,
        ids: &mut Ids,
    ) {
        self.0.entry(pair).put(wanted, ids, |place| Start { place, team });
    }

    /// Takes it away again.
    pub(super) fn remove(&mut self, pair: (Person, Service), wanted: Wanted<'_>, ids: &mut Ids) {
        if let Some(starts) = self.0.get_mut(pair) {
            starts.take(wanted, ids);
        }
    }

    /// The earliest start of every pair.
    pub fn earliest(&self) -> impl Iterator<Item = (Person, Service, &Start)> {
        self.0
            .rows()
            .iter()
            .filter_map(|((person, service), starts)| Some((*person, *service, starts.first()?)))
    }

    /// The earliest start of one pair.
    pub fn of(&self, person: Person, service: Service) -> Option<&Start> {
        self.0.get((person, service))?.first()
    }
}
