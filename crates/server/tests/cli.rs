//! The command line as scripts see it: exit codes, standard output and standard error.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const GOOD: &str = r#"{"context":{"specversion":"0.5.0","id":"1","source":"/t","timestamp":"2026-01-01T00:00:00Z","type":"dev.cdeventsx.milepost-team.registered.0.1.0"},"customData":{"team":"shop","actor":"alice"}}"#;

fn milepost(arguments: &[&str], input: &str) -> Output {
    milepost_in(&[], arguments, input)
}

/// With these variables, and none of those that tests are run with.
fn milepost_in(variables: &[(&str, &str)], arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_milepost"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MILEPOST_")) {
        command.env_remove(name);
    }
    let mut child = command
        .envs(variables.iter().copied())
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
        (
            &["serve", "--data", data, "--listen", "nonsense"],
            2,
            "milepost: flags: listen: `nonsense` is no address",
        ),
        (&["query", "nps"], 2, "give --data DIR or --server URL"),
        (&["explain", "nps"], 2, "give --data DIR or --server URL"),
        (&["query", "nps", "--server", "127.0.0.1:7171"], 2, "write http://host:port"),
        (
            &["query", "nps", "--server", "http://192.0.2.1:1", "--token", "mp_0"],
            2,
            "--server: a token is not sent over http to another machine",
        ),
        (
            &["query", "nps", "--server", "http://host:1", "--config", config],
            2,
            "cannot be used with '--config",
        ),
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

#[test]
fn check_minds_variables_that_serve_lets_be() {
    for (variable, value, told) in [
        ("MILEPOST_LISTN", "a:1", "MILEPOST_LISTN: names no setting; did you mean MILEPOST_LISTEN?"),
        ("MILEPOST_LOG", "lots", "MILEPOST_LOG: `lots` is no level: write error, warn, info or debug"),
    ] {
        let output = milepost_in(&[(variable, value)], &["check"], "");
        assert_eq!(output.status.code(), Some(2), "{variable}");
        assert!(err(&output).contains(told), "{}", err(&output));
    }
    let output = milepost_in(&[("MILEPOST_CAPABILITIES__A_B__GOLDEN_PATH", "true")], &["check"], "");
    assert_eq!(output.status.code(), Some(0));
    assert!(
        err(&output).contains("env 'MILEPOST_CAPABILITIES__A-B__GOLDEN_PATH=…' milepost"),
        "{}",
        err(&output)
    );
}

#[test]
fn questions_go_where_the_variables_say_unless_a_server_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().to_str().unwrap();
    import(directory.path(), GOOD);
    let variables = [("MILEPOST_DATA", data), ("MILEPOST_CONFIG", "no-such-file")];
    let here = milepost_in(&variables[..1], &["query", "market_share"], "");
    assert_eq!(here.status.code(), Some(0), "{}", err(&here));
    let configured = milepost_in(&variables, &["query", "market_share"], "");
    assert_eq!(configured.status.code(), Some(2));
    assert!(err(&configured).contains("no-such-file"), "{}", err(&configured));
    let there = milepost_in(&variables, &["query", "market_share", "--server", "http://127.0.0.1:1"], "");
    assert_eq!(there.status.code(), Some(1), "{}", err(&there));
    assert!(err(&there).contains("127.0.0.1:1"), "{}", err(&there));
}

