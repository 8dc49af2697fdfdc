//! A Model of all winners, piece by piece.
//!
//! Law: a piece has all versions of its events that are before the progress, in the order of the table, so the last one of an event is its winner. That
//! needs no merge to have run, and whenever a piece is read, it is the same.

use milepost_model::{Event, EventKey, Model, Positions};

use super::follow::Follower;
use super::keys::Keys;
use super::progress::before;
use super::versions::{COLUMNS, Counts, ORDER, Stored, Winner, Winners, dropping};
use super::{ClickHouse, Error, Freeze};

/// Rows of a piece, about: what has to be read again if a connection breaks, and what stands between two reports.
const PIECE: u64 = 250_000;

/// A Model, and what keeps it up to date.
#[derive(Debug)]
pub struct Loaded {
    /// The Model of all winners before the progress of the follower.
    pub model: Model,
    /// Tells what comes after it.
    pub follower: Follower,
    /// What was counted.
    pub counts: Counts,
}

impl ClickHouse {
    /// The Model of all winners before the progress there is now. `report` is told how many rows of about how many were read.
    pub async fn load(&self, mut report: impl FnMut(u64, u64)) -> Result<Loaded, Error> {
        let freezes = self.freezes().await?;
        let progress = self.progress().await?;
        let rows = self.rows().await?;
        let (mut model, mut known) = (self.frozen_model(&freezes).await?, Keys::for_keys(rows));
        let (mut counts, mut read) = (Counts::default(), 0);
        for keys in pieces(rows) {
            let each = |key, event: Option<Event>| {
                known.insert(key);
                event.iter().for_each(|event| model.insert_with_key(event, key));
            };
            counts += self.piece(keys, &progress.positions, &freezes, &mut read, each).await?;
            report(read, rows.max(read));
        }
        // What a freeze that came meanwhile has dropped may be missing from what was read.
        if self.freezes().await? != freezes {
            return Err(dropping());
        }
        Ok(Loaded { model, follower: Follower::new(self.clone(), progress, freezes, known), counts })
    }

    /// Calls `each` with the key of every event in a range of keys, its last one included, and with its winner before these positions, unless it is
    /// frozen.
    pub(super) async fn piece(
        &self,
        (first, last): (u64, u64),
        positions: &Positions,
        freezes: &[Freeze],
        read: &mut u64,
        mut each: impl FnMut(EventKey, Option<Event>),
    ) -> Result<Counts, Error> {
        let keys = format!("key BETWEEN {first} AND {last}");
        let frozen = self.frozen_of(freezes, &keys).await?;
        let mut is_whole = true;
        let condition = format!("{keys} AND {}", before(positions));
        let counts = self
            .winners_where(&condition, read, &mut |Winner { id, key, event }| {
                let is_frozen = frozen.contains(&id);
                is_whole &= is_frozen || event.is_some();
                each(key, event.filter(|_| !is_frozen));
            })
            .await?;
        if is_whole { Ok(counts) } else { Err(dropping()) }
    }

    /// Calls `each` with every winner among the rows for which the condition holds.
    pub(super) async fn winners_where(
        &self,
        condition: &str,
        read: &mut u64,
        each: &mut impl FnMut(Winner),
    ) -> Result<Counts, Error> {
        let events = self.table("events");
        let mut rows = self.connection.rows::<Stored<'_>>(&format!(
            "SELECT {COLUMNS} FROM {events} WHERE {condition} ORDER BY {ORDER}"
        ))?;
        let mut winners = Winners::default();
        while let Some(stored) = rows.next().await? {
            *read += 1;
            winners.take(&stored)?.into_iter().for_each(&mut *each);
        }
        winners.finish().into_iter().for_each(each);
        Ok(winners.counts)
    }
}

/// Ranges that all keys are in, the last one of each included, for so many rows.
pub(super) fn pieces(rows: u64) -> impl Iterator<Item = (u64, u64)> {
    let number = rows.div_ceil(PIECE).max(1);
    let first = move |piece: u64| ((u128::from(piece) << 64) / u128::from(number)) as u64;
    (0..number).map(move |piece| (first(piece), first(piece + 1).wrapping_sub(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_in_one_piece() {
        for number in [0, 1, 2, 3, 7, 1_000] {
            let pieces: Vec<_> = pieces(number * PIECE).collect();
            assert_eq!((pieces[0].0, pieces.last().unwrap().1), (0, u64::MAX));
            assert!(pieces.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0), "{number}");
        }
    }
}
