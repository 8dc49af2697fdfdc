//! What a metric sees: the facts as of one moment, narrowed to what was asked.

use std::borrow::Cow;
use std::cell::OnceCell;

use super::blame::Blame;
use super::existing::Existing;
use super::{DefaultBy, Metric};
use crate::answer::{Labels, Part};
use crate::config::Config;
use crate::config::slo::Objective;
use crate::event::EventKey;
use crate::model::Model;
use crate::model::changes::Brought;
use crate::model::incidents::Incident;
use crate::model::interactions::Interaction;
use crate::model::lifecycle::Lives;
use crate::model::names::{
    Capability, Environment, Names, Person, Service, Source, Subject, Symbol, Team, Word,
};
use crate::model::place::Place;
use crate::model::samples::{Sample, Stream};
use crate::model::work::Deployment;
use crate::question::{Dimension, Question};
use crate::time::{Day, Timestamp};

/// What became of a unit: a name, what that is to the value, and the counts it is in.
#[derive(Debug)]
pub struct Class {
    /// Its name.
    pub name: &'static str,
    /// What it is to the value.
    pub part: Part,
    /// The counts of [`super::Spec::counts`] that a unit of this class is in.
    pub counts: &'static [&'static str],
}

/// What an answer is about: its labels, as symbols.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[allow(missing_docs)]
pub struct Group {
    pub capability: Option<Capability>,
    pub team: Option<Team>,
    pub service: Option<Service>,
    /// The place of an objective in the configuration.
    pub slo: Option<usize>,
    /// Which of the metric's points.
    pub point: Option<Point>,
}

/// One of the numbers that a metric has for the same units, told apart by a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Point {
    /// The label.
    pub label: &'static str,
    /// What it says.
    pub name: &'static str,
    /// What stands for it in calculations.
    pub number: u32,
}

