//! Refused events, kept with their reason so that nothing vanishes unexplained.

use milepost_model::{Payload, Refusal, Rejected, Timestamp};
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, Row, params};

use super::Options;
use crate::refused::{self, JSON, Kept, PROTOBUF};
use crate::{Quarantined, Retried, StoreError};

/// Appends refusals within the transaction that `connection` is in.
pub(super) fn append(
    connection: &Connection,
    rejected: &[Rejected],
    now: Timestamp,
) -> Result<(), StoreError> {
    if rejected.is_empty() {
        return Ok(());
    }
    let mut insert = connection.prepare_cached(
        "INSERT INTO quarantine (at, door, reason, field, message, source, event_id, payload_format, payload)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    for event in rejected {
        let Rejected { refusal, door, source, id, .. } = event;
        let kept = Kept::of(event);
        let payload = match kept.payload {
            Some(Payload::Json(text)) => ValueRef::Text(text.as_bytes()),
            Some(Payload::Protobuf(bytes)) => ValueRef::Blob(bytes),
            None => ValueRef::Null,
        };
        insert.execute(params![
            now.micros(),
            door.as_str(),
            refusal.reason.as_str(),
            refusal.field,
            kept.message,
            source,
            id,
            kept.payload.map(refused::format),
            ToSqlOutput::Borrowed(payload),
        ])?;
    }
    Ok(())
}

/// Drops the oldest refusals until the others are within the limits.
pub(super) fn make_room(
    connection: &Connection,
    options: &Options,
    now: Timestamp,
) -> Result<(), StoreError> {
    let [rows, bytes] = connection
        .prepare_cached("SELECT rows, bytes FROM quarantine_total")?
        .query_row([], |row| Ok([row.get::<_, i64>(0)?, row.get(1)?]))?;
    let mut rows = rows - i64::from(options.quarantine_rows);
    let mut bytes = bytes.saturating_sub_unsigned(options.quarantine_bytes);
    let age = options.quarantine_age.and_then(|age| i64::try_from(age.seconds()).ok());
    let horizon = age.map_or(i64::MIN, |age| now.micros().saturating_sub(age.saturating_mul(1_000_000)));
    let mut oldest = connection.prepare_cached(
        "SELECT number, at, octet_length(field) + octet_length(message) + ifnull(octet_length(source), 0)
                        + ifnull(octet_length(event_id), 0) + ifnull(octet_length(payload), 0)
         FROM quarantine ORDER BY number",
    )?;
    let (mut last, mut dropped, mut oldest) = (0_i64, 0_i64, oldest.query([])?);
    while let Some(row) = oldest.next()? {
        let at: i64 = row.get(1)?;
        if rows <= 0 && bytes <= 0 && at >= horizon {
            break;
        }
        last = row.get(0)?;
        (rows, bytes, dropped) = (rows - 1, bytes - row.get::<_, i64>(2)?, dropped + 1);
    }
    drop(oldest);
    if dropped == 0 {
        return Ok(());
    }
    connection.prepare_cached("DELETE FROM quarantine WHERE number <= ?1")?.execute([last])?;
    connection.prepare_cached("UPDATE quarantine_total SET dropped = dropped + ?1")?.execute([dropped])?;
    Ok(())
}

/// Takes out what is kept now, and gives the others their new reason. A number that is not there any more is none.
pub(super) fn settle(connection: &Connection, retried: &Retried) -> Result<(), StoreError> {
    let mut delete = connection.prepare_cached("DELETE FROM quarantine WHERE number = ?1")?;
    for number in &retried.numbers {
        delete.execute([signed(*number)])?;
    }
    let mut update = connection
        .prepare_cached("UPDATE quarantine SET reason = ?2, field = ?3, message = ?4 WHERE number = ?1")?;
    for (number, Refusal { reason, field, message }) in &retried.refused {
        update.execute(params![signed(*number), reason.as_str(), field, message])?;
    }
    Ok(())
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The newest refusals below a number, newest first.
pub(super) fn list(
    connection: &Connection,
    before: Option<u64>,
    limit: usize,
) -> Result<Vec<Quarantined>, StoreError> {
    let newest = "SELECT number, at, door, reason, field, message, source, event_id, payload_format, payload
                  FROM quarantine WHERE number < ?1 ORDER BY number DESC LIMIT ?2";
    query(connection, newest, before.map_or(i64::MAX, signed), limit)
}

/// The oldest refusals above a number, oldest first.
pub(super) fn oldest(
    connection: &Connection,
    after: u64,
    limit: usize,
) -> Result<Vec<Quarantined>, StoreError> {
    let oldest = "SELECT number, at, door, reason, field, message, source, event_id, payload_format, payload
                  FROM quarantine WHERE number > ?1 ORDER BY number LIMIT ?2";
    query(connection, oldest, signed(after), limit)
}

fn query(
    connection: &Connection,
    sql: &str,
    number: i64,
    limit: usize,
) -> Result<Vec<Quarantined>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([number, signed(limit as u64)])?;
    let mut refusals = Vec::new();
    while let Some(row) = rows.next()? {
        refusals.push(read(row)?);
    }
    Ok(refusals)
}

fn read(row: &Row<'_>) -> Result<Quarantined, StoreError> {
    let number: i64 = row.get(0)?;
    let corrupt = |column: &str| {
        StoreError::Corrupt(format!("refusal {number} in {} cannot be read: {column}", super::DATABASE))
    };
    let at = Timestamp::from_micros(row.get(1)?).ok_or_else(|| corrupt("at"))?;
    let door: String = row.get(2)?;
    let door = refused::door(&door).ok_or_else(|| corrupt("door"))?;
    let reason: String = row.get(3)?;
    let reason = refused::reason(&reason).ok_or_else(|| corrupt("reason"))?;
    let format: Option<String> = row.get(8)?;
    let payload = match (format.as_deref(), row.get(9)?) {
        (None, Value::Null) => None,
        (Some(JSON), Value::Text(text)) => Some(Payload::Json(text)),
        (Some(PROTOBUF), Value::Blob(bytes)) => Some(Payload::Protobuf(bytes)),
        _ => return Err(corrupt("payload")),
    };
    let refusal = Refusal { reason, field: row.get(4)?, message: row.get(5)? };
    let rejected = Rejected { refusal, door, source: row.get(6)?, id: row.get(7)?, payload };
    Ok(Quarantined { number: number as u64, at, rejected })
}
