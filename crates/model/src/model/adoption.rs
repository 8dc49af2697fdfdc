//! On which days which unit used which capability: bits derived from the traces and the owners of services.
//!
//! The bits of a pair are a function of the facts alone. A new use sets a bit; whatever could clear one (a use taken
//! away, an owner that changes) computes the pair again.

use std::borrow::Cow;

use rustc_hash::{FxHashMap, FxHashSet};

use super::days::DaySet;
use super::lifecycle::{Life, Lives};
use super::names::{Capability, Service, Subject, Symbol, Team};
use super::traces::Traces;
use crate::event::EventKey;
use crate::time::Timestamp;

/// The days on which one unit used one capability.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pair {
    /// Days whose use is seen as soon as it has happened.
    days: DaySet,
    /// Uses before the first registration of their service: they belong to its team, but only as of a moment after that
    /// registration. Each is (when it happened, when its owner became known).
    early: Vec<(Timestamp, Timestamp)>,
}

impl Pair {
    fn is_empty(&self) -> bool {
        self.days.is_empty() && self.early.is_empty()
    }

    /// Days whose use is seen as soon as it has happened.
    pub fn always_seen(&self) -> &DaySet {
        &self.days
    }

    /// Uses seen only once their owner is known: when they happened, and when it became known.
    pub fn seen_later(&self) -> impl Iterator<Item = (Timestamp, Timestamp)> {
        self.early.iter().copied()
    }
}

/// Pairs of one kind of unit, by capability.
#[derive(Debug, Clone)]
pub struct Pairs<U>(Vec<FxHashMap<U, Pair>>);

impl<U> Default for Pairs<U> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<U: Symbol> Pairs<U> {
    /// The units that ever used the capability.
    pub fn of(&self, capability: Capability) -> impl Iterator<Item = (U, &Pair)> {
        self.0.get(capability.index()).into_iter().flatten().map(|(unit, pair)| (*unit, pair))
    }

    /// The pair of a unit and a capability, if there was a use.
    pub fn get(&self, unit: U, capability: Capability) -> Option<&Pair> {
        self.0.get(capability.index())?.get(&unit)
    }

    fn slot(&mut self, unit: U, capability: Capability) -> &mut Pair {
        if self.0.len() <= capability.index() {
            self.0.resize_with(capability.index() + 1, FxHashMap::default);
        }
        self.0[capability.index()].entry(unit).or_default()
    }

    fn set(&mut self, unit: U, capability: Capability, pair: Pair) {
        if !pair.is_empty() {
            *self.slot(unit, capability) = pair;
        } else if let Some(pairs) = self.0.get_mut(capability.index()) {
            pairs.remove(&unit);
        }
    }
}

/// A kind of unit that adopts: a team or a service.
pub trait Adopter: Symbol {
    /// The uses of a capability by the unit in `from` … `to` (not included), as far as is known at `seen`, by time.
    fn uses(self, facts: Facts<'_>, c: Capability, from: Timestamp, to: Timestamp, seen: Timestamp) -> Vec<Use>;
}

/// When a use happened, and its event.
pub type Use = (Timestamp, EventKey);

/// What pairs are derived from.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// The uses.
    pub traces: &'a Traces,
    /// The owners.
    pub services: &'a Lives<Service>,
    /// The pairs themselves: they know which services a team ever owned.
    pub adoption: &'a Adoption,
}

impl Adopter for Service {
    fn uses(self, facts: Facts<'_>, c: Capability, from: Timestamp, to: Timestamp, _: Timestamp) -> Vec<Use> {
        let traces = facts.traces.of_service(self).filter(|trace| trace.subject.capability == Some(c));
        let mut uses: Vec<_> = traces.flat_map(|trace| trace.uses_between(from, to)).collect();
        uses.sort_unstable();
        uses
    }
}

impl Adopter for Team {
    fn uses(self, facts: Facts<'_>, c: Capability, from: Timestamp, to: Timestamp, seen: Timestamp) -> Vec<Use> {
        let named = facts.traces.of_team(self).filter(|trace| trace.subject.capability == Some(c));
        let mut uses: Vec<_> = named.flat_map(|trace| trace.uses_between(from, to)).collect();
        for service in facts.adoption.services_of(self) {
            let life = facts.services.of(service);
            let unnamed = Subject { team: None, service: Some(service), capability: Some(c) };
            if let Some(trace) = facts.traces.get(unnamed) {
                uses.extend(trace.uses_between(from, to).filter(|(at, _)| life.owner(*at, seen) == Some(self)));
            }
        }
        uses.sort_unstable();
        uses
    }
}

/// Pairs of both kinds.
#[derive(Debug, Clone, Default)]
pub struct Adoption {
    /// By team.
    pub teams: Pairs<Team>,
    /// By service.
    pub services: Pairs<Service>,
    /// Services for which the team was ever named as owner, also where that was taken back.
    owned: FxHashMap<Team, FxHashSet<Service>>,
}

