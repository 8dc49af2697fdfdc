//! What SQLite says, as what the caller can do about it.

use rusqlite::Error;
use rusqlite::ffi::ErrorCode;

use crate::StoreError;

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        use ErrorCode as Code;
        let message = error.to_string();
        match error.sqlite_error_code() {
            Some(
                Code::DiskFull
                | Code::DatabaseBusy
                | Code::DatabaseLocked
                | Code::SystemIoFailure
                | Code::OutOfMemory
                | Code::CannotOpen,
            ) => Self::Unavailable(message),
            // No code: not from SQLite but from reading its rows, where a column holds what was never put there.
            Some(Code::DatabaseCorrupt | Code::NotADatabase) | None => Self::Corrupt(message),
            Some(_) => Self::Io(message),
        }
    }
}
