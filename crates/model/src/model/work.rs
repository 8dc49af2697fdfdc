//! Deploys to environments and the people behind them, and who began to work on what.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::few::Few;
use super::names::{Capability, Environment, Person, Place, Service, Team};
use crate::event::EventKey;
use crate::time::Timestamp;

/// A successful deploy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deployment {
    /// Where to.
    pub environment: Option<Environment>,
    /// Through what.
    pub capability: Option<Capability>,
}

/// A successful deploy of a change: when, its event, and where to.
pub type Shipment = (Timestamp, EventKey, Option<Environment>);

/// Successful deploys.
#[derive(Debug, Clone, Default)]
pub struct Deployments {
    by_service: FxHashMap<Service, BTreeMap<Place, Deployment>>,
    by_author: FxHashMap<(Service, Person), Few<Shipment, ()>>,
}

impl Deployments {
    /// Adds a deploy whose changes are by `authors`.
    pub fn insert(
        &mut self,
        service: Service,
        (place, key): (Place, EventKey),
        deployment: Deployment,
        authors: &[Person],
    ) {
        let shipment = (place.at, key, deployment.environment);
        for author in authors {
            self.by_author.entry((service, *author)).or_default().insert(shipment, ());
        }
        self.by_service.entry(service).or_default().insert(place, deployment);
    }

    /// Takes it away again.
    pub fn remove(
        &mut self,
        service: Service,
        (place, key): (&Place, EventKey),
        deployment: Deployment,
        authors: &[Person],
    ) {
        let shipment = (place.at, key, deployment.environment);
        for author in authors {
            if let Some(deploys) = self.by_author.get_mut(&(service, *author)) {
                deploys.remove(&shipment);
            }
        }
        if let Some(deploys) = self.by_service.get_mut(&service) {
            deploys.remove(place);
        }
    }

    /// The deploys of a service, in order.
    pub fn of(&self, service: Service) -> impl Iterator<Item = (&Place, &Deployment)> {
        self.by_service.get(&service).into_iter().flatten()
    }

    /// The deploys of a service with a change by `author`, at or after `from`.
    pub fn by(&self, service: Service, author: Person, from: Timestamp) -> impl Iterator<Item = Shipment> {
        let deploys = self.by_author.get(&(service, author));
        deploys
            .into_iter()
            .flat_map(move |d| d.from((from, EventKey(0), None)))
            .map(|(shipment, ())| *shipment)
    }
}

/// Who began to work on which service: the starts of each pair, each with the team its event names.
#[derive(Debug, Clone, Default)]
pub struct Starts(FxHashMap<(Person, Service), Few<Place, Option<Team>>>);

impl Starts {
    /// Adds a start.
    pub fn insert(&mut self, person: Person, service: Service, place: Place, team: Option<Team>) {
        self.0.entry((person, service)).or_default().insert(place, team);
    }

    /// Takes it away again.
    pub fn remove(&mut self, person: Person, service: Service, place: &Place) {
        if let Some(starts) = self.0.get_mut(&(person, service)) {
            starts.remove(place);
        }
    }

    /// The earliest start of every pair: person, service, when, and the team its event names.
    pub fn earliest(&self) -> impl Iterator<Item = (Person, Service, &Place, Option<Team>)> {
        self.0.iter().filter_map(|((person, service), starts)| {
            let (place, team) = starts.first()?;
            Some((*person, *service, place, *team))
        })
    }

    /// The earliest start of one pair.
    pub fn of(&self, person: Person, service: Service) -> Option<&Place> {
        self.0.get(&(person, service))?.first().map(|(place, _)| place)
    }
}
