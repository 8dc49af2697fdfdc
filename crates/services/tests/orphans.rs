//! A service goes with the process that started it, even when that is killed; unless it is to stay until it is stopped.

use std::process::{Command, Stdio};

use milepost_services::{Kind, Lifetime, Place, clickhouse};

/// Tells the copy of this program that it is the one to be killed, and where to start a service.
const DIRECTORY: &str = "MILEPOST_ORPHAN_DIRECTORY";

/// Not a test by itself: the next one runs it in a process of its own, which it kills.
#[test]
fn starts_two_and_is_killed() {
    let Some(directory) = std::env::var_os(DIRECTORY).map(std::path::PathBuf::from) else { return };
    let start = |name: &str, lifetime| {
        let options = clickhouse::Options { lifetime, ..Default::default() };
        clickhouse::start(&directory.join(name), &options).unwrap()
    };
    let _services = [start("stays", Lifetime::UntilStopped), start("goes", Lifetime::WithUs)];
    std::process::abort();
}

#[test]
fn nothing_is_left_of_a_killed_test() {
    let directory = tempfile::tempdir().unwrap();
    let mut copy = Command::new(std::env::current_exe().unwrap());
    copy.args(["--exact", "starts_two_and_is_killed"]).env(DIRECTORY, directory.path());
    let status = copy.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    assert!(!status.success());

    let place = |name: &str| Place::new(Kind::ClickHouse, directory.path().join(name));
    assert!(place("goes").address().is_some(), "it did start");
    let begun = std::time::Instant::now();
    while place("goes").pid().is_some() {
        assert!(begun.elapsed().as_secs() < 60, "it outlives the process that started it");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(place("stays").answers());
    assert!(place("stays").stop().unwrap());
    assert!(!place("stays").stop().unwrap(), "stopping twice is as good as once");
}
