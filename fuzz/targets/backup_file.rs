//! A backup whose file was damaged: it is refused, or gives back what was backed up, row for row.
#![no_main]

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use milepost_fuzz::damage::damage;
use milepost_fuzz::{in_scratch, installation, now};
use milepost_model::{Door, Event, Payload, Reason, Refusal, Rejected, Sealed};
use milepost_store::sqlite::{self, Options, Sqlite};
use milepost_store::{Quarantined, Store as _};

const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// The bytes of a backup, and what is in it.
static BACKUP: LazyLock<(Vec<u8>, (Vec<Event>, Vec<Quarantined>))> = LazyLock::new(|| {
    in_scratch(|scratch| {
        let data = scratch.join("original");
        let mut store = Sqlite::open(&data, Options::default()).expect("a store");
        let events: Vec<_> = installation::events().into_iter().map(Sealed::new).collect();
        let rejected = Rejected {
            refusal: Refusal::new(Reason::Missing, "team", "missing"),
            door: Door::Http,
            source: None,
            id: None,
            payload: Some(Payload::Json("{}".to_owned())),
        };
        store.append(&events, &[rejected], now()).expect("room for events");
        drop(store);
        let file = scratch.join("original.backup");
        sqlite::backup(&data, &file, Some(KEY), now(), &mut |_| {}).expect("a backup");
        (fs::read(&file).expect("a file"), contents(&data).expect("contents"))
    })
});

fn contents(data: &Path) -> Result<(Vec<Event>, Vec<Quarantined>), milepost_store::StoreError> {
    let mut reader = sqlite::open_reader(data)?;
    let mut events = Vec::new();
    reader.replay(&mut |event| events.push(event.clone()))?;
    Ok((events, reader.quarantine(None, 100)?))
}

fuzz_target!(|data: &[u8]| {
    let (original, expected) = &*BACKUP;
    let mut bytes = original.clone();
    damage(&mut bytes, data);
    in_scratch(|scratch| {
        let (file, restored) = (scratch.join("damaged.backup"), scratch.join("restored"));
        fs::write(&file, &bytes).expect("the scratch takes a file");
        let _ = fs::remove_dir_all(&restored);
        let mut kept = None;
        let outcome = sqlite::restore(
            &file,
            &restored,
            &mut |backup| {
                kept.clone_from(&backup.person_key);
                Ok(())
            },
            &mut |_| {},
        );
        match outcome {
            Err(error) => assert!(!error.to_string().is_empty()),
            Ok(backup) => {
                assert_eq!(backup.person_key.as_deref(), Some(KEY), "persons keep their pseudonyms");
                assert_eq!((kept.as_deref(), backup.at), (Some(KEY), now()));
                assert_eq!(&contents(&restored).expect("what was restored can be read"), expected);
                Sqlite::open(&restored, Options::default()).expect("what was restored can be served");
            }
        }
    });
});
