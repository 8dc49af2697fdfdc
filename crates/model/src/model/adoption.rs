//! On which days which unit used which capability: bits derived from the traces and the owners of services.
//!
//! The bits of a pair are a function of the facts alone. A new use sets a bit; whatever could clear one (a use taken
//! away, an owner that changes) computes again what it could clear.

use rustc_hash::{FxHashMap, FxHashSet};

use super::days::{DayTable, UnitIndex};
use super::lifecycle::{Life, Lives};
use super::names::{Capability, Service, Subject, Symbol, Team};
use super::traces::{TraceUnits, Traces};
use crate::event::EventKey;
use crate::time::{Day, Timestamp};

/// Uses seen only once their owner is known, because they happened before the first registration of their service:
/// each is (when it happened, when its owner became known).
type Early = Vec<(Timestamp, Timestamp)>;

/// Which units used one capability on which days.
#[derive(Debug, Clone)]
pub struct Users<U> {
    /// Days whose use is seen as soon as it has happened.
    days: DayTable<U>,
    early: FxHashMap<U, Early>,
}

impl<U> Default for Users<U> {
    fn default() -> Self {
        Self { days: DayTable::default(), early: FxHashMap::default() }
    }
}

impl<U: Symbol> Users<U> {
    /// The days whose use is seen as soon as it has happened, of every unit that ever used it.
    pub fn days(&self) -> &DayTable<U> {
        &self.days
    }

    /// The uses of a unit that are seen later than they happened, by time.
    pub fn early(&self, unit: U) -> &[(Timestamp, Timestamp)] {
        // Most installations register a service before it is used.
        if self.early.is_empty() { &[] } else { self.early.get(&unit).map_or(&[], Vec::as_slice) }
    }

    fn used(&mut self, unit: U, at: Timestamp, known: Timestamp) {
        let index = self.days.unit(unit);
        self.used_at(unit, index, at, known);
    }

    fn used_at(&mut self, unit: U, index: UnitIndex, at: Timestamp, known: Timestamp) {
        if known > at {
            let early = self.early.entry(unit).or_default();
            let place = early.partition_point(|other| *other <= (at, known));
            early.insert(place, (at, known));
        } else {
            self.days.insert(index, at.day());
        }
    }

    /// The uses of the unit on this day are these and no others.
    fn set_day(&mut self, unit: U, day: Day, uses: Early) {
        let index = self.days.unit(unit);
        self.days.remove(index, day);
        if let Some(early) = self.early.get_mut(&unit) {
            early.retain(|(at, _)| at.day() != day);
        }
        uses.into_iter().for_each(|(at, known)| self.used(unit, at, known));
    }

    fn forget(&mut self, unit: U) {
        let index = self.days.unit(unit);
        self.days.clear(index);
        self.early.remove(&unit);
    }
}

/// Users of each capability, of one kind of unit.
#[derive(Debug, Clone)]
pub struct Pairs<U> {
    users: Vec<Users<U>>,
    nobody: Users<U>,
}

impl<U> Default for Pairs<U> {
    fn default() -> Self {
        Self { users: Vec::new(), nobody: Users::default() }
    }
}

impl<U: Symbol> Pairs<U> {
    /// The users of a capability.
    pub fn of(&self, capability: Capability) -> &Users<U> {
        self.users.get(capability.index()).unwrap_or(&self.nobody)
    }

    pub(super) fn days_mut(&mut self, capability: Capability) -> &mut DayTable<U> {
        &mut self.of_mut(capability).days
    }

    fn of_mut(&mut self, capability: Capability) -> &mut Users<U> {
        if self.users.len() <= capability.index() {
            self.users.resize_with(capability.index() + 1, Users::default);
        }
        &mut self.users[capability.index()]
    }
}

/// A kind of unit that adopts: a team or a service.
pub trait Adopter: Symbol {
    /// The uses of a capability by the unit in `from` … `to` (not included), as far as is known at `seen`, by time.
    fn uses(
        self,
        facts: Facts<'_>,
        c: Capability,
        from: Timestamp,
        to: Timestamp,
        seen: Timestamp,
    ) -> Vec<Use>;
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
        let traces = facts.traces.of_service(self).filter(|(subject, _)| subject.capability == Some(c));
        let mut uses: Vec<_> = traces.flat_map(|(_, trace)| trace.uses_between(from, to)).collect();
        uses.sort_unstable();
        uses
    }
}

