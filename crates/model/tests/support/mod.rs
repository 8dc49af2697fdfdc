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

use milepost_model::event::{Change, Deploy, DeployKind, Outcome};
use milepost_model::metrics::{self, Metric};
use milepost_model::question::Selector;
use milepost_model::{AsOf, Body, Config, Content, Day, Event, EventId, Model, Timestamp, Version};
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

fn deploy() -> impl Strategy<Value = Body> {
    let change = prop::option::weighted(0.8, name("dev", 3)).prop_map(|author| Change {
        author,
        committed_at: None,
        id: None,
    });
    let environment = prop_oneof![3 => Just("production"), 1 => Just("staging")];
    (environment, prop::option::of(outcome()), prop::collection::vec(change, 0..3)).prop_map(
        |(environment, outcome, changes)| {
            Body::Deployed(Deploy {
                artifact_id: None,
                changes,
                environment: Some(environment.into()),
                kind: DeployKind::Deployed,
                outcome,
            })
        },
    )
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
        4 => deploy(),
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
    for rule in ["exact_day", "window_before", "any_repeat", "on_or_after"] {
        if takes("rule") {
            all.push(Selector { rule: Some(rule.into()), max_age: Some("20d".into()), ..base.clone() });
        }
    }
    if takes("timeout") {
        all.push(Selector { timeout: Some("36h".into()), ..base.clone() });
    }
    if takes("estimator") {
        all.push(Selector { estimator: Some("observed".into()), ..base.clone() });
    }
    let unit = takes("unit").then(|| "service".to_string());
    for by in metric.spec().dimensions {
        all.push(Selector { by: Some(by.as_str().into()), unit: unit.clone(), ..base.clone() });
    }
    all.push(Selector { team: Some("team-1".into()), ..base.clone() });
    all.push(Selector { service: Some("service-1".into()), unit, ..base });
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
    let config = config();
    let mut text = String::new();
    for metric in metrics::registry() {
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
