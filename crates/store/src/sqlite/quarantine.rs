//! Refused events, kept with their reason so that nothing vanishes unexplained.

use std::borrow::Cow;

use milepost_model::{Door, Payload, Reason, Refusal, Rejected, Timestamp};
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, Row, params};

use crate::{Quarantined, StoreError};

/// Longer payloads are not kept, only why they were refused.
const PAYLOAD_BYTES: usize = 64 << 10;

const JSON: &str = "json";
const PROTOBUF: &str = "protobuf";

/// Appends refusals within the transaction that `connection` is in, and drops the oldest above `limit`.
pub(super) fn append(
    connection: &Connection,
    rejected: &[Rejected],
    now: Timestamp,
    limit: u32,
) -> Result<(), StoreError> {
    if rejected.is_empty() {
        return Ok(());
    }
    let mut insert = connection.prepare_cached(
        "INSERT INTO quarantine (at, door, reason, field, message, source, event_id, payload_format, payload)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    for Rejected { refusal, door, source, id, payload } in rejected {
        let too_long = payload.as_ref().map(bytes).filter(|bytes| bytes.len() > PAYLOAD_BYTES);
        let message = match too_long {
            Some(bytes) => Cow::from(format!(
                "{} (what was sent is not kept: it has {} bytes, and at most {PAYLOAD_BYTES} are)",
                refusal.message,
                bytes.len()
            )),
            None => Cow::from(&refusal.message),
        };
        let (format, payload) = match payload.as_ref().filter(|_| too_long.is_none()) {
            Some(Payload::Json(text)) => (Some(JSON), ValueRef::Text(text.as_bytes())),
            Some(Payload::Protobuf(bytes)) => (Some(PROTOBUF), ValueRef::Blob(bytes)),
            None => (None, ValueRef::Null),
        };
        insert.execute(params![
            now.micros(),
            door.as_str(),
            refusal.reason.as_str(),
            refusal.field,
            message,
            source,
            id,
            format,
            ToSqlOutput::Borrowed(payload),
        ])?;
    }
    // Numbers have no gaps, so the newest `limit` of them are the newest `limit` rows.
    connection
        .prepare_cached("DELETE FROM quarantine WHERE number <= ?1")?
        .execute([connection.last_insert_rowid() - i64::from(limit)])?;
    Ok(())
}

fn bytes(payload: &Payload) -> &[u8] {
    match payload {
        Payload::Json(text) => text.as_bytes(),
        Payload::Protobuf(bytes) => bytes,
    }
}

/// The newest refusals below a number, newest first.
pub(super) fn list(
    connection: &Connection,
    before: Option<u64>,
    limit: usize,
) -> Result<Vec<Quarantined>, StoreError> {
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(
        "SELECT number, at, door, reason, field, message, source, event_id, payload_format, payload
         FROM quarantine WHERE number < ?1 ORDER BY number DESC LIMIT ?2",
    )?;
    let mut rows = statement.query([before.map_or(i64::MAX, signed), signed(limit as u64)])?;
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
    let door = Door::ALL.into_iter().find(|known| known.as_str() == door).ok_or_else(|| corrupt("door"))?;
    let reason: String = row.get(3)?;
    let reason =
        Reason::ALL.into_iter().find(|known| known.as_str() == reason).ok_or_else(|| corrupt("reason"))?;
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
