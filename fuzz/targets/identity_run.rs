//! A run of identities whose file was damaged: that is noticed, or nothing is different. The first byte says how many
//! entries there are and whether the checksums fit what was damaged.
#![no_main]

use libfuzzer_sys::fuzz_target;
use milepost_fuzz::damage::damage;
use milepost_fuzz::in_scratch;
use milepost_store::sqlite::fuzzing::{Entry, Seal, read_damaged_run};

/// Enough for blocks of each shape.
fn entries(count: u64) -> Vec<Entry> {
    // Every seventh key comes twice.
    let mut entries: Vec<Entry> = (0..count)
        .map(|n| ((n - u64::from(n % 7 == 6)).wrapping_mul(0x9e37_79b9_7f4a_7c15), n as i64 + 1))
        .collect();
    entries.sort_unstable();
    entries
}

fuzz_target!(|data: &[u8]| {
    let Some((first, orders)) = data.split_first() else { return };
    let seal = if first & 1 == 0 { Seal::Kept } else { Seal::Renewed };
    let entries = entries(u64::from(first >> 1) * 5);
    let read =
        in_scratch(|scratch| read_damaged_run(scratch, &entries, seal, &mut |bytes| damage(bytes, orders)));
    match (read, seal) {
        (Ok(read), Seal::Kept) => assert_eq!(read, entries, "what is damaged is noticed"),
        // What was the filter may be taken for entries.
        (Ok(read), Seal::Renewed) => {
            assert!(
                read.len() <= entries.len() * 5 / 4 + orders.len() + 16,
                "no more than the file has room for"
            );
        }
        (Err(what), _) => assert!(!what.is_empty()),
    }
});
