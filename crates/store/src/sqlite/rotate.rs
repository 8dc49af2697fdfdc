//! Other pseudonyms for all persons: the database is written anew, beside the one that is there, and takes its place.
//!
//! Laws:
//!
//! 1. **The old or the new, never both.** The rename of the finished file is the one moment of change. The keys are durable
//!    before it, and the database itself says how many of them its pseudonyms are made with.
//! 2. **As if it had always been so.** Row for row the new database is what it would be, had every event come with the new
//!    pseudonyms. Their digests decide anew which of two versions of the same revision wins. Of events whose contents
//!    retention has dropped only the facts are rewritten; that of which there is a digest alone stays as it is.
//! 3. **Nothing of the old stays.** No page is copied, so there are none with what was deleted; what has not been written
//!    back from the WAL is, before the database is left behind.
//!
//! Identities do not depend on persons, nor do the numbers of events: the runs stay as they are.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use milepost_model::model::FORM;
use milepost_model::{Content, Model, Payload};
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, params_from_iter};

use super::directory;
use super::keys::{self, KeysInForce};
use super::stored::{Stored, check_all};
use super::{BUSY_TIMEOUT, DATABASE, PAGE_BYTES, WAL, backup, checkpoint, reader, schema};
use crate::StoreError;

mod losers;

/// Rows between two reports of progress.
const STRIDE: u64 = 10_000;

/// What becomes of a table.
enum Treatment {
    /// Nobody is named in it.
    Same,
    Events,
    /// Made anew with the events.
    Anew,
    Refusals,
    KeysInForce,
    /// Encoded Models.
    Frozen,
}

/// Every table there is.
const TABLES: [(&str, Treatment); 9] = [
    ("event", Treatment::Events),
    ("superseded", Treatment::Anew),
    ("quarantine", Treatment::Refusals),
    ("identity_run", Treatment::Same),
    ("quarantine_total", Treatment::Same),
    ("person_key", Treatment::KeysInForce),
    ("checksum", Treatment::Anew),
    ("horizon", Treatment::Same),
    ("frozen", Treatment::Frozen),
];

/// Makes other pseudonyms of pseudonyms.
pub struct Rewriter {
    /// The [`key_fingerprint`](super::key_fingerprint) of all keys that will be in force.
    pub fingerprint: String,
    /// Of one.
    pub pseudonym: Box<dyn Fn(&mut String)>,
    /// Of all in a refused event. It must not become longer.
    pub payload: Box<dyn Fn(&mut Payload)>,
}

/// How far it is. Between any two of them it may be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotating {
    /// The keys are kept, of which all but the last are in force.
    KeysKept,
    /// So many rows of so many are written.
    Writing(u64, u64),
    /// What was written is being read again.
    Verifying,
    /// All is written and durable, under another name.
    Written,
    /// Nothing is outside the old database file any more.
    Settled,
    /// The new one has its place.
    Swapped,
}

/// Rewrites all pseudonyms of a data directory that nobody else has open. `keep` is told which keys are in force; when
/// it returns, the next one must be durable beside them.
pub fn rotate(
    data: &Path,
    keep: impl FnOnce(&KeysInForce) -> Result<Rewriter, StoreError>,
    progress: &mut dyn FnMut(Rotating),
) -> Result<(), StoreError> {
    // Nothing is made where there is nothing.
    if !data.join(DATABASE).exists() {
        return Err(reader::nothing_kept(data));
    }
    let (_lock, mut old) = super::open_database(data)?;
    let keys = keys::in_force(&old)?;
    let rewriter = keep(&keys)?;
    progress(Rotating::KeysKept);

    let path = data.join(DATABASE);
    let new = backup::beside(&path);
    let finished = write(&mut old, &new, &rewriter, keys.count + 1, progress).and_then(|()| {
        progress(Rotating::Written);
        settle(old, data)
    });
    if let Err(error) = finished {
        // What failed is told; that a file stays is not worth another word.
        let _ = fs::remove_file(&new);
        return Err(error);
    }
    progress(Rotating::Settled);
    // It names persons, too. Without it the next start takes longer, whichever database it finds.
    checkpoint::discard(data)?;
    backup::put(&new, &path)?;
    progress(Rotating::Swapped);
    Ok(())
}

