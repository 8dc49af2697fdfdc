//! A year of daily `market_share` for all of 10,000 teams × 50 capabilities: the Model beside a naive loop over the same
//! days, and beside ClickHouse, after checking that all give the same numbers.
//!
//! ClickHouse has a table with nothing but the uses, one row each, in the order that suits the question best. It is asked twice: as
//! anybody would ask for distinct teams of the last 28 days, with a set of teams for each day that are merged over a window
//! (`uniqExact`); and with bitmaps of teams that have numbers, the fastest way of several that were tried.
//!
//! Half of the pairs are adopted, each with uses on 30 % of the days. CPU time, on one thread for the Model and the loop. Run:
//! `cargo bench -p milepost-benches --bench market_share_year`.

use std::hint::black_box;
use std::time::Instant;

use milepost_benches::server::cpu_of;
use milepost_benches::{Random, median, used_cpu};
use milepost_model::answer::Value;
use milepost_model::question::Selector;
use milepost_model::{Body, Config, Content, Day, Event, EventId, Model, metrics};
use milepost_services::{Service, clickhouse};
use tempfile::TempDir;

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

    let clickhouse = ClickHouse::with(&history);
    let [sets, bitmaps] = [SETS, BITMAPS].map(|query| {
        assert_eq!(clickhouse.ask(query), numerators, "ClickHouse must give the same numbers");
        median((0..3).map(|_| clickhouse.cpu(query)))
    });
    println!("checked: those of ClickHouse, too");

    let ours = median((0..RUNS).map(|_| used_cpu(|| drop(black_box(ask())))));
    let naive = median((0..3).map(|_| used_cpu(|| drop(black_box(history.naive())))));
    println!("{:<32}{:>12}{:>14}", "a year of daily market_share", "CPU ms", "of the Model");
    println!("{:<32}{:>12.1}", "Model", ours * 1e3);
    for (what, seconds) in [
        ("naive loop over the days", naive),
        ("ClickHouse, sets of teams", sets),
        ("ClickHouse, bitmaps", bitmaps),
    ] {
        println!("{what:<32}{:>12.1}{:>13.1}x", seconds * 1e3, seconds / ours);
    }
}

/// The numerators, by capability and then by day.
const SETS: &str = "
    SELECT capability, day, uniqExactMerge(teams) OVER last_28_days AS numerator FROM (
        SELECT capability, day, uniqExactState(team) AS teams FROM uses GROUP BY capability, day
    ) WINDOW last_28_days AS (PARTITION BY capability ORDER BY day RANGE BETWEEN 27 PRECEDING AND CURRENT ROW)
    ORDER BY capability, day";
const BITMAPS: &str = "
    SELECT capability, day, groupBitmapOr(teams) OVER last_28_days AS numerator FROM (
        SELECT capability, day, groupBitmapState(toUInt32(substring(team, 6))) AS teams FROM uses GROUP BY capability, day
    ) WINDOW last_28_days AS (PARTITION BY capability ORDER BY day RANGE BETWEEN 27 PRECEDING AND CURRENT ROW)
    ORDER BY capability, day";

/// A server that has the uses.
struct ClickHouse {
    service: Service,
    _directory: TempDir,
}

impl ClickHouse {
    fn with(history: &History) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let service = clickhouse::start(directory.path(), &clickhouse::Options::default());
        let clickhouse =
            Self { service: service.unwrap_or_else(|why| panic!("{why}")), _directory: directory };
        clickhouse.send(
            "",
            b"CREATE TABLE uses (capability LowCardinality(String), team LowCardinality(String), day Date) \
              ENGINE = MergeTree ORDER BY (capability, day, team)",
        );
        let insert = "INSERT INTO uses SELECT 'capability-' || leftPad(toString(c), 2, '0'), 'team-' || leftPad(toString(t), 5, '0'), \
                      toDate('2025-01-01') + d FROM input('c UInt8, t UInt16, d UInt16') FORMAT RowBinary";
        for (chunk, pairs) in history.pairs.chunks(TEAMS * CAPABILITIES / 10).enumerate() {
            let mut rows = Vec::new();
            for (number, days) in pairs.iter().enumerate() {
                let pair = chunk * TEAMS * CAPABILITIES / 10 + number;
                for (day, _) in days.iter().enumerate().filter(|(_, used)| **used) {
                    rows.push((pair % CAPABILITIES) as u8);
                    rows.extend(((pair / CAPABILITIES) as u16).to_le_bytes());
                    rows.extend((day as u16).to_le_bytes());
                }
            }
            clickhouse.send(insert, &rows);
        }
        clickhouse.send("", b"OPTIMIZE TABLE uses FINAL");
        let rows = clickhouse.send("", b"SELECT count() FROM uses");
        assert_eq!(rows.trim(), history.uses().to_string(), "it must have every use");
        clickhouse
    }

    fn send(&self, query: &str, body: &[u8]) -> String {
        let request = ureq::post(self.service.url()).query("query", query);
        let answer = request.config().http_status_as_error(false).build().send(body);
        let mut answer = answer.expect("ClickHouse answers");
        let text = answer.body_mut().read_to_string().expect("a text");
        assert!(answer.status().is_success(), "{text}");
        text
    }

    fn ask(&self, query: &str) -> Vec<u64> {
        let text = self.send("", query.as_bytes());
        let numerator = |line: &str| line.rsplit('\t').next()?.parse().ok();
        text.lines().map(|line| numerator(line).expect("a number")).collect()
    }

    /// CPU seconds that an answer takes.
    fn cpu(&self, query: &str) -> f64 {
        let used = || cpu_of(self.service.place().pid().expect("it runs"));
        let before = used();
        self.ask(query);
        used() - before
    }
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
