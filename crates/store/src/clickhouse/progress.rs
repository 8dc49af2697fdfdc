//! How far the log has been kept.
//!
//! Law: of the largest epoch, the largest offset of a partition counts. So whoever was late, or was replaced by another without knowing, changes nothing.

use std::fmt::Write as _;

use clickhouse::Row;
use milepost_model::{Partition, Positions};
use serde::Deserialize;

use super::connection::quoted;
use super::{ClickHouse, Error};

/// How far the log has been kept: every event before it is there, and will be seen by whoever asks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// How often the log was begun to be read again.
    pub epoch: u64,
    /// For each partition the offset of its next record.
    pub positions: Positions,
    /// Whether the log is being read again and has not come as far as it was: then events may be missing, and no number should be made of it.
    pub recovering: bool,
}

/// How far a partition was kept in an epoch.
#[derive(Debug, Row, Deserialize)]
struct Kept {
    epoch: u64,
    topic: String,
    partition: i32,
    offset: u64,
}

impl Progress {
    fn of(rows: &[Kept]) -> Self {
        let epoch = rows.iter().map(|row| row.epoch).max().unwrap_or_default();
        let mut positions = Positions::new();
        for row in rows.iter().filter(|row| row.epoch == epoch) {
            positions.advance(&row.partition(), row.offset as i64);
        }
        let recovering = rows
            .iter()
            .any(|row| positions.next(&row.partition()).is_none_or(|next| next < row.offset as i64));
        Self { epoch, positions, recovering }
    }
}

impl Kept {
    fn partition(&self) -> Partition {
        Partition { topic: self.topic.as_str().into(), number: self.partition }
    }
}

impl ClickHouse {
    /// How far the log has been kept.
    pub async fn progress(&self) -> Result<Progress, Error> {
        let rows = format!(
            "SELECT epoch, topic, partition, max(offset) AS offset FROM {} AS p GROUP BY epoch, topic, partition",
            self.table("progress")
        );
        Ok(Progress::of(&self.connection.all(&rows).await?))
    }

    /// Says that everything before these positions is kept, of partitions that were read in this epoch. Returns the epoch that counts: if it is
    /// another, nothing was said, and the log is to be read from [`Self::progress`] again.
    pub async fn advance(&self, positions: &Positions, epoch: u64) -> Result<u64, Error> {
        self.note(positions, epoch).await?;
        let newest = format!("SELECT max(epoch) FROM {}", self.table("progress"));
        self.connection.one(&newest).await
    }

    /// Begins a new epoch, in which these partitions are read again from these positions, and all others from where they are. What was kept stays, and what
    /// is kept again changes nothing. Two that do so at the same time may begin the same epoch, and then the later positions count.
    pub async fn rewind(&self, back_to: &Positions) -> Result<Progress, Error> {
        let Progress { epoch, positions, .. } = self.progress().await?;
        let stay = positions.iter().filter(|(partition, _)| back_to.next(partition).is_none());
        let positions =
            stay.chain(back_to.iter()).map(|(partition, next)| (partition.clone(), next)).collect();
        self.note(&positions, epoch + 1).await?;
        self.progress().await
    }

    async fn note(&self, positions: &Positions, epoch: u64) -> Result<(), Error> {
        if positions.is_empty() {
            return Ok(());
        }
        let mut insert =
            format!("INSERT INTO {} (epoch, topic, partition, offset) VALUES", self.table("progress"));
        for (Partition { topic, number }, next) in positions.iter() {
            let _ = write!(insert, " ({epoch}, {}, {number}, {next})", quoted(topic));
        }
        self.connection.execute(&insert).await
    }
}

/// A condition on the columns `topic`, `partition` and `offset`: whether a record is before these positions.
pub(super) fn before(positions: &Positions) -> String {
    let mut topics = Vec::<(&str, Vec<String>, Vec<String>)>::new();
    for (Partition { topic, number }, next) in positions.iter() {
        if topics.last().is_none_or(|(last, ..)| *last != &**topic) {
            topics.push((topic, Vec::new(), Vec::new()));
        }
        if let Some((_, numbers, offsets)) = topics.last_mut() {
            numbers.push(number.to_string());
            offsets.push(next.to_string());
        }
    }
    let topic = |(topic, numbers, offsets): &(&str, Vec<String>, Vec<String>)| {
        format!(
            "(topic = {} AND offset < transform(partition, [{}], [{}], toInt64(-1)))",
            quoted(topic),
            numbers.join(", "),
            offsets.join(", ")
        )
    };
    match topics[..] {
        [] => "0".to_owned(),
        _ => format!("({})", topics.iter().map(topic).collect::<Vec<_>>().join(" OR ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(epoch: u64, topic: &str, partition: i32, offset: u64) -> Kept {
        Kept { epoch, topic: topic.to_owned(), partition, offset }
    }

    fn positions(rows: &[(&str, i32, i64)]) -> Positions {
        rows.iter()
            .map(|(topic, number, next)| (Partition { topic: (*topic).into(), number: *number }, *next))
            .collect()
    }

    #[test]
    fn the_largest_epoch_counts_and_there_the_largest_offset() {
        assert_eq!(Progress::of(&[]), Progress::default());
        let first = [row(0, "a", 0, 5), row(0, "a", 1, 7), row(0, "a", 0, 3)];
        let progress = Progress::of(&first);
        assert_eq!(
            progress,
            Progress { epoch: 0, positions: positions(&[("a", 0, 5), ("a", 1, 7)]), recovering: false }
        );
        let again = |offset| {
            Progress::of(&[row(0, "a", 0, 5), row(0, "a", 1, 7), row(1, "a", 0, 5), row(1, "a", 1, offset)])
        };
        assert_eq!((again(6).epoch, again(6).recovering), (1, true));
        assert_eq!(again(6).positions, positions(&[("a", 0, 5), ("a", 1, 6)]));
        assert!(!again(7).recovering && !again(8).recovering);
        assert!(Progress::of(&[row(0, "a", 0, 5), row(1, "b", 0, 9)]).recovering);
    }

    #[test]
    fn the_condition_names_every_partition() {
        assert_eq!(before(&Positions::new()), "0");
        assert_eq!(
            before(&positions(&[("a", 0, 5), ("a", 2, 7), ("it's", 0, 1)])),
            "((topic = 'a' AND offset < transform(partition, [0, 2], [5, 7], toInt64(-1))) OR \
             (topic = 'it\\'s' AND offset < transform(partition, [0], [1], toInt64(-1))))"
        );
    }
}
