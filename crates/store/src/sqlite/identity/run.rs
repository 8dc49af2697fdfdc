//! A run: the sorted (key, seq) of a range of events, in a file that never changes.
//!
//! | part | what |
//! |---|---|
//! | data | blocks of 256 entries, the last one shorter; an entry is key and seq, 8 bytes each |
//! | index | for each block its first key (8 bytes) and its CRC-32 (4 bytes) |
//! | filter | of all keys |
//! | footer | what [`Footer`] says, with the CRC-32s of index and filter, and its own |
//!
//! All numbers are little-endian. The checksum of the footer vouches for the whole file, and stands in the database. So a
//! file that is not the very one that was written there is noticed: its shape when it is opened, a block when it is read.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::tail::Entry;
use crate::failpoint::reach;
use crate::filter::{Filter, Probe};

const MAGIC: [u8; 8] = *b"milerun\n";
const VERSION: u32 = 1;
const ENTRY: usize = 16;
const BLOCK_ENTRIES: usize = 256;
const BLOCK: usize = BLOCK_ENTRIES * ENTRY;
const INDEXED: usize = 12;
const FOOTER: usize = 56;

/// What the database says of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sqlite) struct Registration {
    /// Names its file.
    pub(in crate::sqlite) number: u64,
    /// The number of the first event in it,
    pub(in crate::sqlite) first: i64,
    /// and of the last one.
    pub(in crate::sqlite) last: i64,
    /// Of its footer.
    pub(in crate::sqlite) checksum: u32,
}

/// Why a run cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(in crate::sqlite) enum RunError {
    /// Its file is missing, or not what was written.
    #[error("{what}")]
    Damaged {
        /// Its number.
        number: u64,
        /// What is wrong with it.
        what: String,
    },
    /// A new one cannot be written.
    #[error("{0}")]
    Write(#[from] io::Error),
    /// The store is being closed.
    #[error("interrupted")]
    Interrupted,
}

pub(super) fn path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:08}.run"))
}

#[derive(Debug, Clone, Copy)]
struct Indexed {
    first: u64,
    crc: u32,
}

/// The last bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Footer {
    first: i64,
    last: i64,
    entries: u64,
    filter_bytes: u64,
    index_crc: u32,
    filter_crc: u32,
}

impl Footer {
    fn to_bytes(self) -> [u8; FOOTER] {
        let mut bytes = Vec::with_capacity(FOOTER);
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(self.first.to_le_bytes());
        bytes.extend(self.last.to_le_bytes());
        bytes.extend(self.entries.to_le_bytes());
        bytes.extend(self.filter_bytes.to_le_bytes());
        bytes.extend(self.index_crc.to_le_bytes());
        bytes.extend(self.filter_crc.to_le_bytes());
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        std::array::from_fn(|at| bytes[at])
    }

    fn checksum(self) -> u32 {
        u32_at(&self.to_bytes(), FOOTER - 4)
    }

    fn from_bytes(bytes: &[u8; FOOTER]) -> Option<Self> {
        let footer = Self {
            first: u64_at(bytes, 12).cast_signed(),
            last: u64_at(bytes, 20).cast_signed(),
            entries: u64_at(bytes, 28),
            filter_bytes: u64_at(bytes, 36),
            index_crc: u32_at(bytes, 44),
            filter_crc: u32_at(bytes, 48),
        };
        (footer.to_bytes() == *bytes).then_some(footer)
    }
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]))
}

fn entry_at(block: &[u8], n: usize) -> Entry {
    (u64_at(block, n * ENTRY), u64_at(block, n * ENTRY + 8).cast_signed())
}

/// Whether a filter is worth its memory: to a writer, whose keys are nearly all new, it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sqlite) enum Filtered {
    Yes,
    No,
}

/// An open run.
#[derive(Debug)]
pub(in crate::sqlite) struct Run {
    file: File,
    registration: Registration,
    entries: u64,
    index: Vec<Indexed>,
    filter: Option<Filter>,
}

