//! Kept versions of an event.

use std::cmp::Ordering;

use milepost_model::{EventId, Timestamp, Version};
use rusqlite::{CachedStatement, Connection};

use super::events::parse;
use super::stored::{self, Stored, columns};
use crate::StoreError;

/// A kept version.
pub(super) struct Kept {
    pub(super) seq: i64,
    pub(super) revision: u64,
    /// In canonical form; empty where it was dropped.
    pub(super) content: Vec<u8>,
    /// Of the content that was dropped.
    digest: Option<[u8; 32]>,
    /// Whether it is the winner. Digests of dropped contents are those of before a rotation, so they alone do not say.
    pub(super) wins: bool,
}

impl Kept {
    /// What says which version it is.
    pub(super) fn stated(&self) -> Stated<'_> {
        let content = self.digest.map_or(Stating::Canonical(&self.content), Stating::Digest);
        Stated { revision: self.revision, content }
    }

    /// When it happened; none where its content was dropped.
    pub(super) fn at(&self) -> Result<Option<Timestamp>, StoreError> {
        match self.digest {
            Some(_) => Ok(None),
            None => Ok(Some(parse(self.seq, &self.content)?.occurred_at)),
        }
    }
}

/// What a [`Version`] is made of. Where revisions differ, or contents are equal, nothing need be hashed to compare.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stated<'a> {
    pub(super) revision: u64,
    content: Stating<'a>,
}

/// A content, or what is left of it.
#[derive(Debug, Clone, Copy)]
enum Stating<'a> {
    /// In canonical form.
    Canonical(&'a [u8]),
    Digest([u8; 32]),
}

impl<'a> Stated<'a> {
    /// Of a content in canonical form.
    pub(super) fn of(revision: u64, canonical: &'a [u8]) -> Self {
        Self { revision, content: Stating::Canonical(canonical) }
    }

    fn version(&self) -> Version {
        match self.content {
            Stating::Canonical(canonical) => Version::of(self.revision, canonical),
            Stating::Digest(digest) => Version { revision: self.revision, digest },
        }
    }
}

impl Ord for Stated<'_> {
    /// As the versions.
    fn cmp(&self, other: &Self) -> Ordering {
        self.revision.cmp(&other.revision).then_with(|| match (self.content, other.content) {
            (Stating::Canonical(one), Stating::Canonical(other)) if one == other => Ordering::Equal,
            _ => self.version().cmp(&other.version()),
        })
    }
}

impl PartialOrd for Stated<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Stated<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self.content, other.content) {
            (Stating::Canonical(one), Stating::Canonical(another)) => {
                self.revision == other.revision && one == another
            }
            _ => self.cmp(other) == Ordering::Equal,
        }
    }
}

impl Eq for Stated<'_> {}

/// The way from the number of an event to what has to be compared with a new one.
pub(super) struct Versions<'a>(CachedStatement<'a>);

impl<'a> Versions<'a> {
    pub(super) fn new(connection: &'a Connection) -> Result<Self, StoreError> {
        Ok(Self(connection.prepare_cached(concat!(
            "SELECT ",
            columns!(),
            ", revision = ?2, seq NOT IN (SELECT seq FROM superseded) FROM event WHERE seq = ?1"
        ))?))
    }

    /// Of these events, the winner of this identity and its versions of this revision.
    pub(super) fn of(&mut self, seqs: &[i64], id: &EventId, revision: u64) -> Result<Vec<Kept>, StoreError> {
        let mut kept = Vec::new();
        for seq in seqs {
            let mut rows = self.0.query([*seq, revision as i64])?;
            let row = rows.next()?.ok_or_else(|| stored::missing(*seq))?;
            let stored = Stored::read(row)?;
            // Others may have the same key.
            let same = stored.source == id.source.as_bytes() && stored.id == id.id.as_bytes();
            let (same_revision, wins): (bool, bool) =
                (row.get(stored::COLUMNS)?, row.get(stored::COLUMNS + 1)?);
            if same && (same_revision || wins) {
                let (revision, content) = (stored.revision as u64, stored.content.to_owned());
                kept.push(Kept { seq: *seq, revision, content, digest: stored.digest, wins });
            }
        }
        Ok(kept)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_stated_compares_as_its_version(
            (one, other) in ((0..3_u64, "[ab]{0,3}"), (0..3_u64, "[ab]{0,3}")),
        ) {
            let version = |(revision, text): &(u64, String)| Version::of(*revision, text.as_bytes());
            let dropped = |(revision, text): &(u64, String)| Stated {
                revision: *revision,
                content: Stating::Digest(Version::of(*revision, text.as_bytes()).digest),
            };
            let (a, b) = (Stated::of(one.0, one.1.as_bytes()), Stated::of(other.0, other.1.as_bytes()));
            for (a, b) in [(a, b), (dropped(&one), b), (a, dropped(&other)), (dropped(&one), dropped(&other))] {
                prop_assert_eq!(a.cmp(&b), version(&one).cmp(&version(&other)));
                prop_assert_eq!(a == b, version(&one) == version(&other));
            }
        }
    }
}
