//! A server whose clock steps: row F25 of docs/faults.md.

use std::fs;

use milepost_tests::state::State;
use milepost_tests::{Installation, Served, events, exposition};

const NDJSON: &str = "application/x-ndjson";
const CONFIG: &str =
    "[privacy]\nkey = \"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\"\n";

/// Nothing that is exported is a negative time.
fn no_negative_times(served: &Served) {
    let metrics = served.metrics();
    let negative: Vec<_> = exposition::samples(&metrics)
        .into_iter()
        .filter(|(name, value)| name.contains("seconds") && *value < 0.0)
        .collect();
    assert!(negative.is_empty(), "{negative:?}");
}

/// **F25.** The server's clock steps back a day and ahead a year while it runs: events go on being committed and answered, no time is
/// negative, and what a wrong clock refused is taken when it is right; then the state is equal.
#[test]
fn f25_the_clock_steps() {
    let now = events::now();
    let lines = events::lines(&events::troubled_history(now));
    let day = events::ago(now, 1, 0).to_string()[..10].to_owned();
    let whole = {
        let installation = Installation::new(CONFIG);
        let served = installation.serve();
        served.post(NDJSON, lines.join("\n"));
        State::of(&installation, &served, &day)
    };

    let installation = Installation::new(CONFIG);
    let clock = installation.data().with_file_name("clock");
    let step = |seconds: i64| fs::write(&clock, seconds.to_string()).expect("there is room");
    step(0);
    let served = installation
        .serve_failing(&format!("clock.seconds=file:{}", clock.display()))
        .unwrap_or_else(|ended| panic!("{ended:?}"));
    let chunks: Vec<_> = lines.chunks(lines.len() / 4 + 1).collect();
    let year = 366 * 86_400;
    for (seconds, lines) in [-200 * 86_400, year, -86_400, 0].into_iter().zip(chunks) {
        step(seconds);
        let reply = served.post(NDJSON, lines.join("\n"));
        let refused = reply.json()["refused"].as_array().cloned().unwrap_or_default();
        let future = refused.iter().filter(|refusal| refusal["reason"] == "future").count();
        assert_eq!(future > 0, seconds == -200 * 86_400, "{seconds}: {refused:?}");
        no_negative_times(&served);
        assert_eq!(served.get("/readyz").status, 200);
    }
    step(0);
    // Whoever was told `future` sends again.
    served.post(NDJSON, lines.join("\n"));
    let mut state = State::of(&installation, &served, &day);
    state.refused.retain(|refused| !refused.contains("Future"));
    state.check(&whole, "after the clock has stepped");
    no_negative_times(&served);
}
