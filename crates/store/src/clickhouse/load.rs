//! A Model of all winners, piece by piece.
//!
//! Law: a piece has all versions of its events that are before the progress, in the order of the table, so the last one of an event is its winner. That
//! needs no merge to have run, and whenever a piece is read, it is the same.

use milepost_model::{Event, EventKey, Model, Positions};

use super::follow::Follower;
use super::keys::Keys;
use super::progress::before;
use super::versions::{COLUMNS, Counts, ORDER, Stored, Winners};
use super::{ClickHouse, Error};

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
        let progress = self.progress().await?;
        let rows = self.rows().await?;
        let (mut model, mut keys) = (Model::new(), Keys::for_keys(rows));
        let counts = self
            .winners(&progress.positions, rows, &mut report, |event, key| {
                model.insert_with_key(event, key);
                keys.insert(key);
            })
            .await?;
        Ok(Loaded { model, follower: Follower::new(self.clone(), progress, keys), counts })
    }

    /// Calls `each` with every winner before these positions, in the order of their keys.
    pub(super) async fn winners(
        &self,
        positions: &Positions,
        rows: u64,
        report: &mut impl FnMut(u64, u64),
        mut each: impl FnMut(&Event, EventKey),
    ) -> Result<Counts, Error> {
        let mut counts = Counts::default();
        let mut read = 0;
        for (first, last) in pieces(rows.div_ceil(PIECE)) {
            let condition = format!("key BETWEEN {first} AND {last} AND {}", before(positions));
            counts += self.winners_where(&condition, &mut read, &mut each).await?;
            report(read, rows.max(read));
        }
        Ok(counts)
    }

    /// Calls `each` with every winner among the rows for which the condition holds.
    pub(super) async fn winners_where(
        &self,
        condition: &str,
        read: &mut u64,
        each: &mut impl FnMut(&Event, EventKey),
    ) -> Result<Counts, Error> {
        let events = self.table("events");
        let mut rows = self.connection.rows::<Stored<'_>>(&format!(
            "SELECT {COLUMNS} FROM {events} WHERE {condition} ORDER BY {ORDER}"
        ))?;
        let mut winners = Winners::default();
        while let Some(stored) = rows.next().await? {
            *read += 1;
            if let Some((event, key)) = winners.take(&stored)? {
                each(&event, key);
            }
        }
        if let Some((event, key)) = winners.finish() {
            each(&event, key);
        }
        Ok(winners.counts)
    }
}

/// Ranges that all keys are in, the last one of each included.
fn pieces(number: u64) -> impl Iterator<Item = (u64, u64)> {
    let number = number.max(1);
    let first = move |piece: u64| ((u128::from(piece) << 64) / u128::from(number)) as u64;
    (0..number).map(move |piece| (first(piece), first(piece + 1).wrapping_sub(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_in_one_piece() {
        for number in [0, 1, 2, 3, 7, 1_000] {
            let pieces: Vec<_> = pieces(number).collect();
            assert_eq!((pieces[0].0, pieces.last().unwrap().1), (0, u64::MAX));
            assert!(pieces.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0), "{number}");
        }
    }
}
