//! Which production deploys failed, and what says so.
//!
//! Law: a function of the deploys and incidents before T. Each incident is put down to one deploy at most, by the first of
//! these that finds one: a link, the artifact, the service within the gap. So no incident counts against two deploys.

use rustc_hash::{FxHashMap, FxHashSet};

use super::view::View;
use crate::event::DeployKind;
use crate::model::incidents::{Incident, State};
use crate::model::names::{Environment, Service, Source, Word};
use crate::model::place::Place;
use crate::model::work::{Artifact, Deployment};
use crate::question::Rule;
use crate::time::Timestamp;

/// What says that a deploy failed, the most certain first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    /// An incident is linked to it.
    Linked,
    /// An incident names its artifact.
    Artifact,
    /// It was rolled back.
    RolledBack,
    /// It was the last one before an incident of its service.
    Nearby,
}

/// An incident in production, with what identifies it.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) identity: (Source, Word),
    pub(super) incident: &'a Incident,
    pub(super) state: State<'a>,
}

/// Why a deploy failed.
pub(super) struct Fault<'a> {
    pub(super) reason: Reason,
    pub(super) incidents: Vec<Known<'a>>,
    pub(super) rolled_back: Option<&'a Place>,
}

/// The failed deploys of the trailing window, and the incidents that nothing is known to have caused.
#[derive(Default)]
pub(super) struct Blame<'a> {
    /// By where a deploy is kept.
    faults: FxHashMap<*const Deployment, Fault<'a>>,
    pub(super) unattributed: Vec<Known<'a>>,
}

impl<'a> Blame<'a> {
    pub(super) fn of(view: &View<'a>) -> Self {
        let mut blame = Self::default();
        let search = Search::new(view);
        if !by_time_alone(view) {
            view.model.service_names.all().for_each(|service| blame.rollbacks(view, &search, service));
        }
        for known in search.incidents(view) {
            let Some(began) = known.state.began else { continue };
            match search.cause(view, &known, began) {
                Some((reason, deploy)) => {
                    let fault = blame.note(reason, deploy);
                    fault.incidents.push(known);
                }
                None => blame.unattributed.push(known),
            }
        }
        blame
    }

    /// Why a deploy failed, if it did.
    pub(super) fn fault(&self, deploy: &Deployment) -> Option<&Fault<'a>> {
        self.faults.get(&std::ptr::from_ref(deploy))
    }

    fn note(&mut self, reason: Reason, deploy: &'a Deployment) -> &mut Fault<'a> {
        let new = || Fault { reason, incidents: Vec::new(), rolled_back: None };
        let fault = self.faults.entry(std::ptr::from_ref(deploy)).or_insert_with(new);
        fault.reason = fault.reason.min(reason);
        fault
    }

    /// A rollback says that the deploy before it failed, the latest one to its environment that is no rollback itself.
    fn rollbacks(&mut self, view: &View<'a>, search: &Search<'a>, service: Service) {
        let mut running: Vec<(Option<Environment>, &Deployment)> = Vec::new();
        let deploys = view.model.deployments.between(service, view.window_start().start(), view.at);
        for deploy in deploys.filter(|deploy| search.is_candidate(deploy)) {
            let known = running.iter_mut().find(|(environment, _)| *environment == deploy.environment);
            match (deploy.kind == DeployKind::RolledBack, known) {
                (true, Some((_, undone))) => {
                    self.note(Reason::RolledBack, undone).rolled_back.get_or_insert(&deploy.place);
                }
                (true, None) => {}
                (false, Some((_, latest))) => *latest = deploy,
                (false, None) => running.push((deploy.environment, deploy)),
            }
        }
    }
}

/// The deploys that incidents may be put down to, found in one walk over all of them: there may be many of both.
struct Search<'a> {
    production: Vec<Environment>,
    /// By the ids of their events, those that some incident is linked to.
    linked: FxHashMap<&'a str, &'a Deployment>,
    /// By artifact, those that some incident names the artifact of, in order.
    of_artifact: FxHashMap<Artifact, Vec<(Service, &'a Deployment)>>,
    /// In order, for rules that know nothing but time.
    all: Vec<&'a Deployment>,
}

impl<'a> Search<'a> {
    fn new(view: &View<'a>) -> Self {
        let production = view.production();
        let mut search = Self {
            production,
            linked: FxHashMap::default(),
            of_artifact: FxHashMap::default(),
            all: Vec::new(),
        };
        if by_time_alone(view) {
            search.all = search.candidates(view).map(|(_, deploy)| deploy).collect();
            search.all.sort_by(|one, other| view.model.ids.order(&one.place, &other.place));
        } else {
            search.find_named(view);
        }
        search
    }

