//! A way for the fuzz targets to what only this module reads.

use std::fs;
use std::path::Path;

use super::run::{self, Filtered, Registration, Run, RunError};
use super::table;
use crate::filter::Probe;

/// A key and the number of an event that has it.
pub type Entry = (u64, i64);

/// What is done about the checksums of a file that was damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seal {
    /// They stay as they are: the damage happened to the file.
    Kept,
    /// They are made anew: all that is not a checksum has to be held against the rest.
    Renewed,
}

/// Writes a run of sorted entries, lets `damage` change its file, and reads it in every way there is; tells what is wrong
/// with it otherwise. The file is in `directory`, which may be used again.
pub fn read_damaged_run(
    directory: &Path,
    entries: &[Entry],
    seal: Seal,
    damage: &mut dyn FnMut(&mut Vec<u8>),
) -> Result<Vec<Entry>, String> {
    let told = |error: RunError| error.to_string();
    let range = (entries.iter().map(|entry| entry.1).min(), entries.iter().map(|entry| entry.1).max());
    let written = table::write(directory, 1, (range.0.unwrap_or(1), range.1.unwrap_or(0)), entries);
    let mut registration = written.map_err(told)?.registration();
    let path = run::path(directory, 1);
    let mut bytes = fs::read(&path).map_err(|error| error.to_string())?;
    damage(&mut bytes);
    if seal == Seal::Renewed {
        registration = reseal(&mut bytes, registration);
    }
    fs::write(&path, &bytes).map_err(|error| error.to_string())?;

    let run = Run::open(directory, registration, Filtered::Yes).map_err(told)?;
    let mut scan = run.scan();
    let mut read = Vec::new();
    while let Some(entry) = scan.next().map_err(told)? {
        read.push(entry);
    }
    for (key, seq) in entries {
        let mut found = Vec::new();
        run.find(*key, &mut found).map_err(told)?;
        let sound = run.may_contain(&Probe::of(*key)) && found.contains(seq);
        if seal == Seal::Kept && !sound {
            return Ok(found.into_iter().map(|seq| (*key, seq)).collect());
        }
    }
    Ok(read)
}

/// Makes the checksums of a file fit whatever stands in it, and registers that.
fn reseal(bytes: &mut [u8], registration: Registration) -> Registration {
    let length = bytes.len();
    let Some((body, footer)) = bytes.split_last_chunk_mut::<56>() else { return registration };
    footer[..12].copy_from_slice(b"milerun\n\x01\0\0\0");
    let number = |footer: &[u8; 56], at: usize| u64::from_le_bytes(std::array::from_fn(|n| footer[at + n]));
    let (entries, filter) = (number(footer, 28), number(footer, 36));
    // Only what is where the footer says it is can be sealed.
    let filter_at = (length as u64 - 56).checked_sub(filter);
    let index = entries.div_ceil(256).checked_mul(12);
    let index_at = filter_at.zip(index).and_then(|(at, bytes)| at.checked_sub(bytes));
    if let (Some(filter_at), Some(index_at)) = (filter_at, index_at) {
        let (data, rest) = body.split_at_mut(index_at as usize);
        let (index, filter) = rest.split_at_mut((filter_at - index_at) as usize);
        for (block, indexed) in data.chunks(256 * 16).zip(index.chunks_exact_mut(12)) {
            indexed[8..].copy_from_slice(&crc32fast::hash(block).to_le_bytes());
        }
        footer[44..48].copy_from_slice(&crc32fast::hash(index).to_le_bytes());
        footer[48..52].copy_from_slice(&crc32fast::hash(filter).to_le_bytes());
    }
    let checksum = crc32fast::hash(&footer[..52]);
    footer[52..].copy_from_slice(&checksum.to_le_bytes());
    Registration {
        first: number(footer, 12).cast_signed(),
        last: number(footer, 20).cast_signed(),
        checksum,
        ..registration
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without this the fuzzer would look at nothing but refusals.
    #[test]
    fn what_is_not_damaged_reads_back_under_either_seal() {
        let directory = tempfile::tempdir().unwrap();
        let entries: Vec<Entry> = (0..600).map(|n| (u64::from(n as u32 / 2), n)).collect();
        for seal in [Seal::Kept, Seal::Renewed] {
            let read = read_damaged_run(directory.path(), &entries, seal, &mut |_| {}).unwrap();
            assert_eq!(read, entries);
        }
        let turn = &mut |bytes: &mut Vec<u8>| bytes[8] ^= 1;
        let mut damaged = |seal| read_damaged_run(directory.path(), &entries, seal, turn);
        assert!(damaged(Seal::Kept).unwrap_err().contains("damaged"));
        assert_eq!(damaged(Seal::Renewed).unwrap()[0], (0, 1), "a checksum that fits vouches for anything");
    }

    #[test]
    fn a_footer_that_claims_more_than_there_can_be_is_damage() {
        let directory = tempfile::tempdir().unwrap();
        for claimed in [u64::MAX, u64::MAX / 16, 1 << 60] {
            let claim = &mut |bytes: &mut Vec<u8>| {
                let entries = bytes.len() - 28;
                bytes[entries..entries + 8].copy_from_slice(&claimed.to_le_bytes());
            };
            let told = read_damaged_run(directory.path(), &[(1, 1)], Seal::Renewed, claim).unwrap_err();
            assert!(told.contains("another length"), "{told}");
        }
    }
}
