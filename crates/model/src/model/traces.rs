//! What is mentioned when, and what is used when.
//!
//! A trace gathers the events that name the same (team, service, capability). Names appear with the first event that
//! names them, and use is read off here, so nothing else has to be kept of the events that mean no more.

use std::collections::BTreeSet;
use std::ops::Bound;

use rustc_hash::FxHashMap;

use super::names::{Capability, Service, Subject, Symbol, Team};
use crate::event::EventKey;
use crate::time::Timestamp;

/// Events in the order of time.
pub type Timeline = BTreeSet<(Timestamp, EventKey)>;

/// The events that name the same things.
#[derive(Debug, Clone)]
pub struct Trace {
    /// What they name.
    pub subject: Subject,
    /// Those that are a use of the capability.
    pub uses: Timeline,
    /// The others.
    others: Timeline,
}

impl Trace {
    fn first(&self) -> Option<Timestamp> {
        let first = |events: &Timeline| events.first().map(|(at, _)| *at);
        [first(&self.uses), first(&self.others)].into_iter().flatten().min()
    }

    /// The uses of `from` up to, not including, `to`.
    pub fn uses_between(
        &self,
        from: Timestamp,
        to: Timestamp,
    ) -> impl DoubleEndedIterator<Item = (Timestamp, EventKey)> {
        let from = from.min(to);
        let range = (Bound::Included((from, EventKey(0))), Bound::Excluded((to, EventKey(0))));
        self.uses.range(range).copied()
    }
}

/// Traces by name, and when the name appeared.
#[derive(Debug, Clone, Default)]
struct Appearances {
    traces: Vec<Vec<usize>>,
    first: Vec<Option<Timestamp>>,
}

impl Appearances {
    fn of(&self, name: impl Symbol) -> &[usize] {
        self.traces.get(name.index()).map_or(&[], Vec::as_slice)
    }

    fn add_trace(&mut self, name: impl Symbol, trace: usize) {
        if self.traces.len() <= name.index() {
            self.traces.resize_with(name.index() + 1, Vec::new);
            self.first.resize(name.index() + 1, None);
        }
        self.traces[name.index()].push(trace);
    }

    fn seen(&mut self, name: impl Symbol, at: Timestamp) {
        let first = &mut self.first[name.index()];
        *first = Some(first.map_or(at, |first| first.min(at)));
    }

    fn unseen(&mut self, name: impl Symbol, at: Timestamp, traces: &[Trace]) {
        if self.first[name.index()] == Some(at) {
            self.first[name.index()] = self.of(name).iter().filter_map(|t| traces[*t].first()).min();
        }
    }

    fn first(&self, name: impl Symbol) -> Option<Timestamp> {
        self.first.get(name.index()).copied().flatten()
    }
}

/// All traces.
#[derive(Debug, Clone, Default)]
pub struct Traces {
    traces: Vec<Trace>,
    by_subject: FxHashMap<Subject, usize>,
    teams: Appearances,
    services: Appearances,
    capabilities: Appearances,
    latest_use: Option<Timestamp>,
}

impl Traces {
    /// Adds an event to the trace of what it names.
    pub fn insert(&mut self, subject: Subject, is_use: bool, at: Timestamp, key: EventKey) {
        let trace = self.trace(subject);
        if is_use {
            self.traces[trace].uses.insert((at, key));
            self.latest_use = self.latest_use.max(Some(at));
        } else {
            self.traces[trace].others.insert((at, key));
        }
        subject.team.inspect(|team| self.teams.seen(*team, at));
        subject.service.inspect(|service| self.services.seen(*service, at));
        subject.capability.inspect(|capability| self.capabilities.seen(*capability, at));
    }

    /// Takes it away again.
    pub fn remove(&mut self, subject: Subject, is_use: bool, at: Timestamp, key: EventKey) {
        let trace = self.trace(subject);
        let events = &mut self.traces[trace];
        if is_use { &mut events.uses } else { &mut events.others }.remove(&(at, key));
        subject.team.inspect(|team| self.teams.unseen(*team, at, &self.traces));
        subject.service.inspect(|service| self.services.unseen(*service, at, &self.traces));
        subject.capability.inspect(|capability| self.capabilities.unseen(*capability, at, &self.traces));
    }

    fn trace(&mut self, subject: Subject) -> usize {
        if let Some(trace) = self.by_subject.get(&subject) {
            return *trace;
        }
        let trace = self.traces.len();
        self.traces.push(Trace { subject, uses: Timeline::new(), others: Timeline::new() });
        self.by_subject.insert(subject, trace);
        subject.team.inspect(|team| self.teams.add_trace(*team, trace));
        subject.service.inspect(|service| self.services.add_trace(*service, trace));
        subject.capability.inspect(|capability| self.capabilities.add_trace(*capability, trace));
        trace
    }

    /// The trace of exactly these names.
    pub fn get(&self, subject: Subject) -> Option<&Trace> {
        self.by_subject.get(&subject).map(|trace| &self.traces[*trace])
    }

    /// The traces that name the team.
    pub fn of_team(&self, team: Team) -> impl Iterator<Item = &Trace> {
        self.teams.of(team).iter().map(|trace| &self.traces[*trace])
    }

    /// The traces that name the service.
    pub fn of_service(&self, service: Service) -> impl Iterator<Item = &Trace> {
        self.services.of(service).iter().map(|trace| &self.traces[*trace])
    }

    /// When the team appeared.
    pub fn team_appeared(&self, team: Team) -> Option<Timestamp> {
        self.teams.first(team)
    }

    /// When the service appeared.
    pub fn service_appeared(&self, service: Service) -> Option<Timestamp> {
        self.services.first(service)
    }

    /// When the capability appeared.
    pub fn capability_appeared(&self, capability: Capability) -> Option<Timestamp> {
        self.capabilities.first(capability)
    }

    /// No use is later than this.
    pub fn latest_use(&self) -> Option<Timestamp> {
        self.latest_use
    }
}
