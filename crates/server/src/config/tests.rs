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
    let flags = Flags { listen: Some("c:3".into()), ..Flags::default() };
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
        "FILE: limits.changes: `many` does not fit here: write a whole number from 0",
        "FILE: listne: unknown key; did you mean `listen`?",
        "FILE: timeout: `soon` is not a length of time",
        "MILEPOST_MIN_GROUP: min_group: `few` does not fit here: write a whole number from 0 to 4294967295",
    ]) {
        assert!(line.starts_with(beginning), "{line}\nshould begin with\n{beginning}");
    }
}

#[test]
fn retention_is_off_until_it_is_said_otherwise() {
    assert_eq!(Settings::default().retention.days, None);
    let (settings, _) = settings("[retention]\ndays = 400", &[], Flags::default()).unwrap();
    assert_eq!(settings.retention.days, Some(400));
    assert_eq!(settings.metrics(), Config::default());
    let error = self::settings("[retention]\ndays = 0", &[], Flags::default()).unwrap_err();
    assert!(error.contains("retention.days: 0 would drop all that is from before today"), "{error}");
}

#[test]
fn values_that_make_no_sense_are_told() {
    let error =
        settings("[windows]\nnps = '36h'\n[limits]\nqueue_events = 0", &[], Flags::default()).unwrap_err();
    assert!(error.contains("windows.nps: `36h` is not a whole number of days"), "{error}");
    assert!(error.contains("limits.queue_events: 0 would take nothing"), "{error}");
}

/// What [`check`] says: the notes, or all that is wrong.
fn checked(toml: &str, environment: &[(&str, &str)]) -> Result<Vec<String>, String> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("milepost.toml");
    fs::write(&file, toml).unwrap();
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    check(Some(&file), environment, Flags::default())
        .map(|(_, notes)| notes)
        .map_err(|error| error.to_string().replace(&file.display().to_string(), "FILE"))
}

#[test]
fn what_makes_no_sense_is_refused_with_its_place() {
    for (file, told) in [
        ("listen = 'nonsense'", "FILE: listen: `nonsense` is no address: write host:port"),
        ("listen = ':7171'", "FILE: listen: `:7171` is no address"),
        ("listen = 'http://localhost:7171'", "FILE: listen: `http://localhost:7171` is no address"),
        ("listen = '300.0.0.1:7171'", "FILE: listen: `300.0.0.1:7171` is no address"),
        ("listen = 'localhost:70000'", "FILE: listen: `localhost:70000` is no address"),
        ("data = ''", "FILE: data: empty"),
        (
            "[limits]\nevent_bytes = 4096\nbody_bytes = 2048",
            "FILE: limits.event_bytes: 4096 is more than limits.body_bytes, 2048",
        ),
        ("limits.body_bytes = 1023", "FILE: limits.body_bytes: 1023 would take hardly anything"),
        ("limits.name_bytes = 0", "FILE: limits.name_bytes: 0 would take nothing"),
        ("production = []", "FILE: production: empty: no deploy would count"),
        ("production = ['prod ']", "FILE: production: one of the names begins or ends with white space"),
        ("timeout = '0s'", "FILE: timeout: 0s would take every interaction for abandoned"),
        ("capabilities.ci.timeout = '0s'", "FILE: capabilities.ci.timeout: 0s would take"),
        (
            "capabilities.\"c\\u0007i\".golden_path = true",
            "capabilities.c\\u{7}i: the name has a control character in it",
        ),
        ("capabilities.'ci '.golden_path = true", "the name begins or ends with white space"),
    ] {
        for told_by in [settings(file, &[], Flags::default()).map(|_| ()), checked(file, &[]).map(|_| ())] {
            let error = told_by.expect_err(file);
            assert!(error.contains(told), "{file}: {error}");
            assert_eq!(error.lines().count(), 1, "{file}: {error}");
        }
    }
    for good in ["localhost:7171", "[::1]:0", "0.0.0.0:80", "milepost-0.milepost:7171"] {
        assert_eq!(checked(&format!("listen = '{good}'"), &[]), Ok(Vec::new()), "{good}");
    }
}

/// Also those that can be seen only once all values are together, and none that follows from another.
#[test]
fn all_mistakes_are_told_in_one_pass() {
    let file = "listen = 'x'\n[limits]\nfuture = '-5m'\nbatch_events = 0\nbody_bytes = 'much'\nevent_bytes = 99999999";
    let error = checked(file, &[("MILEPOST_LISTN", "x"), ("MILEPOST_LOG", "loud")]).unwrap_err();
    let lines: Vec<_> = error.lines().collect();
    assert_eq!(lines.len(), 6, "{error}");
    for (line, beginning) in lines.iter().zip([
        "MILEPOST_LISTN: names no setting; did you mean MILEPOST_LISTEN?",
        "MILEPOST_LOG: `loud` is no level",
        "FILE: limits.batch_events: 0 would take nothing: write at least 1",
        "FILE: limits.body_bytes: `much` does not fit here: write a whole number from 1024",
        "FILE: limits.future: `-5m` is not a length of time",
        "FILE: listen: `x` is no address",
    ]) {
        assert!(line.starts_with(beginning), "{line}\nshould begin with\n{beginning}");
    }
}

