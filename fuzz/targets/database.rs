//! A database whose file was damaged: opening, reading, writing and examining it end in order, well or not.
#![no_main]

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use milepost_fuzz::damage::damage;
use milepost_fuzz::{in_scratch, installation, now};
use milepost_model::{Event, EventKey, Sealed, Timestamp};
use milepost_store::sqlite::{self, Options, Sqlite};
use milepost_store::{Store as _, StoreError};

/// Few, so that there are runs to lead to damaged rows.
const OPTIONS: Options =
    Options { quarantine_rows: 10, quarantine_bytes: 1 << 20, quarantine_age: None, identity_tail: 4 };

static DATABASE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    in_scratch(|scratch| {
        let data = scratch.join("original");
        let mut store = Sqlite::open(&data, OPTIONS).expect("a store");
        let mut events = installation::events();
        store.append(&events.iter().cloned().map(Sealed::new).collect::<Vec<_>>(), &[], now()).expect("room");
        events.iter_mut().step_by(3).for_each(|event| event.revision += 1);
        store.append(&events.into_iter().map(Sealed::new).collect::<Vec<_>>(), &[], now()).expect("room");
        drop(store);
        fs::read(data.join("milepost.db")).expect("a database")
    })
});

fn use_it(data: &Path) -> Result<(), StoreError> {
    let mut reader = sqlite::open_reader(data)?;
    reader.replay(&mut |_: &Event| ())?;
    reader.find(EventKey(1), Timestamp::MIN)?;
    reader.quarantine(None, 10)?;
    reader.sizes()?;
    drop(reader);
    let events: Vec<_> = installation::events().into_iter().map(Sealed::new).collect();
    let mut store = Sqlite::open(data, OPTIONS)?;
    store.append(&events, &[], now())?;
    store.replay(&mut |_| ())
}

fuzz_target!(|orders: &[u8]| {
    let mut bytes = DATABASE.clone();
    damage(&mut bytes, orders);
    in_scratch(|scratch| {
        let data = scratch.join("data");
        let _ = fs::remove_dir_all(&data);
        fs::create_dir(&data).expect("the scratch takes a directory");
        fs::write(data.join("milepost.db"), &bytes).expect("the scratch takes a file");
        let _ = sqlite::examine(&data, &mut |_, _| ());
        if let Err(error) = use_it(&data) {
            assert!(!error.to_string().is_empty());
            assert!(bytes != *DATABASE, "what is not damaged can be used: {error}");
        }
    });
});
