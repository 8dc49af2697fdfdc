//! What migrations do that SQL cannot say.

use milepost_model::{EventKey, Version};
use rusqlite::Connection;

use super::stored::loser_crc;
use crate::StoreError;

/// From format 1 to 2: finds out which version each loser lost to, by comparing the versions of its event once more in the
/// order they came.
pub(super) fn superseded_by(connection: &Connection) -> Result<(), StoreError> {
    let mut losers =
        connection.prepare("SELECT seq, source, id FROM superseded JOIN event USING (seq) ORDER BY seq")?;
    let mut is_known = connection.prepare("SELECT EXISTS (SELECT 1 FROM superseded_by WHERE seq = ?1)")?;
    let mut versions = connection.prepare(
        "SELECT event.seq, event.revision, event.content
         FROM identity CROSS JOIN event ON event.seq = identity.seq
         WHERE identity.key = ?1 AND event.source = ?2 AND event.id = ?3 ORDER BY event.seq",
    )?;
    let mut note = connection.prepare("INSERT INTO superseded_by (seq, by) VALUES (?1, ?2)")?;
    let mut losers = losers.query([])?;
    while let Some(row) = losers.next()? {
        let (seq, source, id): (i64, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        // The first loser of an event notes them all.
        if is_known.query_row([seq], |row| row.get(0))? {
            continue;
        }
        let key = EventKey::of(&source, &id).0.cast_signed();
        let mut rows = versions.query((key, source, id))?;
        let mut winner: Option<(Version, i64)> = None;
        while let Some(row) = rows.next()? {
            let (seq, revision): (i64, i64) = (row.get(0)?, row.get(1)?);
            let content = row.get_ref(2)?.as_bytes().map_err(rusqlite::Error::from)?;
            let one = (Version::of(revision.cast_unsigned(), content), seq);
            let Some(other) = winner else {
                winner = Some(one);
                continue;
            };
            let (larger, smaller) = if one.0 > other.0 { (one, other) } else { (other, one) };
            note.execute([smaller.1, larger.1])?;
            winner = Some(larger);
        }
    }
    Ok(())
}

/// From format 4 to 5: every loser gets a checksum.
pub(super) fn checksums_of_losers(connection: &Connection) -> Result<(), StoreError> {
    let mut losers = connection.prepare("SELECT seq, by FROM superseded")?;
    let losers: Vec<(i64, i64)> =
        losers.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    let mut update = connection.prepare("UPDATE superseded SET crc = ?2 WHERE seq = ?1")?;
    for (seq, by) in losers {
        update.execute([seq, loser_crc(seq, by)])?;
    }
    Ok(())
}
