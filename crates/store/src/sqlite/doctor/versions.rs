//! Versions against each other, and what is left of dropped ones against them.

use milepost_model::Version;
use rusqlite::Connection;
use rusqlite::types::ValueRef;

use super::super::stored::loser_crc;
use super::super::{keys, retention};
use super::{Examination, FROM_BACKUP};
use crate::StoreError;

impl Examination {
    /// No event has two.
    pub(super) fn winners(
        &mut self,
        snapshot: &Connection,
        mut winners: Vec<(u64, i64)>,
    ) -> Result<(), StoreError> {
        winners.sort_unstable();
        let mut same = snapshot.prepare(
            "SELECT EXISTS (SELECT 1 FROM event one JOIN event other USING (source, id) WHERE one.seq = ?1 AND other.seq = ?2)",
        )?;
        for of_a_key in winners.chunk_by(|one, other| one.0 == other.0).filter(|winners| winners.len() > 1) {
            for (place, (_, one)) in of_a_key.iter().enumerate() {
                for (_, other) in &of_a_key[place + 1..] {
                    if same.query_row([one, other], |row| row.get(0))? {
                        self.damage_of_many(
                            || format!("events {one} and {other} are versions of one, and both win"),
                            FROM_BACKUP,
                        );
                    }
                }
            }
        }
        self.end_of_many("pairs of versions that both win");
        Ok(())
    }

    /// So many versions have no content, of which so many win.
    pub(super) fn retention(
        &mut self,
        snapshot: &Connection,
        (dropped, winners): (u64, u64),
    ) -> Result<(), StoreError> {
        let told = self.report.horizon.map_or(0, |horizon| horizon.dropped);
        if told != dropped {
            let what = format!("{told} contents are said to be dropped, and {dropped} are");
            self.damage(what, FROM_BACKUP);
        }
        let frozen = match retention::frozen(snapshot) {
            Ok(model) => model.events() as u64,
            Err(StoreError::Corrupt(what)) => {
                self.damage(what, FROM_BACKUP);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if frozen != winners {
            let what = format!("{winners} dropped events count, and there are facts of {frozen}");
            self.damage(what, FROM_BACKUP);
        }
        Ok(())
    }

    /// Each lost to a larger version of the same event.
    pub(super) fn losers(&mut self, snapshot: &Connection) -> Result<(), StoreError> {
        let mut statement = snapshot.prepare(
            "SELECT superseded.seq, loser.revision, loser.content, loser.digest, winner.revision, winner.content, winner.digest,
                    loser.source IS winner.source AND loser.id IS winner.id, superseded.by, superseded.crc
             FROM superseded LEFT JOIN event loser ON loser.seq = superseded.seq
                             LEFT JOIN event winner ON winner.seq = superseded.by",
        )?;
        // Digests of what was dropped before a rotation of keys are of other pseudonyms than those there are now.
        let rotated = keys::in_force(snapshot).is_ok_and(|keys| keys.count > 1);
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let seq: i64 = row.get(0)?;
            let version = |revision: usize| -> Result<Option<Version>, rusqlite::Error> {
                let Some(number) = row.get::<_, Option<i64>>(revision)? else { return Ok(None) };
                let content =
                    row.get_ref(revision + 1)?.as_bytes_or_null().ok().flatten().unwrap_or_default();
                let version = Version::of(number.cast_unsigned(), content);
                Ok(Some(row.get(revision + 2).map_or(version, |digest| Version { digest, ..version })))
            };
            let (loser, winner) = (version(1)?, version(4)?);
            let dropped = row.get_ref(3)? != ValueRef::Null || row.get_ref(6)? != ValueRef::Null;
            let lost = matches!((loser, winner), (Some(loser), Some(winner)) if loser < winner
                || rotated && dropped && loser.revision == winner.revision);
            let sound = row.get::<_, Option<i64>>(9)? == Some(loser_crc(seq, row.get(8)?));
            if !lost || !sound || !row.get::<_, bool>(7)? {
                self.damage_of_many(
                    || format!("event {seq} is said to have lost, but not to a larger version of it"),
                    FROM_BACKUP,
                );
            }
        }
        self.end_of_many("events that lost to nothing");
        Ok(())
    }
}
