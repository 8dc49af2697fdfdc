//! Whose file it is, of which format, and how it is brought to the newest.
//!
//! `user_version` is the number of migrations that were applied. A migration is never changed once released: to change
//! the tables, add `migrations/000N_*.sql` and a line to [`MIGRATIONS`].

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::upgrade;
use crate::StoreError;
use crate::failpoint::reach;

/// Tells our files from other SQLite files: "mile" in ASCII.
const APPLICATION_ID: i32 = 0x6d69_6c65;

/// The first SQLite without the bug that could corrupt a database when the WAL was reset.
const OLDEST_SQLITE: i32 = 3_051_003;

/// A part of a migration.
#[derive(Clone, Copy)]
pub(super) enum Step {
    Sql(&'static str),
    /// What SQL cannot say.
    Code(fn(&Connection) -> Result<(), StoreError>),
}

/// All migrations, in order.
pub(super) const MIGRATIONS: &[&[Step]] = &[
    &[Step::Sql(include_str!("migrations/0001_events.sql"))],
    &[
        Step::Sql(include_str!("migrations/0002_identity_runs.sql")),
        Step::Code(upgrade::superseded_by),
        Step::Sql(include_str!("migrations/0002_swap.sql")),
    ],
    &[Step::Sql(include_str!("migrations/0003_quarantine_total.sql"))],
    &[Step::Sql(include_str!("migrations/0004_person_keys.sql"))],
    &[Step::Sql(include_str!("migrations/0005_checksums.sql")), Step::Code(upgrade::checksums_of_losers)],
    &[Step::Sql(include_str!("migrations/0006_horizon.sql"))],
];

/// Refuses a SQLite that can lose what it has confirmed.
pub(super) fn require_version(number: i32) -> Result<(), StoreError> {
    if number < OLDEST_SQLITE {
        return Err(StoreError::Io(format!(
            "built with SQLite {}, which can corrupt a database in WAL mode: build with SQLite 3.51.3 or newer",
            rusqlite::version()
        )));
    }
    Ok(())
}

/// The format of a database: how many migrations it has seen, 0 if it is empty. Only reads.
pub(super) fn format(connection: &Connection, path: &Path) -> Result<usize, StoreError> {
    let header = "SELECT (SELECT application_id FROM pragma_application_id), \
                         (SELECT user_version FROM pragma_user_version), \
                         EXISTS (SELECT 1 FROM sqlite_schema)";
    let (application, format, has_tables): (i32, i32, bool) = connection
        .query_row(header, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .map_err(|error| match error.into() {
            StoreError::Corrupt(message) => StoreError::Corrupt(format!("{}: {message}", path.display())),
            other => other,
        })?;
    let path = path.display();
    let empty = (application, format, has_tables) == (0, 0, false);
    if application != APPLICATION_ID && !empty {
        return Err(StoreError::Corrupt(format!(
            "{path} was not written by milepost: choose another data directory"
        )));
    }
    usize::try_from(format).ok().filter(|format| *format <= MIGRATIONS.len()).ok_or_else(|| {
        StoreError::Corrupt(format!(
            "{path} has format {format}, written by a newer milepost; this one knows formats up to {}: upgrade milepost",
            MIGRATIONS.len()
        ))
    })
}

/// Applies what is missing, each migration in a transaction of its own.
pub(super) fn migrate(
    connection: &mut Connection,
    format: usize,
    migrations: &[&[Step]],
) -> Result<(), StoreError> {
    for (index, steps) in migrations.iter().enumerate().skip(format) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for step in *steps {
            match step {
                Step::Sql(sql) => transaction.execute_batch(sql)?,
                Step::Code(code) => code(&transaction)?,
            }
        }
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", index as i32 + 1)?;
        reach("migration.applied");
        transaction.commit()?;
        reach("migration.committed");
    }
    Ok(())
}