impl Run {
    /// Opens the registered file, if it is the one that was written.
    pub(in crate::sqlite) fn open(
        directory: &Path,
        registration: Registration,
        filtered: Filtered,
    ) -> Result<Self, RunError> {
        let path = path(directory, registration.number);
        let damaged = |what: &str| RunError::Damaged {
            number: registration.number,
            what: format!("{}: {what}", path.display()),
        };
        let read = |file: &File, at: u64, bytes: usize| {
            let mut buffer = vec![0; bytes];
            file.read_exact_at(&mut buffer, at).map(|()| buffer).map_err(|error| damaged(&error.to_string()))
        };
        let file = File::open(&path).map_err(|error| damaged(&error.to_string()))?;
        let length = file.metadata().map_err(|error| damaged(&error.to_string()))?.len();
        let footer_at = length.checked_sub(FOOTER as u64).ok_or_else(|| damaged("too short"))?;
        let bytes = read(&file, footer_at, FOOTER)?;
        let footer = bytes
            .first_chunk()
            .and_then(Footer::from_bytes)
            .ok_or_else(|| damaged("its end is not that of a run"))?;
        if (footer.first, footer.last, footer.checksum())
            != (registration.first, registration.last, registration.checksum)
        {
            return Err(damaged("it is another file than the one that was written there"));
        }
        // The footer is ours, so its numbers are; only the length of the file has to be held against them.
        let index_at = footer.entries.saturating_mul(ENTRY as u64);
        let index_bytes = footer.entries.div_ceil(BLOCK_ENTRIES as u64).saturating_mul(INDEXED as u64);
        if index_at.saturating_add(index_bytes).saturating_add(footer.filter_bytes) != footer_at {
            return Err(damaged("it has another length than what was written there"));
        }
        let index = read(&file, index_at, index_bytes as usize)?;
        if crc32fast::hash(&index) != footer.index_crc {
            return Err(damaged("its index is damaged"));
        }
        let index =
            index.chunks_exact(INDEXED).map(|one| Indexed { first: u64_at(one, 0), crc: u32_at(one, 8) });
        let filter = match filtered {
            Filtered::No => None,
            Filtered::Yes => {
                let filter = read(&file, index_at + index_bytes, footer.filter_bytes as usize)?;
                let sound = crc32fast::hash(&filter) == footer.filter_crc;
                let filter = Filter::from_bytes(&filter).filter(|_| sound);
                Some(filter.ok_or_else(|| damaged("its filter is damaged"))?)
            }
        };
        Ok(Self { registration, entries: footer.entries, index: index.collect(), filter, file })
    }

    pub(in crate::sqlite) fn registration(&self) -> Registration {
        self.registration
    }

    pub(super) fn entries(&self) -> u64 {
        self.entries
    }

    /// Whether the key may be in here.
    pub(super) fn may_contain(&self, probe: &Probe) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.may_contain(probe))
    }

    /// Adds the events with this key.
    pub(super) fn find(&self, key: u64, found: &mut Vec<i64>) -> Result<(), RunError> {
        // The block before the first that begins with the key may end with it.
        let from = self.index.partition_point(|block| block.first < key).saturating_sub(1);
        let mut block = Vec::new();
        for number in (from..self.index.len()).take_while(|number| self.index[*number].first <= key) {
            self.read(number, &mut block)?;
            let entries = block.len() / ENTRY;
            let (mut low, mut high) = (0, entries);
            while low < high {
                let middle = low.midpoint(high);
                if entry_at(&block, middle).0 < key { low = middle + 1 } else { high = middle }
            }
            let of_key = (low..entries).map(|n| entry_at(&block, n)).take_while(|entry| entry.0 == key);
            found.extend(of_key.map(|entry| entry.1));
        }
        Ok(())
    }

    /// Reads a block, and compares it with its checksum.
    fn read(&self, number: usize, block: &mut Vec<u8>) -> Result<(), RunError> {
        let before = (number * BLOCK_ENTRIES) as u64;
        let entries = (self.entries - before).min(BLOCK_ENTRIES as u64) as usize;
        block.resize(entries * ENTRY, 0);
        let damaged = |what: &str| RunError::Damaged {
            number: self.registration.number,
            what: format!("identity/{:08}.run: block {number}: {what}", self.registration.number),
        };
        self.file.read_exact_at(block, before * ENTRY as u64).map_err(|error| damaged(&error.to_string()))?;
        if crc32fast::hash(block) != self.index[number].crc {
            return Err(damaged("damaged"));
        }
        Ok(())
    }

    /// Reads all entries in order.
    pub(in crate::sqlite) fn scan(&self) -> Scan<'_> {
        Scan { run: self, next: 0, block: Vec::new(), at: 0 }
    }
}

