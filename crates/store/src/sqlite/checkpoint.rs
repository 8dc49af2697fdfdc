//! The Model in a file, so that a start need not read every event.
//!
//! `model.checkpoint` is a cache of the database. It has a header and an encoded Model, which says itself how far in the log
//! it goes (its position, the number of an event). A start decodes it and does what came after that once more.
//!
//! Laws:
//!
//! 1. What is loaded is the Model of exactly the winners of one moment, with a checkpoint or without.
//! 2. A file that is missing, damaged, of another version, or not of this database up to its position, is not used. The
//!    header names the event at the position, so a database that was put back to an older state and went on differently
//!    is told from the one that the file is of. Nor is one that would need contents which retention has dropped.
//! 3. A file of the name is whole: it is written under another, synced, and only then renamed.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use milepost_model::Model;
use milepost_model::model::{BlockHeader, DecodeError, Decoder, Encoder, HEADER, Part};
use rusqlite::{Connection, OptionalExtension as _};
use sha2::{Digest as _, Sha256};

use super::doctor::{DELETE_IT, Finding, Severity};
use super::stored::check_losers;
use super::{directory, events, reader, retention};
use crate::{Loaded, StoreError};

/// Its name in the data directory.
pub(super) const FILE: &str = "model.checkpoint";

/// What the file begins with; the last two bytes are the version of its form.
const MAGIC: [u8; 8] = *b"mlpcpt02";

/// Magic, and digest of the event at the position.
const HEAD: usize = 8 + 32;

/// Events between two reports of progress.
const STRIDE: u64 = 10_000;

/// The file, if there is one. Whoever reads beside the writer opens it before he begins to read the database: then it holds
/// nothing that he does not see there.
pub(super) fn open(data: &Path) -> Option<File> {
    File::open(data.join(FILE)).ok()
}