impl Adoption {
    fn services_of(&self, team: Team) -> impl Iterator<Item = Service> {
        self.owned.get(&team).into_iter().flatten().copied()
    }

    /// A use came: sets its bits.
    pub fn used(&mut self, subject: Subject, at: Timestamp, services: &Lives<Service>) {
        let Some(capability) = subject.capability else { return };
        if let Some(service) = subject.service {
            self.services.slot(service, capability).days.insert(at.day());
        }
        if let Some(team) = subject.team {
            self.teams.slot(team, capability).days.insert(at.day());
        } else if let Some(service) = subject.service
            && let Some((team, known)) = owner_when_known(services.of(service), at)
        {
            add(self.teams.slot(team, capability), at, known);
        }
    }

    /// A use was taken away: computes its pairs again.
    pub fn unused(&mut self, subject: Subject, at: Timestamp, services: &Lives<Service>, traces: &Traces) {
        let Some(capability) = subject.capability else { return };
        if let Some(service) = subject.service {
            let facts = Facts { traces, services, adoption: self };
            let still = !service.uses(facts, capability, at.day().start(), at.day().end(), at.day().end()).is_empty();
            if !still {
                let mut pair = self.services.get(service, capability).cloned().unwrap_or_default();
                pair.days.remove(at.day());
                self.services.set(service, capability, pair);
            }
        }
        let owner = || owner_when_known(services.of(subject.service?), at).map(|(team, _)| team);
        if let Some(team) = subject.team.or_else(owner) {
            self.compute(team, capability, services, traces);
        }
    }

    /// The owners of a service change: computes the pairs of all teams that ever owned it. `change` is run in between.
    pub fn reown(&mut self, service: Service, owner: Team, services: &Lives<Service>, traces: &Traces) {
        self.owned.entry(owner).or_default().insert(service);
        let used: FxHashSet<Capability> = traces
            .of_service(service)
            .filter(|trace| trace.subject.team.is_none() && !trace.uses.is_empty())
            .filter_map(|trace| trace.subject.capability)
            .collect();
        if used.is_empty() {
            return;
        }
        let teams: Vec<Team> = self.owned.iter().filter(|(_, s)| s.contains(&service)).map(|(t, _)| *t).collect();
        for (team, capability) in teams.into_iter().flat_map(|team| used.iter().map(move |c| (team, *c))) {
            self.compute(team, capability, services, traces);
        }
    }

    fn compute(&mut self, team: Team, capability: Capability, services: &Lives<Service>, traces: &Traces) {
        let mut pair = Pair::default();
        for trace in traces.of_team(team).filter(|trace| trace.subject.capability == Some(capability)) {
            trace.uses.iter().for_each(|(at, _)| pair.days.insert(at.day()));
        }
        for service in self.services_of(team) {
            let unnamed = Subject { team: None, service: Some(service), capability: Some(capability) };
            for (at, _) in traces.get(unnamed).into_iter().flat_map(|trace| &trace.uses) {
                if let Some((owner, known)) = owner_when_known(services.of(service), *at)
                    && owner == team
                {
                    add(&mut pair, *at, known);
                }
            }
        }
        pair.early.sort_unstable();
        self.teams.set(team, capability, pair);
    }
}

/// Who owns what happened at `at` once all is known, and since when that is known.
fn owner_when_known(life: &Life, at: Timestamp) -> Option<(Team, Timestamp)> {
    let team = life.owner(at, Timestamp::MAX)?;
    let (earliest, _) = life.owners().next()?;
    Some((team, earliest.max(at)))
}

fn add(pair: &mut Pair, at: Timestamp, known: Timestamp) {
    if known > at {
        let place = pair.early.partition_point(|early| *early <= (at, known));
        pair.early.insert(place, (at, known));
    } else {
        pair.days.insert(at.day());
    }
}

/// The days of a pair as of T. Days after the last day before T may be in it too and mean nothing.
pub fn days_seen<'a, U: Adopter>(
    facts: Facts<'a>,
    unit: U,
    capability: Capability,
    pair: &'a Pair,
    at: Timestamp,
) -> Cow<'a, DaySet> {
    let today = at.day();
    let begun = at > today.start() && facts.traces.latest_use().is_some_and(|latest| latest >= at);
    if pair.early.is_empty() && !begun {
        return Cow::Borrowed(&pair.days);
    }
    let mut days = pair.days.clone();
    pair.early.iter().filter(|(used, known)| used.max(known) < &at).for_each(|(used, _)| days.insert(used.day()));
    if begun {
        // A bit of today may stand for a use that T does not see yet.
        let seen = !unit.uses(facts, capability, today.start(), at, at).is_empty();
        if seen { days.insert(today) } else { days.remove(today) }
    }
    Cow::Owned(days)
}