impl Adopter for Team {
    fn uses(
        self,
        facts: Facts<'_>,
        c: Capability,
        from: Timestamp,
        to: Timestamp,
        seen: Timestamp,
    ) -> Vec<Use> {
        let named = facts.traces.of_team(self).filter(|(subject, _)| subject.capability == Some(c));
        let mut uses: Vec<_> = named.flat_map(|(_, trace)| trace.uses_between(from, to)).collect();
        for service in facts.adoption.services_of(self) {
            let life = facts.services.of(service);
            let unnamed = Subject { team: None, service: Some(service), capability: Some(c) };
            if let Some(trace) = facts.traces.get(unnamed) {
                uses.extend(
                    trace.uses_between(from, to).filter(|(at, _)| life.owner(*at, seen) == Some(self)),
                );
            }
        }
        uses.sort_unstable();
        uses
    }
}

/// Who uses what.
#[derive(Debug, Clone, Default)]
pub struct Adoption {
    /// By team.
    pub teams: Pairs<Team>,
    /// By service.
    pub services: Pairs<Service>,
    /// Services for which the team was ever named as owner, also where that was taken back.
    pub(super) owned: FxHashMap<Team, FxHashSet<Service>>,
}

impl Adoption {
    fn services_of(&self, team: Team) -> impl Iterator<Item = Service> {
        self.owned.get(&team).into_iter().flatten().copied()
    }

    /// A use came: sets its bits.
    pub(super) fn used(
        &mut self,
        subject: Subject,
        units: &mut TraceUnits,
        at: Timestamp,
        services: &Lives<Service>,
    ) {
        let Some(capability) = subject.capability else { return };
        let owner = || owner_when_known(services.of(subject.service?), at);
        let team = subject.team.map(|team| (team, at)).or_else(owner);
        self.note(subject.service, capability, team, units, at);
    }

    /// Notes a use by a service, and by a team since when that is known.
    pub(super) fn note(
        &mut self,
        service: Option<Service>,
        capability: Capability,
        team: Option<(Team, Timestamp)>,
        units: &mut TraceUnits,
        at: Timestamp,
    ) {
        if let Some(service) = service {
            let users = self.services.of_mut(capability);
            let index = *units.service.get_or_insert_with(|| users.days.unit(service));
            users.used_at(service, index, at, at);
        }
        if let Some((team, known)) = team {
            let users = self.teams.of_mut(capability);
            let index = match units.team {
                Some((last, index)) if last == team => index,
                _ => users.days.unit(team),
            };
            units.team = Some((team, index));
            users.used_at(team, index, at, known);
        }
    }

    /// A use was taken away: computes its pairs again, of that day alone, for corrections come by the thousand.
    pub(super) fn unused(
        &mut self,
        subject: Subject,
        at: Timestamp,
        services: &Lives<Service>,
        traces: &Traces,
    ) {
        let Some(capability) = subject.capability else { return };
        let (day, from, to) = (at.day(), at.day().start(), at.day().end());
        if let Some(service) = subject.service {
            let facts = Facts { traces, services, adoption: self };
            let left = service.uses(facts, capability, from, to, to);
            let left = left.into_iter().map(|(at, _)| (at, at)).collect();
            self.services.of_mut(capability).set_day(service, day, left);
        }
        let owner = || owner_when_known(services.of(subject.service?), at).map(|(team, _)| team);
        if let Some(team) = subject.team.or_else(owner) {
            let left = self.uses_when_known(team, capability, (from, to), services, traces);
            self.teams.of_mut(capability).set_day(team, day, left);
        }
    }

