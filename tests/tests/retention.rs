//! Retention drops contents of old events, and changes no number: row F24 of docs/faults.md.

use std::fs;
use std::path::Path;

use milepost_store::sqlite::Report;
use milepost_tests::binary::{self, milepost};
use milepost_tests::{Installation, REAL_CONFIG, Served, events, eventually, exposition, state};
use serde_json::{Value, json};

const NDJSON: &str = "application/x-ndjson";
const METRICS: [&str; 3] = ["market_share", "time_to_first_deploy", "nps"];

fn serve(installation: &Installation, days: u64) -> Served {
    let mut command = binary::command();
    command.env("MILEPOST_RETENTION__DAYS", days.to_string());
    installation.serve_by(command).unwrap_or_else(|ended| panic!("{ended:?}"))
}

fn day(ago: u64) -> String {
    events::ago(events::now(), ago, 0).to_string()[..10].to_owned()
}

/// Every answer as of days before, at and after the horizon.
fn answers(served: &Served, days: &[String]) -> Vec<String> {
    days.iter().flat_map(|day| state::answers(served, day)).collect()
}

fn explained(served: &Served, day: &str) -> Vec<Value> {
    let ask = |metric: &&str| served.get_json(&format!("/v1/metrics/{metric}/explain?as_of={day}"));
    METRICS.iter().map(ask).collect()
}

/// How many events of how many units are told to be dropped, and the explanations as they were before.
fn without_what_is_dropped(mut explained: Vec<Value>) -> (u64, Vec<Value>) {
    let mut dropped = 0;
    for unit in explained.iter_mut().flat_map(|one| one["units"].as_array_mut().expect("a list")) {
        let unit = unit.as_object_mut().expect("an object");
        dropped += unit.remove("dropped_event_count").map_or(0, |count| count.as_u64().expect("a number"));
        unit.remove("events");
    }
    (dropped, explained)
}

fn end(mut served: Served) {
    served.terminate();
    assert!(served.wait().success());
}

fn all_is_dropped(installation: &Installation) -> Report {
    eventually("all contents before the horizon are dropped", || {
        let report = state::examine(installation);
        report.horizon.is_some_and(|horizon| horizon.finished).then_some(report)
    })
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are UTF-8")
}

/// **F24**, outside the horizon. All answers are the same before and after contents were dropped, from the checkpoint and without,
/// killed, backed up and restored, and with the persons' keys rotated. What comes too late is refused, with its reason.
#[test]
fn f24_what_is_older_than_the_horizon_is_frozen() {
    let lines = events::lines(&events::recent_history(events::now()));
    let days: Vec<String> = [1, 20, 59, 60, 61, 100, 140].map(day).into();
    let installation = Installation::new(REAL_CONFIG);
    let served = installation.serve();
    served.post(NDJSON, lines.join("\n"));
    let (before, explained_before) = (answers(&served, &days), explained(&served, &days[0]));
    assert!(!served.metrics().contains("milepost_retention_horizon"), "it is off");
    end(served);

    let served = serve(&installation, 60);
    let report = all_is_dropped(&installation);
    assert_eq!(answers(&served, &days), before);
    let horizon = report.horizon.expect("there is one");
    assert_eq!(horizon.at.to_string()[..10], day(60));
    assert!(horizon.dropped > 20 && horizon.dropped < lines.len() as u64, "{horizon:?}");
    let exported = served.metrics();
    let sample = |name: &str| exposition::samples(&exported).into_iter().find(|(found, _)| *found == name);
    assert_eq!(
        sample("milepost_retention_dropped_events_total").map(|(_, value)| value),
        Some(horizon.dropped as f64)
    );
    assert_eq!(
        sample("milepost_retention_horizon_timestamp_seconds").map(|(_, value)| value),
        Some(horizon.at.micros() as f64 / 1e6)
    );

    explanations_say_how_many_are_gone(&served, explained_before, &days[0]);
    what_comes_too_late_is_refused(&served, &lines);
    assert_eq!(answers(&served, &days), before);
    restarted_and_restored_it_is_the_same(&installation, served, &days, &before);
}

fn explanations_say_how_many_are_gone(served: &Served, before: Vec<Value>, day: &str) {
    let (none, before) = without_what_is_dropped(before);
    let (dropped, after) = without_what_is_dropped(explained(served, day));
    assert_eq!((none, &after), (0, &before));
    assert!(dropped > 0);
    let table = served.run(&["explain", METRICS[1]], &["--as-of", day]).expect_success();
    assert!(table.contains("dropped"), "{table}");
}

fn what_comes_too_late_is_refused(served: &Served, lines: &[String]) {
    // What is kept is known, dropped or not, whoever is named in it.
    let again = served.post(NDJSON, lines.join("\n")).json();
    assert_eq!(
        (again["stored"].as_u64(), again["refused"].as_array().map(Vec::len)),
        (Some(0), Some(0)),
        "{again}"
    );
    let now = events::now();
    let retraction = |of: &str| {
        let kind = format!("{}event.retracted", events::MILEPOST);
        events::event(&kind, of, now, of, json!({}), json!({"revision": 1}))
    };
    // One that is dropped, one from before the horizon that nobody knows, and one after it.
    let late = [
        retraction("registered-0-0"),
        events::used("late", events::ago(now, 61, 0), "team-9"),
        events::used("in-time", events::ago(now, 1, 0), "team-0"),
    ];
    let reply = served.post(NDJSON, events::lines(&late).join("\n")).json();
    let reasons: Vec<_> =
        reply["refused"].as_array().expect("a list").iter().map(|one| one["reason"].clone()).collect();
    assert_eq!(reasons, [json!("before_horizon"), json!("before_horizon")], "{reply}");
    served.post(NDJSON, retraction("in-time").to_string());
}

fn restarted_and_restored_it_is_the_same(
    installation: &Installation,
    mut served: Served,
    days: &[String],
    before: &[String],
) {
    let same = |served: &Served, what: &str| assert_eq!(answers(served, days), before, "{what}");
    served.kill();
    let served = installation.serve();
    same(&served, "killed, and with retention off again");
    end(served);
    assert!(installation.data().join("model.checkpoint").exists());
    let served = installation.serve();
    same(&served, "from the checkpoint");
    assert!(!served.log().contains("the checkpoint is not used"), "{}", served.log());
    end(served);
    fs::remove_file(installation.data().join("model.checkpoint")).expect("it is there");
    let served = installation.serve();
    same(&served, "without the checkpoint");

    let file = installation.data().with_file_name("backup");
    milepost(["backup", "--data", text(&installation.data()), "--to", text(&file)]).expect_success();
    end(served);
    let restored = Installation::new(REAL_CONFIG);
    milepost(["restore", "--from", text(&file), "--data", text(&restored.data())]).expect_success();
    let served = restored.serve();
    same(&served, "restored");
    end(served);
    milepost(["key", "rotate", "--data", text(&restored.data())]).expect_success();
    let served = restored.serve();
    same(&served, "with another key");
    let doctor = milepost(["doctor", "--data", text(&restored.data())]).expect_success();
    assert!(doctor.contains("nothing is damaged") && doctor.contains("\nretention "), "{doctor}");
}
