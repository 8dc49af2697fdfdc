//! Backups: of one moment, beside a writer, and never half a one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::{now, open, rejected, seal, used, winners};
use milepost_store::sqlite::{BackedUp, Stage, backup, open_reader, restore};
use milepost_store::{Appended, Store, StoreError};

type Damage = Box<dyn Fn(&mut Vec<u8>)>;

fn back_up(data: &Path, file: &Path) -> Result<BackedUp, StoreError> {
    backup(data, file, Some("secret"), now(), &mut |_| ())
}

fn restore_quietly(file: &Path, data: &Path) -> Result<BackedUp, StoreError> {
    restore(file, data, &mut |_| Ok(()), &mut |_| ())
}

#[test]
fn what_is_restored_is_what_was_there_and_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let [data, file, other] = ["data", "backup.db", "restored/data"].map(|name| directory.path().join(name));
    let mut store = open(&data);
    let events = [used("1", 0, "a"), used("1", 1, "b"), used("2", 0, "a")];
    store.append(&seal(&events), &[rejected("3", None)], now()).unwrap();
    let made = back_up(&data, &file).unwrap();
    assert_eq!((made.versions, made.quarantined, made.at), (3, 1, now()));
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    // Of that moment, not of a later one.
    store.append(&seal(&[used("9", 0, "a")]), &[], now()).unwrap();

    let mut kept = None;
    let keep = &mut |backup: &BackedUp| {
        assert!(!other.join("milepost.db").exists(), "what belongs beside the database is there before it");
        kept = backup.person_key.clone();
        Ok(())
    };
    let restored = restore(&file, &other, keep, &mut |_| ()).unwrap();
    assert_eq!((restored.versions, kept.as_deref()), (3, Some("secret")));
    let mut again = open(&other);
    assert_eq!(winners(&mut *again.reader().unwrap()), [used("1", 1, "b"), used("2", 0, "a")]);
    assert_eq!(again.append(&seal(&events), &[], now()).unwrap(), vec![Appended::Duplicate; 3]);
    let mut reader = again.reader().unwrap();
    assert_eq!(reader.quarantine(None, 9).unwrap()[0].rejected, rejected("3", None));
    let left: Vec<_> =
        fs::read_dir(directory.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "nothing else is left behind: {left:?}");
}

#[test]
fn it_is_of_one_moment_beside_a_writer() {
    let directory = tempfile::tempdir().unwrap();
    let [data, file, other] = ["data", "backup.db", "restored"].map(|name| directory.path().join(name));
    let mut store = open(&data);
    let batch =
        |number: u32| seal(&(0..500).map(|n| used(&format!("{number}-{n}"), 0, "a")).collect::<Vec<_>>());
    (0..20).for_each(|number| drop(store.append(&batch(number), &[], now()).unwrap()));
    let mut number = 20;
    let mut copied = 0;
    backup(&data, &file, None, now(), &mut |stage| {
        // A commit between any two steps of the copy.
        if let Stage::Copying(pages, _) = stage {
            assert!(pages > copied, "never begun anew");
            copied = pages;
            store.append(&batch(number), &[], now()).unwrap();
            number += 1;
        }
    })
    .unwrap();
    assert!(number > 20);
    let restored = restore_quietly(&file, &other).unwrap();
    assert_eq!((restored.versions, restored.person_key), (20 * 500, None));
    assert_eq!(winners(&mut *open_reader(&other).unwrap()).len(), 20 * 500);
}

#[test]
fn a_damaged_backup_is_refused_and_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let [data, file, other] = ["data", "backup.db", "restored"].map(|name| directory.path().join(name));
    let events: Vec<_> = (0..200).map(|n| used(&n.to_string(), 0, "a")).collect();
    open(&data).append(&seal(&events), &[], now()).unwrap();
    back_up(&data, &file).unwrap();
    let sound = fs::read(&file).unwrap();
    // Everywhere: pages have remains of what was once in them.
    let change = |bytes: &mut Vec<u8>| {
        let team = b"\"team\":\"a\"";
        let places: Vec<_> =
            (0..bytes.len() - team.len()).filter(|at| bytes[*at..].starts_with(team)).collect();
        places.into_iter().for_each(|at| bytes[at + 8] = b'b');
    };
    let page = usize::from(u16::from_be_bytes([sound[16], sound[17]]));
    let damages: [(&str, Damage); 4] = [
        ("a letter", Box::new(change)),
        ("cut", Box::new(|bytes| bytes.truncate(bytes.len() / 2))),
        ("all pages but the first", Box::new(move |bytes| bytes[page..].fill(0xa5))),
        ("the header", Box::new(|bytes| bytes[..16].fill(0))),
    ];
    for (name, damage) in damages {
        let mut bytes = sound.clone();
        damage(&mut bytes);
        fs::write(&file, bytes).unwrap();
        let error = restore_quietly(&file, &other).unwrap_err();
        assert!(matches!(error, StoreError::Corrupt(_)), "{name}: {error:?}");
        let left = fs::read_dir(&other).map_or(0, Iterator::count);
        assert_eq!(left, 0, "{name}");
    }
    fs::write(&file, sound).unwrap();
    restore_quietly(&file, &other).unwrap();
}

/// What the rows do not say counts, too: with another key everybody would be somebody else from then on.
#[test]
fn a_backup_with_another_key_time_or_schema_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let [data, file, other] = ["data", "backup.db", "restored"].map(|name| directory.path().join(name));
    open(&data).append(&seal(&[used("1", 0, "a")]), &[], now()).unwrap();
    back_up(&data, &file).unwrap();
    let sound = fs::read(&file).unwrap();
    for change in [
        "UPDATE backup SET person_key = 'secreu'",
        "UPDATE backup SET at = at + 1",
        "UPDATE backup SET seal = NULL",
        "ALTER TABLE event RENAME COLUMN source TO sourcf",
        "CREATE TRIGGER t AFTER INSERT ON event BEGIN DELETE FROM event; END",
        "PRAGMA user_version = 1",
    ] {
        fs::write(&file, &sound).unwrap();
        rusqlite::Connection::open(&file).unwrap().execute_batch(change).unwrap();
        let error = restore_quietly(&file, &other).unwrap_err();
        assert!(matches!(error, StoreError::Corrupt(_)), "{change}: {error:?}");
        assert_eq!(fs::read_dir(&other).map_or(0, Iterator::count), 0, "{change}");
    }
    // One of before there was a seal.
    fs::write(&file, &sound).unwrap();
    rusqlite::Connection::open(&file).unwrap().execute_batch("ALTER TABLE backup DROP COLUMN seal").unwrap();
    assert_eq!(restore_quietly(&file, &other).unwrap().person_key.as_deref(), Some("secret"));
}

#[test]
fn nothing_is_ever_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let [data, file] = ["data", "backup.db"].map(|name| directory.path().join(name));
    drop(open(&data));
    back_up(&data, &file).unwrap();
    let message = back_up(&data, &file).unwrap_err().to_string();
    assert!(message.ends_with("exists: give the backup another name"), "{message}");
    let message = restore_quietly(&file, &data).unwrap_err().to_string();
    assert!(message.contains("is not empty"), "{message}");
    // A database of milepost that is no backup.
    let message =
        restore_quietly(&data.join("milepost.db"), &directory.path().join("other")).unwrap_err().to_string();
    assert!(message.contains("is no backup"), "{message}");
    assert!(!directory.path().join("other").exists());
}
