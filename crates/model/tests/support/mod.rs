//! Dense random histories: few names and few days, so that everything collides.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test file uses its part"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;

use milepost_model::config::slo::{Sli, Slo};
use milepost_model::event::{Change, Deploy, DeployKind, Incident, Outcome};
use milepost_model::metrics::{self, Metric};
use milepost_model::question::Selector;
use milepost_model::{AsOf, Body, Config, Content, Day, Event, EventId, Model, Span, Timestamp, Version};
use proptest::prelude::*;

/// The first day of the histories: they cross a leap day.
pub const FIRST_DAY: &str = "2020-02-20";
pub const DAYS: i64 = 24;

pub fn first_day() -> Day {
    FIRST_DAY.parse().unwrap()
}

fn name(prefix: &'static str, count: usize) -> impl Strategy<Value = String> {
    (0..count).prop_map(move |n| format!("{prefix}-{n}"))
}

fn instant() -> impl Strategy<Value = Timestamp> {
    // A quarter of the instants are midnights, and the others meet often.
    (0..DAYS, prop_oneof![Just(0), Just(0), 0..86_400_i64, (0..4_i64).prop_map(|n| n * 21_600)]).prop_map(
        |(day, second)| {
            Timestamp::from_micros(first_day().plus(day).start().micros() + second * 1_000_000).unwrap()
        },
    )
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![4 => Just(Outcome::Success), 1 => Just(Outcome::Failure), 1 => Just(Outcome::Cancelled)]
}

fn environment() -> impl Strategy<Value = String> {
    prop_oneof![3 => Just("production".to_string()), 1 => Just("staging".to_string())]
}

fn deploy() -> impl Strategy<Value = Body> {
    let change = (
        prop::option::weighted(0.8, name("dev", 3)),
        prop::option::weighted(0.7, instant()),
        prop::option::weighted(0.8, name("change", 4)),
    )
        .prop_map(|(author, committed_at, id)| Change { author, committed_at, id });
    let kind = prop_oneof![
        4 => Just(DeployKind::Deployed),
        1 => Just(DeployKind::Upgraded),
        1 => Just(DeployKind::RolledBack),
    ];
    let artifact = prop::option::of(name("artifact", 3));
    let changes = prop::collection::vec(change, 0..3);
    (artifact, environment(), prop::option::of(outcome()), changes, kind, any::<bool>()).prop_map(
        |(artifact_id, environment, outcome, changes, kind, unplanned)| {
            Body::Deployed(Deploy {
                artifact_id,
                changes,
                environment: Some(environment),
                kind,
                outcome,
                unplanned,
            })
        },
    )
}

fn incident() -> impl Strategy<Value = Body> {
    let incident = (
        prop::option::weighted(0.2, name("artifact", 3)),
        prop::option::of(environment()),
        prop::option::weighted(0.8, name("incident", 3)),
        prop::collection::vec(name("e", 30), 0..2),
    )
        .prop_map(|(artifact_id, environment, incident_id, links)| Incident {
            artifact_id,
            environment,
            incident_id,
            links,
            severity: None,
        });
    (0..3, incident).prop_map(|(stage, incident)| match stage {
        0 => Body::IncidentDetected(incident),
        1 => Body::IncidentReported(incident),
        _ => Body::IncidentResolved(incident),
    })
}

fn sample() -> impl Strategy<Value = Body> {
    let seconds = || prop::option::of(0..1_200_u64);
    let change = || prop::option::weighted(0.9, name("change", 4));
    prop_oneof![
        (prop::option::of(outcome()), seconds()).prop_map(|(outcome, duration_seconds)| {
            Body::PipelineRunFinished { pipeline: Some("build".into()), outcome, duration_seconds }
        }),
        (outcome(), seconds()).prop_map(|(outcome, duration_seconds)| Body::EnvironmentProvisioned {
            environment_id: None,
            outcome,
            duration_seconds
        }),
        outcome().prop_map(|outcome| Body::ProbeFinished { probe: None, outcome }),
        (0..20_u64, 0..20_u64).prop_map(|(good, bad)| Body::RequestsObserved {
            indicator: None,
            good,
            total: good + bad
        }),
        change().prop_map(|change_id| Body::ChangeCreated { change_id, repository: None }),
        change().prop_map(|change_id| Body::ChangeMerged { change_id, repository: None }),
    ]
}