#[test]
fn a_smaller_request_makes_for_smaller_events() {
    let (settings, _) = settings("limits.body_bytes = 65536", &[], Flags::default()).unwrap();
    assert_eq!(settings.limits.event_bytes, 65_536);
}

#[test]
fn a_value_of_the_wrong_kind_is_told_how_to_write_it() {
    for (file, told) in [
        ("production = 'prod'", "production: `prod` does not fit here: write a list, such as [\"prod\"]"),
        ("production = [1]", "production: `1` does not fit here: write a text in quotes, such as \"1\""),
        ("listen = 7171", "listen: `7171` does not fit here: write a text in quotes, such as \"7171\""),
        ("min_group = -1", "min_group: `-1` does not fit here: write a whole number from 0 to 4294967295"),
        (
            "limits.batch_events = -5",
            "limits.batch_events: `-5` does not fit here: write a whole number from 1",
        ),
        ("limits.changes = 1.5", "limits.changes: `1.5` does not fit here: write a whole number from 0"),
        ("limits.changes = [1]", "limits.changes: a list does not fit here: write a whole number from 0"),
        ("timeout = 24", "timeout: `24` does not fit here: write a length of time"),
        ("windows.nps = 90", "windows.nps: `90` does not fit here: write a length of time"),
        (
            "capabilities.ci.timeout = 2",
            "capabilities.ci.timeout: `2` does not fit here: write a length of time",
        ),
        ("capabilities.ci.golden_path = 'yes'", "`yes` does not fit here: write true or false"),
        (
            "capabilities.ci = true",
            "capabilities.ci: `true` does not fit here: write a table, [capabilities.ci]",
        ),
        ("limits = 3", "limits: `3` does not fit here: write a table, [limits]"),
        ("capabilities.ci.observed_since = 2026-01-01T00:00:00Z", "`2026-01-01T00:00:00Z` is not a day"),
    ] {
        let error = checked(file, &[]).expect_err(file);
        assert!(error.contains(told), "{file}: {error}");
    }
    for (name, value, told) in [
        ("MILEPOST_PRODUCTION", "prod", "write a list, such as [prod]"),
        ("MILEPOST_PRODUCTION", "[1]", "write a text in quotes, such as \"1\""),
        ("MILEPOST_MIN_GROUP", "-1", "write a whole number from 0 to 4294967295"),
        ("MILEPOST_TIMEOUT", "24", "`24` is not a length of time: write a whole number and a unit"),
        ("MILEPOST_LISTEN", "7171", "`7171` is no address: write host:port"),
        ("MILEPOST_LIMITS", "3", "write its keys, each in a variable MILEPOST_LIMITS__…"),
    ] {
        let error = checked("", &[(name, value)]).expect_err(name);
        assert!(error.contains(told), "{name}={value}: {error}");
    }
    let key = checked("privacy.key = 271828", &[]).unwrap_err();
    assert!(!key.contains("271828") && key.contains("privacy.key: "), "{key}");
}

#[test]
fn a_date_needs_no_quotes_and_a_name_of_digits_neither() {
    let file = "[capabilities.ci]\nobserved_since = 2026-01-31";
    let (settings, _) = settings(file, &[("MILEPOST_DATA", "2026")], Flags::default()).unwrap();
    assert_eq!(settings.data, Path::new("2026"));
    assert_eq!(settings.capabilities["ci"].observed_since.unwrap().to_string(), "2026-01-31");
}

