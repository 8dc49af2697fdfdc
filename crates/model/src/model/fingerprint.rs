//! Whether two Models hold the same facts, in a number.

use std::hash::{DefaultHasher, Hash, Hasher as _};

use super::Model;
use super::names::{Names, Subject, Symbol};
use super::place::Place;

/// A sum over facts, whose order does not matter.
#[derive(Default)]
struct Sum(u64);

impl Sum {
    fn add(&mut self, fact: impl Hash) {
        self.0 = self.0.wrapping_add(hash(fact));
    }
}

fn hash(fact: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    fact.hash(&mut hasher);
    hasher.finish()
}

fn text<S: Symbol>(names: &Names<S>, name: Option<S>) -> Option<&str> {
    name.map(|name| names.text(name))
}

impl Model {
    /// Equal for Models that hold the same facts, in whatever order they came; different, but for an accident, for others.
    /// Means nothing outside of the process.
    pub fn fingerprint(&self) -> u64 {
        let mut sum = Sum::default();
        sum.add(self.events);
        for (subject, trace) in self.traces.all.rows() {
            let subject = hash(self.texts(*subject));
            trace.marks.iter().for_each(|mark| sum.add(("mark", subject, mark)));
        }
        for (index, deploys) in self.deployments.deploys.iter().enumerate() {
            for deploy in deploys.iter() {
                let capability = text(&self.capability_names, deploy.capability);
                let environment = text(&self.environment_names, deploy.environment);
                let service = name(&self.service_names, index);
                sum.add(("deploy", service, self.event(&deploy.place), capability, environment));
                let team = text(&self.team_names, deploy.team);
                let said = (deploy.artifact, deploy.outcome, deploy.kind, deploy.unplanned);
                sum.add(("deploy", self.event(&deploy.place), team, said));
            }
        }
        self.changes(&mut sum);
        self.incidents(&mut sum);
        self.samples(&mut sum);
        for ((service, author), deploys) in self.deployments.by_author.rows() {
            let pair = hash((self.service_names.text(*service), self.person_names.text(*author)));
            for (at, key, environment) in deploys.iter() {
                sum.add(("change", pair, at, key, text(&self.environment_names, *environment)));
            }
        }
        for ((person, service), starts) in self.starts.0.rows() {
            let pair = hash((self.person_names.text(*person), self.service_names.text(*service)));
            for start in starts.iter() {
                sum.add(("start", pair, self.event(&start.place), text(&self.team_names, start.team)));
            }
        }
        for interaction in &self.interactions.all {
            let identity = hash(interaction.identity(&self.ids));
            for turn in interaction.turns.iter() {
                let ending = turn.ending.map(|ending| (ending.outcome, ending.assisted));
                sum.add(("turn", identity, self.event(&turn.place), self.texts(turn.subject), ending));
            }
        }
        for (index, turns) in self.surveys.0.iter().enumerate() {
            for turn in turns.iter() {
                let person = name(&self.person_names, index);
                sum.add(("survey", person, self.event(&turn.place), self.texts(turn.subject), turn.score));
            }
        }
        self.lives(&mut sum);
        sum.0
    }

    fn changes(&self, sum: &mut Sum) {
        for (index, brought) in self.changes.brought.iter().enumerate() {
            for one in brought.iter() {
                let service = name(&self.service_names, index);
                let change = text(&self.words, one.change);
                let environment = text(&self.environment_names, one.environment);
                sum.add((
                    "brought",
                    service,
                    one.at,
                    one.key,
                    one.number,
                    change,
                    one.committed,
                    environment,
                ));
            }
        }
        for (change, milestones) in self.changes.milestones.rows() {
            for one in milestones.iter() {
                sum.add(("milestone", self.words.text(*change), one.merged, one.at, one.key));
            }
        }
    }

    fn incidents(&self, sum: &mut Sum) {
        for ((source, id), incident) in self.incidents.0.rows() {
            let identity = hash((self.ids.sources.text(*source), self.words.text(*id)));
            for one in incident.notices.iter() {
                let environment = text(&self.environment_names, one.environment);
                let said = (one.stage as u8, environment, one.artifact);
                sum.add(("notice", identity, self.event(&one.place), self.texts(one.subject), said));
            }
            for (at, key, link) in incident.links.iter() {
                sum.add(("link", identity, at, key, self.words.text(*link)));
            }
        }
    }

    fn samples(&self, sum: &mut Sum) {
        for (stream, samples) in self.samples.0.rows() {
            let name = text(&self.words, stream.name);
            let stream = hash((stream.source as u8, name, self.texts(stream.subject)));
            for one in samples.iter() {
                sum.add(("sample", stream, one.at, one.key, one.measure));
            }
        }
    }

    fn lives(&self, sum: &mut Sum) {
        let teams = self.teams.lives.iter().enumerate().map(|(i, life)| (name(&self.team_names, i), life));
        let services = self.services.lives.iter().enumerate();
        let services = services.map(|(i, life)| (name(&self.service_names, i), life));
        let capabilities = self.capabilities.lives.iter().enumerate();
        let capabilities = capabilities.map(|(i, life)| (name(&self.capability_names, i), life));
        let kinds = [(0, teams.collect::<Vec<_>>()), (1, services.collect()), (2, capabilities.collect())];
        for (kind, name, life) in
            kinds.iter().flat_map(|(kind, lives)| lives.iter().map(move |(n, l)| (kind, n, l)))
        {
            for turn in life.turns.iter() {
                let registration = turn.registration.map(|registration| {
                    let owner = text(&self.team_names, registration.owner);
                    let team = text(&self.team_names, registration.team);
                    (
                        owner,
                        team,
                        registration.preexisting,
                        registration.mandated,
                        registration.observed_since,
                    )
                });
                sum.add(("life", kind, name, self.event(&turn.place), registration));
            }
        }
    }

    fn texts(&self, subject: Subject) -> [Option<&str>; 3] {
        [
            text(&self.team_names, subject.team),
            text(&self.service_names, subject.service),
            text(&self.capability_names, subject.capability),
        ]
    }

    fn event(&self, place: &Place) -> (i64, &str, &str) {
        (place.at.micros(), self.ids.sources.text(place.source), self.ids.id(place))
    }
}

fn name<S: Symbol>(names: &Names<S>, index: usize) -> &str {
    names.text(S::from_index(index))
}