    /// A registration that names `owner` came or went: computes the pairs of all teams that ever owned the service.
    pub(super) fn reown(
        &mut self,
        service: Service,
        owner: Team,
        services: &Lives<Service>,
        traces: &Traces,
    ) {
        self.owned.entry(owner).or_default().insert(service);
        let used: FxHashSet<Capability> = traces
            .of_service(service)
            .filter(|(subject, trace)| subject.team.is_none() && trace.has_use())
            .filter_map(|(subject, _)| subject.capability)
            .collect();
        if used.is_empty() {
            return;
        }
        let teams: Vec<Team> =
            self.owned.iter().filter(|(_, s)| s.contains(&service)).map(|(t, _)| *t).collect();
        for (team, capability) in teams.into_iter().flat_map(|team| used.iter().map(move |c| (team, *c))) {
            self.compute(team, capability, services, traces);
        }
    }

    fn compute(&mut self, team: Team, capability: Capability, services: &Lives<Service>, traces: &Traces) {
        let ever = (Timestamp::MIN, Timestamp::MAX);
        let uses = self.uses_when_known(team, capability, ever, services, traces);
        let users = self.teams.of_mut(capability);
        users.forget(team);
        uses.into_iter().for_each(|(at, known)| users.used(team, at, known));
    }

    /// The uses by a team once all is known, of a span whose end is not included.
    fn uses_when_known(
        &self,
        team: Team,
        capability: Capability,
        (from, to): (Timestamp, Timestamp),
        services: &Lives<Service>,
        traces: &Traces,
    ) -> Early {
        let mut uses: Early = Vec::new();
        let named = traces.of_team(team).filter(|(subject, _)| subject.capability == Some(capability));
        for (_, trace) in named {
            uses.extend(trace.uses_between(from, to).map(|(at, _)| (at, at)));
        }
        for service in self.services_of(team) {
            let unnamed = Subject { team: None, service: Some(service), capability: Some(capability) };
            for (at, _) in traces.get(unnamed).into_iter().flat_map(|trace| trace.uses_between(from, to)) {
                let owner = owner_when_known(services.of(service), at).filter(|(owner, _)| *owner == team);
                uses.extend(owner.map(|(_, known)| (at, known)));
            }
        }
        uses
    }
}

/// Who owns what happened at `at` once all is known, and since when that is known.
pub(super) fn owner_when_known(life: &Life, at: Timestamp) -> Option<(Team, Timestamp)> {
    let team = life.owner(at, Timestamp::MAX)?;
    let (earliest, _) = life.owners().next()?;
    Some((team, earliest.max(at)))
}

/// The days on which a unit used a capability, as of T.
pub struct DaysSeen<'a, U> {
    days: &'a DayTable<U>,
    unit: UnitIndex,
    early: Vec<Day>,
    /// The day of T, if its bit may stand for a use that T does not see yet, and whether there is one it sees.
    begun: Option<(Day, bool)>,
}

impl<'a, U: Adopter> DaysSeen<'a, U> {
    /// The days of a unit that ever used the capability.
    pub fn new(
        facts: Facts<'a>,
        users: &'a Users<U>,
        c: Capability,
        unit: (UnitIndex, U),
        at: Timestamp,
    ) -> Self {
        let (index, unit) = unit;
        let early = users.early(unit).iter().filter(|(used, known)| used.max(known) < &at);
        let today = at.day();
        let begun = at > today.start() && facts.traces.latest_use().is_some_and(|latest| latest >= at);
        let begun = begun.then(|| (today, !unit.uses(facts, c, today.start(), at, at).is_empty()));
        Self { days: &users.days, unit: index, early: early.map(|(used, _)| used.day()).collect(), begun }
    }

    /// Whether there is one in `from` … `to`, both included, and no later than the last day before T.
    pub fn any(&self, from: Day, to: Day) -> bool {
        let (mut whole, mut today) = (to, false);
        if let Some((day, seen)) = self.begun
            && to >= day
        {
            whole = day.plus(-1);
            today = seen && from <= day;
        }
        today
            || self.days.any(self.unit, from, whole)
            || self.early.iter().any(|day| (from..=to).contains(day))
    }

    /// The first of them. It means nothing if it is after the last day before T.
    pub fn first(&self) -> Option<Day> {
        let first = match (self.days.first(self.unit), self.begun) {
            (Some(first), Some((today, seen))) if first >= today => seen.then_some(today),
            (first, _) => first,
        };
        self.early.iter().copied().chain(first).min()
    }
}