/// Names of variables have no case, and shells export none with a `-`.
#[test]
fn a_variable_means_the_capability_that_looks_like_its_name() {
    let golden = |name: &'static str| (name, "true");
    let under = golden("MILEPOST_CAPABILITIES__RELEASE_PIPELINE__GOLDEN_PATH");
    let file = "[capabilities.Release-Pipeline]\nmandated = false";
    let (read, _) = settings(file, &[under], Flags::default()).unwrap();
    assert_eq!(read.capabilities.len(), 1);
    assert!(read.metrics().golden_path("Release-Pipeline"));
    assert_eq!(checked(file, &[under]), Ok(Vec::new()));

    let mandated = ("MILEPOST_CAPABILITIES__RELEASE-PIPELINE__MANDATED", "true");
    let (read, _) = settings("", &[under, mandated], Flags::default()).unwrap();
    assert_eq!(read.capabilities.keys().collect::<Vec<_>>(), ["release-pipeline"]);

    let alone = checked("", &[under]).unwrap().concat();
    assert!(alone.contains("`release_pipeline`"), "{alone}");
    assert!(
        alone.contains("env 'MILEPOST_CAPABILITIES__RELEASE-PIPELINE__GOLDEN_PATH=…' milepost"),
        "{alone}"
    );
    assert_eq!(checked("", &[golden("MILEPOST_CAPABILITIES__CI__GOLDEN_PATH")]), Ok(Vec::new()));

    let several = "[capabilities.Release-Pipeline]\n[capabilities.release-pipeline]";
    let error = checked(several, &[under]).unwrap_err();
    assert!(error.contains("could be about `Release-Pipeline` or `release-pipeline`"), "{error}");
    let exactly = golden("MILEPOST_CAPABILITIES__RELEASE-PIPELINE__GOLDEN_PATH");
    let notes = checked(several, &[exactly]).unwrap().concat();
    assert!(notes.contains("`Release-Pipeline` and `release-pipeline` differ in case"), "{notes}");
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

#[test]
fn objectives_are_read_exactly_and_refused_with_their_reason() {
    let good = "[slo.ci]\nsli = \"pipeline_runs\"\nobjective = 0.999\nthreshold = \"10m\"\n[slo.\"a.b\"]\nsli = \"requests\"\nobjective = \"0.9\"\n";
    let (settings_, _) = settings(good, &[], Flags::default()).unwrap();
    let ci = &settings_.metrics().slo["ci"];
    assert_eq!(ci.objective.map(|objective| objective.to_string()).as_deref(), Some("0.999"));
    assert_ne!(settings_.metrics().digest(), Settings::default().metrics().digest());
    for (text, said) in [
        ("[slo.ci]\nsli = \"deploys\"\n", "slo.ci.objective: missing"),
        ("[slo.ci]\nobjective = \"0.9\"\n", "slo.ci.sli: missing"),
        ("[slo.ci]\nsli = \"deploys\"\nobjective = \"1.5\"\n", "slo.ci.objective: `1.5` is no objective"),
        ("[slo.ci]\nsli = \"uptime\"\nobjective = \"0.9\"\n", "slo.ci.sli: "),
        (
            "[slo.ci]\nsli = \"probes\"\nobjective = \"0.9\"\nthreshold = \"5m\"\n",
            "slo.ci.threshold: has no meaning",
        ),
        ("[slo.ci]\nsli = \"probes\"\nobjective = \"0.9\"\nwindow = \"0s\"\n", "slo.ci.window: 0s"),
        ("[slo.ci]\nsli = \"probes\"\nobjective = \"0.9\"\nservices = \"a\"\n", "slo.ci.services"),
    ] {
        let error = settings(text, &[], Flags::default()).unwrap_err();
        assert!(error.contains(said), "{text}: {error}");
    }
}

#[test]
fn each_role_says_what_it_needs() {
    let wrong = |text: &str| settings(text, &[], Flags::default()).unwrap_err();
    let ingest = wrong("role = \"ingest\"\n");
    assert!(ingest.contains("kafka.brokers: missing") && ingest.contains("privacy.key: missing"), "{ingest}");
    let aggregate = wrong("role = \"aggregate\"\n[clickhouse]\nurl = \"clickhouse:8123\"\n");
    assert!(
        aggregate.contains("kafka.brokers: missing") && aggregate.contains("FILE: clickhouse.url: "),
        "{aggregate}"
    );
    let query = wrong("role = \"query\"\n");
    assert!(query.contains("clickhouse.url: ") && !query.contains("kafka"), "{query}");
    let dropping = wrong("role = \"query\"\n[clickhouse]\nurl = \"http://c\"\n[query]\nretain = true\n");
    assert!(dropping.contains("query.retain: after how many days is not said"), "{dropping}");
    let nowhere = wrong("[query]\nhistory = true\nhistory_seconds = 0\n");
    assert!(nowhere.contains("query.history: ") && nowhere.contains("query.history_seconds: 0"), "{nowhere}");
    let itself =
        wrong("[kafka]\nbrokers = \"k:9092\"\ntopics = [\"milepost-events\"]\nmin_insync_replicas = 4\n");
    assert!(
        itself.contains("kafka.topics: ") && itself.contains("from 1 to kafka.replication_factor, 3"),
        "{itself}"
    );
}

#[test]
fn properties_of_librdkafka_are_texts_and_never_shown() {
    let file = "[kafka.properties]\n\"linger.ms\" = 7\n\"sasl.username\" = \"ci\"\n";
    let variables = [("MILEPOST_KAFKA__PROPERTIES__SASL_PASSWORD", "12345")];
    let (settings, _) = settings(file, &variables, Flags::default()).unwrap();
    let expected = [("linger.ms", "7"), ("sasl.password", "12345"), ("sasl.username", "ci")];
    let found: Vec<_> = settings.kafka.properties.0.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(found, expected);
    assert!(!format!("{settings:?}").contains("12345"));
}