    /// Finds what incidents name: most histories have many deploys, and few that are named.
    fn find_named(&mut self, view: &View<'a>) {
        let model = view.model;
        let links = model.incidents.all().flat_map(|(_, incident)| incident.links(view.at));
        let links: FxHashSet<&str> = links.map(|link| model.words.text(link)).collect();
        let artifacts: FxHashSet<Artifact> =
            incidents(view).filter_map(|known| known.state.artifact).collect();
        if links.is_empty() && artifacts.is_empty() {
            return;
        }
        let (mut linked, mut of_artifact) = (FxHashMap::default(), FxHashMap::<_, Vec<_>>::default());
        for (service, deploy) in self.candidates(view) {
            let (_, id) = model.ids.identity(&deploy.place);
            if links.contains(id) {
                let known = linked.entry(id).or_insert(deploy);
                *known = later(view, known, deploy);
            }
            if let Some(artifact) = deploy.artifact.filter(|artifact| artifacts.contains(artifact)) {
                of_artifact.entry(artifact).or_default().push((service, deploy));
            }
        }
        for deploys in of_artifact.values_mut() {
            deploys.sort_by(|(_, one), (_, other)| model.ids.order(&one.place, &other.place));
        }
        (self.linked, self.of_artifact) = (linked, of_artifact);
    }

    /// The successful production deploys before T.
    fn candidates(&self, view: &View<'a>) -> impl Iterator<Item = (Service, &'a Deployment)> {
        let (model, at) = (view.model, view.at);
        let services = model.service_names.all();
        let all = services.flat_map(move |service| {
            model.deployments.before(service, at).map(move |deploy| (service, deploy))
        });
        all.filter(|(_, deploy)| self.is_candidate(deploy))
    }

    /// A successful production deploy.
    fn is_candidate(&self, deploy: &Deployment) -> bool {
        deploy.succeeded() && self.is_production(deploy.environment)
    }

    fn is_production(&self, environment: Option<Environment>) -> bool {
        environment.is_some_and(|environment| self.production.contains(&environment))
    }

    /// The incidents of production.
    fn incidents(&self, view: &View<'a>) -> impl Iterator<Item = Known<'a>> {
        incidents(view)
            .filter(|known| known.state.environment.is_none() || self.is_production(known.state.environment))
    }

    fn cause(&self, view: &View<'a>, known: &Known<'a>, began: &Place) -> Option<(Reason, &'a Deployment)> {
        if by_time_alone(view) {
            return self.deployed_last(view, began.at).map(|deploy| (Reason::Nearby, deploy));
        }
        let linked = || self.of_links(view, known).map(|deploy| (Reason::Linked, deploy));
        let artifact = || self.with_artifact(known, began).map(|deploy| (Reason::Artifact, deploy));
        let nearby = || self.nearby(view, known, began).map(|deploy| (Reason::Nearby, deploy));
        linked().or_else(artifact).or_else(nearby)
    }

    /// The latest deploy of any service before an instant, or at it as Middleware has it.
    fn deployed_last(&self, view: &View<'a>, at: Timestamp) -> Option<&'a Deployment> {
        let at_once = view.question.rule == Some(Rule::Middleware);
        let earlier =
            self.all.partition_point(|deploy| deploy.place.at < at || at_once && deploy.place.at == at);
        self.all[..earlier].last().copied()
    }

    fn of_links(&self, view: &View<'a>, known: &Known<'a>) -> Option<&'a Deployment> {
        let links = known.incident.links(view.at).map(|link| view.model.words.text(link));
        links.filter_map(|link| self.linked.get(link).copied()).reduce(|a, b| later(view, a, b))
    }

    fn with_artifact(&self, known: &Known<'a>, began: &Place) -> Option<&'a Deployment> {
        let deploys = self.of_artifact.get(&known.state.artifact?)?;
        let earlier = &deploys[..deploys.partition_point(|(_, deploy)| deploy.place.at <= began.at)];
        let fits = |(service, deploy): &&(Service, &Deployment)| {
            known.state.service.is_none_or(|only| only == *service) && is_there(known, deploy)
        };
        earlier.iter().rev().find(fits).map(|(_, deploy)| *deploy)
    }

    /// The latest deploy of its service to its environment, if that was not too long before.
    fn nearby(&self, view: &View<'a>, known: &Known<'a>, began: &Place) -> Option<&'a Deployment> {
        let mut earlier = view.model.deployments.until(known.state.service?, began.at).rev();
        let latest = earlier.find(|deploy| self.is_candidate(deploy) && is_there(known, deploy))?;
        (latest.place.at + view.config.incident_gap >= began.at).then_some(latest)
    }
}

/// Whether a deploy was to the environment of an incident, if it names one.
fn is_there(known: &Known<'_>, deploy: &Deployment) -> bool {
    known.state.environment.is_none_or(|environment| deploy.environment == Some(environment))
}

/// Whether the rule asked for knows nothing but when something was deployed.
fn by_time_alone(view: &View<'_>) -> bool {
    matches!(view.question.rule, Some(Rule::DevLake | Rule::Middleware))
}

/// All incidents as of T, those of other environments too.
pub(super) fn incidents<'a>(view: &View<'a>) -> impl Iterator<Item = Known<'a>> + use<'a> {
    let at = view.at;
    view.model.incidents.all().filter_map(move |(identity, incident)| {
        Some(Known { identity, incident, state: incident.state(at)? })
    })
}

/// The later one in the order of events.
fn later<'a>(view: &View<'a>, one: &'a Deployment, other: &'a Deployment) -> &'a Deployment {
    if view.model.ids.order(&one.place, &other.place).is_lt() { other } else { one }
}
