//! The real binary, killed at any moment under load over all doors, again and again: rows F1 and F2 of docs/faults.md.
//!
//! `MILEPOST_ROUNDS` says how often (100), `MILEPOST_SEED` with which chance.

use std::collections::BTreeSet;
use std::time::Duration;

use milepost_tests::delivery::chance;
use milepost_tests::{Installation, Served, load, state};
use rusqlite::Connection;

const SMALL: &str = "identity.tail=256;wal.pages=64";

fn set(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().map_or(default, |text| text.parse().expect("a number"))
}

/// Sent again, every one of them is known.
fn all_known(served: &Served, lines: &[String], round: u64) {
    for lines in lines.chunks(5_000) {
        let reply = served.post("application/x-ndjson", lines.join("\n"));
        assert_eq!(reply.status, 200, "round {round}: {reply:?}");
        let (answer, sent) = (reply.json(), lines.len() as u64);
        let fates = (answer["stored"].as_u64(), answer["duplicate"].as_u64());
        assert_eq!(fates, (Some(0), Some(sent)), "round {round}: stored, duplicate: {answer}");
    }
}

/// **F2.** SIGKILL at random moments under load: after one start every acked event is there, nothing is there twice, and the
/// counts are those of what is kept. Which batches are sent, and after how many of them and how long it is killed, is a
/// function of the seed.
#[test]
fn f02_killed_at_any_moment_under_load() {
    let (rounds, seed) = (set("MILEPOST_ROUNDS", 100), set("MILEPOST_SEED", 1));
    println!("{rounds} rounds with seed {seed}");
    let mut installation = Installation::new("");
    let (mut acked, mut here, mut last) = (0, BTreeSet::new(), Vec::new());
    for round in 0..rounds {
        // Now and then a new directory, so that replays stay short.
        if round % 25 == 0 {
            whole(&installation, &here);
            (installation, here, last) = (Installation::new(""), BTreeSet::new(), Vec::new());
        }
        let served =
            installation.serve_failing(SMALL).unwrap_or_else(|ended| panic!("round {round}: {ended:?}"));
        all_known(&served, &last, round);
        let dice = chance(seed, round);
        last = load::until_gone(served, &format!("r{round}"), dice, (dice % 12) as usize, |served| {
            // The moment is what this is about: no number of acks says when, within a commit, it comes.
            std::thread::sleep(Duration::from_micros(dice / 16 % 20_000));
            served.kill();
        });
        acked += last.len();
        here.extend(last.iter().cloned());
        if round % 100 == 99 {
            println!("{} of {rounds} rounds, {acked} events acked", round + 1);
        }
    }
    whole(&installation, &here);
    println!("{rounds} kills, {acked} events acked, none lost");
    assert!(acked as u64 > rounds, "there was load: {acked}");
}

/// Everything acked in a directory is known after all that, and all is well with it.
fn whole(installation: &Installation, lines: &BTreeSet<String>) {
    let mut served = installation.serve();
    let lines: Vec<String> = lines.iter().cloned().collect();
    all_known(&served, &lines, u64::MAX);
    let counted = served.get_json(&format!("/v1/metrics/market_share?as_of={}", load::DAY));
    assert!(lines.is_empty() || counted[0]["numerator"] == 1, "{counted}");
    served.terminate();
    assert!(served.wait().success());
    state::examine(installation);
    let database = Connection::open(installation.data().join("milepost.db")).expect("it opens");
    let twice =
        "SELECT count(*) FROM (SELECT 1 FROM event GROUP BY source, id, revision HAVING count(*) > 1)";
    let twice: i64 = database.query_row(twice, [], |row| row.get(0)).expect("it can be asked");
    assert_eq!(twice, 0, "nothing is there twice");
}
