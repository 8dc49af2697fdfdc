//! Rows of `event` and `superseded`, and whether they are what was written.
//!
//! SQLite has no checksums of its pages, and an event with another letter in it may still be an event. So every row has a
//! CRC-32 of all else in it. It is computed where a row is written and compared wherever one is read whole, so that no
//! number is ever made of a row that is damaged. Who lost to whom is compared when a Model is loaded.

use milepost_model::EventId;
use rusqlite::{Connection, Row};

use super::DATABASE;
use crate::StoreError;

/// What a row says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stored<'a> {
    pub(super) seq: i64,
    /// Microseconds since 1970, UTC.
    pub(super) received_at: i64,
    pub(super) source: &'a [u8],
    pub(super) id: &'a [u8],
    /// An unsigned number as a signed one.
    pub(super) revision: i64,
    /// In canonical form; empty where it was dropped.
    pub(super) content: &'a [u8],
    /// SHA-256 of the content that was dropped.
    pub(super) digest: Option<[u8; 32]>,
}

/// The columns of a query whose rows [`Stored::read`] reads. One says whether it may be without a checksum.
macro_rules! columns {
    () => {
        "event.seq, event.received_at, event.source, event.id, event.revision, event.content, event.crc,
         event.seq < (SELECT first_seq FROM checksum), event.digest"
    };
}
pub(super) use columns;

/// How many they are: those after them are the query's own.
pub(super) const COLUMNS: usize = 9;

/// Whether a row is what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sound {
    Yes,
    No,
    /// It is of before there were checksums.
    Unknown,
}

impl<'a> Stored<'a> {
    /// The row, if it is what was written.
    pub(super) fn read(row: &'a Row<'_>) -> Result<Self, StoreError> {
        match Self::read_any(row)? {
            (stored, Sound::No) => Err(damaged(stored.seq)),
            (stored, _) => Ok(stored),
        }
    }

    /// The row, whatever has become of it.
    pub(super) fn read_any(row: &'a Row<'_>) -> Result<(Self, Sound), StoreError> {
        let seq = row.get(0)?;
        let read = || -> Result<_, rusqlite::Error> {
            let bytes =
                |column| -> Result<&'a [u8], rusqlite::Error> { Ok(row.get_ref(column)?.as_bytes()?) };
            let stored = Self {
                seq,
                received_at: row.get(1)?,
                source: bytes(2)?,
                id: bytes(3)?,
                revision: row.get(4)?,
                content: bytes(5)?,
                digest: row.get(8)?,
            };
            Ok((stored, row.get::<_, Option<i64>>(6)?, row.get::<_, bool>(7)?))
        };
        // Of another type than they can be.
        let (stored, crc, may_lack) = read().map_err(|_| damaged(seq))?;
        let sound = match crc {
            None if may_lack => Sound::Unknown,
            crc if crc == Some(stored.crc()) => Sound::Yes,
            _ => Sound::No,
        };
        Ok((stored, sound))
    }

    /// CRC-32 of the numbers, the lengths, the texts and the digest if there is one, as it is kept: four bytes, so signed.
    pub(super) fn crc(&self) -> i64 {
        let mut head = [0; 40];
        let numbers = [self.seq, self.received_at, self.revision];
        let lengths = [self.source.len() as i64, self.id.len() as i64];
        for (place, number) in head.chunks_exact_mut(8).zip(numbers.into_iter().chain(lengths)) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        let mut hasher = crc32fast::Hasher::new();
        for part in [&head, self.source, self.id, self.content] {
            hasher.update(part);
        }
        self.digest.inspect(|digest| hasher.update(digest));
        i64::from(hasher.finalize().cast_signed())
    }

    /// Its identity.
    pub(super) fn event_id(&self) -> Result<EventId, StoreError> {
        let (source, id) = self.texts()?;
        Ok(EventId { source: source.to_owned(), id: id.to_owned() })
    }

    /// `source` and `id`.
    pub(super) fn texts(&self) -> Result<(&'a str, &'a str), StoreError> {
        let text = |bytes| std::str::from_utf8(bytes).map_err(|_| damaged(self.seq));
        Ok((text(self.source)?, text(self.id)?))
    }
}

/// CRC-32 of a row of `superseded`, as it is kept.
pub(super) fn loser_crc(seq: i64, by: i64) -> i64 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&seq.to_le_bytes());
    hasher.update(&by.to_le_bytes());
    i64::from(hasher.finalize().cast_signed())
}

/// Compares every row of both tables with its checksum.
pub(super) fn check_all(connection: &Connection) -> Result<(), StoreError> {
    let mut statement = connection.prepare(concat!("SELECT ", columns!(), " FROM event"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        Stored::read(row)?;
    }
    check_losers(connection)
}

/// Compares every row of `superseded` with its checksum.
pub(super) fn check_losers(connection: &Connection) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached("SELECT seq, by, crc FROM superseded")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (seq, by, crc): (i64, i64, Option<i64>) = (row.get(0)?, row.get(1)?, row.get(2)?);
        if crc != Some(loser_crc(seq, by)) {
            return Err(not_written(&format!("that event {seq} lost to event {by},")));
        }
    }
    Ok(())
}

fn damaged(seq: i64) -> StoreError {
    not_written(&format!("event {seq}"))
}

/// What is said where there is no event of this number. They have no gaps, so it is there under another one.
pub(super) fn missing(seq: i64) -> StoreError {
    damaged(seq)
}

fn not_written(what: &str) -> StoreError {
    StoreError::Corrupt(format!(
        "{what} in {DATABASE} is not what was written: restore the last backup with `milepost restore`; `milepost doctor` says \
         what else is damaged"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows there are must be found sound by every Milepost to come.
    #[test]
    fn the_checksum_is_what_it_was() {
        let stored = Stored {
            seq: 1,
            received_at: -2,
            source: b"ci",
            id: b"7",
            revision: -1,
            content: b"{}",
            digest: None,
        };
        assert_eq!(stored.crc(), 996_480_498);
        let dropped = Stored { content: b"", digest: Some([7; 32]), ..stored };
        assert_eq!(dropped.crc(), -608_069_109);
    }

    #[test]
    fn where_a_text_ends_counts() {
        let stored = |source, id| {
            let (content, digest) = (&b"{}"[..], None);
            Stored { seq: 1, received_at: 0, source, id, revision: 0, content, digest }
        };
        assert_ne!(stored(b"ab", b"c").crc(), stored(b"a", b"bc").crc());
    }
}
