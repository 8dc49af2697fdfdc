//! The command line as scripts rely on it: the same bytes from a directory and from a server, files of every kind, clear
//! refusals.

use std::io::Write as _;
use std::net::TcpListener;
use std::process::Stdio;

use flate2::Compression;
use flate2::write::GzEncoder;
use milepost_tests::binary::{self, Finished, milepost};
use milepost_tests::delivery::{Door, deliver, file_of};
use milepost_tests::{Installation, REAL_CONFIG, events};
use serde_json::json;

#[test]
fn a_directory_and_its_server_tell_the_same() {
    let installation = Installation::new(REAL_CONFIG);
    let served = installation.serve();
    let now = events::now();
    deliver(&served, Door::Http, &events::lines(&events::recent_history(now)), 100);
    let [day, earlier] = [1, 9].map(|days| events::ago(now, days, 0).to_string()[..10].to_owned());
    let range = ["--from", &earlier, "--to", &day, "--step", "2d"];
    for (command, question) in [
        ("query", vec!["market_share", "--as-of", &day, "--format", "json"]),
        (
            "query",
            vec![
                "keep_rate",
                "--as-of",
                &day,
                "--rule",
                "any_repeat",
                "--unit",
                "service",
                "--format",
                "csv",
            ],
        ),
        ("query", vec!["retention_curve", "--as-of", &day, "--by", "capability", "--format", "json"]),
        ("query", vec!["onboarding_time", "--as-of", &day, "--estimator", "observed", "--format", "json"]),
        ("query", [&["self_service_rate", "--format", "csv"], &range[..]].concat()),
        ("query", [&["nps", "--format", "json"], &range[..]].concat()),
        ("query", [&["market_share", "--format", "table"], &range[..]].concat()),
        ("explain", vec!["time_to_first_deploy", "--as-of", &day, "--format", "json"]),
        ("explain", vec!["market_share", "--as-of", &day]),
    ] {
        let of_directory = installation.run(&[command], &question).expect_success();
        let of_server = served.run(&[command], &question).expect_success();
        assert_eq!(of_directory, of_server, "{command} {question:?}");
        assert!(of_directory.len() > 100, "{command} {question:?}: {of_directory}");
    }
}

#[test]
fn files_of_every_kind_are_imported() {
    let lines = events::lines(&events::recent_history(events::now())).join("\n");
    let plain = file_of(std::slice::from_ref(&lines));
    // By its content, not its name.
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(lines.as_bytes()).expect("memory takes it");
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(&packed.finish().expect("memory takes it")).expect("it can be written");

    let installation = Installation::new("");
    let path = |file: &tempfile::NamedTempFile| file.path().to_string_lossy().into_owned();
    let read = lines.lines().count();
    let first = installation.run(&["import"], &["--format", "json", &path(&plain), &path(&file)]);
    let expected = json!({"read": 2 * read, "stored": read, "duplicate": read, "refused": 0});
    assert_eq!((first.code, first.last_json()), (0, expected), "{first:?}");

    let from_stdin = import_from_stdin(&installation, &lines);
    let expected = json!({"read": read, "stored": 0, "duplicate": read, "refused": 0});
    assert_eq!((from_stdin.code, from_stdin.last_json()), (0, expected), "{from_stdin:?}");
}

fn import_from_stdin(installation: &Installation, lines: &str) -> Finished {
    let mut import = binary::command()
        .args(["import", "--format", "json", "--data", &installation.data().to_string_lossy(), "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("milepost can be started");
    let mut stdin = import.stdin.take().expect("its stdin is piped");
    stdin.write_all(lines.as_bytes()).expect("it reads");
    drop(stdin);
    binary::finished(&import.wait_with_output().expect("it ends"))
}

#[test]
fn a_mistake_in_the_configuration_is_told() {
    let good = Installation::new(REAL_CONFIG);
    let checked = good.check();
    let digest =
        good.serve().header("/v1/metrics", "milepost-config-digest").expect("every answer carries it");
    assert_eq!(checked.code, 0, "{checked:?}");
    assert!(checked.stdout.contains(&digest), "{checked:?}");

    for (config, told) in [
        ("min_grup = 3", "min_group"),
        ("[capabilities.\"ci\"]\ngolden = true", "golden_path"),
        ("[windows]\nnps = \"36h\"", "windows.nps"),
        ("listen =", "milepost.toml"),
    ] {
        let checked = Installation::new(config).check();
        assert_eq!(checked.code, 2, "{config}: {checked:?}");
        assert!(checked.stderr.contains(told), "{config}: {checked:?}");
    }
}

#[test]
fn a_port_in_use_is_told_in_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    let refused = Installation::new("").run(&["serve"], &["--listen", &address]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.lines().last().is_some_and(|line| line.contains(&address)), "{refused:?}");
}

#[test]
fn the_demo_shows_numbers() {
    let shown = milepost(["demo", "--once"]).expect_success();
    for told in
        ["market_share", "9.5 %", "keep_rate", "64.3 %", "self_service_rate", "99.7 %", "survey_answered"]
    {
        assert!(shown.contains(told), "{told}: {shown}");
    }
}

#[test]
fn help_teaches_by_example() {
    for command in ["serve", "import", "query", "explain", "check"] {
        let help = milepost([command, "--help"]).expect_success();
        assert!(help.contains(&format!("milepost {command}")), "{help}");
        assert!(help.contains("Example"), "{command} --help shows no example");
    }
}
