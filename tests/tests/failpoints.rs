//! The real binary, ended by a crash at every place where something becomes durable: rows F1, F2 and F33 of docs/faults.md.
//!
//! Whatever was done when it was ended, one start more is enough, and once its sender has sent again what was not
//! answered, the installation is equal to one that was never ended.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::sync::OnceLock;

use milepost_model::EventKey;
use milepost_store::failpoint::PLACES;
use milepost_tests::served::post;
use milepost_tests::state::State;
use milepost_tests::{Installation, Served, binary, events, eventually};
use rusqlite::Connection;

/// So that persons are known by the same pseudonyms everywhere.
const CONFIG: &str =
    "[privacy]\nkey = \"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\"\n";
/// So few that runs of identities are written, merged and deleted by a short history.
const SMALL_RUNS: &str = "identity.tail=8";
const SIGABRT: i32 = 6;
const BATCH: usize = 12;

/// Between the commit and the ack.
const UNANSWERED: &[&str] = &["store.committed", "keeper.committed", "keeper.applied"];
/// All the others that a server passes while it takes events.
const SERVING: &[&str] = &[
    "keeper.taken",
    "store.begun",
    "store.inserted",
    "store.refused",
    "keeper.acked",
    "identity.written",
    "identity.renamed",
    "identity.synced",
    "identity.registered",
    "identity.deleted",
];
/// Those that a server passes before it listens.
const STARTING: &[&str] = &[
    "open.locked",
    "open.created",
    "open.configured",
    "migration.applied",
    "migration.committed",
    "identity.swept",
    "identity.rebuilt",
    "key.written",
    "key.renamed",
];
const BACKING_UP: &[&str] =
    &["backup.begun", "backup.copied", "backup.verified", "put.synced", "put.renamed"];
const RETAINING: &[&str] = &["retention.dropped", "retention.committed"];
const RESTORING: &[&str] = &["restore.copied", "restore.kept", "put.synced", "put.renamed"];

#[test]
fn every_place_is_in_a_test() {
    let mut tested: Vec<&str> = [UNANSWERED, SERVING, STARTING, RETAINING, BACKING_UP, RESTORING].concat();
    tested.sort_unstable();
    tested.dedup();
    let mut all = PLACES.to_vec();
    all.sort_unstable();
    assert_eq!(tested, all);
}

struct History {
    batches: Vec<Vec<String>>,
    /// The last day that has ended.
    day: String,
    /// Of an installation that was never ended.
    whole: State,
}

fn history() -> &'static History {
    static HISTORY: OnceLock<History> = OnceLock::new();
    HISTORY.get_or_init(|| {
        let now = events::now();
        let lines = events::lines(&events::troubled_history(now));
        let batches: Vec<_> = lines.chunks(BATCH).map(<[String]>::to_vec).collect();
        let day = events::ago(now, 1, 0).to_string()[..10].to_owned();
        let installation = Installation::new(CONFIG);
        let served = installation.serve();
        batches.iter().for_each(|batch| assert!(sent(&served, batch)));
        let whole = State::of(&installation, &served, &day);
        assert!(whole.superseded > 10 && whole.refused.len() == 6);
        History { batches, day, whole }
    })
}

/// Sends a batch; whether it was answered.
fn sent(served: &Served, batch: &[String]) -> bool {
    let body = batch.join("\n");
    match post(&served.url(), &[("content-type", "application/x-ndjson")], body.as_bytes()) {
        Ok(reply) => {
            assert!([200, 422].contains(&reply.status), "{reply:?}");
            true
        }
        Err(_) => false,
    }
}

fn aborted(status: ExitStatus) {
    assert_eq!(status.signal(), Some(SIGABRT), "it ends where it was told to: {status:?}");
}

/// Events that no answer depends on: what is taken back never was.
fn without_effect(number: usize) -> Vec<String> {
    let retracted = format!("{}event.retracted", events::MILEPOST);
    let one = |n: usize| {
        let id = format!("never-{number}-{n}");
        let at = events::ago(events::now(), 2, 0);
        events::event(&retracted, &id, at, &id, serde_json::json!({}), serde_json::json!({}))
    };
    events::lines(&(0..BATCH).map(one).collect::<Vec<_>>())
}

