//! Kept versions of an event.

use std::cmp::Ordering;

use milepost_model::{EventId, Version};
use rusqlite::{CachedStatement, Connection};

use super::stored::{self, Stored, columns};
use crate::StoreError;

/// A kept version.
pub(super) struct Kept {
    pub(super) seq: i64,
    pub(super) revision: u64,
    /// In canonical form.
    pub(super) content: Vec<u8>,
}

impl Kept {
    /// What says which version it is.
    pub(super) fn stated(&self) -> Stated<'_> {
        Stated { revision: self.revision, canonical: &self.content }
    }
}

/// What a [`Version`] is made of. Where revisions differ, or contents are equal, nothing need be hashed to compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stated<'a> {
    pub(super) revision: u64,
    /// The content in canonical form.
    pub(super) canonical: &'a [u8],
}

impl Ord for Stated<'_> {
    /// As the versions.
    fn cmp(&self, other: &Self) -> Ordering {
        let version = |stated: &Self| Version::of(stated.revision, stated.canonical);
        if self == other {
            return Ordering::Equal;
        }
        self.revision.cmp(&other.revision).then_with(|| version(self).cmp(&version(other)))
    }
}

impl PartialOrd for Stated<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The way from the number of an event to what has to be compared with a new one.
pub(super) struct Versions<'a>(CachedStatement<'a>);

impl<'a> Versions<'a> {
    pub(super) fn new(connection: &'a Connection) -> Result<Self, StoreError> {
        Ok(Self(connection.prepare_cached(concat!(
            "SELECT ",
            columns!(),
            ", revision = ?2 OR seq NOT IN (SELECT seq FROM superseded) FROM event WHERE seq = ?1"
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
            if same && row.get(stored::COLUMNS)? {
                let (revision, content) = (stored.revision as u64, stored.content.to_owned());
                kept.push(Kept { seq: *seq, revision, content });
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
            let (a, b) = (
                Stated { revision: one.0, canonical: one.1.as_bytes() },
                Stated { revision: other.0, canonical: other.1.as_bytes() },
            );
            prop_assert_eq!(a.cmp(&b), version(&one).cmp(&version(&other)));
            prop_assert_eq!(a == b, version(&one) == version(&other));
        }
    }
}
