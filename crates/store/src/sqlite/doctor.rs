//! Looks at everything in a data directory, and says what is wrong with it and what to do.
//!
//! It reads every byte of one moment, beside a server if need be, and changes nothing. It needs 16 bytes of memory for
//! each event, or, where there is a checkpoint, as much as a server does.
//!
//! What is held against what:
//!
//! - the database against SQLite's own rules;
//! - every event against its checksum;
//! - every content against its canonical form, from which its version follows;
//! - every run against the events it covers, by a sum over their keys and numbers;
//! - every loser against the version it lost to: of the same event, and larger. So each event has a winner;
//! - the winners against each other: no event has two;
//! - what retention has dropped against what it has kept of it;
//! - the Model that a start would load with the checkpoint against that of the events.

mod report;
mod versions;

use std::fs::File;
use std::path::{Path, PathBuf};

use milepost_model::{Content, EventKey};
use rusqlite::Connection;

use super::identity::run::{Filtered, Registration, Run};
use super::identity::table;
use super::stored::{self, Sound, Stored, columns};
use super::{DATABASE, WAL, checkpoint, identity, quarantine, reader, retention};
use crate::StoreError;
pub use report::{Finding, Report, Severity};

/// Findings of a kind that are told one by one.
const TOLD: usize = 10;

/// Events between two reports of progress.
const STRIDE: u64 = 10_000;

/// A WAL larger than this says that something keeps it from being written back.
const LARGE_WAL: u64 = 256 << 20;

const FROM_BACKUP: &str =
    "restore the last backup with `milepost restore`, and import again what came after it";
pub(super) const DELETE_IT: &str =
    "end the server, delete the file, and start again: it is made anew from the events";
const AT_START: &str = "restart `milepost serve`: it makes the file anew from the events";

