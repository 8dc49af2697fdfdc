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
use crate::model::work::Deployment;
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

/// The deploys that an incident may be put down to.
struct Search<'a> {
    production: Vec<Environment>,
    /// By the ids of their events, those that some incident is linked to.
    linked: FxHashMap<&'a str, &'a Deployment>,
}

impl<'a> Search<'a> {
    fn new(view: &View<'a>) -> Self {
        let mut search = Self { production: view.production(), linked: FxHashMap::default() };
        if !by_time_alone(view) {
            search.linked = search.find_linked(view);
        }
        search
    }

    fn find_linked(&self, view: &View<'a>) -> FxHashMap<&'a str, &'a Deployment> {
        let model = view.model;
        let links = model.incidents.all().flat_map(|(_, incident)| incident.links(view.at));
        let wanted: FxHashSet<&str> = links.map(|link| model.words.text(link)).collect();
        let mut linked = FxHashMap::default();
        // Most histories have no links, and many deploys.
        let services = model.service_names.all().filter(|_| !wanted.is_empty());
        for deploy in services.flat_map(|service| model.deployments.before(service, view.at)) {
            let (_, id) = model.ids.identity(&deploy.place);
            if wanted.contains(id) && self.is_candidate(deploy) {
                let known = linked.entry(id).or_insert(deploy);
                *known = later(view, known, deploy);
            }
        }
        linked
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
        let artifact = || self.of_artifact(view, known, began).map(|deploy| (Reason::Artifact, deploy));
        let nearby = || self.nearby(view, known, began).map(|deploy| (Reason::Nearby, deploy));
        linked().or_else(artifact).or_else(nearby)
    }

    /// The latest deploy of any service before an instant, or at it as Middleware has it.
    fn deployed_last(&self, view: &View<'a>, at: Timestamp) -> Option<&'a Deployment> {
        let at_once = view.question.rule == Some(Rule::Middleware);
        let services = view.model.service_names.all();
        let latest = services.filter_map(|service| {
            let mut earlier = view.model.deployments.until(service, at).rev();
            earlier.find(|deploy| self.is_candidate(deploy) && (at_once || deploy.place.at < at))
        });
        latest.reduce(|a, b| later(view, a, b))
    }

    fn of_links(&self, view: &View<'a>, known: &Known<'a>) -> Option<&'a Deployment> {
        let links = known.incident.links(view.at).map(|link| view.model.words.text(link));
        links.filter_map(|link| self.linked.get(link).copied()).reduce(|a, b| later(view, a, b))
    }

    fn of_artifact(&self, view: &View<'a>, known: &Known<'a>, began: &Place) -> Option<&'a Deployment> {
        let artifact = known.state.artifact?;
        let services = view.model.service_names.all();
        let services = services.filter(|service| known.state.service.is_none_or(|only| only == *service));
        let latest =
            services.filter_map(|s| self.latest(view, known, s, began.at, |d| d.artifact == Some(artifact)));
        latest.reduce(|a, b| later(view, a, b))
    }

    fn nearby(&self, view: &View<'a>, known: &Known<'a>, began: &Place) -> Option<&'a Deployment> {
        let latest = self.latest(view, known, known.state.service?, began.at, |_| true)?;
        (latest.place.at + view.config.incident_gap >= began.at).then_some(latest)
    }

    /// The latest deploy of a service at or before an instant, to the incident's environment if it names one.
    fn latest(
        &self,
        view: &View<'a>,
        known: &Known<'a>,
        service: Service,
        at: Timestamp,
        fits: impl Fn(&Deployment) -> bool,
    ) -> Option<&'a Deployment> {
        let there =
            |deploy: &Deployment| known.state.environment.is_none_or(|e| deploy.environment == Some(e));
        let mut earlier = view.model.deployments.until(service, at).rev();
        earlier.find(|deploy| self.is_candidate(deploy) && there(deploy) && fits(deploy))
    }
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
