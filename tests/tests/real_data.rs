//! The real input through the command line: every number of the table that brute force gave for it
//! (crates/server/data/README.md says where the input comes from).

use milepost_tests::{Installation, REAL_CONFIG, real_data};
use serde_json::{Value, json};

const EVENTS: u64 = 37_255;

/// Numerator and denominator.
type Ratio = (u64, u64);

/// Quantiles 0.5 and 0.9 in seconds, and counts.
struct Durations {
    quantiles: [Option<u64>; 2],
    counts: &'static [(&'static str, u64)],
}

struct Expected {
    as_of: &'static str,
    market_share: Ratio,
    keep_rate: Ratio,
    self_service_rate: Ratio,
    time_to_first_deploy: Durations,
    onboarding_time: Durations,
}

const TABLE: [Expected; 3] = [
    Expected {
        as_of: "2018-12-31",
        market_share: (19, 200),
        keep_rate: (9, 14),
        self_service_rate: (319, 320),
        time_to_first_deploy: Durations {
            quantiles: [Some(2_710_858), Some(10_149_003)],
            counts: &[("deployed", 35), ("waiting", 13)],
        },
        onboarding_time: Durations {
            quantiles: [Some(538_981), None],
            counts: &[
                ("shipped", 737),
                ("waiting", 212),
                ("retired", 1),
                ("excluded_retired", 0),
                ("elite", 196),
                ("middle", 116),
                ("struggling", 425),
            ],
        },
    },
    Expected {
        as_of: "2019-06-30",
        market_share: (26, 220),
        keep_rate: (22, 27),
        self_service_rate: (474, 474),
        time_to_first_deploy: Durations {
            quantiles: [Some(3_543_306), None],
            counts: &[("deployed", 17), ("waiting", 8)],
        },
        onboarding_time: Durations {
            quantiles: [Some(168_156), Some(5_325_891)],
            counts: &[
                ("shipped", 1271),
                ("waiting", 165),
                ("retired", 0),
                ("excluded_retired", 1),
                ("elite", 383),
                ("middle", 254),
                ("struggling", 634),
            ],
        },
    },
    Expected {
        as_of: "2020-10-31",
        market_share: (12, 222),
        keep_rate: (35, 47),
        self_service_rate: (0, 71),
        time_to_first_deploy: Durations {
            quantiles: [None, None],
            counts: &[("deployed", 0), ("waiting", 0)],
        },
        onboarding_time: Durations {
            quantiles: [Some(152_303), Some(7_676_520)],
            counts: &[
                ("shipped", 328),
                ("waiting", 41),
                ("retired", 5),
                ("excluded_retired", 27),
                ("elite", 90),
                ("middle", 67),
                ("struggling", 171),
            ],
        },
    },
];

/// A question of the table: arguments behind `milepost query`, and the check of its answers.
struct Question {
    arguments: Vec<&'static str>,
    check: Box<dyn Fn(&Value)>,
}

fn questions(expected: &'static Expected) -> Vec<Question> {
    let ratio = |metric, capability, ratio: Ratio| Question {
        arguments: vec![metric, "--capability", capability, "--as-of", expected.as_of],
        check: Box::new(move |answers| check_ratio(answers, metric, capability, ratio)),
    };
    let durations = |metric, durations: &'static Durations| Question {
        arguments: vec![metric, "--as-of", expected.as_of],
        check: Box::new(move |answers| check_durations(answers, metric, durations)),
    };
    vec![
        ratio("market_share", "chart-testing", expected.market_share),
        ratio("keep_rate", "chart-testing", expected.keep_rate),
        ratio("self_service_rate", "change-merge", expected.self_service_rate),
        durations("time_to_first_deploy", &expected.time_to_first_deploy),
        durations("onboarding_time", &expected.onboarding_time),
    ]
}