/// Loads the Model of one moment. `progress` is told how many events of how many were read.
pub(super) fn load(
    connection: &Connection,
    data: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Loaded, StoreError> {
    let file = open(data);
    let snapshot = connection.unchecked_transaction()?;
    load_within(&snapshot, file.as_ref(), progress)
}

/// As [`load`], of the moment that `snapshot` is in, which began after `file` was opened.
pub(super) fn load_within(
    snapshot: &Connection,
    file: Option<&File>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Loaded, StoreError> {
    check_losers(snapshot)?;
    let (mut model, unused) = match file.map(|file| decode(snapshot, file)) {
        None => (retention::frozen(snapshot)?, None),
        Some(Ok(model)) => (model, None),
        Some(Err(why)) => (retention::frozen(snapshot)?, Some(format!("{FILE}: {why}"))),
    };
    let checkpoint = model.position();
    let read = redo(snapshot, &mut model, progress)?;
    Ok(Loaded { model, checkpoint, read, unused })
}

/// What is to say of a checkpoint. Reads every event to know.
pub(super) fn finding(snapshot: &Connection, file: Option<&File>) -> Result<Option<Finding>, StoreError> {
    let Some(file) = file else { return Ok(None) };
    let with = load_within(snapshot, Some(file), &mut |_, _| {})?;
    if let Some(why) = with.unused {
        return Ok(Some(Finding {
            severity: Severity::Note,
            what: format!("the checkpoint is not used: {why}"),
            advice: "nothing: the next start reads every event, and a new one is written".to_owned(),
        }));
    }
    // One after the other, as both together would need twice the memory.
    let with = with.model.fingerprint();
    let without = load_within(snapshot, None, &mut |_, _| {})?.model.fingerprint();
    Ok((with != without).then(|| Finding {
        severity: Severity::Damage,
        what: format!("{FILE} does not agree with the events"),
        advice: DELETE_IT.to_owned(),
    }))
}

/// Does what came after the position of a Model once more, and gives how many events were read for it.
fn redo(
    snapshot: &Connection,
    model: &mut Model,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<u64, StoreError> {
    let position = model.position().cast_signed();
    let newest: i64 = snapshot.query_row("SELECT ifnull(max(seq), 0) FROM event", [], |row| row.get(0))?;
    let of = (newest - position).cast_unsigned();
    let mut read = 0;
    if position > 0 {
        events::replaced_since(snapshot, position, &mut |seq, event| {
            if seq <= position {
                model.remove(event);
            } else {
                model.clear(event);
            }
            read += 1;
        })?;
    }
    events::replay_since(snapshot, position, &mut |event| {
        model.insert(event);
        read += 1;
        if read % STRIDE == 0 {
            progress(read.min(of), of);
        }
    })?;
    progress(of, of);
    model.set_position(newest.cast_unsigned());
    Ok(read)
}

/// The Model in the file, or why it is not used.
fn decode(snapshot: &Connection, file: &File) -> Result<Model, String> {
    let mut head = [0; HEAD];
    file.read_exact_at(&mut head, 0).map_err(said)?;
    if head[..8] != MAGIC {
        return Err(said(DecodeError::Unknown));
    }
    let blocks = blocks(file)?;
    // Two threads, as the traces are about half of it.
    let (traces, others) = std::thread::scope(|scope| {
        let traces = scope.spawn(|| decode_part(file, &blocks, Part::Traces));
        let others = decode_part(file, &blocks, Part::Others);
        (traces.join().unwrap_or_else(|_| Err("a thread has failed".to_owned())), others)
    });
    let model = traces?.join(others?).finish().map_err(said)?;
    let expected = event_digest(snapshot, model.position()).map_err(said)?;
    if expected.is_none_or(|expected| expected != head[8..]) {
        return Err("it is of another database, or of another state of this one".to_owned());
    }
    if model.position() < retention::position(snapshot).map_err(said)? {
        return Err("it rests on contents of events that retention has dropped since".to_owned());
    }
    Ok(model)
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

type Blocks = Vec<(BlockHeader, u64)>;

/// Where the blocks are, those with names first.
fn blocks(file: &File) -> Result<Blocks, String> {
    let length = file.metadata().map_err(said)?.len();
    let (mut blocks, mut at) = (Vec::new(), HEAD as u64);
    while at < length {
        let mut header = [0; HEADER];
        file.read_exact_at(&mut header, at).map_err(said)?;
        let header = BlockHeader::read(&header).map_err(said)?;
        blocks.push((header, at + HEADER as u64));
        at += (HEADER + header.length()) as u64;
    }
    let ends = blocks.iter().filter(|(header, _)| header.is_end()).count();
    if at != length || ends != 1 || !blocks.last().is_some_and(|(header, _)| header.is_end()) {
        return Err(said(DecodeError::Damaged));
    }
    blocks.sort_by_key(|(header, _)| !header.is_names());
    Ok(blocks)
}

fn decode_part(file: &File, blocks: &Blocks, part: Part) -> Result<Decoder, String> {
    let (mut decoder, mut payload) = (Decoder::of(part), Vec::new());
    for (header, at) in blocks {
        payload.clear();
        if decoder.wants(*header) {
            payload.resize(header.length(), 0);
            file.read_exact_at(&mut payload, *at).map_err(said)?;
        }
        decoder.block(*header, &payload).map_err(said)?;
    }
    Ok(decoder.derive())
}

/// SHA-256 of what identifies an event and its version beside the content; `None` if there is no such event.
fn event_digest(connection: &Connection, position: u64) -> Result<Option<[u8; 32]>, StoreError> {
    let row = "SELECT received_at, revision, source, id FROM event WHERE seq = ?1";
    let digest = connection
        .query_row(row, [position.cast_signed()], |row| {
            let mut hash = Sha256::new();
            hash.update(row.get::<_, i64>(0)?.to_le_bytes());
            hash.update(row.get::<_, i64>(1)?.to_le_bytes());
            hash.update(row.get_ref(2)?.as_bytes()?);
            hash.update([0]);
            hash.update(row.get_ref(3)?.as_bytes()?);
            Ok(hash.finalize().into())
        })
        .optional()?;
    // Of nothing there is one, too.
    Ok(digest.or_else(|| (position == 0).then_some([0; 32])))
}

/// Writes checkpoints of a data directory, beside its writer.
#[derive(Debug)]
pub struct Checkpoints {
    connection: Connection,
    data: PathBuf,
}

impl Checkpoints {
    /// Of a data directory whose lock this process holds.
    pub fn open(data: &Path) -> Result<Self, StoreError> {
        Ok(Self { connection: reader::connect(data)?, data: data.to_owned() })
    }

    /// Writes what `encoder` began, block by block as `next` makes them, in place of the last checkpoint. Returns its bytes.
    pub fn write(
        &mut self,
        mut encoder: Encoder,
        mut next: impl FnMut(&mut Encoder) -> Option<Vec<u8>>,
    ) -> Result<u64, StoreError> {
        let Some(digest) = event_digest(&self.connection, encoder.position())? else {
            return Err(StoreError::Corrupt(format!("event {} is not there", encoder.position())));
        };
        let new = self.data.join(format!("{FILE}.new"));
        let file = directory::private_file(&new)?;
        let written = self.put(&file, &new, digest, || next(&mut encoder));
        if written.is_err() {
            // What failed is told; that half a file stays is not worth another word.
            let _ = fs::remove_file(&new);
        }
        written.map_err(|error| StoreError::Io(format!("{}: {error}", new.display())))
    }

    fn put(
        &self,
        file: &File,
        new: &Path,
        digest: [u8; 32],
        mut next: impl FnMut() -> Option<Vec<u8>>,
    ) -> std::io::Result<u64> {
        // A process that was killed may have left one.
        file.set_len(0)?;
        let mut writer = BufWriter::new(file);
        writer.write_all(&MAGIC)?;
        writer.write_all(&digest)?;
        let mut bytes = HEAD as u64;
        while let Some(block) = next() {
            writer.write_all(&block)?;
            bytes += block.len() as u64;
        }
        writer.flush()?;
        file.sync_all()?;
        fs::rename(new, self.data.join(FILE))?;
        File::open(&self.data)?.sync_all()?;
        Ok(bytes)
    }
}

/// Takes the checkpoint of a data directory away, and what was begun of one: the next start reads every event. For who
/// changes what is stored.
pub fn discard(data: &Path) -> Result<(), StoreError> {
    for file in [data.join(FILE), data.join(format!("{FILE}.new"))] {
        match fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(StoreError::Io(format!("{}: {error}", file.display())));
            }
            _ => {}
        }
    }
    Ok(())
}
