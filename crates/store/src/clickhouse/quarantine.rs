//! Refused events.
//!
//! Law: where a refused event came from identifies it, so that one that is delivered again is there once. Of several rows with one identity that with the smallest number
//! counts, which is what merging them leaves.

use clickhouse::Row;
use milepost_model::{Payload, Position, Refusal, Rejected, Timestamp};
use serde::Deserialize;

use super::{ClickHouse, Error};
use crate::Quarantined;
use crate::refused::{JSON, PROTOBUF, door, reason};

/// The number of a refused event: grows with the time it was refused, in milliseconds, and differs between those of one. Two in
/// 16,384 of a partition and a millisecond could share one; then they are listed and settled together.
pub(super) fn number(at: Timestamp, position: &Position) -> u64 {
    let millis = at.micros().div_euclid(1_000).max(0) as u64;
    millis << 22 | (position.offset as u64 & 0x3fff) << 8 | u64::from(position.partition.number as u32 & 0xff)
}

#[derive(Debug, Row, Deserialize)]
struct Refused {
    number: u64,
    topic: String,
    partition: i32,
    offset: i64,
    at: i64,
    door: String,
    reason: String,
    field: String,
    message: String,
    source: Option<String>,
    event_id: Option<String>,
    payload_format: String,
    #[serde(with = "serde_bytes")]
    payload: Vec<u8>,
}

/// How many refused events there are, and what they take.
#[derive(Debug, Default, Row, Deserialize)]
pub(super) struct Held {
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

impl ClickHouse {
    /// The newest refused events with a number below `before`, newest first, at most `limit` and those that share the last one's number.
    pub async fn newest_refused(&self, before: Option<u64>, limit: usize) -> Result<Vec<Quarantined>, Error> {
        let before = before.unwrap_or(u64::MAX);
        self.refused(&format!("first < {before}"), "DESC", limit).await
    }

    /// The oldest refused events with a number above `after`, oldest first, at most `limit` and those that share the last one's number.
    pub async fn oldest_refused(&self, after: u64, limit: usize) -> Result<Vec<Quarantined>, Error> {
        self.refused(&format!("first > {after}"), "ASC", limit).await
    }

    /// Takes refused events out of the quarantine, for good: they were taken after all.
    pub async fn settle(&self, numbers: &[u64]) -> Result<(), Error> {
        if numbers.is_empty() {
            return Ok(());
        }
        let values: Vec<_> = numbers.iter().map(|number| format!("({number})")).collect();
        let settled = self.table("settled");
        self.connection.execute(&format!("INSERT INTO {settled} (number) VALUES {}", values.join(", "))).await
    }

    pub(super) async fn held(&self) -> Result<Held, Error> {
        let [quarantine, settled] = ["quarantine", "settled"].map(|table| self.table(table));
        self.connection
            .one(&format!(
                "SELECT count() AS rows, sum(size) AS bytes FROM (
                     SELECT min(number) AS first, any(length(field) + length(message) + length(ifNull(source, '')) + \
                     length(ifNull(event_id, '')) + length(payload)) AS size
                     FROM {quarantine} GROUP BY topic, partition, offset HAVING first GLOBAL NOT IN (SELECT number FROM {settled})
                 )"
            ))
            .await
    }

    async fn refused(&self, condition: &str, order: &str, limit: usize) -> Result<Vec<Quarantined>, Error> {
        let [quarantine, settled] = ["quarantine", "settled"].map(|table| self.table(table));
        let rows: Vec<Refused> = self
            .connection
            .all(&format!(
                "SELECT number, topic, partition, offset, at, door, reason, field, message, source, event_id, payload_format, payload
                 FROM {quarantine} WHERE (number, topic, partition, offset) GLOBAL IN (
                     SELECT min(number) AS first, topic, partition, offset
                     FROM {quarantine} GROUP BY topic, partition, offset
                     HAVING {condition} AND first GLOBAL NOT IN (SELECT number FROM {settled})
                     ORDER BY first {order} LIMIT {limit} WITH TIES
                 )
                 ORDER BY number {order}, topic, partition, offset LIMIT 1 BY number, topic, partition, offset"
            ))
            .await?;
        rows.into_iter().map(Refused::read).collect()
    }
}

impl Refused {
    fn read(self) -> Result<Quarantined, Error> {
        let Self { topic, partition, offset, .. } = &self;
        let place = format!("the refused event of {topic}, partition {partition}, offset {offset}");
        let corrupt = |column: &str| {
            Error::Corrupt(format!(
                "{place} in the table quarantine cannot be read: {column}: delete it there"
            ))
        };
        let payload = match self.payload_format.as_str() {
            "" => None,
            JSON => Some(Payload::Json(String::from_utf8(self.payload).map_err(|_| corrupt("payload"))?)),
            PROTOBUF => Some(Payload::Protobuf(self.payload)),
            _ => return Err(corrupt("payload_format")),
        };
        let refusal = Refusal {
            reason: reason(&self.reason).ok_or_else(|| corrupt("reason"))?,
            field: self.field,
            message: self.message,
        };
        let door = door(&self.door).ok_or_else(|| corrupt("door"))?;
        let at = Timestamp::from_micros(self.at).ok_or_else(|| corrupt("at"))?;
        let rejected = Rejected { refusal, door, source: self.source, id: self.event_id, payload };
        Ok(Quarantined { number: self.number, at, rejected })
    }
}