fn body() -> impl Strategy<Value = Body> {
    let interaction = || prop::option::of(name("i", 3));
    prop_oneof![
        1 => Just(Body::TeamRegistered),
        1 => Just(Body::TeamRetired),
        3 => (prop::option::of(name("team", 3)), any::<bool>())
            .prop_map(|(owner, preexisting)| Body::ServiceRegistered { owner, preexisting }),
        1 => Just(Body::ServiceRetired),
        1 => (prop::option::of(any::<bool>()), prop::option::of(instant()))
            .prop_map(|(mandated, observed_since)| Body::CapabilityRegistered { mandated, observed_since }),
        1 => Just(Body::CapabilityRetired),
        4 => Just(Body::CapabilityUsed),
        2 => interaction().prop_map(|interaction_id| Body::InteractionStarted { interaction_id }),
        3 => (interaction(), outcome(), prop::option::of(any::<bool>())).prop_map(
            |(interaction_id, outcome, assisted)| Body::InteractionFinished {
                interaction_id, outcome, assisted, duration_seconds: None
            }
        ),
        6 => deploy(),
        4 => incident(),
        4 => sample(),
        2 => Just(Body::OnboardingStarted),
        1 => prop::option::of(name("dev", 8)).prop_map(|respondent| Body::SurveyInvited { survey: None, respondent }),
        2 => (prop::option::of(name("dev", 8)), 0..=10_u8)
            .prop_map(|(respondent, score)| Body::SurveyAnswered { survey: None, respondent, score }),
        1 => Just(Body::Retracted),
    ]
}

pub fn event() -> impl Strategy<Value = Event> {
    let id = (name("source", 2), name("e", 30)).prop_map(|(source, id)| EventId { source, id });
    let content = (
        prop::option::weighted(0.9, name("dev", 3)),
        body(),
        prop::option::weighted(0.9, name("cap", 2)),
        instant(),
        prop::option::weighted(0.9, name("service", 3)),
        prop::option::weighted(0.4, name("team", 3)),
    )
        .prop_map(|(actor, body, capability, occurred_at, service, team)| Content {
            actor,
            body,
            capability,
            occurred_at,
            service,
            team,
        });
    (id, 0..3_u64, content).prop_map(|(id, revision, content)| Event { id, revision, content })
}

pub fn history() -> impl Strategy<Value = Vec<Event>> {
    prop::collection::vec(event(), 0..80)
}

/// The truth: the largest version of each id.
#[derive(Default, Clone)]
pub struct Truth(pub BTreeMap<EventId, Event>);

impl Truth {
    /// Takes a version in, and gives the winner it replaces and whether it wins.
    pub fn take(&mut self, event: &Event) -> (Option<Event>, bool) {
        let known: Option<(Version, &Event)> = self.0.get(&event.id).map(|known| (known.version(), known));
        if known.as_ref().is_some_and(|(version, _)| *version >= event.version()) {
            return (None, false);
        }
        (self.0.insert(event.id.clone(), event.clone()), true)
    }

    pub fn of(events: &[Event]) -> Self {
        let mut truth = Self::default();
        events.iter().for_each(|event| drop(truth.take(event)));
        truth
    }

    /// The Model built from the winners alone.
    pub fn model(&self) -> Model {
        let mut model = Model::new();
        self.0.values().for_each(|event| model.insert(event));
        model
    }
}

/// The Model after the deliveries, kept up one by one.
pub fn folded(events: &[Event]) -> Model {
    let (mut truth, mut model) = (Truth::default(), Model::new());
    for event in events {
        let (replaced, wins) = truth.take(event);
        if let Some(old) = replaced {
            model.remove(&old);
        }
        if wins {
            model.insert(event);
        }
    }
    model
}

