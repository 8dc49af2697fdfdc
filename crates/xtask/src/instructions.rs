//! Counts the instructions of fixed pieces of work, where times would wobble: machines that are shared run the same code at
//! very different speeds, but in the same number of steps.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Map, Value};

use crate::run::{Problem, cargo, checkout, output, progress};

/// Where the budget is kept: by piece of work, how many instructions it took when somebody last looked.
const BUDGET: &str = "benches/instructions.json";

/// The pieces of work in `benches/benches/fixed_work.rs`; each is a function `measured_…`.
const PIECES: [&str; 2] = ["ingest", "scrape"];

/// How much more than in the budget is still the same, in percent: other compilers lay out code a little differently.
const TOLERANCE: u64 = 5;

/// Counts, and compares with the budget or, if `accept`, makes what was counted the budget.
pub(crate) fn check(accept: bool) -> Result<(), Problem> {
    let program = build()?;
    let mut counted = Vec::new();
    for piece in PIECES {
        counted.push((piece, count(&program, piece)?));
    }
    let path = checkout().join(BUDGET);
    if accept {
        let budget: Map<_, _> =
            counted.iter().map(|(piece, count)| ((*piece).to_owned(), (*count).into())).collect();
        let text = format!("{:#}\n", Value::Object(budget));
        return std::fs::write(&path, text).map_err(Problem::file(&path));
    }
    let text = std::fs::read_to_string(&path).map_err(Problem::file(&path))?;
    let budget: Value =
        serde_json::from_str(&text).map_err(|error| Problem::Check(format!("{BUDGET}: {error}")))?;
    compare(&counted, &budget)
}

fn compare(counted: &[(&str, u64)], budget: &Value) -> Result<(), Problem> {
    let mut over = Vec::new();
    for (piece, count) in counted {
        let Some(most) = budget[piece].as_u64() else {
            over.push(format!("{BUDGET}: no number for `{piece}`"));
            continue;
        };
        progress(format!("{piece}: {count} instructions, budget {most}"));
        if count * 100 > most * (100 + TOLERANCE) {
            over.push(format!(
                "{piece}: {count} instructions are more than {TOLERANCE} % above the budget of {most}"
            ));
        }
    }
    if over.is_empty() {
        return Ok(());
    }
    over.push("find out why, or accept it: cargo xtask bench --instructions --accept".to_owned());
    Err(Problem::Check(over.join("\n")))
}

fn build() -> Result<PathBuf, Problem> {
    let arguments = ["bench", "--package", "milepost-benches", "--bench", "fixed_work", "--no-run"];
    let messages = output(cargo(&arguments).args(["--message-format", "json-render-diagnostics"]))?;
    String::from_utf8_lossy(&messages)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == "fixed_work")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .ok_or_else(|| Problem::Check("cargo does not say where fixed_work is".to_owned()))
}

fn count(program: &PathBuf, piece: &str) -> Result<u64, Problem> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    valgrind.arg(format!("--toggle-collect=*measured_{piece}*")).arg(program);
    progress(format!("counting the instructions of {piece}"));
    let ran = valgrind.output().map_err(|error| Problem::Unavailable {
        what: "valgrind",
        reason: error.to_string(),
        remedy: "install it, such as by `apt-get install valgrind`".to_owned(),
    })?;
    let said = String::from_utf8_lossy(&ran.stderr);
    collected(&said)
        .filter(|_| ran.status.success())
        .ok_or_else(|| Problem::Check(format!("valgrind counted nothing for {piece}:\n{said}")))
}

/// The number in a line such as `==7== Collected : 517830136`; 0 is as good as none.
fn collected(said: &str) -> Option<u64> {
    let line = said.lines().find(|line| line.contains("Collected :"))?;
    line.rsplit(' ').next()?.parse().ok().filter(|count| *count > 0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_far_above_the_budget_is_told_and_nothing_else() {
        let budget = json!({"ingest": 1_000, "scrape": 100});
        assert!(compare(&[("ingest", 1_050), ("scrape", 7)], &budget).is_ok());
        let said = compare(&[("ingest", 1_051), ("scrape", 100)], &budget).unwrap_err().to_string();
        assert!(said.contains("ingest: 1051") && !said.contains("scrape:"), "{said}");
        assert!(compare(&[("other", 1)], &budget).unwrap_err().to_string().contains("`other`"));
    }

    #[test]
    fn the_number_is_found_in_what_valgrind_says() {
        assert_eq!(
            collected("==7== \n==7== Events    : Ir\n==7== Collected : 517830136\n"),
            Some(517_830_136)
        );
        assert_eq!(collected("==7== Collected : 0"), None);
        assert_eq!(collected("valgrind: command not found"), None);
    }
}
