//! What the environment changes: servers that are given are used, and what cannot be had is told with its remedy.
//!
//! Each test runs a copy of this program, as one process cannot have several environments.

use std::path::Path;
use std::process::Command;

use milepost_services::{kafka, shared, tools};

/// Tells the copy what to do.
const TASK: &str = "MILEPOST_COPY_TASK";

/// Not a test by itself: the others run it in a process of its own, and read what it says.
#[test]
fn copy() {
    let said = match std::env::var(TASK).as_deref() {
        Ok("shared") => {
            format!("{} {}", shared::kafka().unwrap().address(), shared::clickhouse().unwrap().address())
        }
        Ok("for-tests") => format!("{:?}", tools::for_tests()),
        Ok("kafka") => {
            let directory = tempfile::tempdir().unwrap();
            kafka::start(directory.path(), &kafka::Options::default()).unwrap_err().to_string()
        }
        _ => return,
    };
    println!("said: {said}");
}

fn said(task: &str, environment: &[(&str, &str)], cache: &Path) -> String {
    let mut copy = Command::new(std::env::current_exe().expect("this program"));
    copy.args(["--exact", "copy", "--nocapture"]).env(TASK, task).env("MILEPOST_CACHE", cache);
    let output = copy.envs(environment.iter().copied()).output().expect("it runs");
    let output = String::from_utf8(output.stdout).expect("it says text");
    output.split_once("said: ").unwrap_or_else(|| panic!("{output}")).1.to_owned()
}

/// Nothing listens there.
const NOWHERE: &str = "http://127.0.0.1:1";

#[test]
fn servers_that_are_given_are_used() {
    let cache = tempfile::tempdir().unwrap();
    let given = [
        ("MILEPOST_TEST_KAFKA", "kafka.example:9092"),
        ("MILEPOST_TEST_CLICKHOUSE", "http://clickhouse.example:8123/"),
        ("MILEPOST_MAVEN_REPOSITORY", NOWHERE),
        ("MILEPOST_NPM_REGISTRY", NOWHERE),
    ];
    let shared = said("shared", &given, cache.path());
    assert!(shared.starts_with("kafka.example:9092 http://clickhouse.example:8123\n"), "{shared}");
    // Nor is anything fetched for them.
    let fetched = said("for-tests", &given, cache.path());
    assert!(fetched.starts_with("Ok"), "{fetched}");
}

#[test]
fn what_cannot_be_fetched_is_told_with_its_remedy() {
    let cache = tempfile::tempdir().unwrap();
    let kafka =
        said("kafka", &[("MILEPOST_MAVEN_REPOSITORY", NOWHERE), ("MILEPOST_TEST_KAFKA", "")], cache.path());
    for part in ["Kafka cannot be had", "curl", "MILEPOST_MAVEN_REPOSITORY", "MILEPOST_TEST_KAFKA"] {
        assert!(kafka.contains(part), "{part} in {kafka}");
    }
}

#[test]
fn a_missing_java_is_told_with_its_remedy() {
    let cache = tempfile::tempdir().unwrap();
    let empty = tempfile::tempdir().unwrap();
    let path = empty.path().to_str().unwrap();
    let kafka = said("kafka", &[("PATH", path), ("JAVA_HOME", path)], cache.path());
    assert!(kafka.contains("Java 17 or newer"), "{kafka}");
}