/// Writes everything back into the database file and lets go of it: a WAL beside another database would be taken for its.
fn settle(old: Connection, data: &Path) -> Result<(), StoreError> {
    let in_use = || {
        StoreError::Locked(format!(
            "{} is being read by another process, such as `milepost query` or `milepost backup`: try again when it has ended",
            data.display()
        ))
    };
    let mode = old.pragma_update_and_check(None, "journal_mode", "delete", |row| row.get::<_, String>(0));
    match mode.map_err(StoreError::from) {
        Ok(mode) if mode == "delete" => {}
        Ok(_) | Err(StoreError::Unavailable(_)) => return Err(in_use()),
        Err(error) => return Err(error),
    }
    old.close().map_err(|(_, error)| error)?;
    if data.join(WAL).exists() { Err(in_use()) } else { Ok(()) }
}

/// Writes the new database and syncs it.
fn write(
    old: &mut Connection,
    path: &Path,
    rewriter: &Rewriter,
    keys: usize,
    progress: &mut dyn FnMut(Rotating),
) -> Result<(), StoreError> {
    remove(path)?;
    directory::private_file(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut new = Connection::open_with_flags(path, flags)?;
    new.busy_timeout(BUSY_TIMEOUT)?;
    new.pragma_update(None, "page_size", PAGE_BYTES)?;
    // Until it is finished it is nothing, so it needs neither a journal nor to be synced.
    new.pragma_update_and_check(None, "journal_mode", "off", |_| Ok(()))?;
    new.pragma_update(None, "synchronous", "off")?;
    schema::migrate(&mut new, 0, schema::MIGRATIONS)?;
    let snapshot = old.transaction()?;
    copy(&snapshot, &new, rewriter, keys, progress)?;
    progress(Rotating::Verifying);
    let verdict: String = new.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" || backup::counts(&new)? != backup::counts(&snapshot)? {
        return Err(StoreError::Corrupt(format!(
            "{}: what was written is not sound ({verdict}): nothing is changed; `milepost doctor` says more of the original",
            path.display()
        )));
    }
    drop(snapshot);
    new.close().map_err(|(_, error)| error)?;
    let synced = fs::File::open(path).and_then(|file| file.sync_all());
    synced.map_err(|error| StoreError::Io(format!("{}: {error}", path.display())))
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StoreError::Io(format!("{}: {error}", path.display())))
        }
        _ => Ok(()),
    }
}

fn copy(
    old: &Connection,
    new: &Connection,
    rewriter: &Rewriter,
    keys: usize,
    progress: &mut dyn FnMut(Rotating),
) -> Result<(), StoreError> {
    // What is damaged must not get a checksum as if it were not.
    check_all(old)?;
    let [events, _, refusals] = backup::counts(old)?;
    let all = (events + refusals) as u64;
    let mut written = 0;
    let mut count = || {
        written += 1;
        if written % STRIDE == 0 {
            progress(Rotating::Writing(written, all));
        }
    };
    // Rows that the migrations put there, and what the triggers count, are those of an empty database.
    let triggers = triggers(new)?;
    new.execute_batch("BEGIN")?;
    for (name, _) in &triggers {
        new.execute_batch(&format!("DROP TRIGGER {name}"))?;
    }
    for table in tables(old)? {
        let Some((_, treatment)) = TABLES.iter().find(|(name, _)| *name == table) else {
            return Err(StoreError::Corrupt(format!("{DATABASE} has a table `{table}` that nobody knows")));
        };
        match treatment {
            Treatment::Same => rows(old, new, &table, &mut |_| Ok(()))?,
            Treatment::Events => rows(old, new, &table, &mut |row| {
                count();
                event(row, rewriter)
            })?,
            Treatment::Refusals => rows(old, new, &table, &mut |row| {
                count();
                refusal(row, rewriter);
                Ok(())
            })?,
            Treatment::Frozen => rows(old, new, &table, &mut |row| frozen(row, rewriter))?,
            Treatment::Anew => {}
            Treatment::KeysInForce => {
                new.execute("UPDATE person_key SET in_force = ?1", [keys as i64])?;
                keys::note(new, &rewriter.fingerprint)?;
            }
        }
    }
    losers::copy(old, new)?;
    // Numbers are never given twice.
    new.execute("DELETE FROM sqlite_sequence", [])?;
    sequence(old, new)?;
    for (_, sql) in &triggers {
        new.execute_batch(sql)?;
    }
    new.execute_batch("COMMIT")?;
    Ok(())
}

fn triggers(connection: &Connection) -> Result<Vec<(String, String)>, StoreError> {
    let mut statement = connection.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")?;
    let triggers = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(triggers.collect::<Result<_, _>>()?)
}

/// Our own, in no order that matters.
fn tables(connection: &Connection) -> Result<Vec<String>, StoreError> {
    let mut statement = connection.prepare(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
    )?;
    let tables = statement.query_map([], |row| row.get(0))?;
    Ok(tables.collect::<Result<_, _>>()?)
}

