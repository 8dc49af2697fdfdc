//! Development commands. `.ci/run`, the workflow and people call the same ones, so that every check is written once.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::run::{Problem, all, cargo, run};

mod cluster;
mod deploy;
mod docs;
mod fuzz;
mod r#gen;
mod instructions;
mod mutants;
mod needs;
mod run;
mod services;
mod structure;
mod test;

/// Development commands of Milepost.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
enum Task {
    /// Fetches what the tests need into a cache outside the checkout, and runs all of them.
    ///
    /// The cache is `$MILEPOST_CACHE`, else `$XDG_CACHE_HOME/milepost`, else `~/.cache/milepost`.
    Test {
        /// Passed on to `cargo test`; without any: `--workspace`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Formatting, lints, API documentation, structure, and what deny.toml says of dependencies.
    Lint,
    /// Checks what no compiler checks: purity of the model, the direction of dependencies, sizes, decisions.
    Structure,
    /// What is in deploy/, judged by real tools: the chart, compose.yaml, the image, every sample configuration.
    ///
    /// Helm and compose-go are built once from their source, which takes minutes; the cache keeps them.
    Deploy,
    /// All tests, all lints, what is in deploy/, and every fuzz target for a short while.
    Ci,
    /// Writes the protobuf code in crates/wire anew.
    Gen,
    /// Writes docs/metrics.md anew.
    Docs,
    /// Runs the benchmarks.
    Bench {
        /// Counts the instructions of fixed pieces of work under valgrind instead, and compares them with
        /// benches/instructions.json.
        #[arg(long)]
        instructions: bool,
        /// Makes what was counted the new budget.
        #[arg(long, requires = "instructions")]
        accept: bool,
        /// Passed on to `cargo bench`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Every fuzz target for a short while, its seeds first.
    Fuzz {
        /// For how long, each.
        #[arg(long, default_value_t = 10)]
        seconds: u64,
        /// Only this target.
        #[arg(long)]
        target: Option<String>,
    },
    /// Long runs of what CI runs briefly.
    #[command(subcommand)]
    Campaign(Campaign),
    /// Real Kafka, ClickHouse and Prometheus on this machine, without a container engine.
    #[command(subcommand)]
    Services(services::Services),
    /// A whole cluster of Milepost on this machine: a Kafka and a ClickHouse of its own, every role, and five years of real
    /// events through all of it.
    Cluster(cluster::Cluster),
}

/// What reads deny.toml.
const CARGO_DENY: &str = "0.20.2";

/// For how long CI fuzzes each target.
const IN_CI: Duration = Duration::from_secs(5);

#[derive(Debug, Subcommand)]
enum Campaign {
    /// Every property test with many cases.
    Properties {
        /// Cases of each property.
        #[arg(long, default_value_t = 10_000)]
        cases: u32,
    },
    /// Many generated histories against the oracle.
    Oracle {
        /// Histories.
        #[arg(long, default_value_t = 1_000)]
        seeds: u32,
    },
    /// Every fuzz target, one after another, from where the last campaign ended.
    Fuzz {
        /// For how long, each.
        #[arg(long, default_value_t = 60)]
        minutes: u64,
        /// Only this target.
        #[arg(long)]
        target: Option<String>,
        /// With what the code is watched beside its own assertions. `none` builds with any toolchain; `address` needs a
        /// nightly one.
        #[arg(long, default_value = "none")]
        sanitizer: fuzz::Sanitizer,
    },
    /// Changes the code of versions, fold and identity in every small way, and fails if a change is not noticed by the tests
    /// of its crate and not listed in docs/mutants.md.
    Mutants {
        /// Only those of this crate, such as `milepost-store`.
        #[arg(long)]
        package: Option<String>,
    },
    /// Attacks on a real server, beside an honest client.
    Attacks {
        /// For how long, each of them.
        #[arg(long, default_value_t = 10)]
        minutes: u64,
        /// How many at the same time, each on a server of its own.
        #[arg(long, default_value_t = 1)]
        at_once: usize,
        /// Only those whose names contain one of these.
        names: Vec<String>,
    },
    /// The real binary killed at random moments under load.
    Kills {
        /// How often.
        #[arg(long, default_value_t = 10_000)]
        rounds: u32,
        /// With which chance: the same seed sends the same, and kills after as many answers and as long.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Aggregators of a cluster killed, paused and added at random while events flow.
    Cluster {
        /// How many events.
        #[arg(long, default_value_t = 1_000_000)]
        events: u32,
        /// With which chance.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Power cuts: a disk that forgets what was not synced.
    Power {
        /// How many.
        #[arg(long, default_value_t = 10_000)]
        points: u32,
        /// With which chance.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
}

fn main() -> ExitCode {
    match perform(Task::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("xtask: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn perform(task: Task) -> Result<(), Problem> {
    match task {
        Task::Test { arguments } if arguments.is_empty() => test::everything(),
        Task::Test { arguments } => test::cargo_test(&arguments, &[]),
        Task::Lint => lint(),
        Task::Structure => structure::check(),
        Task::Deploy => deploy::check(),
        Task::Ci => {
            all([&test::everything as &dyn Fn() -> _, &lint, &deploy::check, &|| fuzz::briefly(IN_CI, None)])
        }
        Task::Gen => generate(),
        Task::Docs => docs::write(),
        Task::Bench { instructions: true, accept, .. } => instructions::check(accept),
        Task::Bench { arguments, .. } => {
            run(cargo(&["bench", "--package", "milepost-benches"]).args(arguments))
        }
        Task::Services(task) => services::perform(&task),
        Task::Cluster(cluster) => cluster.run(),
        Task::Fuzz { seconds, target } => fuzz::briefly(Duration::from_secs(seconds), target.as_deref()),
        Task::Campaign(Campaign::Fuzz { minutes, target, sanitizer }) => {
            fuzz::campaign(Duration::from_secs(minutes * 60), target.as_deref(), sanitizer)
        }
        Task::Campaign(Campaign::Mutants { package }) => mutants::campaign(package.as_deref()),
        Task::Campaign(Campaign::Properties { cases }) => {
            let workspace = ["--workspace", "--exclude", "milepost-tests"].map(String::from);
            test::cargo_test(&workspace, &[("PROPTEST_CASES", cases.to_string())])
        }
        Task::Campaign(Campaign::Attacks { minutes, at_once, names }) => {
            let attacks =
                ["test", "--release", "--package", "milepost", "--test", "attacks", "--", "--nocapture"];
            run(cargo(&attacks)
                .args(["--test-threads", &at_once.to_string()])
                .args(names)
                .env("MILEPOST_ATTACK_SECONDS", (minutes * 60).to_string()))
        }
        Task::Campaign(Campaign::Oracle { seeds }) => {
            let oracle =
                ["--package", "milepost-tests", "--test", "oracle", "--test", "instants"].map(String::from);
            test::cargo_test(&oracle, &[("MILEPOST_SEEDS", seeds.to_string())])
        }
        Task::Campaign(Campaign::Kills { rounds, seed }) => {
            test::end_to_end("kills", ("MILEPOST_ROUNDS", rounds), seed)
        }
        Task::Campaign(Campaign::Cluster { events, seed }) => {
            let arguments =
                ["--package", "milepost-tests", "--test", "cluster", "--", "aggregators", "--nocapture"];
            let settings = [("MILEPOST_EVENTS", events.to_string()), ("MILEPOST_SEED", seed.to_string())];
            test::cargo_test(&arguments.map(String::from), &settings)
        }
        Task::Campaign(Campaign::Power { points, seed }) => {
            test::end_to_end("power", ("MILEPOST_POINTS", points), seed)
        }
    }
}

fn lint() -> Result<(), Problem> {
    let format = || run(&mut cargo(&["fmt", "--all", "--check"]));
    let clippy = || run(&mut cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]));
    let doc = || run(cargo(&["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"));
    all([&structure::check as &dyn Fn() -> _, &format, &clippy, &doc, &dependencies])
}

/// Whether every dependency is one that deny.toml lets in. Asks nothing of the network but, once, for the program itself and
/// for the dependencies that only other systems have: no build here has fetched those.
fn dependencies() -> Result<(), Problem> {
    let program = needs::cargo_program("cargo-deny", CARGO_DENY)?;
    run(&mut cargo(&["fetch", "--locked", "--quiet"]))?;
    let check =
        ["--offline", "--all-features", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"];
    run(std::process::Command::new(program).current_dir(run::checkout()).args(check))
}

fn generate() -> Result<(), Problem> {
    let out = run::checkout().join(r#gen::GENERATED);
    r#gen::generate(&out).map_err(|error| Problem::Check(error.to_string()))
}