/// Sends the whole history to a server that is ended at a place on the way, and then the rest to one that is not.
fn ended_at(place: &str, time: usize) {
    let history = history();
    let installation = Installation::new(CONFIG);
    let mut served = installation
        .serve_failing(&format!("{SMALL_RUNS};{place}=abort@{time}"))
        .unwrap_or_else(|ended| panic!("{place}: {ended:?}"));
    let mut answered = 0;
    while answered < history.batches.len() && sent(&served, &history.batches[answered]) {
        answered += 1;
    }
    // Runs are written beside all this, as fast as the machine is: there are events until enough of them are.
    let mut more = Vec::new();
    eventually("the server ends", || {
        more.push(without_effect(more.len()));
        (!sent(&served, more.last()?)).then_some(())
    });
    aborted(served.wait());
    assert!(served.log().contains(&format!("failpoint {place}: abort")), "{}", served.log());

    let again = installation.serve_failing(SMALL_RUNS).unwrap_or_else(|ended| panic!("{place}: {ended:?}"));
    for batch in history.batches[answered..].iter().chain(&more) {
        assert!(sent(&again, batch));
    }
    let mut state = State::of(&installation, &again, &history.day);
    state.versions -= more.concat().len() as u64;
    state.check(&history.whole, &format!("{place}, the {time}. time"));
    all_known(&again);
}

/// Sent again, every event is known.
fn all_known(served: &Served) {
    for batch in &history().batches {
        let reply = served.post("application/x-ndjson", batch.join("\n"));
        assert_eq!(reply.json()["stored"], 0, "{reply:?}");
    }
}

/// **F1.** Ended between the commit and the ack, with its client sending again: equal to a run without a fault, and every
/// event is there once.
#[test]
fn f01_ended_between_commit_and_ack() {
    for place in UNANSWERED {
        for time in [1, 4] {
            ended_at(place, time);
        }
    }
}

/// **F2.** Ended at every step around a commit, and at every step of the files beside the database: every acked event is
/// there after one start, and once all was sent, the state is equal.
#[test]
fn f02_ended_at_every_step_of_keeping() {
    for place in SERVING {
        for time in [1, 3] {
            ended_at(place, time);
        }
    }
}

/// **F33**, retention: ended before and after contents are dropped, at the first and the third step; the next start goes on, drops the
/// rest, and the state is equal.
#[test]
fn f33_ended_while_retention_drops() {
    let history = history();
    let installation = Installation::new(CONFIG);
    let mut served = installation.serve();
    history.batches.iter().for_each(|batch| assert!(sent(&served, batch)));
    served.terminate();
    assert!(served.wait().success());
    let serve = |days: u32, failpoints: &str| {
        let mut command = binary::command();
        command.env("MILEPOST_RETENTION__DAYS", days.to_string()).env("FAILPOINTS", failpoints);
        installation.serve_by(command)
    };
    let times = RETAINING.iter().flat_map(|place| [(place, 1), (place, 3)]);
    let mut dropped = 0;
    for ((place, time), days) in times.zip([110, 80, 50, 20]) {
        // Before it listens, or after.
        let status = match serve(days, &format!("retention.versions=3;{place}=abort@{time}")) {
            Ok(mut served) => served.wait(),
            Err(ended) => ended.status,
        };
        aborted(status);
        let again = serve(days, "").unwrap_or_else(|ended| panic!("{place}: {ended:?}"));
        let horizon = eventually("all is dropped", || {
            milepost_tests::state::examine(&installation).horizon.filter(|horizon| horizon.finished)
        });
        assert!(horizon.dropped > dropped, "{place}: {horizon:?}");
        dropped = horizon.dropped;
        let state = State::of(&installation, &again, &history.day);
        state.check(&history.whole, &format!("{place}, the {time}. time"));
        all_known(&again);
    }
}