fn sequence(old: &Connection, new: &Connection) -> Result<(), StoreError> {
    let mut statement = old.prepare("SELECT name, seq FROM sqlite_sequence")?;
    let mut insert = new.prepare("INSERT INTO sqlite_sequence (name, seq) VALUES (?1, ?2)")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        insert.execute((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))?;
    }
    Ok(())
}

type Cells = BTreeMap<String, Value>;

/// Copies the rows of a table, each as `change` leaves it.
fn rows(
    old: &Connection,
    new: &Connection,
    table: &str,
    change: &mut dyn FnMut(&mut Cells) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut select = old.prepare(&format!("SELECT * FROM {table}"))?;
    let mut names: Vec<String> = select.column_names().map(str::to_owned).collect();
    // As the cells are.
    names.sort_unstable();
    let places: Vec<_> = (1..=names.len()).map(|place| format!("?{place}")).collect();
    new.execute(&format!("DELETE FROM {table}"), [])?;
    let insert = format!("INSERT INTO {table} ({}) VALUES ({})", names.join(", "), places.join(", "));
    let mut insert = new.prepare(&insert)?;
    let mut found = select.query([])?;
    while let Some(row) = found.next()? {
        let mut cells = Cells::new();
        for name in &names {
            cells.insert(name.clone(), row.get(name.as_str())?);
        }
        change(&mut cells)?;
        insert.execute(params_from_iter(cells.values()))?;
    }
    Ok(())
}

fn frozen(row: &mut Cells, rewriter: &Rewriter) -> Result<(), StoreError> {
    let unreadable = || unreadable("what is left of dropped events");
    let Some(Value::Integer(form)) = row.get_mut("form") else { return Err(unreadable()) };
    if !(1..=i64::from(FORM)).contains(form) {
        return Err(unreadable());
    }
    // It is encoded anew.
    *form = FORM.into();
    let Some(Value::Blob(encoded)) = row.get_mut("model") else { return Err(unreadable()) };
    let mut model = Model::decode(encoded).map_err(|_| unreadable())?;
    let renamed = model.rename_persons(|name| {
        let mut name = name.to_owned();
        (rewriter.pseudonym)(&mut name);
        name
    });
    if !renamed {
        return Err(unreadable());
    }
    *encoded = model.encode();
    Ok(())
}

fn event(row: &mut Cells, rewriter: &Rewriter) -> Result<(), StoreError> {
    if matches!(row.get("digest"), Some(Value::Blob(_))) {
        // Its content was dropped, and it has its checksum.
        return Ok(());
    }
    let Some(Value::Text(text)) = row.get_mut("content") else {
        return Err(unreadable("the content of an event"));
    };
    let mut content: Content =
        serde_json::from_str(text).map_err(|_| unreadable("the content of an event"))?;
    content.persons_mut().for_each(|name| (rewriter.pseudonym)(name));
    *text = String::from_utf8(content.canonical()).map_err(|_| unreadable("the content of an event"))?;
    let crc = stored(row)?.crc();
    row.insert("crc".to_owned(), Value::Integer(crc));
    Ok(())
}

fn stored(row: &Cells) -> Result<Stored<'_>, StoreError> {
    let number = |name| match row.get(name) {
        Some(Value::Integer(number)) => Ok(*number),
        _ => Err(unreadable("an event")),
    };
    let text = |name| match row.get(name) {
        Some(Value::Text(text)) => Ok(text.as_bytes()),
        _ => Err(unreadable("an event")),
    };
    Ok(Stored {
        seq: number("seq")?,
        received_at: number("received_at")?,
        source: text("source")?,
        id: text("id")?,
        revision: number("revision")?,
        content: text("content")?,
        digest: None,
    })
}

fn refusal(row: &mut Cells, rewriter: &Rewriter) {
    let mut payload = match row.remove("payload") {
        Some(Value::Text(text)) => Payload::Json(text),
        Some(Value::Blob(bytes)) => Payload::Protobuf(bytes),
        other => {
            row.insert("payload".to_owned(), other.unwrap_or(Value::Null));
            return;
        }
    };
    (rewriter.payload)(&mut payload);
    let value = match payload {
        Payload::Json(text) => Value::Text(text),
        Payload::Protobuf(bytes) => Value::Blob(bytes),
    };
    row.insert("payload".to_owned(), value);
}

fn unreadable(what: &str) -> StoreError {
    StoreError::Corrupt(format!(
        "{what} in {DATABASE} cannot be read: `milepost doctor` says which; nothing is changed"
    ))
}

/// Deletes what a rotation has left that was stopped. The lock of the directory is held.
pub(super) fn sweep(database: &Path) -> Result<(), StoreError> {
    remove(&backup::beside(database))
}
