use std::fs;
use std::path::Path;

use milepost_model::Span;

use super::*;

fn settings(
    toml: &str,
    environment: &[(&str, &str)],
    flags: Flags,
) -> Result<(Settings, Vec<String>), String> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("milepost.toml");
    fs::write(&file, toml).unwrap();
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    read(Some(&file), environment, flags)
        .map_err(|error| error.to_string().replace(&file.display().to_string(), "FILE"))
}

#[test]
fn without_anything_all_is_default() {
    let (settings, foreign) = read(None, [], Flags::default()).unwrap();
    assert_eq!(settings, Settings::default());
    assert_eq!(settings.metrics(), Config::default());
    assert_eq!(foreign, Vec::<String>::new());
}

#[test]
fn flags_win_over_variables_and_these_over_the_file() {
    let file = "listen = 'a:1'\ndata = 'a'\nmin_group = 1\n[limits]\nfuture = '1h'\nchanges = 7";
    let environment = [("MILEPOST_LISTEN", "b:2"), ("MILEPOST_DATA", "b"), ("MILEPOST_LIMITS__FUTURE", "2h")];
    let flags = Flags { listen: Some("c:3".into()), data: None };
    let (settings, _) = settings(file, &environment, flags).unwrap();
    assert_eq!((settings.listen.as_str(), settings.data.as_path()), ("c:3", Path::new("b")));
    assert_eq!((settings.limits.future, settings.limits.changes), (Span::hours(2), 7));
    assert_eq!(settings.min_group, 1);
}

#[test]
fn a_capability_can_be_configured_by_variables() {
    let environment = [
        ("MILEPOST_CAPABILITIES__RELEASE-PIPELINE__GOLDEN_PATH", "true"),
        ("MILEPOST_PRODUCTION", "[live, prod]"),
    ];
    let (settings, _) = settings("", &environment, Flags::default()).unwrap();
    assert!(settings.metrics().golden_path("release-pipeline"));
    assert_eq!(settings.production, ["live", "prod"]);
}

#[test]
fn every_mistake_is_told_with_its_place_and_key() {
    let file = "listne = 'a'\ntimeout = 'soon'\n[limits]\nbatch_event = 3\nchanges = 'many'\n\
                [capabilities.'a.b']\ngolden = true\n[windows]\nnps = '90d'\n\
                [limit]\nchanges = 1\nfuture = '1h'";
    let error = settings(file, &[("MILEPOST_MIN_GROUP", "few")], Flags::default()).unwrap_err();
    let lines: Vec<_> = error.lines().collect();
    assert_eq!(lines.len(), 7, "{error}");
    for (line, beginning) in lines.iter().zip([
        "FILE: capabilities.a.b.golden: unknown key; did you mean `golden_path`?",
        "FILE: limit: unknown key; did you mean `limits`?",
        "FILE: limits.batch_event: unknown key; did you mean `batch_events`?",
        "FILE: limits.changes: invalid type",
        "FILE: listne: unknown key; did you mean `listen`?",
        "FILE: timeout: `soon` is not a length of time",
        "MILEPOST_MIN_GROUP: min_group: invalid type",
    ]) {
        assert!(line.starts_with(beginning), "{line}\nshould begin with\n{beginning}");
    }
}

#[test]
fn values_that_make_no_sense_are_told() {
    let error =
        settings("[windows]\nnps = '36h'\n[limits]\nqueue_events = 0", &[], Flags::default()).unwrap_err();
    assert!(error.contains("windows.nps: `36h` is not a whole number of days"), "{error}");
    assert!(error.contains("limits.queue_events: 0 would take nothing"), "{error}");
}

#[test]
fn variables_of_others_are_let_be() {
    let environment = [
        ("MILEPOST_SERVICE_HOST", "10.0.0.1"),
        ("MILEPOST_PORT", "tcp://10.0.0.1:80"),
        ("PATH", ""),
        ("MILEPOST_LOG", "debug"),
    ];
    let (settings, foreign) = settings("", &environment, Flags::default()).unwrap();
    assert_eq!(settings, Settings::default());
    assert_eq!(foreign, ["MILEPOST_SERVICE_HOST", "MILEPOST_PORT"]);
}

#[test]
fn a_file_that_is_missing_or_no_toml_is_named() {
    let missing = read(Some(Path::new("no/such.toml")), [], Flags::default()).unwrap_err().to_string();
    assert!(missing.starts_with("no/such.toml: "), "{missing}");
    let broken = settings("[limits\n", &[], Flags::default()).unwrap_err();
    assert!(broken.starts_with("FILE: ") && broken.contains("line 1"), "{broken}");
}

/// What is commented out in it are the defaults, so that it documents them.
#[test]
fn the_sample_reads_and_shows_the_defaults() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/milepost.toml");
    read(Some(&sample), [], Flags::default()).unwrap();

    let text = fs::read_to_string(&sample).unwrap();
    let uncommented: String = text
        .lines()
        .map(|line| line.strip_prefix("#: ").unwrap_or(if line.starts_with('#') { "" } else { line }))
        .flat_map(|line| [line, "\n"])
        .collect();
    let (mut settings, _) = settings(&uncommented, &[], Flags::default()).unwrap();
    let example = settings.capabilities.remove("release-pipeline");
    assert!(example.is_some_and(|example| example.golden_path));
    assert_eq!(settings, Settings::default());
}