/// Ends one start after the other at a place, three times, and then starts once more without.
fn started_after_three_ends(
    installation: &Installation,
    place: &str,
    prepare: impl Fn(&Installation),
) -> Served {
    for _ in 0..3 {
        prepare(installation);
        match installation.serve_failing(&format!("{SMALL_RUNS};{place}=abort@1")) {
            Ok(_) => panic!("{place} is passed before it listens"),
            Err(ended) => aborted(ended.status),
        }
    }
    installation
        .serve_failing(SMALL_RUNS)
        .unwrap_or_else(|ended| panic!("{place}: one start is enough: {ended:?}"))
}

/// An installation with the whole history, ended.
fn filled(config: &str) -> Installation {
    let installation = Installation::new(config);
    let mut served = installation.serve_failing(SMALL_RUNS).expect("it starts");
    history().batches.iter().for_each(|batch| assert!(sent(&served, batch)));
    served.terminate();
    assert!(served.wait().success());
    installation
}

/// **F33.** Ended while the directory is made, the database created, its format brought up to date, a key made, a run of
/// identities swapped: it starts within one start more, from every place and also after three such ends in a row.
#[test]
fn f33_ended_while_starting() {
    let history = history();
    for place in STARTING {
        // A new directory, in which everything is made for the first time, and one with a history.
        let makes_runs = place.starts_with("identity.");
        if !makes_runs {
            let config = if place.starts_with("key.") { "" } else { CONFIG };
            let installation = Installation::new(config);
            // What each of the ended starts has got done is not done again: so the migrations are ended only once.
            let once = place.starts_with("migration.committed") || *place == "key.renamed";
            let served = if once {
                let ended =
                    installation.serve_failing(&format!("{place}=abort@1")).map(drop).expect_err(place);
                aborted(ended.status);
                installation.serve()
            } else {
                started_after_three_ends(&installation, place, |_| ())
            };
            history.batches.iter().for_each(|batch| assert!(sent(&served, batch)));
            let state = State::of(&installation, &served, &history.day);
            if config.is_empty() {
                // By another key persons are others, and so is what wins of two versions of one revision.
                assert_eq!(state.versions, history.whole.versions, "{place}");
            } else {
                state.check(&history.whole, place);
            }
        }
        if !place.starts_with("migration.") && !place.starts_with("key.") {
            let installation = filled(CONFIG);
            let served = started_after_three_ends(&installation, place, spoil_runs);
            State::of(&installation, &served, &history.day).check(&history.whole, place);
            all_known(&served);
        }
    }
}

/// Leaves a file behind that nobody registered, and takes one away that somebody did.
fn spoil_runs(installation: &Installation) {
    let runs = installation.data().join("identity");
    std::fs::write(runs.join("00099999.new"), "half a run").expect("it can be written");
    let database = database(installation);
    let registered = database
        .query_row("SELECT min(number) FROM identity_run", [], |row| row.get::<_, Option<i64>>(0))
        .expect("there is the table");
    if let Some(number) = registered {
        // An ended start may have taken it already.
        drop(std::fs::remove_file(runs.join(format!("{number:08}.run"))));
    } else {
        // An ended start made do without the only one: then another was lost.
        let lost = "INSERT INTO identity_run (number, first_seq, last_seq, checksum) VALUES (99998, 1, 1, 0)";
        database.execute(lost, []).expect("it can be registered");
    }
}

fn database(installation: &Installation) -> Connection {
    Connection::open(installation.data().join("milepost.db")).expect("the database opens")
}

/// **F33**, of migrations: data of the first format, ended while it is brought to the newest, before and after the commit of
/// every migration.
#[test]
fn f33_ended_while_upgrading() {
    let history = history();
    for place in ["migration.applied", "migration.committed"] {
        let installation = filled(CONFIG);
        make_format_1(&installation);
        let ended = installation.serve_failing(&format!("{place}=abort@1")).map(drop).expect_err(place);
        aborted(ended.status);
        let served = installation.serve();
        State::of(&installation, &served, &history.day).check(&history.whole, place);
        all_known(&served);
    }
}

