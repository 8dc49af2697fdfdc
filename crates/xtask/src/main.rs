//! Development commands. `.ci/run`, the workflow and people call the same ones, so that every check is written once.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::run::{Problem, all, cargo, run};

mod docs;
mod r#gen;
mod instructions;
mod needs;
mod run;
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
    /// Formatting, lints, API documentation and structure.
    Lint,
    /// Checks what no compiler checks: purity of the model, the direction of dependencies, sizes, decisions.
    Structure,
    /// All tests and all lints.
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
    /// Long runs of what CI runs briefly.
    #[command(subcommand)]
    Campaign(Campaign),
}

/// How many attacks share the time of their campaign.
const ATTACKS: u64 = 10;

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
    /// Attacks on a real server, beside an honest client.
    Attacks {
        /// For how long, all of them together.
        #[arg(long, default_value_t = 10)]
        minutes: u64,
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
        Task::Ci => all([&test::everything as &dyn Fn() -> _, &lint]),
        Task::Gen => generate(),
        Task::Docs => docs::write(),
        Task::Bench { instructions: true, accept, .. } => instructions::check(accept),
        Task::Bench { arguments, .. } => {
            run(cargo(&["bench", "--package", "milepost-benches"]).args(arguments))
        }
        Task::Campaign(Campaign::Properties { cases }) => {
            let workspace = ["--workspace", "--exclude", "milepost-tests"].map(String::from);
            test::cargo_test(&workspace, &[("PROPTEST_CASES", cases.to_string())])
        }
        Task::Campaign(Campaign::Attacks { minutes }) => {
            let seconds = minutes * 60 / ATTACKS;
            run(cargo(&[
                "test",
                "--release",
                "--package",
                "milepost",
                "--test",
                "attacks",
                "--",
                "--nocapture",
            ])
            .env("MILEPOST_ATTACK_SECONDS", seconds.to_string()))
        }
        Task::Campaign(Campaign::Oracle { seeds }) => {
            let oracle =
                ["--package", "milepost-tests", "--test", "oracle", "--test", "instants"].map(String::from);
            test::cargo_test(&oracle, &[("MILEPOST_SEEDS", seeds.to_string())])
        }
        Task::Campaign(Campaign::Kills { rounds, seed }) => {
            test::end_to_end("kills", ("MILEPOST_ROUNDS", rounds), seed)
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
    all([&structure::check as &dyn Fn() -> _, &format, &clippy, &doc])
}

fn generate() -> Result<(), Problem> {
    let out = run::checkout().join(r#gen::GENERATED);
    r#gen::generate(&out).map_err(|error| Problem::Check(error.to_string()))
}