/// Goes through a run.
#[derive(Debug)]
pub(in crate::sqlite) struct Scan<'a> {
    run: &'a Run,
    next: usize,
    block: Vec<u8>,
    at: usize,
}

impl Scan<'_> {
    /// The next entry, `None` after the last one.
    pub(in crate::sqlite) fn next(&mut self) -> Result<Option<Entry>, RunError> {
        if self.at * ENTRY == self.block.len() {
            if self.next == self.run.index.len() {
                return Ok(None);
            }
            self.run.read(self.next, &mut self.block)?;
            (self.next, self.at) = (self.next + 1, 0);
        }
        self.at += 1;
        Ok(Some(entry_at(&self.block, self.at - 1)))
    }
}

/// Writes a run: under another name first, synced, then renamed, and the directory synced. Only then may it be
/// registered.
pub(super) struct RunWriter {
    directory: PathBuf,
    number: u64,
    range: (i64, i64),
    file: BufWriter<File>,
    entries: u64,
    block: Vec<u8>,
    index: Vec<Indexed>,
    filter: Filter,
}

impl RunWriter {
    /// Begins one of about so many entries, which are those of the events in the range.
    pub(super) fn new(
        directory: &Path,
        number: u64,
        range: (i64, i64),
        entries: u64,
    ) -> Result<Self, RunError> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let file = BufWriter::with_capacity(1 << 20, options.open(new(directory, number))?);
        Ok(Self {
            directory: directory.to_owned(),
            number,
            range,
            file,
            entries: 0,
            block: Vec::with_capacity(BLOCK),
            index: Vec::new(),
            filter: Filter::for_keys(entries),
        })
    }

    /// Entries come in order.
    pub(super) fn push(&mut self, (key, seq): Entry) -> Result<(), RunError> {
        if self.block.is_empty() {
            self.index.push(Indexed { first: key, crc: 0 });
        }
        self.block.extend(key.to_le_bytes());
        self.block.extend(seq.to_le_bytes());
        self.filter.insert(key);
        self.entries += 1;
        if self.block.len() == BLOCK { self.end_block() } else { Ok(()) }
    }

    fn end_block(&mut self) -> Result<(), RunError> {
        if let Some(last) = self.index.last_mut() {
            last.crc = crc32fast::hash(&self.block);
        }
        self.file.write_all(&self.block)?;
        self.block.clear();
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<Run, RunError> {
        if !self.block.is_empty() {
            self.end_block()?;
        }
        let index: Vec<u8> = self
            .index
            .iter()
            .flat_map(|block| block.first.to_le_bytes().into_iter().chain(block.crc.to_le_bytes()))
            .collect();
        let filter = self.filter.to_bytes();
        let footer = Footer {
            first: self.range.0,
            last: self.range.1,
            entries: self.entries,
            filter_bytes: filter.len() as u64,
            index_crc: crc32fast::hash(&index),
            filter_crc: crc32fast::hash(&filter),
        };
        self.file.write_all(&index)?;
        self.file.write_all(&filter)?;
        self.file.write_all(&footer.to_bytes())?;
        self.file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        reach("identity.written");
        let path = path(&self.directory, self.number);
        fs::rename(new(&self.directory, self.number), &path)?;
        reach("identity.renamed");
        File::open(&self.directory)?.sync_all()?;
        reach("identity.synced");
        let registration = Registration {
            number: self.number,
            first: self.range.0,
            last: self.range.1,
            checksum: footer.checksum(),
        };
        let file = File::open(&path)?;
        Ok(Run { file, registration, entries: self.entries, index: self.index, filter: Some(self.filter) })
    }
}

/// The name of a file that is not finished.
fn new(directory: &Path, number: u64) -> PathBuf {
    path(directory, number).with_extension("new")
}
