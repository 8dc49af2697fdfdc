//! Days of use, computed at once for a Model that was decoded.
//!
//! Law: it is what comes of adding the facts one by one.

use super::adoption::{Adoption, owner_when_known};
use super::days::{self, Row};
use super::lifecycle::{Life, Lives};
use super::names::{Capability, Service, Subject, Symbol as _, Team};
use super::traces::{TraceUnits, Traces};
use crate::time::Timestamp;

/// Who ever owned a service: nearly all have one owner for ever.
#[derive(Clone, Copy)]
enum Owner {
    Nobody,
    /// Since when that is known.
    One(Team, Timestamp),
    Several,
}

impl Owner {
    fn of(life: &Life) -> Self {
        let Some((since, team)) = life.owners().next() else { return Self::Nobody };
        if life.owners().all(|(_, other)| other == team) { Self::One(team, since) } else { Self::Several }
    }

    /// Who is the owner of all that happened from some moment on.
    fn from(self, subject: Subject) -> Option<(Option<Team>, Timestamp)> {
        match (subject.team, self) {
            (Some(team), _) => Some((Some(team), Timestamp::MIN)),
            (None, Self::Nobody) => Some((None, Timestamp::MIN)),
            (None, Self::One(team, since)) => Some((Some(team), since)),
            (None, Self::Several) => None,
        }
    }
}

impl Adoption {
    pub(super) fn derive(traces: &mut Traces, services: &Lives<Service>) -> Self {
        let mut adoption = Self::default();
        let mut owners = Vec::with_capacity(services.lives.len());
        for (index, life) in services.lives.iter().enumerate() {
            let service = Service::from_index(index);
            for (_, team) in life.owners() {
                adoption.owned.entry(team).or_default().insert(service);
            }
            owners.push(Owner::of(life));
        }
        for (subject, trace) in traces.all.rows_mut() {
            let Some(capability) = subject.capability else { continue };
            let owner = subject.service.and_then(|service| owners.get(service.index()).copied());
            let known = owner.unwrap_or(Owner::Nobody).from(*subject);
            let (uses, units) = trace.uses_and_units();
            *units = TraceUnits::default();
            let mut row = (0, Row::default());
            for at in uses {
                match known {
                    // Seen as soon as it has happened: days of an epoch are put down together.
                    Some((team, since)) if since <= at => {
                        let (epoch, bit) = days::place(at.day());
                        if epoch != row.0 {
                            adoption.note_row((subject.service, team), capability, units, row);
                            row = (epoch, Row::default());
                        }
                        row.1[bit / 64] |= 1 << (bit % 64);
                    }
                    Some((team, since)) => {
                        let team = team.map(|team| (team, since));
                        adoption.note(subject.service, capability, team, units, at);
                    }
                    None => {
                        let life = subject.service.map(|service| services.of(service));
                        let team = life.and_then(|life| owner_when_known(life, at));
                        adoption.note(subject.service, capability, team, units, at);
                    }
                }
            }
            if let Some((team, _)) = known {
                adoption.note_row((subject.service, team), capability, units, row);
            }
        }
        adoption
    }

    /// Notes the days of an epoch on which a service and a team used a capability.
    fn note_row(
        &mut self,
        (service, team): (Option<Service>, Option<Team>),
        capability: Capability,
        units: &mut TraceUnits,
        (epoch, row): (i32, Row),
    ) {
        if row == Row::default() {
            return;
        }
        if let Some(service) = service {
            let days = self.services.days_mut(capability);
            let index = *units.service.get_or_insert_with(|| days.unit(service));
            days.insert_row(index, epoch, &row);
        }
        if let Some(team) = team {
            let days = self.teams.days_mut(capability);
            let (_, index) = *units.team.get_or_insert_with(|| (team, days.unit(team)));
            days.insert_row(index, epoch, &row);
        }
    }
}
