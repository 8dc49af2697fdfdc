//! A year of daily `market_share` for all of 10,000 teams × 50 capabilities: the Model beside a naive loop over the same
//! days, after checking that both give the same numbers.
//!
//! Half of the pairs are adopted, each with uses on 30 % of the days. Run: `cargo bench --bench market_share_year`.

use std::hint::black_box;
use std::time::Instant;

use milepost_benches::{Random, median, used_cpu};
use milepost_model::answer::Value;
use milepost_model::question::Selector;
use milepost_model::{Body, Config, Content, Day, Event, EventId, Model, metrics};

const TEAMS: usize = 10_000;
const CAPABILITIES: usize = 50;
const DAYS: usize = 365;
const WINDOW: usize = 28;
const RUNS: usize = 9;

fn main() {
    let first: Day = "2025-01-01".parse().expect("a day");
    let history = History::random();
    println!("{TEAMS} teams x {CAPABILITIES} capabilities x {DAYS} days: {} uses", history.uses());
    let began = Instant::now();
    let model = history.model(first);
    println!("folded in {:.1} s", began.elapsed().as_secs_f64());

    let config = Config::default();
    let metric = metrics::find("market_share").expect("a metric");
    let ask = || {
        let last = first.plus(DAYS as i64 - 1);
        metrics::query_range(&model, &config, metric, &Selector::default(), first, last, 1).expect("answers")
    };
    let numerators: Vec<u64> = ask()
        .iter()
        .map(|answer| match answer.value {
            Value::Ratio(Some(ratio)) => ratio.numerator,
            _ => panic!("a ratio was asked for"),
        })
        .collect();
    assert_eq!(numerators.len(), CAPABILITIES * DAYS);
    assert_eq!(numerators, history.naive(), "both sides must give the same numbers");
    println!("checked: {} values equal", numerators.len());

    let ours = median((0..RUNS).map(|_| used_cpu(|| drop(black_box(ask())))));
    let naive = median((0..3).map(|_| used_cpu(|| drop(black_box(history.naive())))));
    println!("{:<28}{:>12}", "a year of daily market_share", "CPU ms");
    println!("{:<28}{:>12.1}", "naive loop over the days", naive * 1e3);
    println!("{:<28}{:>12.1}", "Model", ours * 1e3);
    println!("{:<28}{:>11.1}x", "naive / Model", naive / ours);
}

/// Which team used which capability on which day: a year of flags for each pair, empty if never adopted.
struct History {
    pairs: Vec<Vec<bool>>,
}

impl History {
    fn random() -> Self {
        let mut random = Random::new(7);
        let pair = |random: &mut Random| {
            if random.below(2) == 0 { Vec::new() } else { (0..DAYS).map(|_| random.below(10) < 3).collect() }
        };
        Self { pairs: (0..TEAMS * CAPABILITIES).map(|_| pair(&mut random)).collect() }
    }

    fn uses(&self) -> usize {
        self.pairs.iter().flatten().filter(|used| **used).count()
    }

    fn model(&self, first: Day) -> Model {
        let mut model = Model::new();
        let mut insert = |team: usize, capability: usize, day: i64, id: String, body: Body| {
            model.insert(&Event {
                id: EventId { source: "bench".into(), id },
                revision: 0,
                content: Content {
                    actor: None,
                    body,
                    capability: Some(format!("capability-{capability:02}")),
                    occurred_at: first.plus(day).start(),
                    service: None,
                    team: Some(format!("team-{team:05}")),
                },
            });
        };
        for team in 0..TEAMS {
            insert(team, 0, 0, format!("team-{team}"), Body::TeamRegistered);
        }
        for capability in 0..CAPABILITIES {
            let body = Body::CapabilityRegistered { mandated: None, observed_since: None };
            insert(0, capability, 0, format!("capability-{capability}"), body);
        }
        for (pair, days) in self.pairs.iter().enumerate() {
            let (team, capability) = (pair / CAPABILITIES, pair % CAPABILITIES);
            for (day, _) in days.iter().enumerate().filter(|(_, used)| **used) {
                insert(team, capability, day as i64, format!("{pair}-{day}"), Body::CapabilityUsed);
            }
        }
        model
    }

    /// The numerators, by capability and then by day, as anyone would first write it.
    fn naive(&self) -> Vec<u64> {
        let mut numerators = vec![0; CAPABILITIES * DAYS];
        for (pair, days) in self.pairs.iter().enumerate().filter(|(_, days)| !days.is_empty()) {
            for day in 0..DAYS {
                if days[day.saturating_sub(WINDOW - 1)..=day].iter().any(|used| *used) {
                    numerators[pair % CAPABILITIES * DAYS + day] += 1;
                }
            }
        }
        numerators
    }
}