#[test]
fn a_name_nobody_has_mentioned_is_told_with_those_there_are() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().to_str().unwrap();
    let teams: String = (10..22)
        .map(|n| GOOD.replace("shop", &format!("shop-{n}")).replace(r#""1""#, &format!(r#""{n}""#)) + "\n")
        .collect();
    import(directory.path(), &teams);
    for command in ["query", "explain"] {
        let output = milepost(&[command, "nps", "--team", "shop-1O", "--data", data], "");
        assert_eq!(output.status.code(), Some(0), "{}", err(&output));
        let told = out(&output);
        assert!(told.starts_with("nps: no team `shop-1O` has appeared; there are shop-1"), "{told}");
        assert!(told.ends_with(", and 2 more\n") && told.lines().count() == 1, "{told}");
        let output = milepost(&[command, "keep_rate", "--capability", "ci", "--data", data], "");
        assert_eq!(out(&output), "keep_rate: no capability `ci` has appeared, nor any other\n");
    }
    let output = milepost(&["query", "keep_rate", "--data", data], "");
    assert_eq!(out(&output), "keep_rate: nothing it could be about has appeared yet\n");
    let output = milepost(&["explain", "nps", "--data", data], "");
    let told = out(&output);
    assert!(
        told.ends_with("\n\nNo unit is behind it: it is about events of type survey_answered\n"),
        "{told}"
    );
}

#[test]
fn a_demo_that_is_kept_can_be_asked_again() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("kept");
    let output = milepost(&["demo", "--once", "--data", data.to_str().unwrap()], "");
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let config = data.join("demo.toml");
    let asked = ["query", "time_to_first_deploy", "--as-of", "2018-12-31"];
    let arguments =
        [&asked[..], &["--data", data.to_str().unwrap(), "--config", config.to_str().unwrap()]].concat();
    let told = format!("{} {}", env!("CARGO_BIN_EXE_milepost"), arguments.join(" "));
    let shown = out(&output).replace("\n  target/", &format!("\n  {}/target/", env!("CARGO_MANIFEST_DIR")));
    assert!(shown.contains(&told), "{told}\n{shown}");
    let again = milepost(&arguments, "");
    assert!(out(&again).contains("deployed 35"), "{}", out(&again));
}

#[test]
fn a_backup_is_restored_with_the_key_of_the_persons() {
    let directory = tempfile::tempdir().unwrap();
    let [data, file, without, other, third] = ["data", "whole.backup", "without.backup", "other", "third"]
        .map(|name| directory.path().join(name).display().to_string());
    assert_eq!(import(Path::new(&data), GOOD).status.code(), Some(0));
    let backup = milepost(&["backup", "--data", &data, "--to", &file], "");
    assert_eq!(backup.status.code(), Some(0), "{}", err(&backup));
    assert!(out(&backup).contains(": 1 events and 0 refusals, "), "{}", out(&backup));
    assert!(out(&backup).ends_with("verified, with the key of the persons\n"), "{}", out(&backup));
    let restore = milepost(&["restore", "--from", &file, "--data", &other], "");
    assert_eq!((restore.status.code(), err(&restore)), (Some(0), ""));
    let key = |data: &str| std::fs::read_to_string(Path::new(data).join("person.key")).unwrap();
    assert_eq!(key(&data), key(&other));
    // The same person, the same event.
    assert_eq!(
        out(&import(Path::new(&other), GOOD)),
        "{\"read\":1,\"stored\":0,\"duplicate\":1,\"refused\":0}\n"
    );

    let backup = milepost(&["backup", "--data", &data, "--to", &without, "--without-key"], "");
    assert_eq!(backup.status.code(), Some(0), "{}", err(&backup));
    let bytes = std::fs::read(&without).unwrap();
    let key = key(&data);
    assert!(!bytes.windows(64).any(|window| window == key.trim().as_bytes()));
    let restore = milepost(&["restore", "--from", &without, "--data", &third], "");
    assert_eq!(restore.status.code(), Some(0));
    assert!(err(&restore).contains("put person.key into"), "{}", err(&restore));

    for (arguments, said) in [
        (&["backup", "--data", &data, "--to", &file][..], "exists: give the backup another name"),
        (&["backup", "--data", &third, "--to", "x.backup"], "--without-key"),
        (&["restore", "--from", &file, "--data", &data], "is not empty"),
        (&["restore", "--from", "no-such-file", "--data", &data], "no-such-file"),
    ] {
        let output = milepost(arguments, "");
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(err(&output).contains(said), "{arguments:?}: {}", err(&output));
    }
}