/// Looks at a data directory. `progress` is told how many events of how many were read.
pub fn examine(data: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<Report, StoreError> {
    let checkpoint = checkpoint::open(data);
    let connection = reader::connect(data)?;
    // The writer may merge runs while they are being opened: then once more, with what is registered now.
    let (snapshot, runs) = loop {
        let snapshot = connection.unchecked_transaction()?;
        let registered = table::registered(&snapshot)?;
        let runs = open_runs(data, &registered);
        let missing = runs.iter().any(|(_, run)| run.is_err());
        if !missing || table::registered(&reader::connect(data)?)? == registered {
            break (snapshot, runs);
        }
    };
    let mut examination = Examination { report: Report::default(), told: 0 };
    examination.sizes(data, &snapshot)?;
    examination.report.horizon = retention::horizon(&snapshot)?;
    examination.sqlite(&snapshot)?;
    let tables = examination.tables(&snapshot, runs, progress);
    let all = tables.and_then(|()| examination.checkpoint(&snapshot, checkpoint.as_ref()));
    if let Err(error) = all {
        examination.damage(error.to_string(), FROM_BACKUP);
    }
    let mut report = examination.report;
    report.findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    Ok(report)
}

type Opened = (Registration, Result<Run, String>);

fn open_runs(data: &Path, registered: &[Registration]) -> Vec<Opened> {
    let directory = data.join(identity::DIRECTORY);
    let open =
        |one: &Registration| Run::open(&directory, *one, Filtered::Yes).map_err(|error| error.to_string());
    registered.iter().map(|one| (*one, open(one))).collect()
}

/// A sum that is equal for equal sets of (key, number), whatever their order.
fn mixed(key: u64, seq: i64) -> u64 {
    let mixed =
        (key ^ seq.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 31)
}

struct Examination {
    report: Report,
    /// Findings of the kind at hand.
    told: usize,
}

impl Examination {
    fn find(&mut self, severity: Severity, what: String, advice: &str) {
        self.report.findings.push(Finding { severity, what, advice: advice.to_owned() });
    }

    fn damage(&mut self, what: String, advice: &str) {
        self.find(Severity::Damage, what, advice);
    }

    /// One of perhaps many.
    fn damage_of_many(&mut self, what: impl FnOnce() -> String, advice: &str) {
        self.told += 1;
        if self.told <= TOLD {
            self.damage(what(), advice);
        }
    }

    fn end_of_many(&mut self, what: &str) {
        if self.told > TOLD {
            self.damage(format!("{} more {what}", self.told - TOLD), FROM_BACKUP);
        }
        self.told = 0;
    }

    fn sizes(&mut self, data: &Path, snapshot: &Connection) -> Result<(), StoreError> {
        let bytes = |path: PathBuf| path.metadata().map_or(0, |file| file.len());
        let [versions, superseded, quarantined, free]: [i64; 4] = snapshot.query_row(
            "SELECT (SELECT count(*) FROM event), (SELECT count(*) FROM superseded), (SELECT count(*) FROM quarantine),
                    (SELECT freelist_count * page_size FROM pragma_freelist_count, pragma_page_size)",
            [],
            |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?]),
        )?;
        let runs: Vec<_> =
            data.join(identity::DIRECTORY).read_dir().into_iter().flatten().filter_map(Result::ok).collect();
        let report = &mut self.report;
        (report.versions, report.superseded) = (versions as u64, superseded as u64);
        report.quarantined = quarantined as u64;
        report.database_bytes = bytes(data.join(DATABASE));
        report.wal_bytes = bytes(data.join(WAL));
        report.identity_bytes = runs.iter().map(|run| bytes(run.path())).sum();
        report.runs = runs.len() as u64;
        let (large, wal) = (report.database_bytes, report.wal_bytes);
        if wal > LARGE_WAL {
            self.find(
                Severity::Note,
                format!("{WAL} has {} MB", wal >> 20),
                "end what has been reading for long, such as a `sqlite3` or a backup: it is written back then",
            );
        }
        if free as u64 > large / 2 && free > 64 << 20 {
            self.find(
                Severity::Note,
                format!("{} MB of {DATABASE} are empty", free >> 20),
                "nothing: new events fill them. A backup restored elsewhere can be made small by `VACUUM`",
            );
        }
        if quarantined > 0 {
            self.find(
                Severity::Note,
                format!("{quarantined} refused events are in the quarantine"),
                "see why with `milepost quarantine list`",
            );
        }
        Ok(())
    }

    fn sqlite(&mut self, snapshot: &Connection) -> Result<(), StoreError> {
        let mut statement = snapshot.prepare(&format!("PRAGMA integrity_check({TOLD})"))?;
        let verdicts = statement.query_map([], |row| row.get::<_, String>(0))?;
        for verdict in verdicts {
            let verdict = verdict.unwrap_or_else(|error| error.to_string());
            if verdict != "ok" {
                self.damage(format!("{DATABASE}: {verdict}"), FROM_BACKUP);
            }
        }
        Ok(())
    }

    fn tables(
        &mut self,
        snapshot: &Connection,
        runs: Vec<Opened>,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(), StoreError> {
        let sums = self.events(snapshot, &runs, progress)?;
        self.runs(snapshot, runs, &sums)?;
        self.losers(snapshot)?;
        self.refusals(snapshot)
    }

    /// Reads every event. Returns, for each run, the number and the sum of the events that it covers.
    fn events(
        &mut self,
        snapshot: &Connection,
        runs: &[Opened],
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Vec<(u64, u64)>, StoreError> {
        let mut sums = vec![(0, 0_u64); runs.len()];
        let mut winners: Vec<(u64, i64)> = Vec::new();
        let mut statement = snapshot.prepare(concat!(
            "SELECT ",
            columns!(),
            ", superseded.seq IS NULL
                 FROM event LEFT JOIN superseded USING (seq) ORDER BY event.seq"
        ))?;
        let mut rows = statement.query([])?;
        let (mut read, mut run, mut unknown, mut dropped) = (0, 0, 0_u64, (0, 0));
        while let Some(row) = rows.next()? {
            read += 1;
            let (stored, sound) = Stored::read_any(row)?;
            let Stored { seq, source, id, content, digest, .. } = stored;
            let key = EventKey::of(&String::from_utf8_lossy(source), &String::from_utf8_lossy(id)).0;
            let wins = row.get(stored::COLUMNS)?;
            if wins {
                winners.push((key, seq));
            }
            while runs.get(run).is_some_and(|(registered, _)| registered.last < seq) {
                run += 1;
            }
            if runs.get(run).is_some_and(|(registered, _)| registered.first <= seq) {
                sums[run] = (sums[run].0 + 1, sums[run].1.wrapping_add(mixed(key, seq)));
            }
            unknown += u64::from(sound == Sound::Unknown);
            if sound == Sound::No {
                self.damage_of_many(|| format!("event {seq} is not what was written"), FROM_BACKUP);
            } else if digest.is_some() && content.is_empty() {
                dropped = (dropped.0 + 1, dropped.1 + u64::from(wins));
            } else {
                self.content(seq, content);
            }
            if read % STRIDE == 0 {
                progress(read, self.report.versions);
            }
        }
        progress(read, self.report.versions);
        self.end_of_many("events that are damaged");
        if unknown > 0 {
            self.find(
                Severity::Note,
                format!("{unknown} events are of before there were checksums: a letter changed in them is not noticed"),
                "nothing: whatever came since has one, and backups have a digest of everything",
            );
        }
        self.winners(snapshot, winners)?;
        self.retention(snapshot, dropped)?;
        Ok(sums)
    }

    fn content(&mut self, seq: i64, content: &[u8]) {
        match serde_json::from_slice::<Content>(content) {
            Ok(parsed) if parsed.canonical() == content => {
                let horizon = self.report.horizon.filter(|horizon| horizon.finished);
                if horizon.is_some_and(|horizon| parsed.occurred_at < horizon.at) {
                    self.damage_of_many(
                        || format!("event {seq} is dated before the horizon, and is not dropped"),
                        FROM_BACKUP,
                    );
                }
            }
            _ => self.damage_of_many(
                || format!("event {seq} cannot be read, or is not in canonical form"),
                FROM_BACKUP,
            ),
        }
    }

    fn runs(
        &mut self,
        snapshot: &Connection,
        runs: Vec<Opened>,
        sums: &[(u64, u64)],
    ) -> Result<(), StoreError> {
        let (mut covered, newest) = (0, table::newest(snapshot)?);
        for ((registered, run), expected) in runs.into_iter().zip(sums) {
            if registered.first != covered + 1
                || registered.last < registered.first
                || registered.last > newest
            {
                self.damage(
                    format!("the runs of identities do not follow one another at event {covered}"),
                    AT_START,
                );
            }
            covered = registered.last;
            match run.and_then(|run| sum(&run)) {
                Ok(sum) if sum == *expected => {}
                Ok(_) => self.damage(
                    format!("identity/{:08}.run does not agree with the events it covers", registered.number),
                    DELETE_IT,
                ),
                Err(what) => self.damage(what, AT_START),
            }
        }
        Ok(())
    }

    fn checkpoint(&mut self, snapshot: &Connection, file: Option<&File>) -> Result<(), StoreError> {
        self.report.findings.extend(checkpoint::finding(snapshot, file)?);
        Ok(())
    }

    fn refusals(&mut self, snapshot: &Connection) -> Result<(), StoreError> {
        let mut before = None;
        loop {
            match quarantine::list(snapshot, before, 1_000) {
                Ok(refused) => match refused.last() {
                    Some(last) => before = Some(last.number),
                    None => return self.quarantine_total(snapshot),
                },
                Err(error @ StoreError::Corrupt(_)) => {
                    self.damage(error.to_string(), FROM_BACKUP);
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn quarantine_total(&mut self, snapshot: &Connection) -> Result<(), StoreError> {
        let sum = "SELECT ifnull(sum(rows), 0) FROM quarantine_total";
        let (told, found) =
            (snapshot.query_row(sum, [], |row| row.get::<_, i64>(0))?, self.report.quarantined);
        if told as u64 != found {
            let what = format!("{told} refusals are said to be in the quarantine, and {found} are");
            self.damage(what, FROM_BACKUP);
        }
        Ok(())
    }
}

/// Entries of a run, and their sum.
fn sum(run: &Run) -> Result<(u64, u64), String> {
    let (mut scan, mut sum, mut last) = (run.scan(), (0, 0_u64), None);
    while let Some(entry) = scan.next().map_err(|error| error.to_string())? {
        if last.is_some_and(|last| last >= entry) {
            return Err(format!("identity/{:08}.run is not in order", run.registration().number));
        }
        last = Some(entry);
        sum = (sum.0 + 1, sum.1.wrapping_add(mixed(entry.0, entry.1)));
    }
    Ok(sum)
}
