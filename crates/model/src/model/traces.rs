//! What is mentioned when, and what is used when.
//!
//! A trace gathers the events that name the same (team, service, capability). Names appear with the first event that
//! names them, and use is read off here, so nothing else has to be kept of the events that mean no more.

use super::days::UnitIndex;
use super::index::Table;
use super::names::{Capability, Service, Subject, Symbol, Team};
use super::packed::{Cursor, Packer};
use super::sorted::Sorted;
use crate::event::EventKey;
use crate::time::Timestamp;

/// An event of a trace: when it happened, whether it is a use of the capability, and its handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Mark {
    /// Microseconds since 1970 with the use in the lowest bit, so that a mark has 16 bytes.
    when: i64,
    key: u64,
}

impl Mark {
    pub(super) fn new(at: Timestamp, is_use: bool, key: EventKey) -> Self {
        Self { when: at.micros() * 2 + i64::from(is_use), key: key.0 }
    }

    fn at(self) -> Timestamp {
        // It was made of one.
        Timestamp::from_micros(self.when >> 1).unwrap_or(Timestamp::MAX)
    }

    fn is_use(self) -> bool {
        self.when & 1 == 1
    }

    /// Bytes of one that is packed.
    pub(super) const SIZE: usize = 16;

    pub(super) fn pack(self, packer: &mut Packer) {
        packer.word(self.when.cast_unsigned());
        packer.word(self.key);
    }

    pub(super) fn unpack(bytes: &[u8]) -> Option<Self> {
        let mut cursor = Cursor(bytes);
        let mark = Self { when: cursor.word()?.cast_signed(), key: cursor.word()? };
        Timestamp::from_micros(mark.when >> 1).map(|_| mark)
    }
}

/// The events that name the same things.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    pub(super) marks: Sorted<Mark>,
    /// What days of use are noted for.
    pub(super) units: TraceUnits,
}

/// The units that a use of the trace was last noted for, so that they need not be looked for again.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct TraceUnits {
    pub(super) team: Option<(Team, UnitIndex)>,
    pub(super) service: Option<UnitIndex>,
}

impl Trace {
    fn first(&self) -> Option<Timestamp> {
        self.marks.first().map(|mark| mark.at())
    }

    /// Its uses by time, and the units they are noted for.
    pub(super) fn uses_and_units(&mut self) -> (impl Iterator<Item = Timestamp>, &mut TraceUnits) {
        let uses = self.marks.iter().filter(|mark| mark.is_use()).map(|mark| mark.at());
        (uses, &mut self.units)
    }

    /// Whether it has a use.
    pub(super) fn has_use(&self) -> bool {
        self.marks.iter().any(|mark| mark.is_use())
    }

    /// The uses of `from` up to, not including, `to`.
    pub fn uses_between(
        &self,
        from: Timestamp,
        to: Timestamp,
    ) -> impl Iterator<Item = (Timestamp, EventKey)> {
        let (from, to) = (from.micros() * 2, to.micros() * 2);
        let marks = self.marks.from(move |mark| mark.when < from).take_while(move |mark| mark.when < to);
        marks.filter(|mark| mark.is_use()).map(|mark| (mark.at(), EventKey(mark.key)))
    }
}

/// Traces by name, and when the name appeared.
#[derive(Debug, Clone, Default)]
struct Appearances {
    traces: Vec<Vec<u32>>,
    /// [`NEVER`] if no trace has an event left.
    first: Vec<Timestamp>,
}

const NEVER: Timestamp = Timestamp::MAX;

impl Appearances {
    fn of(&self, name: impl Symbol) -> &[u32] {
        self.traces.get(name.index()).map_or(&[], Vec::as_slice)
    }

    fn add_trace(&mut self, name: impl Symbol, trace: usize) {
        if self.traces.len() <= name.index() {
            self.traces.resize_with(name.index() + 1, Vec::new);
            self.first.resize(name.index() + 1, NEVER);
        }
        self.traces[name.index()].push(trace as u32);
    }

    fn seen(&mut self, name: impl Symbol, at: Timestamp) {
        let first = &mut self.first[name.index()];
        *first = at.min(*first);
    }

    fn unseen(&mut self, name: impl Symbol, at: Timestamp, traces: &[(Subject, Trace)]) {
        if self.first[name.index()] == at {
            let firsts = self.of(name).iter().filter_map(|trace| traces[*trace as usize].1.first());
            self.first[name.index()] = firsts.min().unwrap_or(NEVER);
        }
    }

