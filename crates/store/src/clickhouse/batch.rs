//! Rows as they are sent.
//!
//! Law: a row is a function of its record alone. So what is sent again, by whomever, after whatever, is the same rows, and merging them leaves one.

use bytes::Bytes;
use milepost_model::{Position, Rejected, Sealed, Timestamp};

use super::native::{Column, block};
use super::quarantine;
use crate::refused::{self, Kept};

/// An event as the log has it.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// Where its record stands in the log.
    pub position: &'a Position,
    /// When it was accepted: the timestamp of its record.
    pub received_at: Timestamp,
    /// The event.
    pub sealed: &'a Sealed,
}

/// A refused event as the topic of refused ones has it.
#[derive(Debug, Clone, Copy)]
pub struct RefusedRow<'a> {
    /// Where its record stands in that topic.
    pub position: &'a Position,
    /// Where it stood before, if it came from Kafka: what comes again from there is the same.
    pub origin: Option<&'a Position>,
    /// When it was refused: the timestamp of its record.
    pub at: Timestamp,
    /// What and why.
    pub rejected: &'a Rejected,
}

/// Rows, encoded once, to be sent as often as it takes.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    pub(super) events: Vec<Bytes>,
    pub(super) refused: Vec<Bytes>,
}

impl Batch {
    /// Encodes rows. Costs about a microsecond for each, so that a thread that has nothing else to do should do it.
    pub fn new(events: &[Row<'_>], refused: &[RefusedRow<'_>]) -> Self {
        Self {
            events: if events.is_empty() { Vec::new() } else { encode_events(events) },
            refused: if refused.is_empty() { Vec::new() } else { encode_refused(refused) },
        }
    }

    /// How many bytes it has.
    pub fn bytes(&self) -> usize {
        self.events.iter().chain(&self.refused).map(Bytes::len).sum()
    }
}

fn encode_events(rows: &[Row<'_>]) -> Vec<Bytes> {
    const TIME: &str = "DateTime64(6, 'UTC')";
    let mut columns = [
        Column::new("key", "UInt64"),
        Column::new("source", "String"),
        Column::new("id", "String"),
        Column::new("revision", "UInt64"),
        Column::new("digest", "FixedString(32)"),
        Column::new("topic", "String"),
        Column::new("partition", "Int32"),
        Column::new("offset", "Int64"),
        Column::new("received_at", TIME),
        Column::new("occurred_at", TIME),
        Column::new("type", "String"),
        Column::new("team", "String"),
        Column::new("service", "String"),
        Column::new("capability", "String"),
        Column::new("content", "String"),
    ];
    let [
        key,
        source,
        id,
        revision,
        digest,
        topic,
        partition,
        offset,
        received_at,
        occurred_at,
        kind,
        team,
        service,
        capability,
        content,
    ] = &mut columns;
    for Row { position, received_at: received, sealed } in rows {
        let event = &sealed.event;
        key.fixed(sealed.key.0.to_le_bytes());
        source.text(event.id.source.as_bytes());
        id.text(event.id.id.as_bytes());
        revision.fixed(event.revision.to_le_bytes());
        digest.fixed(sealed.version().digest);
        topic.text(position.partition.topic.as_bytes());
        partition.fixed(position.partition.number.to_le_bytes());
        offset.fixed(position.offset.to_le_bytes());
        received_at.fixed(received.micros().to_le_bytes());
        occurred_at.fixed(event.at().micros().to_le_bytes());
        kind.text(event.content.body.type_name().as_bytes());
        team.text(name(event.content.team.as_ref()));
        service.text(name(event.content.service.as_ref()));
        capability.text(name(event.content.capability.as_ref()));
        content.text(&sealed.canonical);
    }
    block(columns, rows.len())
}

/// None is an empty text: no name is.
fn name(name: Option<&String>) -> &[u8] {
    name.map(String::as_bytes).unwrap_or_default()
}

fn encode_refused(rows: &[RefusedRow<'_>]) -> Vec<Bytes> {
    let mut columns = [
        Column::new("topic", "String"),
        Column::new("partition", "Int32"),
        Column::new("offset", "Int64"),
        Column::new("number", "UInt64"),
        Column::new("at", "DateTime64(6, 'UTC')"),
        Column::new("door", "String"),
        Column::new("reason", "String"),
        Column::new("field", "String"),
        Column::new("message", "String"),
        Column::new("source", "Nullable(String)"),
        Column::new("event_id", "Nullable(String)"),
        Column::new("payload_format", "String"),
        Column::new("payload", "String"),
    ];
    let [
        topic,
        partition,
        offset,
        number,
        at,
        door,
        reason,
        field,
        message,
        source,
        event_id,
        payload_format,
        payload,
    ] = &mut columns;
    for row in rows {
        let refusal = &row.rejected.refusal;
        let identity = row.origin.unwrap_or(row.position);
        let kept = Kept::of(row.rejected);
        topic.text(identity.partition.topic.as_bytes());
        partition.fixed(identity.partition.number.to_le_bytes());
        offset.fixed(identity.offset.to_le_bytes());
        number.fixed(quarantine::number(row.at, row.position).to_le_bytes());
        at.fixed(row.at.micros().to_le_bytes());
        door.text(row.rejected.door.as_str().as_bytes());
        reason.text(refusal.reason.as_str().as_bytes());
        field.text(refusal.field.as_bytes());
        message.text(kept.message.as_bytes());
        source.text_or_null(row.rejected.source.as_deref());
        event_id.text_or_null(row.rejected.id.as_deref());
        payload_format.text(kept.payload.map(refused::format).unwrap_or_default().as_bytes());
        payload.text(kept.payload.map(refused::bytes).unwrap_or_default());
    }
    block(columns, rows.len())
}
