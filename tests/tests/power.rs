//! Row F3 of docs/faults.md: power cuts. The real binary is watched while it takes events, is killed, starts again, is asked
//! to end and is backed up; then the power is cut at moments of that, and what a disk that forgets would have left is opened.
//!
//! `MILEPOST_POINTS` says how often (700), `MILEPOST_SEED` with which chance.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;

use milepost_ingest::Pseudonymizer;
use milepost_model::{Sealed, Timestamp};
use milepost_store::sqlite::{self, Options, Severity, Sqlite};
use milepost_store::{Appended, Store as _};
use milepost_tests::disk::trace::{self, Event};
use milepost_tests::disk::{self, Dice, Disk};
use milepost_tests::{Installation, binary, events};

/// So few that runs are made and merged, and so few pages that the WAL is written back again and again.
const SMALL: &str = "identity.tail=32;wal.pages=40";
const CLIENTS: usize = 3;
const BATCHES: usize = 30;

fn set(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().map_or(default, |text| text.parse().expect("a number"))
}

/// What a client sends in one request, and by what it is known again.
#[derive(Debug, Clone)]
struct Batch {
    /// Of the client that sent it, and which of its requests it was.
    port: u16,
    nth: usize,
    lines: Vec<String>,
    /// Id and revision of each of its events, and each as the store is given it.
    versions: Vec<(String, i64)>,
    sealed: Vec<Sealed>,
}

impl Batch {
    /// Works out what its lines become, once the key of the persons is known.
    fn seal(&mut self, key: &str) {
        let byte = |at: usize| u8::from_str_radix(&key[2 * at..2 * at + 2], 16).expect("a key in hex");
        let persons = Pseudonymizer::new(&std::array::from_fn(byte));
        for line in &self.lines {
            let mut event = milepost_wire::json::decode(line.as_bytes()).expect("it was taken");
            persons.apply(&mut event);
            self.versions.push((event.id.id.clone(), event.revision as i64));
            self.sealed.push(Sealed::new(event));
        }
    }
}

/// Sends batches over one connection, each after the answer to the one before, until all are answered or it is cut.
fn client(address: SocketAddr, name: &str) -> Vec<Batch> {
    let mut connection = TcpStream::connect(address).expect("it listens");
    let port = connection.local_addr().expect("it has one").port();
    let mut answers = BufReader::new(connection.try_clone().expect("it can be read beside"));
    let mut sent = Vec::new();
    for nth in 0..BATCHES {
        let lines = events::lines(&batch(name, nth));
        let body = lines.join("\n");
        sent.push(Batch { port, nth, lines, versions: Vec::new(), sealed: Vec::new() });
        let head = format!(
            "POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-ndjson\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        if connection.write_all((head + &body).as_bytes()).is_err() || answer(&mut answers).is_none() {
            break;
        }
    }
    sent
}

/// New events of persons, and a correction of an earlier one.
fn batch(name: &str, nth: usize) -> Vec<serde_json::Value> {
    let now = events::now();
    let used = |id: String| {
        let mut used = events::used(&id, events::ago(now, 1, 0), "team");
        used["customData"]["note"] = "x".repeat(nth * 37 % 900).into();
        used
    };
    let mut events: Vec<_> = (0..=nth % 5).map(|n| used(format!("{name}-{nth}-{n}"))).collect();
    if nth % 3 == 2 {
        let mut corrected = used(format!("{name}-{}-0", nth - 1));
        corrected["customData"]["revision"] = 1.into();
        events.push(corrected);
    }
    events
}

fn answer(connection: &mut impl std::io::BufRead) -> Option<()> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if connection.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    connection.read_exact(&mut body).ok()
}

/// What happened, in the order in which it did; the end of a process is `None`.
struct Recorded {
    root: PathBuf,
    events: Vec<Option<Event>>,
    batches: Vec<Batch>,
    /// From here on the backup has to be whole.
    backed_up: usize,
    /// The file of the key of the persons.
    key: String,
    _installation: Installation,
}