pub fn config() -> Config {
    let mut config = Config { min_group: 2, ..Config::default() };
    config.capabilities.entry("cap-0".into()).or_default().golden_path = true;
    let objective = Some("0.8".parse().unwrap());
    for (name, sli) in [
        ("ci", Sli::PipelineRuns),
        ("deploys", Sli::Deploys),
        ("environments", Sli::Environments),
        ("interactions", Sli::Interactions),
        ("portal", Sli::Probes),
        ("requests", Sli::Requests),
    ] {
        let slo = Slo { sli: Some(sli), objective, window: Some(Span::days(7)), ..Slo::default() };
        config.slo.insert(name.into(), slo);
    }
    for timed in ["ci", "environments"] {
        config.slo.entry(timed.into()).or_default().threshold = Some(Span::from_seconds(600));
    }
    let narrow = config.slo.entry("deploys".into()).or_default();
    (narrow.team, narrow.environment) = (Some("team-*".into()), Some("prod*".into()));
    config.slo.entry("requests".into()).or_default().service = Some("service-1".into());
    config.capabilities.entry("cap-1".into()).or_default().ineligible_teams = vec!["team-2".into()];
    config
}

/// Selectors that reach every breakdown and parameter the metric takes.
pub fn selectors(metric: &dyn Metric) -> Vec<Selector> {
    let takes = |name: &str| metric.spec().parameters.iter().any(|p| p.name == name);
    let base = Selector {
        window: takes("window").then(|| "7d".into()),
        horizon: takes("horizon").then(|| "5d".into()),
        grace: takes("grace").then(|| "3d".into()),
        ..Selector::default()
    };
    let mut all = vec![Selector::default(), base.clone()];
    for rule in metric.spec().rules.iter().skip(1) {
        let max_age = takes("max_age").then(|| "20d".into());
        all.push(Selector { rule: Some(rule.as_str().into()), max_age, ..base.clone() });
    }
    if takes("timeout") {
        all.push(Selector { timeout: Some("36h".into()), ..base.clone() });
    }
    if takes("estimator") {
        all.push(Selector { estimator: Some("observed".into()), ..base.clone() });
    }
    let unit = takes("unit").then(|| "service".to_string());
    for by in metric.spec().dimensions.iter().filter(|_| takes("by")) {
        all.push(Selector { by: Some(by.as_str().into()), unit: unit.clone(), ..base.clone() });
    }
    if takes("team") {
        all.push(Selector { team: Some("team-1".into()), ..base.clone() });
        all.push(Selector { service: Some("service-1".into()), unit, ..base });
    }
    if takes("slo") {
        all.push(Selector { slo: Some("requests".into()), ..Selector::default() });
        all.push(Selector { slo: Some("unheard-of".into()), ..Selector::default() });
    }
    all
}

pub fn moments() -> Vec<AsOf> {
    let noon =
        |day: i64| Timestamp::from_micros(first_day().plus(day).start().micros() + 43_200_000_000).unwrap();
    let mut moments: Vec<AsOf> =
        (-1..DAYS + 2).step_by(5).map(|day| AsOf::Day(first_day().plus(day))).collect();
    moments.extend([AsOf::Instant(noon(8)), AsOf::Instant(noon(DAYS - 1))]);
    moments
}

/// Every answer to every question, as text.
pub fn everything(model: &Model) -> String {
    answers(model, metrics::registry())
}

/// Every answer to every question about some metrics, as text.
pub fn answers(model: &Model, metrics: &[&'static dyn Metric]) -> String {
    let config = config();
    let mut text = String::new();
    for metric in metrics {
        for selector in selectors(*metric) {
            for as_of in moments() {
                let answers = metrics::query(model, &config, *metric, &selector, as_of).unwrap();
                for answer in &answers {
                    text += &serde_json::to_string(answer).unwrap();
                    text.push('\n');
                }
                let explained =
                    metrics::explain(model, &config, *metric, &selector, as_of, 0, 1_000).unwrap();
                writeln!(text, "{:?}", explained.units).unwrap();
            }
        }
    }
    text
}
