//! Incidents: what was detected, reported and resolved of each, and what that is linked to.

use super::index::Table;
use super::names::{Environment, Service, Source, Subject, Team, Word};
use super::place::{Ids, Place, Placed, Wanted};
use super::sorted::Sorted;
use super::work::Artifact;
use crate::event::EventKey;
use crate::time::Timestamp;

/// What an event says of an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Stage {
    Detected,
    Reported,
    Resolved,
}

/// An event of an incident.
#[derive(Debug, Clone, Copy)]
pub struct Notice {
    /// Where in the order of events.
    pub place: Place,
    /// What it says.
    pub stage: Stage,
    /// What it names.
    pub subject: Subject,
    /// Where it happened.
    pub environment: Option<Environment>,
    /// What is to blame.
    pub artifact: Option<Artifact>,
}

impl Placed for Notice {
    fn place(&self) -> Place {
        self.place
    }
}

/// An event that another one is linked to by its id: when and by which event that was said.
pub type Link = (Timestamp, EventKey, Word);

/// What is known of one incident.
#[derive(Debug, Clone, Default)]
pub struct Incident {
    /// In the order of events.
    pub(super) notices: Sorted<Notice>,
    pub(super) links: Sorted<Link>,
}

/// An incident as of an instant.
#[derive(Debug, Clone, Copy)]
pub struct State<'a> {
    /// Its first detection or report; without any, it is not known to have begun.
    pub began: Option<&'a Place>,
    /// Its first resolution since it was detected last; none while it is open.
    pub resolved: Option<&'a Place>,
    /// The service that is hit: this and the following as the last detection or report says that names one.
    pub service: Option<Service>,
    /// The team named.
    pub team: Option<Team>,
    /// Where it happened.
    pub environment: Option<Environment>,
    /// What is to blame.
    pub artifact: Option<Artifact>,
}

impl Incident {
    /// Its state as of `at`. `None`: nobody had heard of it.
    pub fn state(&self, at: Timestamp) -> Option<State<'_>> {
        let seen = || self.notices.before(move |notice| notice.place.at < at);
        let begins = || seen().filter(|notice| notice.stage != Stage::Resolved);
        seen().next()?;
        let began = begins().next().map(|notice| &notice.place);
        let detected =
            seen().rev().find(|notice| notice.stage == Stage::Detected).map(|notice| notice.place.at);
        let since = detected.or(began.map(|place| place.at));
        let mut resolutions = seen().filter(|notice| notice.stage == Stage::Resolved);
        let resolved = resolutions.find(|notice| since.is_none_or(|since| notice.place.at >= since));
        Some(State {
            began,
            resolved: resolved.map(|notice| &notice.place),
            service: begins().rev().find_map(|notice| notice.subject.service),
            team: begins().rev().find_map(|notice| notice.subject.team),
            environment: begins().rev().find_map(|notice| notice.environment),
            artifact: begins().rev().find_map(|notice| notice.artifact),
        })
    }

    /// The ids of the events that it is linked to, as far as is known at `at`.
    pub fn links(&self, at: Timestamp) -> impl Iterator<Item = Word> + use<'_> {
        self.links.before(move |(said, ..)| *said < at).map(|(.., link)| *link)
    }
}

/// All incidents, each known by its id within a source.
#[derive(Debug, Clone, Default)]
pub struct Incidents(pub(super) Table<(Source, Word), Incident>);

impl Incidents {
    /// Adds an event of one.
    pub(super) fn insert(
        &mut self,
        identity: (Source, Word),
        wanted: Wanted<'_>,
        fact: impl FnOnce(Place) -> Notice,
        ids: &mut Ids,
    ) {
        self.0.entry(identity).notices.put(wanted, ids, fact);
    }

    /// Takes it away again.
    pub(super) fn remove(&mut self, identity: (Source, Word), wanted: Wanted<'_>, ids: &mut Ids) {
        if let Some(incident) = self.0.get_mut(identity) {
            incident.notices.take(wanted, ids);
        }
    }

    pub(super) fn insert_link(&mut self, identity: (Source, Word), link: Link) {
        self.0.entry(identity).links.add(link);
    }

    pub(super) fn remove_link(&mut self, identity: (Source, Word), link: Link) {
        if let Some(incident) = self.0.get_mut(identity) {
            incident.links.drop(link);
        }
    }

    /// Each of them, with what identifies it.
    pub fn all(&self) -> impl Iterator<Item = ((Source, Word), &Incident)> {
        self.0.rows().iter().map(|(identity, incident)| (*identity, incident))
    }

    /// One of them.
    pub fn of(&self, identity: (Source, Word)) -> Option<&Incident> {
        self.0.get(identity)
    }
}