fn record() -> Recorded {
    let installation = Installation::new("");
    let root = installation.data().parent().expect("it is in one").to_owned();
    let (mut happened, mut batches) = (Vec::new(), Vec::new());
    for phase in 0..3 {
        let file = root.with_extension(format!("trace-{phase}"));
        let mut command = trace::traced(binary::path(), &file);
        let mut served = installation
            .serve_by({
                command.env("FAILPOINTS", SMALL);
                command
            })
            .expect("it starts under strace: install strace, and let processes be traced");
        let sent: Vec<Batch> = thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|n| {
                    let address = served.address();
                    scope.spawn(move || client(address, &format!("{phase}-{n}")))
                })
                .collect();
            clients.into_iter().flat_map(|client| client.join().expect("it sends")).collect()
        });
        batches.extend(sent);
        if phase == 1 {
            served.terminate();
            assert!(served.wait().success());
        } else {
            served.kill();
        }
        take(&file, &root, &mut happened);
    }
    let file = root.with_extension("trace-backup");
    let mut backup = trace::traced(binary::path(), &file);
    backup.arg("backup").arg("--data").arg(installation.data()).arg("--to").arg(root.join("backup"));
    let output = backup.output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    take(&file, &root, &mut happened);
    let backed_up = happened.len();
    let key = std::fs::read_to_string(installation.data().join("person.key")).expect("there is a key");
    batches.iter_mut().for_each(|batch| batch.seal(&key));
    Recorded { root, events: happened, batches, backed_up, key, _installation: installation }
}

fn take(file: &Path, root: &Path, happened: &mut Vec<Option<Event>>) {
    let text = std::fs::read_to_string(file).expect("strace has written it");
    std::fs::remove_file(file).expect("it can be removed");
    happened.extend(trace::read(&text, root).into_iter().map(Some));
    happened.push(None);
}

/// **F3.** Power loss: of what was not synced any part may be gone or torn. Every acked event is there, a batch is there whole or
/// not at all, identity and persons are as before, and the doctor finds nothing.
#[test]
fn f03_power_is_cut() {
    let (points, seed) = (set("MILEPOST_POINTS", 700) as usize, set("MILEPOST_SEED", 1));
    let states = (0..)
        .zip((0..points).step_by(RECORDED))
        .map(|(n, from)| cut_a_run(RECORDED.min(points - from), seed + n))
        .sum::<usize>();
    println!("{points} power cuts left {states} distinct states; all of them opened");
    assert!(states * 2 >= points, "the cuts differ");
}

/// Power cuts of one recorded run.
const RECORDED: usize = 1_000;

/// Records a run and cuts the power at so many of its moments. How many distinct states that left.
fn cut_a_run(points: usize, seed: u64) -> usize {
    let recorded = record();
    let syncs =
        recorded.events.iter().flatten().filter(|event| matches!(event, Event::SyncEnded { .. })).count();
    println!(
        "{} calls with {syncs} syncs, {} batches; {points} power cuts with seed {seed}",
        recorded.events.len(),
        recorded.batches.len()
    );
    let states = cut(&recorded, points, seed, |_| true).unwrap_or_else(|wrong| panic!("{wrong}"));
    // And a server that did not sync would be found out.
    let forgetful = |event: &Event| {
        let wal = |path: &Path| path.to_string_lossy().ends_with("-wal");
        !matches!(event, Event::SyncBegan { path, .. } if wal(path))
    };
    let found = cut(&recorded, 300, seed, forgetful).expect_err("syncs are needed");
    assert!(found.contains("acked, and gone") || found.contains("does not open"), "{found}");
    states
}

/// Cuts the power at so many moments. How many distinct states that left; the first that is not as it has to be is an error. Of
/// what happened the disk is told what `happens` says.
fn cut(
    recorded: &Recorded,
    points: usize,
    seed: u64,
    happens: impl Fn(&Event) -> bool,
) -> Result<usize, String> {
    let moments = moments(recorded, points, &mut Dice::new(seed));
    let (mut disk, mut acked) = (Disk::default(), Acked::default());
    let mut distinct = BTreeSet::new();
    let mut next = moments.iter().enumerate().peekable();
    for (moment, event) in recorded.events.iter().enumerate() {
        match event {
            Some(event) => {
                if happens(event) {
                    disk.follow(event);
                }
                acked.follow(event);
            }
            None => disk.process_ended(),
        }
        while let Some((n, _)) = next.next_if(|(_, at)| **at == moment) {
            let left = disk.cut(&mut Dice::new(seed.wrapping_mul(1_000_003).wrapping_add(n as u64)));
            let mut hash = DefaultHasher::new();
            left.hash(&mut hash);
            distinct.insert(hash.finish());
            look(recorded, left, &acked, moment)
                .map_err(|wrong| format!("power cut {n} of seed {seed}: {wrong}"))?;
        }
    }
    Ok(distinct.len())
}

/// When the power is cut: right after syncs and answers, and anywhere between.
fn moments(recorded: &Recorded, points: usize, dice: &mut Dice) -> Vec<usize> {
    let matters =
        |event: &Option<Event>| matches!(event, Some(Event::SyncEnded { .. } | Event::Sent { .. }) | None);
    let marked: Vec<usize> = (0..recorded.events.len()).filter(|at| matters(&recorded.events[*at])).collect();
    let mut moments: Vec<usize> = (0..points)
        .map(|n| match n % 4 {
            0 => marked[dice.below(marked.len() as u64) as usize],
            _ => dice.below(recorded.events.len() as u64) as usize,
        })
        .collect();
    moments.sort_unstable();
    moments
}