/// Puts the events of an installation into a database as the first binary wrote it.
fn make_format_1(installation: &Installation) {
    let newest = installation.data().join("newest.db");
    let database = installation.data().join("milepost.db");
    for end in ["-wal", "-shm"] {
        let with = |path: &std::path::Path| format!("{}{end}", path.display());
        if std::path::Path::new(&with(&database)).exists() {
            std::fs::rename(with(&database), with(&newest)).expect("it can be renamed");
        }
    }
    std::fs::rename(&database, &newest).expect("it can be renamed");
    std::fs::remove_dir_all(installation.data().join("identity")).expect("there are runs");
    let old = Connection::open(&database).expect("it can be made");
    let newest = newest.to_str().expect("temporary paths are UTF-8");
    old.execute_batch(&format!(
        "{}
         PRAGMA application_id = 0x6d696c65; PRAGMA user_version = 1; PRAGMA journal_mode = wal;
         ATTACH '{newest}' AS newest;
         INSERT INTO event SELECT seq, received_at, source, id, revision, content FROM newest.event;
         INSERT INTO superseded SELECT seq FROM newest.superseded;
         INSERT INTO quarantine SELECT number, at, door, reason, field, message, source, event_id, payload_format, payload
                                FROM newest.quarantine;",
        include_str!("../../crates/store/src/sqlite/migrations/0001_events.sql"),
    ))
    .expect("it can be filled");
    let mut events = old.prepare("SELECT seq, source, id FROM event").expect("there are events");
    let events =
        events.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).expect("they can be read");
    for event in events {
        let (seq, source, id): (i64, String, String) = event.expect("they can be read");
        let key = EventKey::of(&source, &id).0.cast_signed();
        old.execute("INSERT INTO identity VALUES (?1, ?2)", [key, seq]).expect("it can be noted");
    }
}

/// **F33**, of backups: ended at every step of a backup and of restoring it, nothing of the data is touched, a file of the
/// name that was asked for is whole, and the same command works when it is given again.
#[test]
fn f33_ended_while_backing_up_and_restoring() {
    let history = history();
    let installation = filled("");
    let whole = State::of(&installation, &installation.serve(), &history.day);
    for place in BACKING_UP {
        let file = installation.data().with_file_name(format!("{place}.backup"));
        let to = file.to_str().expect("temporary paths are UTF-8");
        let data = installation.data();
        let data = data.to_str().expect("temporary paths are UTF-8");
        let backup = |failpoints: &str| {
            let mut command = binary::command();
            command
                .env("FAILPOINTS", failpoints)
                .args(["backup", "--data", data, "--to", to])
                .output()
                .expect("it runs")
        };
        aborted(backup(&format!("{place}=abort")).status);
        assert_eq!(file.exists(), *place == "put.renamed", "{place}");
        if !file.exists() {
            assert!(backup("").status.success());
        }
        let restored = Installation::new("");
        restore(&file, &restored, "").expect("what has the name is whole");
        State::of(&restored, &restored.serve(), &history.day).check(&whole, place);
    }

    let file = installation.data().with_file_name("put.synced.backup");
    for place in RESTORING {
        let other = Installation::new("");
        aborted(restore(&file, &other, &format!("{place}=abort")).expect_err(place));
        let is_whole = other.data().join("milepost.db").exists();
        assert_eq!(is_whole, *place == "put.renamed", "{place}");
        if !is_whole {
            // It says that the directory is not empty; nothing in there is worth anything.
            std::fs::remove_dir_all(other.data()).expect("it can be removed");
            restore(&file, &other, "").expect("it works the second time");
        }
        let served = other.serve();
        State::of(&other, &served, &history.day).check(&whole, place);
        all_known(&served);
    }
}

fn restore(file: &std::path::Path, into: &Installation, failpoints: &str) -> Result<(), ExitStatus> {
    let mut command = binary::command();
    let command = command.env("FAILPOINTS", failpoints).arg("restore").arg("--from").arg(file);
    let status = command.arg("--data").arg(into.data()).output().expect("it runs").status;
    if status.success() { Ok(()) } else { Err(status) }
}