    fn first(&self, name: impl Symbol) -> Option<Timestamp> {
        self.first.get(name.index()).copied().filter(|first| *first != NEVER)
    }
}

/// All traces.
#[derive(Debug, Clone, Default)]
pub struct Traces {
    pub(super) all: Table<Subject, Trace>,
    teams: Appearances,
    services: Appearances,
    capabilities: Appearances,
    latest: Option<Timestamp>,
    latest_use: Option<Timestamp>,
}

impl Traces {
    /// Adds an event to the trace of what it names, and gives the units of that trace; none if it was there already.
    pub(super) fn insert(&mut self, subject: Subject, mark: Mark) -> Option<&mut TraceUnits> {
        let place = self.place(subject);
        let (at, is_use) = (mark.at(), mark.is_use());
        let trace = self.all.at_mut(place);
        let Err(slot) = trace.marks.find(|other| other.cmp(&mark)) else { return None };
        trace.marks.insert(slot, mark);
        subject.team.inspect(|team| self.teams.seen(*team, at));
        subject.service.inspect(|service| self.services.seen(*service, at));
        subject.capability.inspect(|capability| self.capabilities.seen(*capability, at));
        self.latest = self.latest.max(Some(at));
        if is_use {
            self.latest_use = self.latest_use.max(Some(at));
        }
        Some(&mut trace.units)
    }

    /// Takes it away again.
    pub(super) fn remove(&mut self, subject: Subject, mark: Mark) {
        let place = self.place(subject);
        let trace = self.all.at_mut(place);
        let Ok(slot) = trace.marks.find(|other| other.cmp(&mark)) else { return };
        trace.marks.remove(slot);
        let (at, traces) = (mark.at(), self.all.rows());
        subject.team.inspect(|team| self.teams.unseen(*team, at, traces));
        subject.service.inspect(|service| self.services.unseen(*service, at, traces));
        subject.capability.inspect(|capability| self.capabilities.unseen(*capability, at, traces));
    }

    /// Adds marks that are in order; `None` if they are not.
    pub(super) fn add(&mut self, subject: Subject, marks: Vec<Mark>) -> Option<()> {
        if !marks.is_sorted() {
            return None;
        }
        let place = self.place(subject);
        self.seen(subject, marks.first()?.at());
        self.latest = self.latest.max(marks.last().map(|mark| mark.at()));
        let latest_use = marks.iter().rev().find(|mark| mark.is_use());
        self.latest_use = self.latest_use.max(latest_use.map(|mark| mark.at()));
        let known = &mut self.all.at_mut(place).marks;
        if known.is_empty() {
            *known = Sorted::of(marks);
            return Some(());
        }
        for mark in marks {
            if let Err(slot) = known.find(|other| other.cmp(&mark)) {
                known.insert(slot, mark);
            }
        }
        Some(())
    }

    fn seen(&mut self, subject: Subject, at: Timestamp) {
        subject.team.inspect(|team| self.teams.seen(*team, at));
        subject.service.inspect(|service| self.services.seen(*service, at));
        subject.capability.inspect(|capability| self.capabilities.seen(*capability, at));
    }

    fn place(&mut self, subject: Subject) -> usize {
        let known = self.all.rows().len();
        let place = self.all.place(subject);
        if place == known {
            subject.team.inspect(|team| self.teams.add_trace(*team, place));
            subject.service.inspect(|service| self.services.add_trace(*service, place));
            subject.capability.inspect(|capability| self.capabilities.add_trace(*capability, place));
        }
        place
    }

    /// The trace of exactly these names.
    pub fn get(&self, subject: Subject) -> Option<&Trace> {
        self.all.get(subject)
    }

    /// The traces that name the team, with what they name.
    pub fn of_team(&self, team: Team) -> impl Iterator<Item = &(Subject, Trace)> {
        self.teams.of(team).iter().map(|trace| &self.all.rows()[*trace as usize])
    }

    /// The traces that name the service, with what they name.
    pub fn of_service(&self, service: Service) -> impl Iterator<Item = &(Subject, Trace)> {
        self.services.of(service).iter().map(|trace| &self.all.rows()[*trace as usize])
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

    /// No event that names something is later than this.
    pub fn latest(&self) -> Option<Timestamp> {
        self.latest
    }

    /// No use is later than this.
    pub fn latest_use(&self) -> Option<Timestamp> {
        self.latest_use
    }
}
