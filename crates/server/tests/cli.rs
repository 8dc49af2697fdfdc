//! The command line as scripts see it: exit codes, standard output and standard error.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const GOOD: &str = r#"{"context":{"specversion":"0.5.0","id":"1","source":"/t","timestamp":"2026-01-01T00:00:00Z","type":"dev.cdeventsx.milepost-team.registered.0.1.0"},"customData":{"team":"shop","actor":"alice"}}"#;

fn milepost(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_milepost"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Who refuses its arguments reads no input.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn out(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn err(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

fn import(data: &Path, input: &str) -> Output {
    milepost(&["import", "--data", data.to_str().unwrap(), "--format", "json", "-"], input)
}

#[test]
fn an_import_says_what_became_of_every_event() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let first = import(&data, GOOD);
    assert_eq!(first.status.code(), Some(0), "{}", err(&first));
    assert_eq!(out(&first), "{\"read\":1,\"stored\":1,\"duplicate\":0,\"refused\":0}\n");
    assert_eq!(err(&first), "");

    let future = GOOD.replace("2026", "9026").replace("shop", "alice").replace(r#""1""#, r#""2""#);
    let second = import(&data, &format!("{GOOD}\n\nnonsense\n{future}"));
    assert_eq!(second.status.code(), Some(3));
    assert_eq!(out(&second), "{\"read\":3,\"stored\":0,\"duplicate\":1,\"refused\":2}\n");
    let told: Vec<_> = err(&second).lines().collect();
    assert!(told[0].starts_with("standard input:3: not a JSON text"), "{told:?}");
    assert!(told[1].starts_with("standard input:4: context.timestamp: "), "{told:?}");

    let list = milepost(&["quarantine", "list", "--format", "json", "--data", data.to_str().unwrap()], "");
    let reasons: Vec<_> = out(&list)
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["reason"].clone())
        .collect();
    assert_eq!(reasons, ["future", "malformed"]);
    assert!(!out(&list).contains(r#""actor":"alice""#));
}

#[test]
fn many_refusals_are_told_up_to_a_number() {
    let directory = tempfile::tempdir().unwrap();
    let output = import(directory.path(), &"nonsense\n".repeat(50));
    assert_eq!(err(&output).lines().count(), 21);
    assert!(
        err(&output).ends_with("… and 30 more refused: see `milepost quarantine list`\n"),
        "{}",
        err(&output)
    );
}

#[test]
fn what_cannot_be_done_is_said_in_a_line() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().to_str().unwrap();
    let config = directory.path().join("wrong.toml");
    std::fs::write(&config, "listne = 'x'").unwrap();
    let config = config.to_str().unwrap();
    for (arguments, code, said) in [
        (&["import", "--data", data, "no-such-file"][..], 1, "milepost: no-such-file: "),
        (&["import", "no-such-file"], 2, "--data"),
        (&["import", "--server", "localhost:7171", "-"], 2, "write http://localhost:7171"),
        (&["import", "--server", "http://127.0.0.1:1", "-"], 1, "127.0.0.1:1"),
        (&["serve", "--data", data, "--listen", "nonsense"], 1, "milepost: cannot listen at nonsense: "),
        (&["serve", "--data", data, "--config", config], 2, "listne: unknown key; did you mean `listen`?"),
        (&["check", "--config", config], 2, "listne: unknown key; did you mean `listen`?"),
        (&["check", "--config", "no-such-file"], 2, "milepost: no-such-file: "),
        (&["quarantine", "list", "--data", "no-such-directory"], 1, "no-such-directory"),
    ] {
        let output = milepost(arguments, GOOD);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", err(&output));
        assert!(err(&output).contains(said), "{arguments:?}: {}", err(&output));
    }
}

#[test]
fn an_import_that_failed_does_not_wait_for_more_input() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_milepost"))
        .args(["import", "--server", "http://127.0.0.1:1", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut open = child.stdin.take().unwrap();
    // More than a batch. The rest may meet a closed pipe: the import may have failed by then.
    let _ = open.write_all(format!("{GOOD}\n").repeat(3_000).as_bytes());
    assert_eq!(child.wait().unwrap().code(), Some(1));
    drop(open);
}

#[test]
fn a_right_configuration_has_a_digest() {
    let output = milepost(&["check"], "");
    assert_eq!(output.status.code(), Some(0));
    let digest = out(&output).strip_prefix("config digest ").unwrap().trim_end();
    assert_eq!(digest, milepost_model::Config::default().digest());
}