/// A unit, as the Model knows it.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub enum UnitRef<'a> {
    Team(Team),
    Service(Service),
    Developer(Person, Service),
    Interaction(&'a Interaction),
    Respondent(Person),
    Deploy(Service, &'a Deployment),
    Change(Service, &'a Brought),
    Incident((Source, Word), &'a Incident),
    Sample(Stream, &'a Sample),
    Slo(usize),
}

/// A unit of a group and what became of it.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// The answer it belongs to.
    pub group: Group,
    /// The unit.
    pub unit: UnitRef<'a>,
    /// What became of it.
    pub class: &'static Class,
    /// Its seconds, if it has any; of a part of a ratio, how many it stands for, if not for one.
    pub measure: Option<u64>,
}

impl Case<'_> {
    /// How many it stands for.
    pub fn count(&self) -> u64 {
        match self.class.part {
            Part::Numerator | Part::Denominator => self.measure.unwrap_or(1),
            _ => 1,
        }
    }

    /// The person the unit is or belongs to.
    pub fn person(&self) -> Option<Person> {
        match self.unit {
            UnitRef::Developer(person, _) | UnitRef::Respondent(person) => Some(person),
            _ => None,
        }
    }
}

/// The facts as of T, and the question.
pub struct View<'a> {
    /// The facts.
    pub model: &'a Model,
    /// What numbers depend on beside them.
    pub config: &'a Config,
    /// What was asked.
    pub question: &'a Question,
    /// T: only what happened before it is seen.
    pub at: Timestamp,
    /// D: the last day before T.
    pub last: Day,
    dimensions: Vec<Dimension>,
    points: &'static [Point],
    /// Names asked for that nobody ever mentioned: no unit fits.
    nothing_fits: bool,
    only: Group,
    /// Made when it is first asked for.
    blame: OnceCell<Blame<'a>>,
}

impl<'a> View<'a> {
    /// The facts as of `at`, for a question to `metric`.
    pub fn new(
        metric: &dyn Metric,
        model: &'a Model,
        config: &'a Config,
        question: &'a Question,
        at: Timestamp,
    ) -> Self {
        let (always, unless) = match metric.spec().default_by {
            Some(DefaultBy::Always(dimension)) => (Some(dimension), None),
            Some(DefaultBy::Unless(dimension)) => (None, Some(dimension)),
            None => (None, None),
        };
        let mut dimensions: Vec<_> = [always, question.by.or(unless)].into_iter().flatten().collect();
        dimensions.extend(question.filters().map(|(dimension, _)| dimension));
        let mut only = Group::default();
        let mut nothing_fits = false;
        for (dimension, name) in question.filters() {
            nothing_fits |= match dimension {
                Dimension::Capability => {
                    only.capability = model.capability_names.get(name);
                    only.capability.is_none()
                }
                Dimension::Team => {
                    only.team = model.team_names.get(name);
                    only.team.is_none()
                }
                Dimension::Service => {
                    only.service = model.service_names.get(name);
                    only.service.is_none()
                }
                Dimension::Slo => {
                    only.slo = config.slo.keys().position(|known| known == name);
                    only.slo.is_none()
                }
            };
        }
        let last = at.last_day_before();
        Self {
            model,
            config,
            question,
            at,
            last,
            dimensions,
            points: metric.points(),
            nothing_fits,
            only,
            blame: OnceCell::new(),
        }
    }

    /// Which deploys of the trailing window failed.
    pub(super) fn blame(&self) -> &Blame<'a> {
        self.blame.get_or_init(|| Blame::of(self))
    }

    /// Whether answers are broken down by a dimension, or narrowed to one name of it.
    pub fn is_by(&self, dimension: Dimension) -> bool {
        self.dimensions.contains(&dimension)
    }

    /// The first day of the trailing window of the question, which ends with D.
    pub fn window_start(&self) -> Day {
        self.last.plus(1 - i64::from(self.question.window))
    }

    /// The group of a unit with these names, if it is among those asked for.
    pub fn group(&self, names: Group) -> Option<Group> {
        let fits = !self.nothing_fits
            && self.only.capability.is_none_or(|only| names.capability == Some(only))
            && self.only.team.is_none_or(|only| names.team == Some(only))
            && self.only.service.is_none_or(|only| names.service == Some(only))
            && self.only.slo.is_none_or(|only| names.slo == Some(only));
        let has = |dimension| self.dimensions.contains(&dimension);
        let group = Group {
            capability: names.capability.filter(|_| has(Dimension::Capability)),
            team: names.team.filter(|_| has(Dimension::Team)),
            service: names.service.filter(|_| has(Dimension::Service)),
            slo: names.slo.filter(|_| has(Dimension::Slo)),
            point: names.point,
        };
        let complete = group.capability.is_some() == has(Dimension::Capability)
            && group.team.is_some() == has(Dimension::Team)
            && group.service.is_some() == has(Dimension::Service)
            && group.slo.is_some() == has(Dimension::Slo);
        (fits && complete).then_some(group)
    }

    /// The group of what an event names, by the team it belongs to.
    pub fn group_of(&self, subject: Subject, happened: Timestamp) -> Option<Group> {
        let team = self.model.team_of(subject, happened, self.at);
        self.group(Group {
            capability: subject.capability,
            team,
            service: subject.service,
            ..Group::default()
        })
    }

    /// Every group that is answered for, also those without a unit.
    pub fn groups(&self) -> Vec<Group> {
        if self.nothing_fits {
            return Vec::new();
        }
        let mut groups = vec![Group::default()];
        let mut multiply = |options: Vec<Group>, join: fn(Group, Group) -> Group| {
            groups =
                groups.iter().flat_map(|group| options.iter().map(|option| join(*group, *option))).collect();
        };
        if self.dimensions.contains(&Dimension::Capability) {
            let some = self.capabilities().map(|c| Group { capability: Some(c), ..Group::default() });
            multiply(some.collect(), |group, option| Group { capability: option.capability, ..group });
        }
        if self.dimensions.contains(&Dimension::Team) {
            let teams = self.model.team_names.all().filter(|t| self.only.team.is_none_or(|only| only == *t));
            let some = teams.filter(|t| self.appeared(self.model.traces.team_appeared(*t)));
            let some = some.map(|t| Group { team: Some(t), ..Group::default() });
            multiply(some.collect(), |group, option| Group { team: option.team, ..group });
        }
        if self.dimensions.contains(&Dimension::Service) {
            let all =
                self.model.service_names.all().filter(|s| self.only.service.is_none_or(|only| only == *s));
            let some = all.filter(|s| self.appeared(self.model.traces.service_appeared(*s)));
            let some = some.map(|s| Group { service: Some(s), ..Group::default() });
            multiply(some.collect(), |group, option| Group { service: option.service, ..group });
        }
        if self.dimensions.contains(&Dimension::Slo) {
            let all = (0..self.config.slo.len()).filter(|slo| self.only.slo.is_none_or(|only| only == *slo));
            let some = all.map(|slo| Group { slo: Some(slo), ..Group::default() });
            multiply(some.collect(), |group, option| Group { slo: option.slo, ..group });
        }
        if !self.points.is_empty() {
            let some = self.points.iter().map(|point| Group { point: Some(*point), ..Group::default() });
            multiply(some.collect(), |group, option| Group { point: option.point, ..group });
        }
        groups
    }

    /// The capabilities asked for that have appeared.
    pub fn capabilities(&self) -> impl Iterator<Item = Capability> {
        let all = self.model.capability_names.all().filter(|_| !self.nothing_fits);
        all.filter(|c| self.only.capability.is_none_or(|only| only == *c))
            .filter(|c| self.appeared(self.model.traces.capability_appeared(*c)))
    }

    /// Whether something that appeared then has appeared by T.
    pub fn appeared(&self, first: Option<Timestamp>) -> bool {
        first.is_some_and(|first| first < self.at)
    }

    /// Teams that exist at T.
    pub fn existing_teams(&self) -> Existing<Team> {
        self.existing(&self.model.team_names, &self.model.teams, |t| self.model.traces.team_appeared(t))
    }

    /// Services that exist at T.
    pub fn existing_services(&self) -> Existing<Service> {
        self.existing(&self.model.service_names, &self.model.services, |s| {
            self.model.traces.service_appeared(s)
        })
    }

    fn existing<S: Symbol>(
        &self,
        names: &Names<S>,
        lives: &Lives<S>,
        appeared: impl Fn(S) -> Option<Timestamp>,
    ) -> Existing<S> {
        let exists = |name| self.appeared(appeared(name)) && !lives.of(name).retired_before(self.at);
        Existing::of(names.all().map(exists).collect())
    }

    /// The environments that are production.
    pub fn production(&self) -> Vec<Environment> {
        self.config.production.iter().filter_map(|name| self.model.environment_names.get(name)).collect()
    }

    /// Whether use of the capability is mandated: the configuration says so, or else its latest registration.
    pub fn mandated(&self, capability: Capability) -> bool {
        let name = self.model.capability_names.text(capability);
        let configured = self.config.capabilities.get(name).and_then(|c| c.mandated);
        let registered = || self.model.capabilities.of(capability).latest_registration(self.at)?.mandated;
        configured.or_else(registered).unwrap_or(false)
    }

    /// The labels of a group, as text.
    pub fn labels(&self, group: Group) -> Labels {
        let mut labels = Labels::new();
        if let Some(capability) = group.capability {
            labels.insert("capability", self.model.capability_names.text(capability).to_owned());
        }
        if let Some(team) = group.team {
            labels.insert("team", self.model.team_names.text(team).to_owned());
        }
        if let Some(service) = group.service {
            labels.insert("service", self.model.service_names.text(service).to_owned());
        }
        if let Some(slo) = group.slo {
            labels.insert("slo", self.slo_name(slo).to_owned());
        }
        if let Some(point) = group.point {
            labels.insert(point.label, point.name.to_owned());
        }
        labels
    }

    fn slo_name(&self, place: usize) -> &'a str {
        self.config.slo.keys().nth(place).map_or("", String::as_str)
    }

    /// How much of what the objective of a group looks at must be good.
    pub fn objective(&self, group: Group) -> Option<Objective> {
        self.config.slo.values().nth(group.slo?)?.objective
    }

    /// The event at a place.
    pub fn event_at(&self, place: &Place) -> (Timestamp, EventKey) {
        (place.at, self.model.ids.key(place))
    }

    /// A unit, as text.
    pub fn unit_name(&self, unit: UnitRef<'a>) -> Cow<'a, str> {
        let model = self.model;
        match unit {
            UnitRef::Team(team) => model.team_names.text(team).into(),
            UnitRef::Service(service) => model.service_names.text(service).into(),
            UnitRef::Developer(person, service) => {
                format!("{} {}", model.person_names.text(person), model.service_names.text(service)).into()
            }
            UnitRef::Interaction(interaction) => {
                let (source, id) = interaction.identity(&model.ids);
                format!("{source} {id}").into()
            }
            UnitRef::Respondent(person) => model.person_names.text(person).into(),
            UnitRef::Deploy(_, deploy) => {
                let (source, id) = model.ids.identity(&deploy.place);
                format!("{source} {id}").into()
            }
            UnitRef::Change(service, brought) => {
                let change = brought.change.map_or("(no id)", |change| model.words.text(change));
                format!("{change} {}", model.service_names.text(service)).into()
            }
            UnitRef::Incident((source, id), _) => {
                format!("{} {}", model.ids.sources.text(source), model.words.text(id)).into()
            }
            UnitRef::Sample(Stream { source, name, .. }, sample) => {
                let name = name.map_or(source.as_str(), |name| model.words.text(name));
                format!("{name} {}", sample.at).into()
            }
            UnitRef::Slo(place) => self.slo_name(place).into(),
        }
    }
}
