//! A backup brought to the log of a cluster.
//!
//! Its events have been through a door once: they are sealed and their persons are pseudonyms already. So they go onto the log as
//! they are, with what was refused; and the cluster must call persons by the same pseudonyms from then on.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use milepost_log::{LogError, Producer};
use milepost_model::{Event, Sealed};
use milepost_store::sqlite::{self, Options, Sqlite, Stage};
use milepost_store::{Reader, Store as _, StoreError};
use tokio::sync::mpsc;

use super::Summary;
use crate::config::PersonKeys;

/// Events of an append.
const BATCH: usize = 5_000;
/// Refusals of one.
const REFUSALS: usize = 500;
/// How SQLite's files begin.
const MAGIC: &[u8] = b"SQLite format 3\0";

/// Why a backup cannot be brought.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// It cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no room to unpack it.
    #[error("no room for the backup beside the log: {0}; TMPDIR says where")]
    Room(std::io::Error),
    /// Its persons have other names.
    #[error(
        "the persons in the backup have pseudonyms of another key: set privacy.key to what is in the `person.key` of the data \
         directory that it was made of"
    )]
    OtherKey,
    /// Some events are gone.
    #[error(
        "retention has dropped events of the backup, and what is kept of them is not on the log: bring a backup of before \
         [retention] was set"
    )]
    Dropped,
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// It was interrupted.
    #[error("interrupted")]
    Interrupted,
}

/// Whether a file is one that SQLite wrote, as backups are.
pub fn is_backup(file: &Path) -> bool {
    let mut magic = [0; MAGIC.len()];
    File::open(file).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && magic == MAGIC
}

/// Brings all winners and refusals of a backup to the log. `each` is told what has been brought so far. Interrupted anywhere it
/// can be done again: what is there already is a duplicate then.
pub async fn bring(
    file: &Path,
    keys: &PersonKeys,
    producer: &Arc<Producer>,
    mut each: impl FnMut(&Summary),
) -> Result<Summary, BackupError> {
    let (sender, mut batches) = mpsc::channel::<Vec<Sealed>>(2);
    let (file, keys) = (file.to_owned(), keys.clone());
    let reading = tokio::task::spawn_blocking(move || {
        let (directory, mut reader) = unpack(&file, &keys)?;
        replay(&mut *reader, &sender)?;
        Ok::<_, BackupError>((directory, reader))
    });
    let mut summary = Summary::default();
    while let Some(events) = batches.recv().await {
        producer.append(&events, &[]).await?;
        summary.read += events.len() as u64;
        summary.stored += events.len() as u64;
        each(&summary);
    }
    let (_directory, mut reader) = reading.await.map_err(|_| BackupError::Interrupted)??;
    let mut after = 0;
    loop {
        let refused = reader.refusals(after, REFUSALS)?;
        let Some(last) = refused.last() else { return Ok(summary) };
        after = last.number;
        let refused: Vec<_> = refused.into_iter().map(|refused| (refused.rejected, None)).collect();
        producer.append(&[], &refused).await?;
        summary.read += refused.len() as u64;
        summary.refused += refused.len() as u64;
        each(&summary);
    }
}

/// Into a directory that is gone afterwards: so every row is checked against the digest of the backup, whatever its format.
fn unpack(file: &Path, keys: &PersonKeys) -> Result<(tempfile::TempDir, Box<dyn Reader>), BackupError> {
    let directory = tempfile::tempdir().map_err(BackupError::Room)?;
    let data = directory.path().join("data");
    sqlite::restore(file, &data, &mut |_| Ok(()), &mut |_: Stage| ())?;
    let store = Sqlite::open(&data, Options::default())?;
    if store.keys_in_force()?.fingerprint.is_some_and(|fingerprint| fingerprint != keys.fingerprint()) {
        return Err(BackupError::OtherKey);
    }
    let mut reader = store.reader()?;
    if reader.horizon()?.is_some() {
        return Err(BackupError::Dropped);
    }
    Ok((directory, reader))
}

fn replay(reader: &mut dyn Reader, sender: &mpsc::Sender<Vec<Sealed>>) -> Result<(), StoreError> {
    let mut batch = Vec::with_capacity(BATCH);
    reader.replay(&mut |event: &Event| {
        batch.push(Sealed::new(event.clone()));
        if batch.len() == BATCH {
            // An error means that nobody takes them any more, who then says why.
            let _ = sender.blocking_send(std::mem::take(&mut batch));
        }
    })?;
    if !batch.is_empty() {
        let _ = sender.blocking_send(batch);
    }
    Ok(())
}