/// How many answers each client has.
#[derive(Default)]
struct Acked(BTreeMap<u16, usize>);

impl Acked {
    fn follow(&mut self, event: &Event) {
        if let Event::Sent { port, bytes } = event {
            let answers = bytes.windows(13).filter(|window| window == b"HTTP/1.1 200 ").count();
            *self.0.entry(*port).or_default() += answers;
        }
    }

    fn has(&self, batch: &Batch) -> bool {
        self.0.get(&batch.port).is_some_and(|answers| batch.nth < *answers)
    }
}

/// Opens what was left, as a server does when the power is back.
fn look(
    recorded: &Recorded,
    mut left: BTreeMap<PathBuf, Option<Vec<u8>>>,
    acked: &Acked,
    moment: usize,
) -> Result<(), String> {
    let directory =
        tempfile::Builder::new().prefix("milepost-cut-").tempdir_in(fast()).expect("there is room");
    // Shared memory; not a file of the disk.
    left.retain(|path, _| !path.to_string_lossy().ends_with("-shm"));
    disk::write(&left, &recorded.root, directory.path()).expect("there is room");
    let checked = check(recorded, directory.path(), acked, moment);
    checked.map_err(|wrong| format!("after call {moment} of {}: {wrong}", recorded.events.len()))
}

/// Where files are made and forgotten quickly, if there is such a place.
fn fast() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    if memory.is_dir() { memory } else { std::env::temp_dir() }
}

fn check(recorded: &Recorded, left: &Path, acked: &Acked, moment: usize) -> Result<(), String> {
    let data = left.join("data");
    let mut store =
        Sqlite::open(&data, Options::default()).map_err(|error| format!("it does not open: {error}"))?;
    let known = versions(&data).map_err(|error| error.to_string())?;
    let (mut sent, mut has_acks) = (BTreeSet::new(), false);
    for batch in &recorded.batches {
        let (there, of) =
            (batch.versions.iter().filter(|version| known.contains(*version)).count(), batch.versions.len());
        sent.extend(&batch.versions);
        if there != 0 && there != of {
            return Err(format!("{there} events of {of} of a batch are there: {:?}", batch.lines));
        }
        if acked.has(batch) {
            has_acks = true;
            if there == 0 {
                return Err(format!("acked, and gone: {:?}", batch.lines));
            }
        }
    }
    if let Some(other) = known.iter().find(|version| !sent.contains(version)) {
        return Err(format!("{other:?} was never sent"));
    }
    if has_acks {
        again(&mut store, &data, recorded, acked)?;
    }
    drop(store);
    let report = sqlite::examine(&data, &mut |_, _| ()).map_err(|error| error.to_string())?;
    if let Some(damage) = report.findings.iter().find(|finding| finding.severity == Severity::Damage) {
        return Err(format!("the doctor: {damage:?}"));
    }
    let backup = left.join("backup");
    if moment >= recorded.backed_up - 1 || backup.exists() {
        sqlite::restore(&backup, &left.join("restored"), &mut |_| Ok(()), &mut |_| ())
            .map_err(|error| format!("the backup: {error}"))?;
    }
    Ok(())
}

/// Sends everything acked again: known, every version, by the key that is there now.
fn again(store: &mut Sqlite, data: &Path, recorded: &Recorded, acked: &Acked) -> Result<(), String> {
    let key =
        std::fs::read_to_string(data.join("person.key")).map_err(|error| format!("the key: {error}"))?;
    if key != recorded.key {
        return Err("persons are others".to_owned());
    }
    let batches = recorded.batches.iter().filter(|batch| acked.has(batch));
    let sealed: Vec<Sealed> = batches.flat_map(|batch| batch.sealed.iter().cloned()).collect();
    let appended = store.append(&sealed, &[], Timestamp::MIN).map_err(|error| error.to_string())?;
    match appended.iter().zip(&sealed).find(|(appended, _)| **appended != Appended::Duplicate) {
        Some((_, sealed)) => Err(format!("acked, and taken again: {:?}", sealed.event.id)),
        None => Ok(()),
    }
}

fn versions(data: &Path) -> rusqlite::Result<BTreeSet<(String, i64)>> {
    let database = rusqlite::Connection::open(data.join("milepost.db"))?;
    let mut statement = database.prepare("SELECT id, revision FROM event")?;
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}
