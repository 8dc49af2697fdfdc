//! Which version lost to which, under other pseudonyms.

use std::collections::BTreeMap;

use milepost_model::Version;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension as _};
use rustc_hash::FxHashMap;

use crate::StoreError;
use crate::sqlite::stored::loser_crc;

/// Finds out anew which version each loser lost to. Which versions are of one event is known from who lost to whom before.
///
/// What the digests of dropped contents would be now nobody knows: those that had lost have lost as before, and the one that
/// had won has won over all others.
pub(super) fn copy(old: &Connection, new: &Connection) -> Result<(), StoreError> {
    let mut insert = new.prepare("INSERT INTO superseded (seq, by, crc) VALUES (?1, ?2, ?3)")?;
    let mut lost_to = old.prepare("SELECT by FROM superseded WHERE seq = ?1")?;
    for seqs in of_one_event(old)? {
        let mut kept = Vec::new();
        let mut frozen = None;
        for (seq, version) in versions(new, &seqs)? {
            match (version, lost_to.query_row([seq], |row| row.get::<_, i64>(0)).optional()?) {
                (Some(version), _) => kept.push((version, seq)),
                (None, Some(by)) => drop(insert.execute([seq, by, loser_crc(seq, by)])?),
                (None, None) => frozen = Some(seq),
            }
        }
        let mut winner: Option<(Version, i64)> = None;
        for one in kept {
            let (lost, by) = match (frozen, winner) {
                (Some(frozen), _) => (one.1, frozen),
                (None, None) => {
                    winner = Some(one);
                    continue;
                }
                (None, Some(other)) => {
                    winner = winner.max(Some(one));
                    let (larger, smaller) = if one.0 > other.0 { (one, other) } else { (other, one) };
                    (smaller.1, larger.1)
                }
            };
            insert.execute([lost, by, loser_crc(lost, by)])?;
        }
    }
    Ok(())
}

/// The versions of these numbers; none where the content was dropped.
fn versions(new: &Connection, seqs: &[i64]) -> Result<Vec<(i64, Option<Version>)>, StoreError> {
    let mut versions =
        new.prepare_cached("SELECT revision, content, digest IS NULL FROM event WHERE seq = ?1")?;
    let version = |seq: &i64| {
        let version = versions.query_row([seq], |row| {
            let revision: i64 = row.get(0)?;
            let content = match row.get_ref(1)? {
                ValueRef::Text(text) => text,
                _ => &[],
            };
            let is_kept: bool = row.get(2)?;
            Ok(is_kept.then(|| Version::of(revision.cast_unsigned(), content)))
        })?;
        Ok((*seq, version))
    };
    seqs.iter().map(version).collect()
}

/// The versions of each event that has more than one, in the order they came.
fn of_one_event(old: &Connection) -> Result<Vec<Vec<i64>>, StoreError> {
    let mut statement = old.prepare("SELECT seq, by FROM superseded")?;
    let by: FxHashMap<i64, i64> =
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    let mut events: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for seq in by.keys() {
        // Versions are totally ordered, so this ends, at the winner; were the table damaged, at the latest here.
        let (mut winner, mut steps) = (*seq, 0);
        while let Some(next) = by.get(&winner).filter(|_| steps <= by.len()) {
            (winner, steps) = (*next, steps + 1);
        }
        events.entry(winner).or_insert_with(|| vec![winner]).push(*seq);
    }
    Ok(events
        .into_values()
        .map(|mut seqs| {
            seqs.sort_unstable();
            seqs
        })
        .collect())
}