fn check_ratio(answers: &Value, metric: &str, capability: &str, (numerator, denominator): Ratio) {
    assert_eq!(answers.as_array().map(Vec::len), Some(1), "{answers}");
    let answer = &answers[0];
    assert_eq!(answer["metric"], metric);
    assert_eq!(answer["labels"], json!({"capability": capability}));
    assert_eq!(
        (&answer["numerator"], &answer["denominator"]),
        (&json!(numerator), &json!(denominator)),
        "{answer}"
    );
    let value = answer["value"].as_f64().expect("there is a value");
    assert!((value - numerator as f64 / denominator as f64).abs() < 1e-12, "{answer}");
    let (low, high) =
        (answer["low"].as_f64().expect("an interval"), answer["high"].as_f64().expect("an interval"));
    assert!(0.0 <= low && low <= value && value <= high && high <= 1.0, "{answer}");
}

fn check_durations(answers: &Value, metric: &str, expected: &Durations) {
    assert_eq!(answers.as_array().map(Vec::len), Some(1), "{answers}");
    let answer = &answers[0];
    assert_eq!(answer["metric"], metric);
    let [median, ninetieth] = expected.quantiles;
    assert_eq!(answer["quantiles"], json!({"0.5": median, "0.9": ninetieth}), "{answer}");
    for (name, count) in expected.counts {
        assert_eq!(answer["counts"][name], json!(count), "{name}: {answer}");
    }
}

fn import_line(stored: u64, duplicate: u64) -> Value {
    json!({"read": EVENTS, "stored": stored, "duplicate": duplicate, "refused": 0})
}

#[test]
fn every_number_of_the_table() {
    let installation = Installation::new(REAL_CONFIG);
    let file = real_data();
    let file = file.to_str().expect("the checkout's path is UTF-8");

    let first = installation.run(&["import"], &["--format", "json", file]);
    assert_eq!((first.code, first.last_json()), (0, import_line(EVENTS, 0)), "{first:?}");

    let mut told = Vec::new();
    for Question { arguments, check } in TABLE.iter().flat_map(questions) {
        let arguments = [&arguments[..], &["--format", "json"]].concat();
        let output = installation.run(&["query"], &arguments).expect_success();
        check(&serde_json::from_str(&output).expect("JSON"));
        told.push((arguments, output));
    }
    let no_survey =
        installation.run(&["query"], &["nps", "--as-of", "2020-10-31", "--format", "json"]).expect_success();
    let no_survey: Value = serde_json::from_str(&no_survey).expect("JSON");
    assert_eq!(no_survey[0]["value"], Value::Null, "{no_survey}");

    // A server tells the same, byte for byte, also after everything was sent to it once more.
    let served = installation.serve();
    let again = served.run(&["import"], &["--format", "json", file]);
    assert_eq!((again.code, again.last_json()), (0, import_line(0, EVENTS)), "{again:?}");
    for (arguments, output) in &told {
        assert_eq!(&served.run(&["query"], arguments).expect_success(), output, "{arguments:?}");
    }
}

#[test]
fn exit_codes_tell_what_happened() {
    let installation = Installation::new("");
    let now = milepost_tests::events::now();
    let mut lines = milepost_tests::events::lines(&[milepost_tests::events::used("e1", now, "a")]);
    lines.push("{\"context\": 7}".into());
    let file = milepost_tests::delivery::file_of(&lines);
    let file = file.path().to_str().expect("temporary paths are UTF-8");

    let refused = installation.run(&["import"], &["--format", "json", file]);
    assert_eq!(refused.code, 3, "{refused:?}");
    assert_eq!(refused.last_json(), json!({"read": 2, "stored": 1, "duplicate": 0, "refused": 1}));
    assert!(refused.stderr.contains(":2"), "the line at fault is named: {refused:?}");

    assert_eq!(installation.run(&["query"], &["no_such_metric"]).code, 2);
    assert_eq!(installation.run(&["query"], &["market_share", "--window", "soon"]).code, 2);
    assert_eq!(installation.run(&["query"], &["market_share", "--as-of", "9999-01-01"]).code, 2);
    assert_eq!(installation.run(&["import"], &["/nowhere/events.ndjson"]).code, 1);
}

#[test]
fn a_directory_that_is_served_is_not_imported_into() {
    let installation = Installation::new("");
    let _served = installation.serve();
    let file = milepost_tests::delivery::file_of(&[]);
    let file = file.path().to_str().expect("temporary paths are UTF-8");
    let refused = installation.run(&["import"], &[file]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("--server"), "the way to do it is told: {refused:?}");
}