#[test]
fn the_doctor_says_what_is_wrong_and_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().display().to_string();
    assert_eq!(import(directory.path(), GOOD).status.code(), Some(0));
    let sound = milepost(&["doctor", "--data", &data], "");
    assert_eq!(sound.status.code(), Some(0), "{}", err(&sound));
    assert!(
        out(&sound).starts_with("events      1 (0 of them")
            && out(&sound).ends_with("\nnothing is damaged\n"),
        "{}",
        out(&sound)
    );
    assert_eq!(err(&sound), "");

    std::fs::write(directory.path().join("person.key"), "half a ke").unwrap();
    let damaged = milepost(&["doctor", "--data", &data, "--format", "json"], "");
    assert_eq!(damaged.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_str(out(&damaged)).unwrap();
    assert_eq!(report["events"], 1);
    assert_eq!(report["findings"][0]["severity"], "damage");
    assert!(report["findings"][0]["what"].as_str().unwrap().contains("person.key: not a key"), "{report}");
    let nowhere = milepost(&["doctor", "--data", "no-such-directory"], "");
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(err(&nowhere).contains("holds no data of milepost"), "{}", err(&nowhere));
}

#[test]
fn refused_events_are_tried_again_once_the_cause_is_mended() {
    let directory = tempfile::tempdir().unwrap();
    let (data, strict) = (directory.path().join("data"), directory.path().join("strict.toml"));
    std::fs::write(&strict, "[limits]\nname_bytes = 6").unwrap();
    let (data, strict) = (data.to_str().unwrap(), strict.to_str().unwrap());
    let long = GOOD.replace("shop", "a long name");
    let imported =
        milepost(&["import", "--data", data, "--config", strict, "-"], &format!("{long}\nnonsense"));
    assert_eq!(imported.status.code(), Some(3), "{}", err(&imported));
    let retry = |more: &[&str]| milepost(&[&["quarantine", "retry", "--data", data], more].concat(), "");

    let again = retry(&["--config", strict, "--reason", "too_long"]);
    assert_eq!(again.status.code(), Some(3), "{}", err(&again));
    assert_eq!(out(&again), "1 tried: 0 stored, 0 duplicate, 1 refused again\n  too_long: 1\n");
    let dry = retry(&["--dry-run", "--format", "json"]);
    let expected = r#"{"dry_run":true,"duplicate":0,"forbidden":0,"reasons":{"malformed":1},"refused":1,"stored":1,"tried":2}"#;
    assert_eq!((dry.status.code(), out(&dry).trim_end()), (Some(3), expected), "{}", err(&dry));
    let one = retry(&["--id", "1", "7"]);
    assert_eq!(one.status.code(), Some(0), "{}", err(&one));
    assert_eq!(out(&one), "1 tried: 1 stored, 0 duplicate, 0 refused again\n");
    assert_eq!(err(&one), "milepost: 1 of the numbers are not in the quarantine\n");
    let list = milepost(&["quarantine", "list", "--format", "json", "--data", data], "");
    assert_eq!(out(&list).lines().count(), 1);
    assert!(out(&import(Path::new(data), &long)).contains(r#""duplicate":1"#));

    for (arguments, code, said) in [
        (&["quarantine", "retry", "--reason", "none"][..], 2, "too_many_names"),
        (
            &["quarantine", "retry", "--data", data, "--server", "http://127.0.0.1:1"],
            2,
            "cannot be used with",
        ),
        (&["quarantine", "list", "--data", data, "--server", "http://127.0.0.1:1"], 2, "cannot be used with"),
        (&["quarantine", "list", "--server", "127.0.0.1:1"], 2, "write http://host:port"),
        (&["quarantine", "list", "--server", "http://127.0.0.1:1"], 1, "127.0.0.1:1/v1/quarantine"),
        (&["quarantine", "retry", "--server", "127.0.0.1:1"], 2, "write http://host:port"),
        (&["quarantine", "retry", "--server", "http://127.0.0.1:1"], 1, "127.0.0.1:1"),
        (&["quarantine", "retry", "--data", "no-such-directory"], 1, "no-such-directory"),
    ] {
        let output = milepost(arguments, "");
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", err(&output));
        assert!(err(&output).contains(said), "{arguments:?}: {}", err(&output));
    }
    assert!(!Path::new("no-such-directory").exists());
}

#[test]
fn a_key_is_rotated_and_whoever_sends_again_is_known() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().to_str().unwrap();
    import(directory.path(), GOOD);
    let rotated = milepost(&["key", "rotate", "--data", data], "");
    assert_eq!(rotated.status.code(), Some(0), "{}", err(&rotated));
    assert!(out(&rotated).ends_with(
        "1 events and 0 refusals have other pseudonyms, verified; person.key has 2 keys now: back them up\n"
    ));
    assert!(out(&import(directory.path(), GOOD)).contains(r#""duplicate":1"#));
    let doctor = milepost(&["doctor", "--data", data], "");
    assert_eq!(doctor.status.code(), Some(0), "{}", out(&doctor));

    let backup = directory.path().join("backup");
    let backup = backup.to_str().unwrap();
    let backed_up = milepost(&["backup", "--data", data, "--to", backup], "");
    assert_eq!(backed_up.status.code(), Some(0), "{}", err(&backed_up));
    let restored = directory.path().join("restored");
    let output = milepost(&["restore", "--from", backup, "--data", restored.to_str().unwrap()], "");
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert!(out(&import(&restored, GOOD)).contains(r#""duplicate":1"#));

    // With the first key alone nobody would be known any more.
    let keys = std::fs::read_to_string(directory.path().join("person.key")).unwrap();
    let first = keys.lines().next().unwrap();
    std::fs::write(directory.path().join("person.key"), first).unwrap();
    let output = import(directory.path(), GOOD);
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("1 of the 2 keys are there"), "{}", err(&output));
    let doctor = milepost(&["doctor", "--data", data], "");
    assert_eq!(doctor.status.code(), Some(1));
    assert!(out(&doctor).contains("1 of the 2 keys"), "{}", out(&doctor));

    let configured = milepost_in(&[("MILEPOST_PRIVACY__KEY", first)], &["key", "rotate", "--data", data], "");
    assert_eq!(configured.status.code(), Some(2));
    assert!(err(&configured).contains("privacy.key"), "{}", err(&configured));
    let served = milepost(&["key", "rotate", "--server", "http://127.0.0.1:1"], "");
    assert_eq!(served.status.code(), Some(2));
    assert!(err(&served).contains("stop it"), "{}", err(&served));
}

/// **F31**, of the key: one digit of it, and everybody would be somebody else.
#[test]
fn f31_with_another_key_nothing_starts() {
    let directory = tempfile::tempdir().unwrap();
    let [data, key, backup] = ["data", "data/person.key", "backup"].map(|name| directory.path().join(name));
    assert_eq!(import(&data, GOOD).status.code(), Some(0));
    let right = std::fs::read_to_string(&key).unwrap();
    let wrong = right.replacen(&right[9..10], if &right[9..10] == "0" { "1" } else { "0" }, 1);
    std::fs::write(&key, &wrong).unwrap();
    let [data, backup] = [&data, &backup].map(|path| path.to_str().unwrap());
    for arguments in [
        &["import", "--data", data, "-"][..],
        &["backup", "--data", data, "--to", backup],
        &["doctor", "--data", data],
        &["key", "rotate", "--data", data],
    ] {
        let output = milepost(arguments, "");
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let said = format!("{}{}", out(&output), err(&output));
        assert!(said.contains("person.key") && said.contains("put"), "{arguments:?}: {said}");
        assert!(
            said.contains("not the key that the pseudonyms in the data directory are made with"),
            "{said}"
        );
    }
    assert_eq!(std::fs::read_to_string(&key).unwrap(), wrong);
    assert!(!Path::new(backup).exists());
    // Nor is another one made where it is gone.
    std::fs::remove_file(&key).unwrap();
    let without = milepost(&["import", "--data", data, "-"], GOOD);
    assert_eq!(without.status.code(), Some(1));
    assert!(err(&without).contains("0 of the 1 keys are there"), "{}", err(&without));
    assert!(!key.exists());
    // One that is configured is held to the same.
    let configured =
        milepost_in(&[("MILEPOST_PRIVACY__KEY", wrong.trim())], &["import", "--data", data, "-"], GOOD);
    assert_eq!(configured.status.code(), Some(1));
    assert!(err(&configured).contains("privacy.key: not the key"), "{}", err(&configured));
    std::fs::write(&key, right).unwrap();
    assert!(out(&import(Path::new(data), GOOD)).contains(r#""duplicate":1"#));
}
